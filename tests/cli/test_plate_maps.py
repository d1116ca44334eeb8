"""What ``init`` and ``run`` print about plate maps."""

from __future__ import annotations

import pytest

from phenoprint.cli.plate_maps import print_plate_maps
from phenoprint.plates import plate_map_of, read_parts
from phenoprint.tables import frame_of

MAP = (
    "Layout of March\n\nPosition;Substanz;Konz. (nM);Typ;Note;Type\n"
    "A1;[DMSO];;Negativkontrolle;;a\nA2;Wortmannin;7,8;Substanz;x;b\nA3;NC;1;Substanz;;c\nA4;;;leer;;d\n"
)
COUNTS = {"trt": 1200, "negcon": 1, "poscon": 0, "empty": 1, "not_annotated": 3, "not_imaged": 0}


def test_columns_words_leftovers_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    reading = plate_map_of(read_parts(MAP, source="map.csv"), pert_types={"Wortmannin": "poscon"}).reading
    print_plate_maps(reading, COUNTS)
    assert capsys.readouterr().out.splitlines() == [
        "plate map  map.csv",
        "columns    Position is well, Substanz is compound, Konz. (nM) is concentration, Typ is pert_type",
        "not used   Note (kept as Metadata_Note), Type (kept as Metadata_Type; its value 'a' is no kind of well)",
        "beside it  'Layout of March'",
        "words      Negativkontrolle is negcon (1), Wortmannin is poscon (1), Substanz is trt (1), leer is empty (1)",
        "wells      1,200 trt, 1 negcon, 0 poscon, 1 empty, 3 not annotated",
    ]


def test_doubtful_words_are_pointed_out(capsys: pytest.CaptureFixture[str]) -> None:
    reading = plate_map_of(read_parts("well,Cmpd\nA1,Control\nA2,[taxol]\n", source="map.csv")).reading
    print_plate_maps(reading, COUNTS)
    assert "to check   Control is trt: may be a control; define it with pert_types" in capsys.readouterr().out


def test_without_a_map_only_the_wells_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    print_plate_maps(frame_of("plate_map_reading"), {"trt": 0, "negcon": 0, "poscon": 0, "empty": 0})
    assert capsys.readouterr().out == "wells      0 trt, 0 negcon, 0 poscon, 0 empty\n"
