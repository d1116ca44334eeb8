"""Profiles and cells that other tools wrote, and the way back."""

import gzip
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import DataError, LostRowsError, SchemaError
from phenoprint.exchange import load_profiles, read_profiles, write_profiles
from phenoprint.tables import validate

HEADER = "Metadata_Plate,Metadata_Well,Metadata_Object_Count,Metadata_Row,Cells_A,Nuclei_B\n"


def read_cells(path: Path, *, partial: bool = False) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Load cells with their ledger."""
    loaded = load_profiles(path, partial=partial)
    return loaded.frame, loaded.ledger


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def objects(n: int, **columns) -> pl.DataFrame:
    base = {
        "ImageNumber": [1] * n,
        "ObjectNumber": list(range(1, n + 1)),
        "AreaShape_Area": [10.0 * k for k in range(n)],
    }
    return pl.DataFrame(base | columns)


@pytest.fixture
def run(tmp_path):
    """CellProfiler's folder of one image: three nuclei, two cells, the second nucleus has none."""
    folder = tmp_path / "run"
    folder.mkdir()
    image = {"ImageNumber": [1], "Count_Cells": [2.0], "Count_Nuclei": [3.0], "Count_Cytoplasm": [2.0]}
    pl.DataFrame(image | {"Metadata_Plate": ["007"], "Metadata_Well": ["A01"], "Metadata_Site": ["2"]}).write_csv(
        folder / "Image.csv"
    )
    objects(3).write_csv(folder / "Nuclei.csv")
    objects(2, Parent_Nuclei=[3, 1]).write_csv(folder / "Cells.csv")
    objects(2, Parent_Cells=[2, 1], Parent_Nuclei=[1, 3]).write_csv(folder / "Cytoplasm.csv")
    return folder


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz", "p.tsv", "p.txt.gz"])
def test_identifiers_stay_text_and_missing_is_null(tmp_path, name):
    text = HEADER + "0012,A01,5,1,1.5,nan\n0012,A02,,B,,2e3\nnan,A03,7,3,NaN,-1\n"
    separator = "," if "csv" in name else "\t"
    frame = read_profiles(write(tmp_path / name, text.replace(",", separator)))
    assert frame["Metadata_Plate"].to_list() == ["0012", "0012", None]
    assert frame["Metadata_Object_Count"].to_list() == [5, None, 7]
    assert frame["Metadata_Row"].to_list() == ["1", "B", "3"]
    assert frame["Cells_A"].to_list() == [1.5, None, None]
    assert frame["Nuclei_B"].to_list() == [None, 2000.0, -1.0]
    assert frame.schema["Cells_A"] == pl.Float32


def test_missing_words_of_other_tools_and_text_columns(tmp_path):
    text = "Metadata_Well,Cells_A,control,Cells_C\nA01,NA,yes,\nA02,2,no,\n"
    frame = read_profiles(write(tmp_path / "p.csv", text))
    assert frame["Cells_A"].to_list() == [None, 2.0]
    assert frame["Metadata_control"].to_list() == ["yes", "no"]
    assert frame["Cells_C"].to_list() == [None, None]


def test_image_metadata_takes_its_plain_name(tmp_path):
    frame = read_profiles(write(tmp_path / "p.csv", "Image_Metadata_Plate,Metadata_Plate,Cells_A\n01,01,1\n"))
    assert frame.columns == ["Metadata_Plate", "Cells_A"]
    with pytest.raises(SchemaError, match=r"would both be called Metadata_Plate and differ"):
        read_profiles(write(tmp_path / "q.csv", "Image_Metadata_Plate,Metadata_Plate,Cells_A\na,b,1\n"))


def test_plain_names_of_the_field_become_keys(tmp_path):
    text = "plate,WELL LABEL,FOV,OBJECT ID,replicate,Primary Target Area wv1\n007,C - 3,2,1,2,32.5\n"
    loaded = load_profiles(write(tmp_path / "p.csv", text))
    assert loaded.level == "2"
    assert loaded.frame.row(0, named=True) == {
        "Metadata_Plate": "007",
        "Metadata_Well": "C03",
        "Metadata_Site": "2",
        "Metadata_ObjectNumber": 1,
        "Metadata_replicate": "2",
        "Primary_Target_Area_wv1": 32.5,
    }
    kinds = dict(loaded.notes.group_by("kind").len().iter_rows())
    assert kinds == {"renamed_column": 5, "renamed_feature": 1, "well_renamed": 1, "unknown_column": 1}
    # a key that exists keeps its column; SQL would not distinguish the two names
    frame = read_profiles(write(tmp_path / "q.csv", "Metadata_Plate,plate,Metadata_Well,Cells_A\nA,B,A01,1\n"))
    assert frame.columns == ["Metadata_Plate", "Metadata_plate_source", "Metadata_Well", "Cells_A"]


