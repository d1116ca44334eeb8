from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprint.errors import ImageError, UnknownNameError, UsageError
from phenoprint.images import INDEX_SCHEMA, PATTERNS, READERS, rename_channels
from phenoprint.images.readers.pattern_reader import match_pattern
from phenoprint.plates import Well


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def keys(frame: pl.DataFrame) -> list[tuple[object, ...]]:
    return frame.drop("path", "page").rows()


def read(path: str, pattern: str) -> tuple[object, ...]:
    row = match_pattern(pl.Series("path", [path]), PATTERNS[pattern])
    assert row.schema == INDEX_SCHEMA
    return row.row(0)[:6]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("bbbc013", "images/Channel2-96-H-12.tif", (None, "H12", "1", "Channel2", 0, 0)),
        ("phenix", "r16c24f09p01-ch5sk1fk1fl1.tiff", (None, "P24", "9", "ch5", 1, 1)),
        ("phenix", "r2c3f1p10-ch1sk12fk1fl1.tiff", (None, "B03", "1", "ch1", 10, 12)),
        ("phenix", "r010c003f12p01rc1-ch2sk1fk1fl1.tiff", (None, "J03", "12", "ch2", 1, 1)),
        (
            "phenix",
            "b1/BR00121482__2021-03-29T16_51_44-Measurement 1/Images/r01c01f01p01-ch1sk1fk1fl1.tiff",
            ("BR00121482", "A01", "1", "ch1", 1, 1),
        ),
        ("imagexpress", "TimePoint_2/ZStep_3/9987_B02_s1_w4.TIF", ("9987", "B02", "1", "w4", 3, 2)),
        ("imagexpress", "x/P1/TimePoint_1/P1_A01_w2.tif", ("P1", "A01", "1", "w2", 0, 1)),
        (
            "imagexpress",
            "Week4/Week4_27481/G10_s1_w43CD51CBC-2370-471F-BA01-EE250B14B3C8.tif",
            ("Week4_27481", "G10", "1", "w4", 0, 0),
        ),
        ("imagexpress", "p_x_A01_s10_w1BEDC2073-A983-4B98-95E9-84466707A25D.tif", ("p_x", "A01", "10", "w1", 0, 0)),
        ("cellvoyager", "CV-8_D08_T0001F004L01A02Z03C02.tif", ("CV-8", "D08", "4", "C02", 3, 1)),
        ("cellvoyager", "CV_AF48_T0001F004L01A02Z03C02.tif", ("CV", "AF48", "4", "C02", 3, 1)),
        ("cytation", "Plate_2/B7_01_1_3_DAPI_001.tif", ("Plate_2", "B07", "3", "DAPI", 0, 1)),
        ("cytation", "B7_01_2_3_Texas Red_001.tif", (None, "B07", "3", "Texas Red", 0, 1)),
        ("incell", "P/B - 02(fld 11 wv DAPI - DAPI z 3 time 2).tif", ("P", "B02", "11", "DAPI - DAPI", 3, 2)),
        ("incell", "A - 1(fld 1 wv UV - DAPI).tif", (None, "A01", "1", "UV - DAPI", 0, 0)),
        ("cellinsight", "AS_09125_05_D03f00d0.tif", ("AS_09125_05", "D03", "0", "d0", 0, 0)),
        ("scanr", "P/data/A1--W00001--P00002--Z00003--T00004--Alexa 488.tif", ("P", "A01", "2", "Alexa 488", 3, 4)),
        ("scanr", "AF48--W00001--P00001--Z00000--T00000--nucleus-dapi.tif", (None, "AF48", "1", "nucleus-dapi", 0, 0)),
        (
            "acquifer",
            "-B012--PO01--LO002--CO3--SL005--PX32500--PW0080--IN0020--TM281--X014580--Y011262--Z210710--T0000257564--WE00013.tif",
            (None, "B12", "1", "CO3", 5, 2),
        ),
        (
            "acquifer",
            "WE00020---B005--PO01--LO001--CO6--SL010--PX16250--PW0040--IN0020--TM246--X050299--Y019906--Z212275--T1375574652.tif",
            (None, "B05", "1", "CO6", 10, 1),
        ),
        ("generic", "A01_s1_DNA.PNG", (None, "A01", "1", "DNA", 0, 0)),
        ("generic", "A01_s1_DNA.ome.tiff", (None, "A01", "1", "DNA", 0, 0)),
        ("generic_one_site", "P_A01_Alexa 488.jpeg", ("P", "A01", "1", "Alexa 488", 0, 0)),
        ("generic", "plate 1/A01_s1_DNA.tif", ("plate 1", "A01", "1", "DNA", 0, 0)),
        ("generic", "p/a1_s02_Golgi_membrane_z3_t4.tiff", ("p", "A01", "2", "Golgi_membrane", 3, 4)),
        ("generic", "p/images/A01/A01_s1_DNA.tif", ("p", "A01", "1", "DNA", 0, 0)),
        ("generic_flat", "00123_A01_s1_DNA.tif", ("00123", "A01", "1", "DNA", 0, 0)),
        ("generic_flat", "x/my-plate-B11-3-ER.tif", ("my-plate", "B11", "3", "ER", 0, 0)),
        ("generic_one_site", "P/C03_GFP.tif", ("P", "C03", "1", "GFP", 0, 0)),
    ],
)
def test_file_names_of_microscopes(pattern: str, path: str, expected: tuple[object, ...]) -> None:
    assert read(path, pattern) == expected


