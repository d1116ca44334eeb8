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


def test_what_is_left_out_is_said(app, tmp_path, capsys):
    path = tmp_path / "P_normalized.csv"
    path.write_text("Metadata_Plate,Metadata_Well,Cells_A\nP,A01,1\nP,nowhere,2\n")
    assert run(app, "import", path, "-o", tmp_path / "screen", "--partial") == 3
    out = capsys.readouterr().out
    assert "partial" in out
    assert "profile_normalized" in out


def test_wrong_options(app, table, tmp_path):
    with pytest.raises(UsageError, match=r"--set expects NAME=VALUE; found 'Plate'"):
        run(app, "import", table, "-o", tmp_path / "s", "--set", "Plate")
    with pytest.raises(UnknownNameError, match="normalization"):
        run(app, "import", table, "-o", tmp_path / "s", "--normalization", "both")