def test_parquet_and_csv_of_one_table_read_the_same(tmp_path):
    frame = pl.DataFrame(
        {
            "Metadata_Plate": ["007", "008"],
            "Metadata_Well": ["A01", None],
            "Metadata_Object_Count": [3, None],
            "Cells_A": pl.Series([0.1, None], dtype=pl.Float32),
        }
    )
    for name in ("p.parquet", "p.csv", "p.csv.gz", "p.tsv"):
        assert read_profiles(write_profiles(frame, tmp_path / "out" / name)).equals(frame), name


def test_whole_numbers_that_became_floats_are_identifiers_again(tmp_path):
    pl.DataFrame({"Metadata_Plate": [17.0, float("nan")], "Cells_A": [1.0, 2.0]}).write_parquet(tmp_path / "p.parquet")
    assert read_profiles(tmp_path / "p.parquet")["Metadata_Plate"].to_list() == ["17", None]


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("p.csv", "", "is empty"),
        ("p.csv", "Metadata_Plate,Metadata_Well\nP,A01\n", "has no feature"),
        ("p.csv", "Cells_A,Cells_A\n1,2\n", "several columns called Cells_A"),
        ("p.csv", "Metadata_Well,Cells_A\nA01,1,2,3\n", "is not a table"),
        ("p.parquet", "nonsense", "not a readable Parquet"),
        ("p.xlsx", "nonsense", "expected one of"),
        ("p.sqlite", "nonsense" * 100, "not a readable SQLite"),
    ],
)
def test_unreadable_files_are_refused(tmp_path, name, content, what):
    with pytest.raises(SchemaError, match=what):
        read_profiles(write(tmp_path / name, content))


def test_truncated_gzip_and_absent_files(tmp_path):
    path = write(tmp_path / "p.csv.gz", HEADER + "P,A01,5,1,1,2\n" * 500)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SchemaError, match=r"may be truncated"):
        read_profiles(path)
    with pytest.raises(DataError, match=r"no such file"):
        read_profiles(tmp_path / "nothing.csv")


def test_compartments_are_joined_by_their_parents(run):
    frame, ledger = read_cells(run)
    assert frame["Metadata_ObjectNumber"].to_list() == [1, 2]
    assert frame["Nuclei_AreaShape_Area"].to_list() == [20.0, 0.0]
    assert frame["Cytoplasm_AreaShape_Area"].to_list() == [10.0, 0.0]
    assert frame["Metadata_Plate"].unique().to_list() == ["007"]
    assert frame["Metadata_Cells_Parent_Nuclei"].to_list() == ["3", "1"]
    assert frame.select(pl.col(pl.Float32)).columns == [
        "Cells_AreaShape_Area",
        "Nuclei_AreaShape_Area",
        "Cytoplasm_AreaShape_Area",
    ]
    validate(ledger, "ledger")
    assert ledger.filter(pl.col("n_lost") > 0).select("n_in", "n_out", "reason").rows() == [
        (3, 2, "Nuclei that belong to no cell")
    ]
    with pytest.warns(UserWarning, match=r"1 objects: Nuclei that belong to no cell"):
        read_profiles(run)


def test_metadata_that_object_tables_repeat_are_kept_once(run):
    repeated = {"Metadata_Plate": ["007"] * 3, "Metadata_Well": ["A01"] * 3, "Metadata_Dose": [2.5] * 3}
    objects(3, **repeated).write_csv(run / "Nuclei.csv")
    objects(2, Parent_Nuclei=[3, 1], **{k: v[:2] for k, v in repeated.items()}).write_csv(run / "Cells.csv")
    frame, _ = read_cells(run)
    assert frame["Metadata_Plate"].to_list() == ["007", "007"]
    assert frame["Metadata_Dose"].to_list() == ["2.5", "2.5"]
    assert not [name for name in frame.columns if "_Metadata_" in name]