@given(st.integers(0, 15), st.integers(0, 23), st.booleans())
def test_rows_and_columns_above_nine_padded_or_not(row: int, col: int, padded: bool) -> None:
    name = f"r{row + 1:02d}c{col + 1:02d}" if padded else f"r{row + 1}c{col + 1}"
    assert read(f"{name}f1p1-ch1sk1fk1fl1.tiff", "phenix")[1] == str(Well(row, col))


@given(
    st.builds(Well, st.integers(0, 15), st.integers(0, 23)),
    st.integers(1, 99),
    st.sampled_from(["", "P_", "screen_s12_", "A01_", "b02-x_"]),
)
def test_sites_are_not_read_as_wells(well: Well, site: int, prefix: str) -> None:
    plate = prefix.rstrip("_") or None
    assert read(f"{prefix}{well}_s{site}_w1.tif", "imagexpress") == (plate, str(well), str(site), "w1", 0, 0)
    if plate:
        assert read(f"{prefix}{well}_s{site}_DNA.tif", "generic_flat")[:4] == (plate, str(well), str(site), "DNA")
    else:
        assert read(f"{well}_s{site}_DNA.tif", "generic")[:4] == (None, str(well), str(site), "DNA")


@pytest.mark.parametrize("name", ["r99c01f01p01-ch1sk1fk1fl1.tiff", "Index.idx.xml", "r00c01f01p01-ch1.tiff"])
def test_names_without_a_well_do_not_match(name: str) -> None:
    assert read(name, "phenix")[1] is None


def test_an_index_has_the_schema_and_is_sorted(tmp_path: Path) -> None:
    touch(tmp_path, "P/B01_s10_DNA.tif", "P/B01_s2_DNA.tif", "P/A01_s1_ER.tif", "P/A01_s1_DNA.tif", "P/notes.txt")
    index = READERS.make("pattern", pattern="generic").index(tmp_path)
    assert index.schema == INDEX_SCHEMA
    assert index.height == 4
    assert index.equals(index.sort(list(INDEX_SCHEMA)))
    assert index["path"][0] == "P/A01_s1_DNA.tif"
    assert set(index["page"]) == {0}


def test_thumbnails_and_hidden_files_of_macos_are_ignored(tmp_path: Path) -> None:
    touch(tmp_path, "P_A01_s1_w1.tif", "P_A01_s1_w1_thumb.tif", "P_A01_s1_w1_Thumb.TIF", "._P_A01_s1_w1.tif")
    assert READERS.make("pattern").index(tmp_path)["path"].to_list() == ["P_A01_s1_w1.tif"]


