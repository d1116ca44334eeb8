"""Importing into a screen: what is written, what is counted, what is refused."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import LostRowsError, PlateMapError, SchemaError, ScreenLockedError
from phenoprint.exchange import export_profiles, read_profiles, write_profiles
from phenoprint.exchange.annotation.wells import annotate_treatments, merge_wells, well_rows
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.importing import import_profiles
from phenoprint.exchange.ledgers import add_up, counted
from phenoprint.store import Scrutiny, check_balance, check_outputs, create, load_receipts
from phenoprint.tables import validate

MAP = "well_position\tbroad_sample\tmmoles_per_liter\tpert_type\nA01\tDMSO\t\tcontrol\nA02\ttaxol\t0.003\ttrt\n"


def profiles(plate: str, n: int = 3, **columns) -> pl.DataFrame:
    base = {
        "Metadata_Plate": [plate] * n,
        "Metadata_Well": [f"A{k + 1:02d}" for k in range(n)],
        "Metadata_broad_sample": ["DMSO", *["taxol"] * (n - 1)],
        "Metadata_mmoles_per_liter": [None, *[0.003] * (n - 1)],
        "Metadata_Count_Cells": [100 + k for k in range(n)],
        "Cells_Intensity_MeanIntensity_DNA": np.arange(n, dtype=np.float32),
        "Cells_Texture_Contrast_DNA_3_00_256": np.arange(n, dtype=np.float32) * 2,
    }
    return pl.DataFrame(base | columns)


def cells(plate: str, wells=("A01", "A02"), sites=("1", "2"), n: int = 3) -> pl.DataFrame:
    rows = [(plate, w, s, k) for s in sites for w in wells for k in range(1, n + 1)]  # site by site, wells interleaved
    frame = pl.DataFrame(
        rows, schema=["Metadata_Plate", "Metadata_Well", "Metadata_Site", "ObjectNumber"], orient="row"
    )
    return frame.with_columns(Cells_A=pl.int_range(pl.len()).cast(pl.Float32), Metadata_line=pl.lit("U2OS"))


def test_levels_of_a_folder_become_a_screen(tmp_path):
    for plate in ("0012", "0013"):
        folder = tmp_path / "src" / "2020_batch" / plate
        write_profiles(profiles(plate), folder / f"{plate}_augmented.csv.gz")
        write_profiles(profiles(plate), folder / f"{plate}_normalized_negcon.csv.gz", float_format="%.5g")
    summary = import_profiles(tmp_path / "src", tmp_path / "screen")
    screen = summary.screen
    assert dict(summary.rows) == {"profile_well": 6, "profile_normalized": 6}
    assert summary.levels == ("3_augmented", "4a_negcon")
    assert summary.plates == ("0012", "0013")
    row = screen.sql("SELECT * FROM profile_normalized WHERE Metadata_Plate = '0012' AND Metadata_Well = 'A02'")
    assert row.select(
        "Metadata_Batch", "Metadata_pert_type", "Metadata_perturbation", "Metadata_Object_Count", "Metadata_Row"
    ).row(0) == ("2020_batch", "trt", "taxol@0.003 mM", 101, 1)
    assert row["Metadata_broad_sample"].to_list() == ["taxol"]
    wells = screen.sql("SELECT Metadata_pert_type, has_images, is_annotated FROM well WHERE Metadata_Well = 'A01'")
    assert wells.rows() == [("negcon", None, True)] * 2
    assert screen.sql("SELECT Metadata_perturbation, n_wells FROM perturbation ORDER BY 1").rows() == [
        ("DMSO", 2),
        ("taxol@0.003 mM", 4),
    ]
    feature = screen.sql(
        "SELECT compartment, family, measure, channel, parameters FROM feature ORDER BY feature"
    ).rows()
    assert feature == [
        ("Cells", "Intensity", "MeanIntensity", "DNA", None),
        ("Cells", "Texture", "Contrast", "DNA", "3_00_256"),
    ]
    assert (
        screen.sql("SELECT Metadata_Batch, plate_format, n_wells_annotated FROM plate").rows()
        == [("2020_batch", 96, 3)] * 2
    )
    receipts = load_receipts(screen.path, "import")
    assert set(receipts) == {(p, t) for p in ("0012", "0013") for t in ("profile_well", "profile_normalized")}
    receipt = receipts["0012", "profile_well"]
    assert [Path(name).name for name in receipt.inputs] == ["0012_augmented.csv.gz"]
    assert check_outputs(screen.path, receipt.outputs, Scrutiny.HASH).wrong == {}
    check_balance(screen.table("ledger").collect())
    assert screen.status().held_by is None
    assert not list(screen.path.glob(".import-*"))
    # once more, with another value: the plates' rows are replaced, nothing is doubled
    path = write_profiles(
        profiles("0012", Cells_Intensity_MeanIntensity_DNA=[9.0] * 3), tmp_path / "0012_augmented.csv"
    )
    again = import_profiles(path, screen)
    assert dict(again.rows) == {"profile_well": 3}
    counts = screen.sql(
        "SELECT count(*), max(Cells_Intensity_MeanIntensity_DNA) FROM profile_well GROUP BY Metadata_Plate"
    )
    assert sorted(counts.rows()) == [(3, 2.0), (3, 9.0)]


def test_cells_keep_their_keys_whatever_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr("phenoprint.exchange.sources.files.BLOCK_BYTES", 80)
    frame = pl.concat([cells("P1"), cells("P2"), cells("P1", sites=("3",))])
    path = tmp_path / "cells.csv"
    frame.write_csv(path)
    for buffer in (1, 10**9):
        target = tmp_path / f"s{buffer}"
        monkeypatch.setattr("phenoprint.exchange.writers.plates.BUFFER_BYTES", buffer)
        screen = import_profiles(path, target).screen
        stored = screen.table("cell").collect()
        validate(stored.select(pl.exclude("Metadata_line")), "cell")
        keys = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_ObjectNumber"]
        expected = read_profiles(path).sort(keys)
        assert stored.sort(keys).select(expected.columns).equals(expected)
        assert screen.sql("SELECT Metadata_Plate, n_sites FROM plate ORDER BY 1").rows() == [("P1", 6), ("P2", 4)]
        assert screen.sql("SELECT count(*) FROM site WHERE status = 'ok'").item() == 10
        assert screen.sql("SELECT DISTINCT Metadata_line FROM well").rows() == [("U2OS",)]
        ledger = screen.table("ledger").collect()
        assert ledger.select(pl.col("n_in", "n_out").sum()).row(0) == (frame.height, frame.height)
        assert sorted(screen.stored_wells("cell", "P1")) == ["A01", "A02"]


def test_plates_in_several_parts_are_joined(tmp_path, monkeypatch):
    whole = pl.concat([profiles("P1"), profiles("P2")])
    order = np.random.default_rng(0).permutation(6)
    whole[order].write_parquet(tmp_path / "all.parquet", row_group_size=1)
    monkeypatch.setattr("phenoprint.exchange.writers.plates.BUFFER_BYTES", 1)
    screen = import_profiles(tmp_path / "all.parquet", tmp_path / "screen").screen
    other = import_profiles(write_profiles(whole, tmp_path / "sorted.csv"), tmp_path / "other").screen
    keys = ["Metadata_Plate", "Metadata_Well"]
    one, two = (s.table("profile_well").collect().sort(keys) for s in (screen, other))
    assert one.select(two.columns).equals(two)


def test_a_plate_map_is_taken_and_compared(tmp_path):
    source = write_profiles(profiles("P1", Metadata_pert_type=["trt"] * 3), tmp_path / "P1.csv")
    (tmp_path / "platemap").mkdir()
    (tmp_path / "platemap" / "m1.txt").write_text(MAP.replace("control", "negcon"))
    barcodes = tmp_path / "barcode_platemap.csv"
    barcodes.write_text("Assay_Plate_Barcode,Plate_Map_Name\nP1,m1\n")
    summary = import_profiles(source, tmp_path / "screen", plate_map=barcodes)
    notes = {kind: (column, n) for kind, column, n in summary.notes.select("kind", "column", "n").iter_rows()}
    assert notes["conflict"] == ("Metadata_pert_type", 1)
    assert notes["profiled_not_mapped"] == ("Metadata_Well", 1)
    rows = summary.screen.sql("SELECT Metadata_Well, Metadata_pert_type, is_annotated FROM well ORDER BY 1").rows()
    assert rows == [("A01", "negcon", True), ("A02", "trt", True), ("A03", None, False)]
    problems = summary.screen.sql("SELECT kind FROM problem ORDER BY 1")["kind"].to_list()
    assert {"conflict", "profiled_not_mapped", "derived_column"} <= set(problems)
    barcodes.write_text("Assay_Plate_Barcode,Plate_Map_Name\nP1,m2\n")
    with pytest.raises(PlateMapError, match="m2"):
        import_profiles(source, tmp_path / "screen", plate_map=barcodes)


def test_annotation_that_cannot_be_read_is_a_note(tmp_path):
    frame = profiles("P1", Metadata_pert_type=["weird", "trt", "trt"])
    summary = import_profiles(write_profiles(frame, tmp_path / "P1.csv"), tmp_path / "screen")
    note = summary.notes.filter(kind="annotation")
    assert "unknown pert_type 'weird'" in note["detail"][0]
    rows = summary.screen.sql("SELECT Metadata_pert_type, Metadata_compound FROM well ORDER BY Metadata_Well").rows()
    assert rows[0] == ("weird", "DMSO") or rows[0] == ("negcon", "DMSO")
    assert rows[1] == ("trt", "taxol")


def test_rows_without_a_key(tmp_path):
    frame = profiles("P1", Metadata_Well=["A01", "Z99", None])
    path = write_profiles(frame, tmp_path / "P1.csv")
    with pytest.raises(SchemaError, match=r"2 of 3 rows have no Metadata_Plate or Metadata_Well .* 'Z99'.*--partial"):
        import_profiles(path, tmp_path / "screen")
    assert not (tmp_path / "screen").exists()  # nothing was made
    summary = import_profiles(path, tmp_path / "screen", partial=True)
    assert summary.rows == {"profile_well": 1}
    assert summary.ledger.select("n_in", "n_out", "n_lost", "reason").rows() == [
        (3, 1, 2, "no usable plate, well, site or object")
    ]
    bare = write_profiles(profiles("P1").drop("Metadata_Plate"), tmp_path / "bare.csv")
    with pytest.raises(SchemaError, match=r"no Metadata_Plate; found .*--set Metadata_Plate="):
        import_profiles(bare, tmp_path / "other")
    assert import_profiles(bare, tmp_path / "other", fixed={"Plate": "P9"}).plates == ("P9",)


def test_tables_without_rows_are_no_screen(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("Metadata_Plate,Metadata_Well,Cells_A\n")
    with pytest.raises(SchemaError, match=r"nothing to import: the tables have no rows"):
        import_profiles([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "screen")
    assert not (tmp_path / "screen").exists()


def test_what_fails_leaves_the_screen_as_it_was(tmp_path):
    screen = import_profiles(write_profiles(profiles("P1"), tmp_path / "P1.csv"), tmp_path / "screen").screen
    before = screen.table("profile_well").collect()
    doubled = pl.concat([profiles("P1", Cells_B=[1.0] * 3)] * 2)
    with pytest.raises(SchemaError, match=r"share a key"):
        import_profiles(write_profiles(doubled, tmp_path / "P1_augmented.csv"), screen)
    (tmp_path / "bad.csv").write_text("Metadata_Plate,Metadata_Well,Cells_A\nP1,A01,1\nP2,A01")
    with pytest.raises(SchemaError, match=r"middle of a row"):
        import_profiles([tmp_path / "P1.csv", tmp_path / "bad.csv"], screen)
    assert screen.table("profile_well").collect().equals(before)
    assert not list(screen.path.glob(".import-*"))
    with screen.lock(), pytest.raises(ScreenLockedError):
        import_profiles(tmp_path / "P1.csv", screen)


def test_one_plate_cannot_make_the_others_unreadable(tmp_path):
    write_profiles(profiles("P1", Metadata_Count_Nuclei=[1, 2, 3]), tmp_path / "P1.csv")
    write_profiles(
        profiles("P2", Metadata_Count_Nuclei=["many", "2", "3"], Metadata_Row=["A"] * 3), tmp_path / "P2.csv"
    )
    summary = import_profiles([tmp_path / "P1.csv", tmp_path / "P2.csv"], tmp_path / "screen")
    assert ("text_column", "Metadata_Count_Nuclei") in summary.notes.select("kind", "column").rows()
    rows = summary.screen.sql(
        "SELECT Metadata_Count_Nuclei, Metadata_Count_Nuclei_text, Metadata_Row FROM profile_well"
    )
    assert sorted(rows.rows(), key=str) == sorted(
        [(1, None, 1), (2, None, 1), (3, None, 1), (None, "many", 1), (None, "2", 1), (None, "3", 1)], key=str
    )
    assert summary.differences.filter(column="Metadata_Row")["n_without"].to_list() == [1]


def test_treatments(tmp_path):
    frame = pl.DataFrame(
        {"Metadata_broad_sample": ["a", "b"], "Metadata_mmoles_per_liter": [1.0, 0.5], "Cells_A": [1.0, 2]}
    )
    path = write_profiles(frame, tmp_path / "batch_consensus.csv.gz")
    summary = import_profiles(path, tmp_path / "screen")
    rows = summary.screen.sql(
        "SELECT Metadata_perturbation, Metadata_Concentration_Unit, Cells_A FROM profile_consensus"
    )
    assert sorted(rows.rows()) == [("a@1 mM", "mM", 1.0), ("b@0.5 mM", "mM", 2.0)]
    plain = annotate_treatments(pl.DataFrame({"Metadata_x": ["1"], "Cells_A": [1.0]}), Findings(), source="x")
    assert plain.columns == ["Metadata_x", "Cells_A"]
    many = pl.DataFrame({"Metadata_compound": [f"c{k}" for k in range(2000)], "Cells_A": np.zeros(2000)})
    assert annotate_treatments(many, Findings(), source="x")["Metadata_perturbation"].n_unique() == 2000


def test_wells_of_two_imports_are_merged():
    one = well_rows(profiles("P1"), None, Findings(), source="x")
    two = well_rows(
        profiles("P1", 4).select("Metadata_Plate", "Metadata_Well", Metadata_line=pl.lit("U2OS")),
        None,
        Findings(),
        source="x",
    )
    merged = merge_wells(one, two)
    assert merged["Metadata_Well"].to_list() == ["A01", "A02", "A03", "A04"]
    assert merged["Metadata_compound"].to_list() == ["DMSO", "taxol", "taxol", None]
    assert merged["is_annotated"].to_list() == [True, True, True, False]
    assert merged["Metadata_line"].to_list() == ["U2OS"] * 4


def test_the_later_import_wins():
    one, two = (
        well_rows(profiles("P1", Metadata_broad_sample=[name] * 3), None, Findings(), source="x")
        for name in ("old", "new")
    )
    assert merge_wells(one, two)["Metadata_compound"].to_list() == ["new"] * 3
    assert merge_wells(one.clear(), two).equals(two)


def test_counts_of_parts_add_up():
    rows = pl.DataFrame({"Metadata_Plate": ["P"] * 5, "Metadata_Well": ["A01"] * 5})
    part = add_up(
        [counted(rows, "cells"), counted(rows[:2], "cells", lost="one"), counted(rows[:1], "cells", lost="two")]
    )
    assert part.sort("reason").select("n_in", "n_out", "n_lost", "reason").rows() == [
        (8, 5, 2, "one"),
        (8, 5, 1, "two"),
    ]
    twice = add_up([part, part])
    assert twice.sort("reason").select("n_in", "n_out", "n_lost").rows() == [(16, 10, 4), (16, 10, 2)]
    assert add_up([]).is_empty()


def test_features_without_a_value_have_a_status(tmp_path):
    frame = profiles("P1", Cells_B=[None] * 3, Cells_C=[1.0, float("inf"), 2.0]).with_columns(
        pl.col("Cells_B").cast(pl.Float32)
    )
    screen = import_profiles(write_profiles(frame, tmp_path / "P1.parquet"), tmp_path / "screen").screen
    rows = screen.sql("SELECT feature, step, status, value FROM feature_status ORDER BY feature").rows()
    assert rows == [("Cells_B", "import", "all_null", 3.0), ("Cells_C", "import", "infinite", 1.0)]


def test_into_a_screen_that_is_there(tmp_path):
    screen = create(tmp_path / "screen", config_text="# mine\n")
    import_profiles(write_profiles(profiles("P1"), tmp_path / "P1.csv"), screen)
    assert screen.config_text == "# mine\n"
    import_profiles(write_profiles(profiles("P2"), tmp_path / "P2.csv"), screen)
    assert screen.sql("SELECT DISTINCT Metadata_Plate FROM profile_well ORDER BY 1")["Metadata_Plate"].to_list() == [
        "P1",
        "P2",
    ]
    # one row per column; notes that the second import repeats are stored once
    derived = screen.sql("SELECT detail FROM problem WHERE kind = 'derived_column'")["detail"]
    assert derived.n_unique() == derived.len() == 4
    assert derived.str.contains(r"^[23] \(Metadata_\w+\): ").all()


def test_an_error_names_a_column_that_distinguishes_rows_of_one_key(tmp_path):
    frame = pl.concat([profiles("P1", replicate=[k] * 3, id=[str(3 * k + j) for j in range(3)]) for k in (1, 2)])
    path = tmp_path / "wells.csv"
    frame.rename({"Metadata_Plate": "barcode"}).write_csv(path)
    with pytest.raises(SchemaError, match=r"6 of 6 rows share a key .*replicate disting.*Plate=barcode\+replicate"):
        import_profiles(path, tmp_path / "screen")
    joined = {"Plate": ["barcode", "replicate"]}
    assert import_profiles(path, tmp_path / "screen", columns=joined).plates == ("P1_1", "P1_2")
    one = write_profiles(profiles("P1"), tmp_path / "x" / "one.csv")
    two = write_profiles(profiles("P1"), tmp_path / "x" / "two.csv")
    with pytest.raises(SchemaError, match=r"one.csv, .*two.csv: .* import one of these sources only"):
        import_profiles([one, two], tmp_path / "other")


def test_one_table_in_two_forms_is_imported_once(tmp_path):
    frame = cells("P1", sites=("1",))
    frame.write_csv(tmp_path / "P1.csv")
    # the image's number instead of its site: by their keys these would be other cells
    frame.rename({"Metadata_Site": "ImageNumber"}).write_parquet(tmp_path / "P1.parquet")
    summary = import_profiles([tmp_path / "P1.csv", tmp_path / "P1.parquet"], tmp_path / "screen")
    assert summary.rows == {"cell": 6}
    assert "P1.csv, because P1.parquet" in summary.notes.filter(kind="file_not_used")["detail"].item()


def test_what_is_given_as_annotation_is_not_a_file_left_over(tmp_path):
    source = tmp_path / "src"
    write_profiles(profiles("P1"), source / "P1.csv")
    (source / "map.csv").write_text("plate,well,compound\nP1,A01,DMSO\nP1,A02,taxol\nP1,A03,taxol\n")
    (source / "moa.csv").write_text("compound,moa\ntaxol,tubulin\n")
    (source / "other.csv").write_text("a,b\n1,2\n")
    given = {"plate_map": source / "map.csv", "treatments": source / "moa.csv"}
    summary = import_profiles(source, tmp_path / "screen", **given)
    assert summary.notes.filter(kind="file_not_used")["column"].to_list() == ["other.csv"]


def test_the_dictionary_describes_the_variables_of_h5ad(tmp_path):
    anndata = pytest.importorskip("anndata")
    screen = import_profiles(write_profiles(profiles("P1"), tmp_path / "P1.csv"), tmp_path / "screen").screen
    (path,) = export_profiles(screen, tmp_path / "out", form="h5ad")
    described = anndata.read_h5ad(path).var
    assert described.loc["Cells_Texture_Contrast_DNA_3_00_256", ["compartment", "family", "channel"]].to_list() == [
        "Cells",
        "Texture",
        "DNA",
    ]


def test_profiles_without_counts_have_no_number_of_cells(tmp_path):
    frame = profiles("P1").drop("Metadata_Count_Cells")
    screen = import_profiles(write_profiles(frame, tmp_path / "P1.csv"), tmp_path / "screen").screen
    assert screen.sql("SELECT n_cells FROM well_summary")["n_cells"].to_list() == [None] * 3
    counted = import_profiles(write_profiles(profiles("P1"), tmp_path / "P1.csv"), tmp_path / "counted").screen
    assert counted.sql("SELECT n_cells FROM well_summary ORDER BY ALL")["n_cells"].sort().to_list() == [100, 101, 102]


@pytest.mark.real
def test_published_plates_and_cells(real_data, tmp_path):
    summary = import_profiles(real_data / "varchamp_golden", tmp_path / "golden", level="4a")
    assert dict(summary.rows) == {"profile_normalized": 286}
    assert summary.levels == ("4a_negcon",)
    screen = summary.screen
    detail = summary.notes.filter(kind="derived_column", column="Metadata_pert_type")["detail"].item()
    assert detail.startswith("from Metadata_control_type (tc is poscon), from the compound where it is blank")
    assert dict(screen.sql("SELECT Metadata_pert_type, count(*) FROM well GROUP BY 1").rows()) == {
        "trt": 178,
        "negcon": 56,
        "poscon": 52,
    }
    stored = screen.table("profile_normalized").collect().sort("Metadata_Well")
    name = "2022_08_08_PPL8_100-800_normalized_negcon.csv.gz"
    golden = read_profiles(real_data / "varchamp_golden" / name).sort("Metadata_Well")
    features = [n for n in golden.columns if not n.startswith("Metadata_")]
    assert stored.select(features).equals(golden.select(features))
    assert screen.table("profile_normalized").select("Metadata_perturbation").collect().null_count().item() == 0

    tree = real_data / "cellprofiler_csv_tree"
    summary = import_profiles(tree, tmp_path / "tree")
    assert dict(summary.rows) == {"cell": 125, "profile_well": 2, "site_feature": 4}
    sites = summary.screen.sql("SELECT Metadata_Well, Metadata_Site, status, reason FROM site ORDER BY ALL").rows()
    assert sites == [
        ("A01", "1", "ok", None),
        ("A01", "2", "failed", "the image has no object tables"),
        ("A02", "1", "ok", None),
        ("A02", "2", "failed", "the image has no object tables"),
    ]
    images = summary.screen.sql("SELECT * FROM site_feature ORDER BY Metadata_Well, Metadata_Site")
    assert images.width > 1800
    assert images["Image_Count_Cells"].to_list() == [89.0, 188.0, 36.0, 149.0]
    assert images["Metadata_Image_FileName_OrigDNA"][0] == "r01c01f01p01-ch5sk1fk1fl1.tiff"
    # the plate's own collated table holds the mean over both sites, so it is near the one site we have cells of
    pair = summary.screen.sql(
        "SELECT Metadata_Well, avg(c.Cells_AreaShape_Area) / max(p.Cells_AreaShape_Area) AS ratio FROM cell c "
        "JOIN profile_well p USING (Metadata_Plate, Metadata_Well) GROUP BY 1"
    )
    assert pair["ratio"].is_between(0.7, 1.4).all()


@pytest.mark.real
def test_cells_of_other_tools(real_data, tmp_path):
    train = real_data / "breinig_single_cells" / "test_processed.tsv.gz"
    with pytest.raises(SchemaError, match=r"share a key"):
        import_profiles(train, tmp_path / "a")
    summary = import_profiles(train, tmp_path / "a", columns={"Plate": ["plate", "replicate"]})
    assert summary.rows == {"cell": 5127}
    assert summary.notes.filter(kind="unknown_column").height == 26
    assert summary.screen.sql("SELECT DISTINCT Metadata_target FROM well").height > 1
    human = real_data / "example_human"
    with pytest.raises(SchemaError, match=r"no Metadata_Plate, Metadata_Well"):
        import_profiles(human, tmp_path / "b")
    summary = import_profiles(human, tmp_path / "b", fixed={"Plate": "AS_09125", "Well": "D3"})
    assert summary.rows == {"cell": 289, "site_feature": 1}
    assert summary.screen.sql("SELECT DISTINCT Metadata_Well FROM cell").item() == "D03"
    with pytest.raises(LostRowsError, match=r"partial=True"):
        import_profiles(real_data / "cellprofiler_sqlite" / "test_SQ00014613.sqlite", tmp_path / "c")
    # a folder with the database and what was exported from it: the cells of the plate are there once
    summary = import_profiles(real_data / "cellprofiler_sqlite", tmp_path / "c", partial=True)
    assert summary.screen.sql("SELECT n_in, n_out, n_lost FROM lost WHERE unit_of_count = 'cells'").rows() == [
        (447, 2, 445)
    ]
    assert dict(summary.rows) == {"cell": 244, "site_feature": 34}
    assert summary.screen.sql("SELECT count(*) FROM cell WHERE Metadata_Plate = 'SQ00014613'").item() == 2