def test_a_truncated_table_is_an_error_or_an_excerpt(run):
    objects(1, Parent_Nuclei=[3]).write_csv(run / "Cells.csv")
    with pytest.raises(LostRowsError, match=r"image 1 counts 2 Cells, their table holds 1"):
        read_cells(run)
    objects(2, Parent_Cells=[1, 9], Parent_Nuclei=[3, 1]).write_csv(run / "Cytoplasm.csv")
    frame, ledger = read_cells(run, partial=True)
    assert frame.height == 1
    assert ledger.filter(pl.col("unit_of_count") == "cells")["n_lost"].to_list() == [1]


def test_cells_without_partner_or_with_two_are_errors(run):
    objects(2, Parent_Nuclei=[3, 7]).write_csv(run / "Cells.csv")
    with pytest.raises(LostRowsError, match=r"cells and Nuclei: .*would lose 1 of the 2 left rows"):
        read_cells(run)
    objects(2, Parent_Nuclei=[3, 3]).write_csv(run / "Cells.csv")
    with pytest.raises(LostRowsError, match=r"would multiply rows"):
        read_cells(run)


def test_images_without_object_tables_are_counted_as_lost(run, tmp_path):
    tree = tmp_path / "tree"
    for k in (1, 2):
        shutil.copytree(run, tree / f"run{k}")
    image = pl.read_csv(run / "Image.csv", infer_schema=False).with_columns(Metadata_Site=pl.lit("3"))
    image.write_csv(tree / "run2" / "Image.csv")
    for name in ("Cells", "Nuclei", "Cytoplasm"):
        (tree / "run2" / f"{name}.csv").unlink()
    frame, ledger = read_cells(tree)
    assert frame.height == 2
    cells = ledger.filter(pl.col("unit_of_count") == "cells")
    assert cells.select("n_in", "n_out", "n_lost", "reason").rows() == [(4, 2, 2, "the image has no object tables")]


def test_cells_of_two_images_must_be_distinguishable(run, tmp_path):
    tree = tmp_path / "tree"
    bare = pl.read_csv(run / "Image.csv").drop("Metadata_Plate", "Metadata_Well", "Metadata_Site")
    for name in ("a", "b"):
        shutil.copytree(run, tree / name)
        bare.write_csv(tree / name / "Image.csv")
    with pytest.raises(SchemaError, match=r"cells of several folders share Metadata_Site, Metadata_ImageNumber"):
        read_cells(tree)
    (tree / "a").rename(tree / "BR01-A01-1")
    (tree / "b").rename(tree / "BR01-A01-2")
    frame, _ = read_cells(tree)
    assert frame.select("Metadata_Plate", "Metadata_Well", "Metadata_Site").unique().sort("Metadata_Site").rows() == [
        ("BR01", "A01", "1"),
        ("BR01", "A01", "2"),
    ]


def test_folders_without_tables_are_refused(tmp_path, run):
    with pytest.raises(SchemaError, match=r"no Image.csv"):
        read_profiles(tmp_path / "run" / "..").height if (run / "Image.csv").unlink() is None else None
    pl.DataFrame({"ImageNumber": [1]}).write_csv(run / "Image.csv")
    for name in ("Cells", "Nuclei", "Cytoplasm"):
        (run / f"{name}.csv").unlink()
    with pytest.raises(SchemaError, match=r"no object tables"):
        read_profiles(run)


def test_sqlite_with_text_nan(tmp_path, run):
    path = tmp_path / "run.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE Per_Image (ImageNumber INTEGER, Image_Metadata_Plate TEXT, Image_Count_Cells REAL)"
        )
        connection.execute("INSERT INTO Per_Image VALUES (1, '007', 2)")
        connection.execute("CREATE TABLE Per_Cells (ImageNumber, Cells_Number_Object_Number, Cells_A, Cells_B)")
        connection.executemany("INSERT INTO Per_Cells VALUES (1, ?, ?, ?)", [(1, 1, "nan"), (2, 2.5, 4)])
    frame = read_profiles(path)
    assert frame["Metadata_Plate"].to_list() == ["007", "007"]
    assert frame["Cells_A"].to_list() == [1.0, 2.5]
    assert frame["Cells_B"].to_list() == [None, 4.0]


