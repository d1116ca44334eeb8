from __future__ import annotations

from pathlib import Path

import pytest

from phenoprint.errors import ImageError, UsageError
from phenoprint.images import READERS, detect_layout


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def test_matched_and_unmatched_files_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "P1/A01_s1_DNA.tif", "P1/A01_s1_ER.tif", "P2/B02_s2_DNA.tif", "illum.tif", "P1/notes.txt")
    layout = detect_layout(tmp_path)
    best = layout.best
    assert layout.n_files == 4
    assert (best.reader, dict(best.options)) == ("pattern", {"pattern": "generic"})
    assert (best.n_matched, best.n_unmatched, best.unmatched, best.n_clashes) == (3, 1, ("illum.tif",), 0)
    assert best.plates == ["P1", "P2"]
    assert best.wells == ["A01", "B02"]
    assert best.sites == ["1", "2"]
    assert best.channels == ["DNA", "ER"]
    assert READERS.make(best.reader, **best.options).index(tmp_path).equals(best.index)


def test_names_without_a_plate_have_none(tmp_path: Path) -> None:
    assert detect_layout(touch(tmp_path / "plate 7", "A01_s1_DNA.tif")).best.plates == []


def test_a_load_data_table_whose_files_exist_comes_first(tmp_path: Path) -> None:
    touch(tmp_path, "A01_s1_w1.tif", "A01_s1_w2.tif")
    (tmp_path / "load_data.csv").write_text(
        "FileName_OrigDNA,FileName_OrigER,Metadata_Plate,Metadata_Well,Metadata_Site\nA01_s1_w1.tif,A01_s1_w2.tif,P,A1,1\n"
    )
    assert detect_layout(tmp_path).best.reader == "load_data"
    assert detect_layout(tmp_path).best.channels == ["DNA", "ER"]
    (tmp_path / "A01_s1_w1.tif").unlink()
    (tmp_path / "A01_s1_w2.tif").unlink()
    touch(tmp_path, "B01_s1_w1.tif", "B01_s1_w2.tif")
    assert detect_layout(tmp_path).best.reader == "pattern"


def test_an_invalid_load_data_table_is_not_a_candidate(tmp_path: Path) -> None:
    touch(tmp_path, "A01_s1_DNA.tif")
    (tmp_path / "load_data.csv").write_text("a,b\n1,2\n")
    assert [candidate.reader for candidate in detect_layout(tmp_path).candidates] == ["pattern"]


def test_a_pattern_under_which_files_clash_is_not_preferred(tmp_path: Path) -> None:
    # without the time point the two files of a well would be one image
    touch(tmp_path, *(f"TimePoint_{t}/P_A01_s{s}_w1.tif" for t in (1, 2) for s in (1, 2)))
    layout = detect_layout(tmp_path)
    assert layout.best.options == {"pattern": "imagexpress"}
    assert {candidate.n_clashes for candidate in layout.candidates[1:]} == {2}


def test_folders_without_a_layout(tmp_path: Path) -> None:
    layout = detect_layout(touch(tmp_path, "holiday.tif"))
    assert layout.candidates == ()
    with pytest.raises(ImageError, match=r"no known layout in .*: it holds 1 image files, such as holiday\.tif"):
        _ = layout.best
    with pytest.raises(ImageError, match="does not exist"):
        detect_layout(tmp_path / "missing")


WELLS = ("A1", "A2", "B1")


@pytest.mark.parametrize(
    ("names", "doubt"),
    [
        # names that match only in part: two separators, or a coordinate within the channel
        ([f"--W0000{n}--P00001--Z00000--T00000--GFP.tif" for n in (1, 2, 3)], None),
        ([f"{well}--x--GFP.tif" for well in WELLS], None),
        ([f"{well}_s1.tif" for well in WELLS], "'s1', which looks like a number"),
        ([f"{well}_f0{n}.tif" for well in WELLS for n in (1, 2)], "'f01', which looks like a number"),
        ([f"{well}_{n}.tif" for well in WELLS for n in (1, 2, 3)], "'1', which looks like a number"),
        ([f"{well}_s1_DNA-z{n}.tif" for well in WELLS for n in (1, 2, 3)], "'DNA-z1', which looks like a number"),
        ([f"{well}_s1_W0000{n}-GFP.tif" for n, well in enumerate(WELLS, 1)], "which looks like a number"),
        ([f"{well}_s1_{drug}.tif" for well, drug in zip(WELLS, ("dmso", "taxol", "vinc"), strict=True)], "of its own"),
        ([f"{well}_s1_{well}x.tif" for well in ("A1", "A2", "A3", "A4")], "every well would have channels of its own"),
        ([f"img{n}_{well}_DNA.tif" for n, well in enumerate(("A1", "A2", "A3", "A4"))], "a plate of its own"),
    ],
)
def test_names_that_match_in_part_are_refused(tmp_path: Path, names: list[str], doubt: str | None) -> None:
    layout = detect_layout(touch(tmp_path, *names))
    with pytest.raises(ImageError) as caught:
        _ = layout.best
    said = str(caught.value)
    assert f"it holds {len(names)} image files, such as {min(names)}" in said
    assert "--pattern" in said
    if doubt is not None:
        assert doubt in said
    with pytest.raises(ImageError, match="no built-in file name pattern fits"):
        READERS.make("pattern").index(tmp_path)


