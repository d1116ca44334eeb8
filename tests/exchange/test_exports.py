"""Profiles handed to other tools, and brought back."""

import gzip

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprint.errors import DataError, ScreenError, UnknownNameError, UsageError
from phenoprint.exchange import gallery_name, read_profiles, write_profiles
from phenoprint.exchange.exports.files import written_numbers
from phenoprint.exchange.exports.screen import _stored_level, export_profiles
from phenoprint.exchange.importing import import_profiles
from phenoprint.exchange.reading import load_profiles
from phenoprint.store import Receipt, create, write_receipt


def profiles(plate: str = "0017", n: int = 6, n_features: int = 12, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    values = (rng.standard_normal((n, n_features)) * 10.0 ** rng.integers(-8, 8, (n, n_features))).astype(np.float32)
    frame = pl.DataFrame(
        {
            "Metadata_Plate": [plate] * n,
            "Metadata_Well": [f"B{k + 1:02d}" for k in range(n)],
            "Metadata_compound": ["DMSO", "5 µM, β", None, *["c"] * (n - 3)],
            "Metadata_Object_Count": [None, *range(1, n)],
        }
    )
    features = pl.from_numpy(values, schema=[f"{'Cells' if k % 2 else 'Nuclei'}_A_{k}" for k in range(n_features)])
    return frame.hstack(features).with_columns(pl.when(pl.col("Metadata_Well") != "B02").then(pl.col("Cells_A_1")))


def test_gallery_names():
    assert gallery_name("P", "3") == "P.csv.gz"
    assert gallery_name("P", "3_augmented") == "P_augmented.csv.gz"
    assert gallery_name("P", "4a_negcon", extension=".parquet") == "P_normalized_negcon.parquet"
    assert gallery_name("P", "4b", scope="all") == "P_normalized_feature_select_all.csv.gz"
    with pytest.raises(UnknownNameError):
        gallery_name("P", "4c")
    with pytest.raises(UsageError):
        gallery_name("P", "3", scope="all")


def test_exports_are_atomic_repeatable_and_free_of_nan(tmp_path):
    frame = pl.DataFrame({"Cells_A": [1.0, float("nan")], "Metadata_Well": ["A01", "é,"]})
    path = write_profiles(frame, tmp_path / "p.csv.gz")
    first = path.read_bytes()
    assert gzip.decompress(first).decode() == 'Metadata_Well,Cells_A\nA01,1.0\n"é,",\n'
    assert write_profiles(frame, path).read_bytes() == first
    with pytest.raises(UsageError, match=r"end its name in \.csv"):
        write_profiles(frame, tmp_path / "p.xlsx")
    (tmp_path / "file").touch()
    with pytest.raises(ScreenError, match=r"cannot write"):
        write_profiles(frame, tmp_path / "file" / "p.csv")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20), st.integers(1, 9))
def test_numbers_are_written_as_c_does(values, digits):
    frame = pl.DataFrame({"Cells_A": pl.Series(values, dtype=pl.Float32)})
    written = written_numbers(frame, f"%.{digits}g")["Cells_A"].to_list()
    assert written == [f"%.{digits}g" % v for v in np.array(values, np.float32).tolist()]


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz", "p.tsv.gz", "p.parquet", "p.gct", "p.gct.gz"])
def test_all_digits_are_read_back(tmp_path, name):
    frame = profiles()
    back = read_profiles(write_profiles(frame, tmp_path / name))
    assert back.equals(frame), name


@pytest.mark.parametrize("name", ["p.csv.gz", "p.tsv", "p.gct"])
def test_five_digits_are_read_back_within_their_precision(tmp_path, name):
    frame = profiles()
    back = read_profiles(write_profiles(frame, tmp_path / name, float_format="%.5g"))
    features = [n for n in frame.columns if not n.startswith("Metadata_")]
    assert back.drop(features).equals(frame.drop(features))
    given, found = frame.select(features).to_numpy(), back.select(features).to_numpy()
    np.testing.assert_allclose(found, given, rtol=5.1e-5, atol=0)
    assert not np.array_equal(found, given, equal_nan=True)
    assert np.array_equal(np.isnan(found), np.isnan(given))


def test_formats_that_are_none_are_refused(tmp_path):
    for bad in ("5g", "%s", "%.5g;rm", "%d"):
        with pytest.raises(UsageError, match=r"float_format is like '%.5g'"):
            write_profiles(profiles(), tmp_path / "p.csv", float_format=bad)
    with pytest.raises(UsageError, match=r"GCT cannot hold tabs"):
        write_profiles(profiles().with_columns(Metadata_note=pl.lit("a\tb")), tmp_path / "p.gct")


def test_gct_is_what_pycytominer_writes(tmp_path):
    write_gct = pytest.importorskip("pycytominer.cyto_utils.write_gct").write_gct
    frame = profiles().drop("Metadata_Object_Count").with_columns(pl.col("Metadata_compound").fill_null("none"))
    write_gct(frame.to_pandas(), str(tmp_path / "theirs.gct"))
    write_profiles(frame, tmp_path / "ours.gct")
    theirs, ours = (load_profiles(tmp_path / f"{name}.gct").frame for name in ("theirs", "ours"))
    assert theirs.columns == ours.columns
    assert theirs.equals(ours)
    heads = [(tmp_path / f"{name}.gct").read_text().splitlines()[:2] for name in ("theirs", "ours")]
    assert heads[0] == heads[1]