@pytest.mark.real
def test_cellprofilers_own_example(real_data):
    frame = read_profiles(real_data / "example_human")
    assert frame.height == 289
    nuclei = pl.read_csv(real_data / "example_human" / "Nuclei.csv")
    parents = frame["Metadata_Cells_Parent_Nuclei"].cast(pl.Int64)
    expected = nuclei["AreaShape_Area"].to_numpy()[parents.to_numpy() - 1]
    np.testing.assert_array_equal(frame["Nuclei_AreaShape_Area"].to_numpy(), expected)
    validate(
        frame.with_columns(**dict.fromkeys(["Metadata_Plate", "Metadata_Well", "Metadata_Site"], pl.lit("1"))), "cell"
    )


@pytest.mark.real
def test_a_tree_with_absent_tables(real_data):
    root = real_data / "cellprofiler_csv_tree" / "analysis"
    frame, ledger = read_cells(root)
    assert dict(frame.group_by("Metadata_Well").len().rows()) == {"A01": 89, "A02": 36}
    cells = ledger.filter(pl.col("unit_of_count") == "cells").sort("Metadata_Well")
    assert cells.select("Metadata_Well", "n_in", "n_out", "n_lost").rows() == [
        ("A01", 277, 89, 188),
        ("A02", 185, 36, 149),
    ]


@pytest.mark.real
def test_published_profiles(real_data):
    folder = real_data / "varchamp_golden"
    frame = read_profiles(next(folder.glob("*_normalized.csv.gz")))
    assert frame.height == 286
    assert sum(not name.startswith("Metadata_") for name in frame.columns) == 2979
    assert frame.schema["Metadata_Count_Cells"] == pl.Int64
    assert set(frame.select(pl.exclude("^Metadata_.*$")).dtypes) == {pl.Float32()}
    assert not any(frame.select(pl.col(pl.Float32).is_nan().any()).row(0))


@pytest.mark.real
def test_sqlite_databases_of_the_field(real_data):
    folder = real_data / "cellprofiler_sqlite"
    with pytest.warns(UserWarning, match=r"191 objects: Nuclei that belong to no cell"):
        frame = read_profiles(folder / "nf1_schwann.sqlite")
    assert frame.height == 242
    assert frame["Metadata_Plate"].unique().to_list() == ["001"]
    with pytest.raises(LostRowsError, match=r"partial=True"):
        read_profiles(folder / "test_SQ00014613.sqlite")
    excerpt, ledger = read_cells(folder / "test_SQ00014613.sqlite", partial=True)
    assert excerpt.height == 2
    assert ledger["n_lost"].sum() == 445
    kin = read_profiles(folder / "test_SQ00014613.parquet")
    shared = [name for name in kin.columns if name in excerpt.columns and not name.startswith("Metadata_")]
    assert len(shared) > 1700
    order = ["Metadata_TableNumber", "Metadata_ImageNumber"]
    np.testing.assert_array_equal(
        excerpt.sort(order).select(shared).to_numpy(), kin.sort(order).select(shared).to_numpy()
    )


def test_folders_of_a_plate_may_differ(run, tmp_path):
    tree = tmp_path / "tree"
    changes = {
        "1": {},
        "2": {"Extra": [1.0, 2.0]},
        "3": {"Texture": ["nan", "5"]},
        "4": {"Texture": ["x", "5"]},
        "5": {},
    }
    for site, columns in changes.items():
        shutil.copytree(run, tree / site)
        image = pl.read_csv(run / "Image.csv", infer_schema=False).with_columns(Metadata_Site=pl.lit(site))
        image.write_csv(tree / site / "Image.csv")
        objects(2, Parent_Nuclei=[3, 1], **columns).write_csv(tree / site / "Cells.csv")
    loaded = load_profiles(tree)
    assert loaded.frame.height == 10
    found = loaded.differences.sort("column").select("column", "kind", "n_sources", "n_without").rows()
    assert found == [
        ("Cells_Extra", "absent", 5, 4),
        ("Cells_Texture", "text_or_number", 5, 4),
        ("Metadata_Cells_Texture", "text_or_number", 5, 4),
    ]
    cells = loaded.frame.sort("Metadata_Site", "Metadata_ObjectNumber")
    # text in one folder leaves the numbers of the others numbers
    assert cells["Cells_Texture"].to_list() == [None] * 5 + [5.0] + [None] * 4
    assert cells["Metadata_Cells_Texture"].to_list() == [None] * 6 + ["x", "5"] + [None] * 2
