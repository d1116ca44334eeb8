"""Values that no table should hold: each is an error that names it, or a row that the ledger counts as lost."""

from __future__ import annotations

import sqlite3

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phenoprint.errors import SchemaError
from phenoprint.exchange import import_profiles, load_profiles

IMAGE = ("ImageNumber", "Image_Metadata_Plate", "Image_Metadata_Well", "Image_Count_Cells")
CELLS = ("ImageNumber", "ObjectNumber", "Cells_AreaShape_Area", "Cells_B")


def database(path, image=(1, "P", "A01", 2), cells=((1, 1, 2.0, 3.0), (1, 2, 3.0, 4.0)), names=CELLS):
    """A database of one image; its tables declare no types, as those of CellProfiler's own do not hold to them."""
    with sqlite3.connect(path) as connection:
        for table, columns, rows in (("Image", IMAGE, [image]), ("Cells", names, cells)):
            listed = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
            connection.execute(f"CREATE TABLE Per_{table} ({listed})")
            places = ", ".join("?" * len(columns))
            connection.executemany(f"INSERT INTO Per_{table} VALUES ({places})", rows)  # noqa: S608 - names from above
    connection.close()
    return path


@pytest.mark.parametrize("value", [float("inf"), "a", b"a", 1.5, 2**62, 1e30, "9" * 30])
@pytest.mark.parametrize("where", ["ObjectNumber", "ImageNumber", "Count_Cells"])
def test_keys_and_counts_of_databases_are_whole_numbers(tmp_path, value, where):
    image = (value if where == "ImageNumber" else 1, "P", "A01", value if where == "Count_Cells" else 2)
    cells = ((1, value if where == "ObjectNumber" else 1, 1.0, 3.0), (1, 2, 3.0, 4.0))
    path = database(tmp_path / "p.sqlite", image, cells)
    with pytest.raises(SchemaError, match=rf"{where} must hold whole numbers; found|'{where}' holds numbers and also"):
        load_profiles(path)


def test_odd_values_of_features_of_databases(tmp_path):
    for k, value in enumerate((b"\xff\x00", "foo")):
        path = database(tmp_path / f"{k}.sqlite", cells=((1, 1, value, 3.0), (1, 2, 3.0, 4.0)))
        with pytest.raises(SchemaError, match=r"'Cells_AreaShape_Area' holds numbers and also (b'|'foo')"):
            load_profiles(path)
    path = database(tmp_path / "inf.sqlite", cells=((1, 1, float("inf"), "9" * 60), (1, 2, 3.0, 4.0)))
    loaded = load_profiles(path)
    assert loaded.notes.filter(kind="infinite")["column"].to_list() == ["Cells_AreaShape_Area", "Cells_B"]
    path = database(tmp_path / "quote.sqlite", names=("ImageNumber", "ObjectNumber", 'Cells_"A"', "Cells_B"))
    assert load_profiles(path).frame.height == 2


@pytest.mark.parametrize("value", [float("inf"), 1e30, 2.5])
def test_object_numbers_of_tables(tmp_path, value):
    path = tmp_path / "p.parquet"
    frame = pl.DataFrame({"ObjectNumber": [value, 2.0], "Cells_A": [1.0, 2.0]})
    frame = frame.with_columns(Metadata_Plate=pl.lit("P"), Metadata_Well=pl.lit("A01"), Metadata_Site=pl.lit("1"))
    frame.write_parquet(path)
    with pytest.raises(SchemaError, match=r"1 of 2 rows have no .*such as '.*', which is no whole number of 32 bits"):
        import_profiles(path, tmp_path / "s")
    summary = import_profiles(path, tmp_path / "s", partial=True)
    assert summary.ledger.select(pl.col("n_in").max(), pl.col("n_lost").sum()).row(0) == (2, 1)
    assert summary.screen.table("cell").select("Metadata_ObjectNumber").collect().to_series().to_list() == [2]


def test_infinite_metadata_are_the_text_they_were(tmp_path):
    frame = pl.DataFrame(
        {"Metadata_Plate": [float("inf"), 17.0], "Metadata_Well": ["A01", "A02"], "Cells_A": [1.0, 2.0]}
    )
    frame.write_parquet(tmp_path / "p.parquet")
    assert load_profiles(tmp_path / "p.parquet").frame["Metadata_Plate"].to_list() == ["inf", "17"]


def test_parquet_with_a_column_twice(tmp_path):
    columns = [pa.array(["P"]), pa.array(["A01"]), pa.array([1.0]), pa.array([2.0])]
    table = pa.table(columns, names=["Metadata_Plate", "Metadata_Well", "Cells_A", "Cells_A"])
    pq.write_table(table, tmp_path / "p.parquet")
    for level in (None, "3"):
        with pytest.raises(SchemaError, match="several columns called Cells_A; rename or drop"):
            load_profiles(tmp_path / "p.parquet", level=level)


def test_columns_that_are_neither_numbers_nor_text(tmp_path):
    frame = pl.DataFrame(
        {
            "Metadata_Plate": ["P"],
            "Metadata_Well": ["A01"],
            "crop": [b"\xff"],
            "took": pl.Series([1]).cast(pl.Duration),
            "when": pl.Series([1]).cast(pl.Datetime),
            "Cells_A": [1.0],
        }
    )
    frame.write_parquet(tmp_path / "p.parquet")
    loaded = load_profiles(tmp_path / "p.parquet")
    assert loaded.notes.filter(kind="nested_column")["column"].to_list() == ["crop", "took"]
    assert loaded.frame.columns == ["Metadata_Plate", "Metadata_Well", "Metadata_when", "Cells_A"]