def test_channels_are_renamed(tmp_path: Path) -> None:
    touch(tmp_path, *(f"r01c01f01p01-ch{n}sk1fk1fl1.tiff" for n in (1, 2, 3)))
    index = rename_channels(READERS.make("pattern").index(tmp_path), {"ch1": "Mito", "ch2": "DNA"}, where="x")
    assert index["Metadata_Channel"].to_list() == ["DNA", "Mito", "ch3"]
    with pytest.raises(UnknownNameError, match=r"unknown channel of the files below .* 'ch9'; did you mean"):
        rename_channels(READERS.make("pattern").index(tmp_path), {"ch9": "DNA"}, where="x")
    with pytest.raises(UsageError, match=r"two channels .* would be called 'DNA'"):
        rename_channels(READERS.make("pattern").index(tmp_path), {"ch1": "DNA", "ch2": "DNA"}, where="x")


def test_a_given_plate_takes_precedence_over_the_names(tmp_path: Path) -> None:
    touch(tmp_path, "P/A01_s1_DNA.tif")
    assert READERS.make("pattern").index(tmp_path)["Metadata_Plate"].to_list() == ["P"]
    assert READERS.make("pattern", plate="0042").index(tmp_path)["Metadata_Plate"].to_list() == ["0042"]
    assert READERS.make("pattern").index(tmp_path / "P")["Metadata_Plate"].to_list() == [None]


def test_folders_of_wells_are_not_plates_but_plates_may_have_names_of_wells(tmp_path: Path) -> None:
    touch(tmp_path, "a/P1/A01/A01_s1_DNA.tif", "a/P1/a2/A02_s1_DNA.tif")
    assert READERS.make("pattern").index(tmp_path / "a")["Metadata_Plate"].to_list() == ["P1", "P1"]
    assert READERS.make("pattern").index(tmp_path / "a" / "P1")["Metadata_Plate"].to_list() == [None, None]
    touch(tmp_path, "b/P02/P02_s1_DNA.tif", "b/P02/P03_s1_DNA.tif")
    assert READERS.make("pattern").index(tmp_path / "b")["Metadata_Plate"].to_list() == ["P02", "P02"]


def test_a_custom_pattern_is_used(tmp_path: Path) -> None:
    touch(tmp_path, "week1/P7/exp_A1_c2_f03.tif", "week1/P7/other.tif")
    by_name = r"exp_(?P<well>[A-Z]\d+)_(?P<channel>c\d)_f(?P<site>\d+)\.tif"
    assert keys(READERS.make("pattern", pattern=by_name).index(tmp_path)) == [("P7", "A01", "3", "c2", 0, 0)]
    by_path = r"(?P<plate>week\d)/[^/]+/exp_(?P<row>[A-Z])(?P<col>\d+)_(?P<channel>c\d)_f(?P<site>\d+)\.tif"
    assert keys(READERS.make("pattern", pattern=by_path).index(tmp_path)) == [("week1", "A01", "3", "c2", 0, 0)]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("phenixx", "did you mean 'phenix'"),
        (r"(?P<site>\d+)\.tif", "names no well"),
        (r"(?P<well>\w+)_(?P<chanel>\w+)", "unknown group .* 'chanel'; did you mean 'channel'"),
        (r"(?P<well>\w+", "not a supported regular expression"),
        (r"(?P<well>\w+)(?=x)", "look-around"),
    ],
)
def test_bad_patterns_are_explained(tmp_path: Path, pattern: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        READERS.make("pattern", pattern=pattern).index(touch(tmp_path, "a.tif"))


def test_folders_without_known_images_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="fits the 0 image files"):
        READERS.make("pattern").index(tmp_path)
    with pytest.raises(ImageError, match=r"fits the 1 image files below .*, such as holiday\.tif"):
        READERS.make("pattern").index(touch(tmp_path, "holiday.tif"))
    with pytest.raises(ImageError, match="does not exist"):
        READERS.make("pattern").index(tmp_path / "missing")
    with pytest.raises(ImageError, match="is a file, not a folder"):
        READERS.make("pattern").index(tmp_path / "holiday.tif")
    assert READERS.make("pattern", pattern="phenix").index(tmp_path).schema == INDEX_SCHEMA


