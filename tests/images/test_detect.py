from __future__ import annotations

from pathlib import Path

import pytest

from phenoprint.errors import ImageError
from phenoprint.images import detect_layout


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def test_what_matched_and_what_did_not(tmp_path: Path) -> None:
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
    assert best.get_reader().index(tmp_path).equals(best.index)


def test_a_folder_without_plates_suggests_its_own_name(tmp_path: Path) -> None:
    layout = detect_layout(touch(tmp_path / "plate 7", "A01_s1_DNA.tif"))
    assert layout.best.plates == []
    assert layout.suggested_plate == "plate 7"


def test_a_load_data_table_comes_first_when_its_files_are_there(tmp_path: Path) -> None:
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


def test_a_load_data_table_that_makes_no_sense_is_no_candidate(tmp_path: Path) -> None:
    touch(tmp_path, "A01_s1_DNA.tif")
    (tmp_path / "load_data.csv").write_text("a,b\n1,2\n")
    assert [candidate.reader for candidate in detect_layout(tmp_path).candidates] == ["pattern"] * 2


def test_a_pattern_that_folds_files_into_one_loses(tmp_path: Path) -> None:
    # without the time point the two files of a well would be one image
    touch(tmp_path, *(f"TimePoint_{t}/P_A01_s{s}_w1.tif" for t in (1, 2) for s in (1, 2)))
    layout = detect_layout(tmp_path)
    assert layout.best.options == {"pattern": "imagexpress"}
    assert {candidate.n_clashes for candidate in layout.candidates[1:]} == {2}


def test_folders_without_a_layout(tmp_path: Path) -> None:
    layout = detect_layout(touch(tmp_path, "holiday.tif"))
    assert layout.candidates == ()
    with pytest.raises(ImageError, match=r"no known layout in .*: it holds 1 TIFF files; give a pattern"):
        _ = layout.best
    with pytest.raises(ImageError, match="does not exist"):
        detect_layout(tmp_path / "nowhere")


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
        ("example_human", "pattern", "cellinsight", 0),
    ],
)
def test_real_folders_are_recognised(
    real_data: Path, folder: str, reader: str, pattern: str | None, unmatched: int
) -> None:
    best = detect_layout(real_data / folder).best
    assert (best.reader, best.options.get("pattern"), best.n_unmatched) == (reader, pattern, unmatched)
    assert best.n_clashes == best.n_missing == 0