@pytest.mark.parametrize(
    "channels",
    [
        ("DNA", "GFP"),
        ("p53", "DNA"),
        ("488", "561"),
        ("Alexa 488", "Alexa 568"),
        ("w1", "w2"),
        ("C01", "C02"),
        ("pS6",),
    ],
)
def test_stains_with_numbers_are_channels(tmp_path: Path, channels: tuple[str, ...]) -> None:
    touch(tmp_path, *(f"{well}_s1_{channel}.tif" for well in WELLS for channel in channels))
    assert detect_layout(tmp_path).best.channels == sorted(channels)


def test_a_given_pattern_is_used(tmp_path: Path) -> None:
    touch(tmp_path, "x-A1-f1-DNA.tif", "x-A2-f1-DNA.tif", "y.tif")
    given = r"x-(?P<well>\w\d)-f(?P<site>\d)-(?P<channel>\w+)\.tif"
    best = detect_layout(tmp_path, pattern=given).best
    assert (best.n_matched, best.n_unmatched, dict(best.options)) == (2, 1, {"pattern": given})
    with pytest.raises(ImageError, match=r"matches none of the 3 image files below .*, such as x-A1-f1-DNA\.tif, x-A2"):
        detect_layout(tmp_path, pattern=r"(?P<well>\w\d)_(?P<channel>\w+)\.tif")
    with pytest.raises(UsageError, match="names no well"):
        detect_layout(tmp_path, pattern=r"(?P<channel>\w+)\.tif")


def test_pictures_beside_tiff_are_previews(tmp_path: Path) -> None:
    touch(tmp_path, "A01_s1_DNA.tif", "A01_s1_DNA.png", "thumbs/A01_s1_DNA.jpg", "A02_s1_DNA.tif")
    best = detect_layout(tmp_path).best
    assert (best.n_matched, best.n_unmatched, best.n_clashes) == (2, 2, 0)
    assert READERS.make("pattern", pattern="generic").index(tmp_path).equals(best.index)
    for path in tmp_path.glob("*.tif"):
        path.unlink()
    assert detect_layout(tmp_path).best.index["path"].to_list() == ["A01_s1_DNA.png"]


def test_files_made_by_a_screen_are_not_images(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "A01_s1_DNA.tif",
        "s/screen.toml",
        "s/receipts/a.json",
        "s/masks/P/A01_1.tif",
        "s/images/A02_s1_DNA.tif",
    )
    assert detect_layout(tmp_path).best.wells == ["A01", "A02"]


def test_unsupported_formats_are_listed_with_advice(tmp_path: Path) -> None:
    touch(tmp_path, "a.czi", "b/c.czi", "d.nd2", "plate.zarr/.zattrs", "plate.zarr/A/1/0/.zarray", "e.zip", "notes.txt")
    layout = detect_layout(tmp_path)
    assert [(one.kind, one.n) for one in layout.foreign] == [
        ("Zeiss CZI", 2),
        ("Nikon ND2", 1),
        ("OME-Zarr", 1),
        ("ZIP archive", 1),
    ]
    with pytest.raises(ImageError, match="no TIFF, PNG or JPEG file") as caught:
        _ = layout.best
    assert "2 x Zeiss CZI, such as a.czi: export one TIFF per well, field and channel from ZEN" in str(caught.value)
    with pytest.raises(ImageError, match="no TIFF, PNG or JPEG file"):
        _ = detect_layout(touch(tmp_path / "empty", "x.txt")).best


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "reader", "pattern", "unmatched"),
    [
        ("bbbc013", "pattern", "bbbc013", 0),
        ("phenix_BR00121482", "load_data", None, 0),
        ("imagexpress_3434", "pattern", "imagexpress", 0),
        ("imagexpress_3435", "pattern", "imagexpress", 0),
        ("cellvoyager_cv8000", "pattern", "cellvoyager", 6),
        ("nf1_schwann", "pattern", "cytation", 15),
        ("example_human", "pattern", "cellinsight", 1),
    ],
)
def test_real_folders_are_recognised(
    real_data: Path, folder: str, reader: str, pattern: str | None, unmatched: int
) -> None:
    best = detect_layout(real_data / folder).best
    assert (best.reader, best.options.get("pattern"), best.n_unmatched) == (reader, pattern, unmatched)
    assert best.n_clashes == best.n_missing == 0
