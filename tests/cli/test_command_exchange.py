"""``phenoprint import`` and ``phenoprint export``."""

import json

import polars as pl
import pytest
import typer

from phenoprint.cli.command_exchange import export, import_
from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.store import open as open_screen


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command("import")(import_)
    app.command("export")(export)
    return app


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "wells.csv"
    path.write_text("barcode_id,rep,position,Cells_A\n007,1,a1,0.123456789\n007,2,a1,2\n")
    return path


def run(app: typer.Typer, *arguments: object) -> int:
    return app(args=[str(a) for a in arguments], standalone_mode=False) or 0


def test_there_and_back(app, table, tmp_path, capsys):
    screen, out = tmp_path / "screen", tmp_path / "out"
    columns = ["--column", "Plate=barcode_id+rep", "--column", "Well=position", "--set", "Batch=b1", "--level", "4a"]
    assert run(app, "import", table, "-o", screen, *columns, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["plates"] == ["007_1", "007_2"]
    assert said["rows"] == {"profile_normalized": 2}
    assert [note["kind"] for note in said["notes"]] == ["renamed_column", "renamed_column", "well_renamed"]
    assert open_screen(screen).sql("SELECT Metadata_Batch FROM plate")["Metadata_Batch"].to_list() == ["b1", "b1"]
    assert run(app, "export", screen, "-o", out, "--plate", "007_1") == 0
    path = out / "b1" / "007_1" / "007_1_normalized.csv.gz"
    assert str(path.name) in capsys.readouterr().out.replace("\n", "")
    assert pl.read_csv(path)["Cells_A"].to_list() == [0.12346]
    assert run(app, "export", screen, "-o", out, "--format", "parquet", "--float-format", "full", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["files"]) == 2


def test_status_of_imported_profiles_names_the_steps_that_follow(app, tmp_path, capsys):
    from phenoprint.cli.command_run import status

    app.command("status")(status)
    path = tmp_path / "P_normalized.csv"
    path.write_text("Metadata_Plate,Metadata_Well,Cells_A\nP,a1,1\nP,A02,2\n")
    assert run(app, "import", path, "-o", tmp_path / "screen") == 0
    assert "phenoprint run" in capsys.readouterr().out
    assert run(app, "status", tmp_path / "screen") == 0
    out = capsys.readouterr().out
    assert "profile_normalized" in out
    assert "not run yet" in out
    assert "out of date" not in out
    assert "consensus" in out
    assert "illumination" not in out
    assert "Metadata_Channel" not in out  # that column would be empty


def test_a_commented_configuration_is_written_once(app, tmp_path, capsys):
    path = tmp_path / "P_normalized.csv"
    path.write_text("Metadata_Plate,Metadata_Well,Cells_A\nP,a1,1\nP,A02,2\n")
    assert run(app, "import", path, "-o", tmp_path / "screen") == 0
    config = tmp_path / "screen" / "screen.toml"
    assert str(config) in capsys.readouterr().out.replace("\n", "")
    assert '# recipe = "phenoprint"' in config.read_text()
    config.write_text('[screen]\nname = "mine"\n')
    assert run(app, "import", path, "-o", tmp_path / "screen") == 0
    assert config.read_text() == '[screen]\nname = "mine"\n'
    assert "config  " not in capsys.readouterr().out


def test_what_is_left_out_is_said(app, tmp_path, capsys):
    path = tmp_path / "P_normalized.csv"
    path.write_text("Metadata_Plate,Metadata_Well,Cells_A\nP,A01,1\nP,no_well,2\n")
    assert run(app, "import", path, "-o", tmp_path / "screen", "--partial") == 3
    out = capsys.readouterr().out
    assert "partial" in out
    assert "profile_normalized" in out


def test_wrong_options(app, table, tmp_path):
    with pytest.raises(UsageError, match=r"--set expects NAME=VALUE; found 'Plate'"):
        run(app, "import", table, "-o", tmp_path / "s", "--set", "Plate")
    with pytest.raises(UnknownNameError, match="normalization"):
        run(app, "import", table, "-o", tmp_path / "s", "--normalization", "both")


def test_annotation_in_files_of_its_own(app, tmp_path, capsys):
    (tmp_path / "w.csv").write_text("Metadata_Plate,Metadata_Well,Cells_A,Cells_B\nb1_x,A01,1,nan\nb1_x,A02,2,3\n")
    (tmp_path / "map.csv").write_text("Barcode_1,well,compound\nb1_x,A1,DMSO\nb1_x,A2,taxol\n")
    (tmp_path / "moa.csv").write_text("compound,moa\ntaxol,tubulin\n")
    options = ["--plate-map", tmp_path / "map.csv", "--map-column", "Plate=Barcode_1"]
    options += ["--treatments", tmp_path / "moa.csv", "--extract", "Plate=^(?P<Batch>b[0-9]+)_"]
    assert run(app, "import", tmp_path / "w.csv", "-o", tmp_path / "screen", *options) == 0
    out = capsys.readouterr().out
    assert "treatments_joined" in out
    assert "FROM problem" in out
    rows = open_screen(tmp_path / "screen").sql(
        "SELECT Metadata_Batch, Metadata_perturbation, Metadata_moa FROM profile_well ORDER BY Metadata_Well"
    )
    assert rows.rows() == [("b1", "DMSO", None), ("b1", "taxol", "tubulin")]


def test_many_notes_of_a_kind_are_one_line(app, tmp_path, capsys):
    names = [f"odd_{k}" for k in range(40)]
    for plate, more in (("P1", []), ("P2", [f"Cells_{k}" for k in range(30)])):
        frame = pl.DataFrame({"Metadata_Plate": [plate], "Metadata_Well": ["A01"], "Cells_A": [1.0]})
        frame.with_columns(pl.lit(0.5).alias(name) for name in [*names, *more]).write_csv(tmp_path / f"{plate}.csv")
    assert run(app, "import", tmp_path / "P1.csv", tmp_path / "P2.csv", "-o", tmp_path / "screen") == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("unknown_column" in line for line in lines) == 1
    assert sum("absent" in line for line in lines) == 1
    assert [line.split() for line in lines if line.startswith("n_columns")] == [["n_columns", "30"]]
    assert not any("--limit" in line for line in lines)


def test_an_import_prints_how_the_plate_map_was_read(app, tmp_path, capsys):
    path, wells = tmp_path / "P_level3.csv", tmp_path / "map.csv"
    path.write_text("Metadata_Plate,Metadata_Well,Cells_A\nP,A1,1\nP,A2,2\nP,A3,3\nP,A4,7\n")
    wells.write_text("well,compound,Shelf\nA1,Medium,1\nA2,DMSO,1\nA3,taxol,2\nB1,taxol,2\n")
    options = ["--level", "3", "--plate-map", wells, "--pert-type", "Medium=empty", "--pert-type", "aspirin=poscon"]
    assert run(app, "import", path, "-o", tmp_path / "screen", *options) == 0
    lines = {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in capsys.readouterr().out.splitlines()}
    assert lines["wells"] == "1 trt, 1 negcon, 0 poscon, 1 empty, 1 not annotated, 1 on the plate map alone"
    assert lines["plate map"] == str(wells)
    assert lines["columns"] == "compound is compound, well is well"
    assert lines["not used"] == "Shelf (kept as Metadata_Shelf)"
    assert "no well has 'aspirin'" in lines["to check"]
    reading = open_screen(tmp_path / "screen").table("plate_map_reading").collect()
    assert ("value", "Medium", "empty") in reading.select("kind", "found", "read_as").rows()


def test_the_reading_of_another_plates_map_is_kept_and_that_of_the_same_map_replaced(app, tmp_path):
    screen = tmp_path / "screen"
    for plate in ("P", "Q", "P"):
        path, wells = tmp_path / f"{plate}_level3.csv", tmp_path / f"map_{plate}.csv"
        path.write_text(f"Metadata_Plate,Metadata_Well,Cells_A\n{plate},A1,1\n{plate},A2,2\n")
        wells.write_text(f"plate,well,compound\n{plate},A1,DMSO\n{plate},A2,taxol\n")
        assert run(app, "import", path, "-o", screen, "--level", "3", "--plate-map", wells) == 0
    reading = open_screen(screen).table("plate_map_reading").collect()
    assert reading.group_by("source").len().sort("source")["len"].to_list() == [4, 4]


def test_words_are_explained_of_a_plate_map_alone(app, table, tmp_path):
    with pytest.raises(UsageError, match="give a plate map"):
        run(app, "import", table, "-o", tmp_path / "screen", "--pert-type", "Medium=empty")
    assert not (tmp_path / "screen").exists()