def test_pandas_frames_that_pycytominer_takes():
    pycytominer = pytest.importorskip("pycytominer")
    frame = profiles().with_columns(pl.col("Metadata_compound").fill_null("none"))
    given = frame.to_pandas()
    assert given["Metadata_Object_Count"].dtype == "float64"
    assert given["Metadata_Well"].tolist() == frame["Metadata_Well"].to_list()
    found = pycytominer.normalize(given, method="standardize", samples="all")
    expected = frame["Nuclei_A_0"].cast(pl.Float64)
    expected = (expected - expected.mean()) / expected.std(ddof=0)
    np.testing.assert_allclose(found["Nuclei_A_0"].to_numpy(), expected.to_numpy(), rtol=1e-6)
    assert len(pycytominer.feature_select(given, operation="variance_threshold")) == frame.height


def test_anndata_objects():
    pytest.importorskip("anndata")
    from phenoprint.exchange.cleaning.features import imported_features
    from phenoprint.exchange.exports.anndata import to_anndata

    frame = profiles()
    data = to_anndata(frame, features=imported_features(frame.columns[4:]))
    assert data.shape == (6, 12)
    assert list(data.obs_names[:2]) == ["0017_B01", "0017_B02"]
    assert np.isnan(data.X[1, 1])
    assert list(data.var["compartment"][:2]) == ["Nuclei", "Cells"]


def test_a_screen_is_exported_and_imported_again(tmp_path):
    for plate in ("0017", "P/2"):
        name = plate.replace("/", "-")
        source = tmp_path / "src" / "b1" / name
        write_profiles(profiles(plate), source / f"{name}_augmented.parquet")
        write_profiles(profiles(plate, seed=1), source / f"{name}_normalized_negcon.parquet")
    screen = import_profiles(tmp_path / "src", tmp_path / "screen", level=None).screen
    paths = export_profiles(screen, tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in paths] == [
        "b1/0017/0017_augmented.csv.gz",
        "b1/P%2F2/P%2F2_augmented.csv.gz",
        "b1/0017/0017_normalized_negcon.csv.gz",
        "b1/P%2F2/P%2F2_normalized_negcon.csv.gz",
    ]
    text = gzip.decompress(paths[2].read_bytes()).decode()
    assert (
        max(len(v.lstrip("-").replace(".", "").lstrip("0").split("e")[0]) for v in text.split("\n")[1].split(",")[-12:])
        == 5
    )
    back = import_profiles(tmp_path / "out", tmp_path / "again").screen
    for table in ("profile_well", "profile_normalized"):
        one, two = (s.table(table).collect().sort("Metadata_Plate", "Metadata_Well") for s in (screen, back))
        features = [n for n in one.columns if not n.startswith("Metadata_")]
        np.testing.assert_allclose(two.select(features).to_numpy(), one.select(features).to_numpy(), rtol=5.1e-5)
        described = [n for n in one.columns if n.startswith("Metadata_")]
        assert two.select(described).equals(one.select(described))
    one = export_profiles(screen, tmp_path / "one", levels=["4a"], form="parquet", plates=["0017"])
    assert [p.name for p in one] == ["0017_normalized_negcon.parquet"]
    given = screen.table("profile_normalized").filter(Metadata_Plate="0017").collect().sort("Metadata_Well")
    assert read_profiles(one[0]).sort("Metadata_Well").select(given.columns).equals(given)


def test_invalid_exports_are_refused(tmp_path):
    screen = create(tmp_path / "screen")
    with pytest.raises(DataError, match=r"holds no profiles"):
        export_profiles(screen, tmp_path / "out")
    import_profiles(write_profiles(profiles(), tmp_path / "0017.csv"), screen)
    with pytest.raises(DataError, match=r"no profiles of level 4b; it has 3"):
        export_profiles(screen, tmp_path / "out", levels=["4b"])
    with pytest.raises(UnknownNameError, match="level"):
        export_profiles(screen, tmp_path / "out", levels=["6"])
    with pytest.raises(UnknownNameError, match="form"):
        export_profiles(screen, tmp_path / "out", form="xlsx")
    with pytest.raises(UnknownNameError, match="plate"):
        export_profiles(screen, tmp_path / "out", plates=["17"])
    assert not (tmp_path / "out").exists()


def test_the_levels_of_a_screens_own_profiles(tmp_path):
    screen = create(tmp_path / "screen")
    for reference, level in (("negcon", "4b_negcon"), ("all", "4b")):
        write_receipt(screen.path, Receipt("recipe", "screen", None, "key", parameters={"reference": reference}))
        assert _stored_level(screen, "4b") == level
    assert _stored_level(screen, "5") == "5"
