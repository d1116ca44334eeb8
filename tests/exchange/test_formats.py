"""The forms that other tools write: Parquet, npz, GCT, h5ad, SQLite, folders of profiles."""

import pickle
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phenoprint.errors import DataError, MissingExtraError, SchemaError, UnknownNameError, UsageError
from phenoprint.exchange import load_profiles, read_profiles, write_profiles
from phenoprint.exchange.levels import level_of_columns, parse_gallery_name, table_of
from phenoprint.exchange.sources.parquet import read_parquet_pieces


def read_cells(path: Path, *, partial: bool = False) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Load cells with their ledger."""
    loaded = load_profiles(path, partial=partial)
    return loaded.frame, loaded.ledger


def profiles(plate: str, n: int = 4, **columns) -> pl.DataFrame:
    base = {
        "Metadata_Plate": [plate] * n,
        "Metadata_Well": [f"A{k + 1:02d}" for k in range(n)],
        "Cells_A": np.arange(n, dtype=np.float32),
    }
    return pl.DataFrame(base | columns)


# Parquet


def test_a_large_row_group_is_read_by_columns(tmp_path):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(500, 40))
    values[3, 7] = np.nan
    values[5, 8] = 1e300
    table = pa.table(
        {
            "Metadata_Plate": [f"00{k // 100}" for k in range(500)],
            **{f"Cells_F.{k}": values[:, k] for k in range(40)},
            "count": pa.array(range(500), pa.int64()),
            "Metadata_Well": ["A01"] * 500,
        }
    )
    path = tmp_path / "one_group.parquet"
    pq.write_table(table, path)
    pieces = list(read_parquet_pieces(path, piece_bytes=8000, scratch=tmp_path))
    assert len(pieces) > 5
    joined = pl.concat(pieces)
    whole = next(read_parquet_pieces(path, piece_bytes=None))
    assert joined.columns == whole.columns
    with np.errstate(over="ignore"):
        expected = whole.select(pl.exclude("^Metadata.*$")).to_numpy().astype(np.float32)
    np.testing.assert_array_equal(joined.select(pl.exclude("^Metadata.*$")).to_numpy(), expected)
    assert joined.select("^Metadata.*$").equals(whole.select("^Metadata.*$"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one_group.parquet"]
    loaded = load_profiles(path)
    assert loaded.frame["Cells_F.7"][3] is None
    assert loaded.notes.filter(pl.col("kind") == "infinite").select("column", "n").rows() == [("Cells_F.8", 1)]


def test_nested_and_categorical_columns(tmp_path):
    frame = profiles("P", 2).with_columns(
        Metadata_Well=pl.col("Metadata_Well").cast(pl.Categorical), crops=pl.Series([[1.0], [2.0]])
    )
    frame.write_parquet(tmp_path / "p.parquet")
    loaded = load_profiles(tmp_path / "p.parquet")
    assert loaded.frame.columns == ["Metadata_Plate", "Metadata_Well", "Cells_A"]
    assert loaded.notes.select("kind", "column").rows() == [("nested_column", "crops")]


# Levels


@pytest.mark.parametrize(
    ("name", "stem", "level"),
    [
        ("BR1.csv.gz", "BR1", None),
        ("BR1_augmented.csv.gz", "BR1", "3_augmented"),
        ("BR1_normalized.parquet", "BR1", "4a"),
        ("BR1_normalized_negcon.csv.gz", "BR1", "4a_negcon"),
        ("BR1_normalized_dmso.csv", "BR1", "4a_negcon"),
        ("BR1_normalized_feature_select_plate.csv.gz", "BR1", "4b"),
        ("BR1_normalized_feature_select_negcon_all.csv.gz", "BR1", "4b_negcon"),
        ("SQ1_normalized_variable_selected.csv", "SQ1", "4b"),
        ("2020_11_consensus_modz.csv.gz", "2020_11", "5"),
        ("profiles_var_mad_int.parquet", "profiles_var_mad_int", "4a"),
    ],
)
def test_levels_of_names(name, stem, level):
    found = parse_gallery_name(name)
    assert (found.stem, found.level) == (stem, level)


def test_levels_of_columns_and_their_tables():
    assert level_of_columns(["Metadata_Plate", "Metadata_Well", "Cells_Number_Object_Number"]) == "3"
    assert level_of_columns(["Metadata_Well", "Metadata_Cells_Number_Object_Number"]) == "2"
    assert level_of_columns(["Metadata_Well", "Metadata_ImageNumber", "Cells_Number_Object_Number"]) == "2"
    assert level_of_columns(["Metadata_broad_sample", "Cells_A"]) == "5"
    assert [table_of(x) for x in ("2", "3_augmented", "4b_negcon")] == ["cell", "profile_well", "profile_selected"]
    with pytest.raises(UnknownNameError, match="level"):
        table_of("4c")


def test_a_folder_of_the_gallery(tmp_path):
    for plate in ("BR1", "BR2"):
        folder = tmp_path / "batch" / plate
        frame = profiles(plate)
        for suffix in ("", "_augmented", "_normalized", "_normalized_negcon", "_normalized_feature_select_batch"):
            write_profiles(frame, folder / f"{plate}{suffix}.csv.gz")
    (tmp_path / "barcode_platemap.csv").write_text("Assay_Plate_Barcode,Plate_Map_Name\nBR1,m\n")
    (tmp_path / "zero.csv").touch()
    with pytest.raises(SchemaError, match=r"holds levels 3, 4a, 4b; choose one with level"):
        read_profiles(tmp_path)
    loaded = load_profiles(tmp_path, level="4a")
    assert loaded.level == "4a_negcon"
    assert loaded.frame.height == 8
    assert load_profiles(tmp_path, level="4a", normalization="all").level == "4a"
    assert load_profiles(tmp_path, level="3").level == "3_augmented"
    unused = loaded.notes.filter(pl.col("kind") == "file_not_used")
    # two plates' whole-plate file, the barcode list, the empty file
    whole = [f"{plate}_normalized.csv.gz" for plate in ("BR1", "BR2")]
    assert sorted(unused["column"]) == [*whole, "barcode_platemap.csv", "zero.csv"]
    with pytest.raises(DataError, match=r"nothing of level 5; its levels are 3, 3_augmented, 4a, 4a_negcon, 4b"):
        load_profiles(tmp_path, level="5")


def test_a_mixed_plate_is_a_difference_report(tmp_path):
    for k in range(3):
        write_profiles(profiles(f"P{k}"), tmp_path / f"P{k}_normalized.csv")
    write_profiles(profiles("Q", Cells_B=[1.0] * 4, remark=["x"] * 4).drop("Cells_A"), tmp_path / "Q_normalized.csv")
    write_profiles(profiles("R", remark=[1.0] * 4), tmp_path / "R_normalized.csv")
    loaded = load_profiles(tmp_path)
    assert loaded.frame.height == 20
    assert loaded.frame.filter(Metadata_Plate="Q")["Cells_A"].null_count() == 4
    found = loaded.differences.sort("column").select("column", "kind", "n_sources", "n_without")
    assert found.rows() == [
        ("Cells_A", "absent", 5, 1),
        ("Cells_B", "absent", 5, 4),
        ("Metadata_remark", "text_or_number", 5, 4),
        ("remark", "text_or_number", 5, 4),
    ]
    assert "Q_normalized.csv" in loaded.differences.filter(column="Cells_A")["without"][0]
    assert loaded.ledger.select(pl.col("n_in", "n_out").sum()).row(0) == (20, 20)


def test_options_for_columns(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text("set,rep,position,n,Cells_A\n01,1,A1,7,0.5\n01,2,A1,7,0.25\n")
    loaded = load_profiles(
        path,
        level="3",
        columns={"Plate": ["set", "rep"], "Metadata_Well": "position"},
        fixed={"Batch": "b1"},
    )
    assert loaded.frame.select("Metadata_Plate", "Metadata_Well", "Metadata_Batch").rows() == [
        ("01_1", "A01", "b1"),
        ("01_2", "A01", "b1"),
    ]
    assert loaded.frame["n"].to_list() == [7.0, 7.0]
    with pytest.raises(UnknownNameError, match=r"'positon'; did you mean 'position'"):
        load_profiles(path, columns={"Well": "positon"})


def test_empty_and_absent_things(tmp_path):
    (tmp_path / "header.csv").write_text("Metadata_Plate,Metadata_Well,Cells_A\n")
    with pytest.raises(SchemaError, match=r"column names but no rows"):
        read_profiles(tmp_path / "header.csv")
    (tmp_path / "zero.parquet").touch()
    with pytest.raises(SchemaError, match=r"is empty \(0 bytes\)"):
        read_profiles(tmp_path / "zero.parquet")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.tif").touch()
    with pytest.raises(SchemaError, match=r"no table of profiles; found .tif"):
        read_profiles(tmp_path / "folder")
    (tmp_path / "screen" / "tables").mkdir(parents=True)
    (tmp_path / "screen" / "screen.toml").touch()
    with pytest.raises(UsageError, match=r"is a screen"):
        read_profiles(tmp_path / "screen")


# npz


def npz(path: Path, n: int = 3, *, metadata=None, name="features", **more) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.arange(n * 4, dtype=np.float32).reshape(n, 4)}
    if metadata is not None:
        arrays["metadata"] = np.array(metadata, dtype=object)
    np.savez_compressed(path, **arrays, **more)
    return path


def test_deepprofiler_folders(tmp_path):
    record = {"Metadata_Plate": "007", "Metadata_Well": "B02", "Metadata_Site": 1, "Metadata_Model": "effnet-b0"}
    npz(tmp_path / "007" / "B02_1.npz", metadata=record, locations=np.arange(6.0).reshape(3, 2))
    npz(tmp_path / "007" / "B02_2.npz", 2, name="f")
    loaded = load_profiles(tmp_path)
    assert loaded.level == "2"
    assert loaded.frame.select("Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_ObjectNumber").rows() == [
        ("007", "B02", "1", 1),
        ("007", "B02", "1", 2),
        ("007", "B02", "1", 3),
        ("007", "B02", "2", 1),
        ("007", "B02", "2", 2),
    ]
    assert loaded.frame["Cells_Embedding_effnetb0_3"].to_list() == [3.0, 7.0, 11.0, None, None]
    assert loaded.frame["Location_Center_Y"].to_list()[:3] == [1.0, 3.0, 5.0]
    assert read_profiles(npz(tmp_path / "P" / "C3" / "5.npz")).row(0)[:4] == ("P", "C03", "5", 1)


class Evil:
    def __reduce__(self):
        return (sys.exit, (1,))


def test_an_npz_cannot_run_code_and_bad_ones_are_named(tmp_path):
    with pytest.raises(SchemaError, match=r"cannot be read safely: it holds a (sys|builtins).exit"):
        read_profiles(npz(tmp_path / "P" / "A01_1.npz", metadata=Evil()))
    with pytest.raises(SchemaError, match=r"3 cells but 2 locations"):
        read_profiles(npz(tmp_path / "P" / "A01_2.npz", locations=np.zeros((2, 2))))
    with pytest.raises(SchemaError, match=r"no array 'features'"):
        read_profiles(npz(tmp_path / "P" / "A01_3.npz", name="x", y=np.zeros(2)))
    (tmp_path / "bad.npz").write_bytes(pickle.dumps({}))
    with pytest.raises(SchemaError, match=r"not a readable .npz"):
        read_profiles(tmp_path / "bad.npz")


# GCT and h5ad


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("#1.2\n1\t1\n", "first line is #1.3"),
        ("#1.3\n1\tx\n", "four counts"),
        ("#1.3\n1\t1\t0\t0\nid\tS\nA\t1\nB\t2\n", "counts 0 descriptions and 1 features"),
        ("#1.3\n1\t1\t0\t0\nid\tS\nA\t1\t2\n", "line 4: expected 2 values, found 3"),
        ("#1.3\n1\t1\t0\t0\nid\tS\nA\tx\n", "a feature holds text"),
    ],
)
def test_broken_gct(tmp_path, text, what):
    path = tmp_path / "p.gct"
    path.write_text(text)
    with pytest.raises(SchemaError, match=what):
        read_profiles(path)


def test_h5ad_needs_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    (tmp_path / "p.h5ad").write_bytes(b"x")
    with pytest.raises(MissingExtraError, match=r"phenoprint\[anndata\]"):
        read_profiles(tmp_path / "p.h5ad")
    with pytest.raises(MissingExtraError, match=r"phenoprint\[anndata\]"):
        write_profiles(profiles("P"), tmp_path / "q.h5ad")


def test_h5ad_there_and_back(tmp_path):
    pytest.importorskip("anndata")
    frame = profiles(
        "007", Metadata_Object_Count=[1, 2, 3, 4], Metadata_moa=["a", None, "b", "a"], Cells_B=[1.0, None, 2, 3]
    )
    path = write_profiles(frame, tmp_path / "P_normalized.h5ad")
    loaded = load_profiles(path)
    assert loaded.level == "4a"
    assert loaded.frame.select(sorted(frame.columns)).equals(
        frame.with_columns(pl.col("Cells_B").cast(pl.Float32)).select(sorted(frame.columns))
    )
    path.write_bytes(b"nonsense")
    with pytest.raises(SchemaError, match=r"not a readable h5ad"):
        read_profiles(path)


# CellProfiler, a part at a time


def database(path: Path, *, n_images: int = 30, shuffled: bool = False) -> Path:
    rng = np.random.default_rng(3)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE Image (TableNumber TEXT, ImageNumber INT, Image_Metadata_Plate TEXT, "
            "Image_Metadata_Well TEXT, Image_Metadata_Site INT, Image_Count_Cells REAL)"
        )
        for name, parents in (
            ("Cells", "Cells_Parent_Nuclei INT,"),
            ("Nuclei", ""),
            ("Cytoplasm", "Cytoplasm_Parent_Cells INT,"),
        ):
            connection.execute(
                f"CREATE TABLE {name} (TableNumber TEXT, ImageNumber INT, ObjectNumber INT, {parents} "
                f"{name}_A REAL, {name}_B REAL)"
            )
        for image in range(n_images):
            n = int(rng.integers(1, 9))
            table = f"t{image % 3}"
            connection.execute("INSERT INTO Image VALUES (?, ?, '01', ?, ?, ?)", (table, image, f"a{image + 1}", 1, n))
            order = rng.permutation(n) + 1
            cells = [(table, image, k, int(order[k - 1]), float(k), "nan") for k in range(1, n + 1)]
            connection.executemany("INSERT INTO Cells VALUES (?, ?, ?, ?, ?, ?)", cells)
            connection.executemany(
                "INSERT INTO Nuclei VALUES (?, ?, ?, ?, ?)",
                [(table, image, k, 10.0 * k, image) for k in range(1, n + 1)],
            )
            connection.executemany(
                "INSERT INTO Cytoplasm VALUES (?, ?, ?, ?, ?, ?)",
                [(table, image, k, k, 0.5, 1e39) for k in range(1, n + 1)],
            )
        if shuffled:
            connection.execute("CREATE TABLE c AS SELECT * FROM Cells ORDER BY ObjectNumber")
            connection.execute("DROP TABLE Cells")
            connection.execute("ALTER TABLE c RENAME TO Cells")
    return path


def test_a_database_is_read_a_part_at_a_time(tmp_path, monkeypatch):
    path = database(tmp_path / "p.sqlite")
    whole, ledger = read_cells(path)
    parents = whole["Metadata_Cells_Parent_Nuclei"].cast(pl.Float32)
    assert (whole["Nuclei_A"] == 10 * parents).all()
    assert whole["Cells_B"].null_count() == whole.height  # the text 'nan'
    assert whole["Cytoplasm_B"].is_infinite().all()
    assert ledger.filter(unit_of_count="cells").select(pl.col("n_in", "n_out").sum()).row(0) == (whole.height,) * 2
    for values in (20, 60, 200):
        monkeypatch.setattr("phenoprint.exchange.sources.sqlite._VALUES", values)
        monkeypatch.setattr("phenoprint.exchange.sources.cellprofiler._PIECE_BYTES", 1)
        part, same = read_cells(path)
        assert part.equals(whole), values
        assert same.equals(ledger), values


def test_a_table_that_is_not_in_order_is_read_whole_or_refused(tmp_path, monkeypatch):
    whole, _ = read_cells(database(tmp_path / "p.sqlite"))
    path = database(tmp_path / "q.sqlite", shuffled=True)
    assert read_cells(path)[0].equals(whole.select(read_cells(path)[0].columns))
    monkeypatch.setattr("phenoprint.exchange.sources.sqlite._VALUES", 20)
    with pytest.raises(SchemaError, match=r"are in several places; sort the table by ImageNumber"):
        read_cells(path)


def test_missing_words_and_text_among_numbers_of_a_database(tmp_path, monkeypatch):
    path = database(tmp_path / "p.sqlite", n_images=3)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE Cells SET Cells_A = 'NA' WHERE ImageNumber = 1")
        connection.execute("UPDATE Cells SET Cells_B = '' WHERE ImageNumber = 2")
    frame, _ = read_cells(path)
    assert frame.filter(Metadata_ImageNumber="1")["Cells_A"].null_count() == frame["Cells_A"].null_count() > 0
    assert frame["Metadata_Site"].unique().to_list() == ["1"]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE Cells SET Cells_A = 'oops' WHERE ImageNumber = 2")
    monkeypatch.setattr("phenoprint.exchange.sources.sqlite._SAMPLE", 1)
    with pytest.raises(SchemaError, match=r"'Cells_A' holds numbers and also 'oops'"):
        read_cells(path)


def test_images_without_a_site(tmp_path):
    path = tmp_path / "cells.parquet"
    columns = {"Metadata_TableNumber": ["a", "b"], "Metadata_ImageNumber": [1.0, 1.0], "Metadata_ObjectNumber": [1, 1]}
    profiles("P", 2, **columns).write_parquet(path)
    loaded = load_profiles(path)
    assert loaded.frame["Metadata_Site"].to_list() == ["a-1", "b-1"]
    assert loaded.notes.select("kind", "column").rows() == [("derived_column", "Metadata_Site")]
    profiles("P", 2, **columns, Metadata_Site=["3.0", "4.0"]).write_parquet(path)
    assert load_profiles(path).frame["Metadata_Site"].to_list() == ["3", "4"]


def test_tables_with_a_prefix(tmp_path):
    image = {
        "ImageNumber": [1, 2],
        "Count_Nuclei": [1, 1],
        "Metadata_Plate": ["P", "P"],
        "Metadata_Well": ["A01", "A02"],
    }
    pl.DataFrame(image | {"Metadata_Site": [1, 1], "ImageQuality_X": [1, 2]}).write_csv(tmp_path / "MyExpt_Image.csv")
    nuclei = {"ImageNumber": [1, 2], "ObjectNumber": [1, 1], "AreaShape_Area": [3.0, 4.0]}
    pl.DataFrame(nuclei).write_csv(tmp_path / "MyExpt_Nuclei.csv")
    pl.DataFrame(nuclei).write_csv(tmp_path / "MyExpt_Spots.csv")
    loaded = load_profiles(tmp_path)
    assert loaded.frame["Nuclei_AreaShape_Area"].to_list() == [3.0, 4.0]
    assert loaded.notes.select("kind", "column", "n").rows() == [
        ("image_columns", None, 1),
        ("table_not_used", "Spots.csv", 1),
    ]