def test_a_folder_with_the_name_of_an_image_is_listed(tmp_path: Path) -> None:
    (tmp_path / "A01_s1_DNA.tif").mkdir()
    assert READERS.make("pattern").index(tmp_path)["path"].to_list() == ["A01_s1_DNA.tif"]


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "disk", "A01_s1_DNA.tif")
    (tmp_path / "screen").mkdir()
    (tmp_path / "screen" / "P1").symlink_to(tmp_path / "disk", target_is_directory=True)
    (tmp_path / "disk" / "loop").symlink_to(tmp_path / "screen", target_is_directory=True)
    assert READERS.make("pattern").index(tmp_path / "screen")["path"].to_list() == ["P1/A01_s1_DNA.tif"]


def load_data(root: Path, text: str, name: str = "load_data.csv") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    return root


HEAD = (
    "FileName_OrigDNA,PathName_OrigDNA,FileName_IllumDNA,PathName_IllumDNA,Metadata_Plate,Metadata_Well,Metadata_Site\n"
)


@pytest.mark.parametrize("name", ["load_data.csv", "load_data_with_illum.csv", "load_data.csv.gz"])
def test_moved_images_of_a_load_data_table_are_found(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "images/P1/a.tif", "images/P2/a.tif")
    text = HEAD + "a.tif,/home/ubuntu/bucket/images/P1/,i.npy,/illum,0012,a1,1\n"
    text += "a.tif,/home/ubuntu/bucket/images/P2,i.npy,/illum,0013,A01,02\n"
    index = READERS.make("load_data").index(load_data(tmp_path, text, name))
    assert keys(index) == [("0012", "A01", "1", "DNA", 0, 0), ("0013", "A01", "2", "DNA", 0, 0)]
    assert index["path"].to_list() == ["images/P1/a.tif", "images/P2/a.tif"]


def test_urls_pages_planes_and_windows_paths(tmp_path: Path) -> None:
    touch(tmp_path, "images/b 1/a.tif", "images/c/d.tif")
    text = (
        "URL_OrigDNA,FileName_ER,PathName_ER,Frame_ER,Metadata_Well,Metadata_Site,Metadata_T\n"
        "s3://gallery/x/images/b%201/a.tif,d.tif,D:\\data\\images\\c\\,2,B02,3,4\n"
    )
    index = rename_channels(
        READERS.make("load_data").index(load_data(tmp_path, text)), {"ER": "Reticulum"}, where="the folder"
    )
    assert index.rows() == [
        (None, "B02", "3", "DNA", 0, 4, "images/b 1/a.tif", 0),
        (None, "B02", "3", "Reticulum", 0, 4, "images/c/d.tif", 2),
    ]


def test_a_path_map_gives_the_location_of_images(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "deep/a.tif")
    text = HEAD + "a.tif,/old/place/deep,,,P,A1,1\n"
    root = load_data(tmp_path / "root", text)
    options = {"path_map": {"/old/place": str(tmp_path / "elsewhere")}}
    path = READERS.make("load_data", **options).index(root)["path"][0]
    assert (root / path).is_file()
    # without it the paths of the table remain and are reported by the inspection
    assert READERS.make("load_data").index(root)["path"].to_list() == ["/old/place/deep/a.tif"]


def test_files_of_one_plate_are_not_used_for_another(tmp_path: Path) -> None:
    # both plates have the same file names, and only P2's images are here
    root = touch(tmp_path / "P2", "Images/a.tif")
    text = HEAD + "a.tif,/data/P1/Images,,,P1,A1,1\na.tif,/data/P2/Images,,,P2,A1,1\n"
    index = READERS.make("load_data").index(load_data(root, text))
    assert dict(index.select("Metadata_Plate", "path").iter_rows()) == {
        "P1": "/data/P1/Images/a.tif",
        "P2": "Images/a.tif",
    }
    unclear = touch(tmp_path / "downloads", "Images/a.tif")
    with pytest.raises(ImageError, match="both lead to the same files"):
        READERS.make("load_data").index(load_data(unclear, text))


def test_one_table_per_folder_is_read(tmp_path: Path) -> None:
    for plate in ("P1", "P2"):
        touch(tmp_path, f"{plate}/a.tif")
        load_data(tmp_path / plate, HEAD + f"a.tif,/x/{plate},,,{plate},A1,1\n")
        load_data(tmp_path / plate, "not,read\n1,2\n", "load_data_with_illum.csv")
    assert READERS.make("load_data").index(tmp_path)["path"].to_list() == ["P1/a.tif", "P2/a.tif"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FileName_OrigDNA\na.tif\n", "no column Metadata_Well"),
        ("Metadata_Well\nA1\n", "no FileName_ or URL_ column"),
        ("FileName_OrigDNA,Metadata_Well\na.tif,QQ\n", "1 of 1 rows have no readable well, such as 'QQ'"),
        (HEAD, "has no rows"),
    ],
)
def test_bad_tables_are_explained(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        READERS.make("load_data").index(load_data(tmp_path, text))


def test_absent_tables_are_explained(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no load_data\.csv"):
        READERS.make("load_data").index(tmp_path)
    with pytest.raises(ImageError, match="does not exist"):
        READERS.make("load_data", path="mine.csv").index(tmp_path)
    (tmp_path / "broken.csv.gz").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(ImageError, match="cannot be read as a load_data table"):
        READERS.make("load_data", path="broken.csv.gz").index(tmp_path)


@pytest.mark.real
def test_phenix_names_agree_with_another_tools_load_data(real_data: Path) -> None:
    root = real_data / "phenix_BR00121482"
    table = READERS.make("load_data").index(root)
    stains = {"ch1": "Mito", "ch2": "AGP", "ch3": "RNA", "ch4": "ER", "ch5": "DNA", "ch6": "Brightfield"}
    names = rename_channels(READERS.make("pattern", plate="BR00121482").index(root), stains, where="x")
    same = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Channel", "path"]
    assert table.select(same).equals(names.select(same))
    assert all((root / path).is_file() for path in table["path"])


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "rows", "counts"),  # numbers of wells, sites, channels, planes, times
    [
        ("bbbc013", 192, [96, 1, 2, 1, 1]),
        ("phenix_BR00121482", 6, [1, 1, 6, 1, 1]),
        ("imagexpress_3434", 36, [2, 2, 3, 3, 1]),
        ("imagexpress_3435", 16, [2, 2, 2, 1, 2]),
        ("cellvoyager_cv8000", 96, [3, 4, 2, 4, 1]),
        ("nf1_schwann", 15, [5, 3, 3, 1, 1]),
        ("example_human", 3, [1, 1, 3, 1, 1]),
    ],
)
def test_real_folders_are_indexed(real_data: Path, folder: str, rows: int, counts: list[int]) -> None:
    index = READERS.make("pattern").index(real_data / folder)
    assert index.height == rows
    assert [index[f"Metadata_{name}"].n_unique() for name in ("Well", "Site", "Channel", "Z", "T")] == counts
    assert not index.drop("path", "page").is_duplicated().any()


@pytest.mark.real
def test_bbbc013_wells_agree_with_the_running_number(real_data: Path) -> None:
    index = READERS.make("pattern").index(real_data / "bbbc013")
    number = index["path"].str.extract(r"-(\d+)-", 1).cast(pl.Int32)
    place = [Well.parse(well) for well in index["Metadata_Well"]]
    assert number.to_list() == [12 * well.row + well.col + 1 for well in place]
