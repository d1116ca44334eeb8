from __future__ import annotations

import polars as pl
import pytest

from phenoprint.errors import PlateMapError
from phenoprint.plates import assign_plate_maps, parse_barcode_platemap, parse_plate_map

TEXT = "Assay_Plate_Barcode,Plate_Map_Name\n00012,mapA\n0012,mapB\n00013,mapA\n"


def maps() -> dict[str, pl.DataFrame]:
    return {
        "mapA": parse_plate_map("plate_map_name\twell_position\tbroad_sample\nmapA\tA01\tx\n", source="mapA.txt"),
        "mapB": parse_plate_map("well_position\tbroad_sample\tcell\nB02\ty\tU2OS\nB03\tz\tU2OS\n", source="mapB.txt"),
    }


def test_every_barcode_gets_the_wells_of_its_map() -> None:
    barcodes = parse_barcode_platemap(TEXT, source="barcode_platemap.csv")
    wells = assign_plate_maps(barcodes, maps())
    assert wells.select("Metadata_Plate", "Metadata_Well", "Metadata_compound", "Metadata_plate_map_name").rows() == [
        ("00012", "A01", "x", "mapA"),
        ("0012", "B02", "y", "mapB"),
        ("0012", "B03", "z", "mapB"),
        ("00013", "A01", "x", "mapA"),
    ]
    assert wells["Metadata_cell"].to_list() == [None, "U2OS", "U2OS", None]


def test_a_map_that_is_not_there_is_named() -> None:
    barcodes = parse_barcode_platemap(TEXT, source="barcode_platemap.csv")
    with pytest.raises(PlateMapError, match=r"do not exist: mapB; found mapA; add platemap/<name>.txt"):
        assign_plate_maps(barcodes, {"mapA": maps()["mapA"]})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "barcode,Plate_Map_Name\n1,a\n",
            "expected a table with the columns Assay_Plate_Barcode and Plate_Map_Name; no line has both",
        ),
        (TEXT + "00012,mapB\n", "line 5: barcode '00012' has map 'mapB' here and 'mapA' at line 2"),
        (TEXT + "00099,\n", "line 5: a blank cell"),
        (TEXT + "1.2E+11,mapA\n", "line 5: .* a spreadsheet turned into a number"),
    ],
)
def test_errors_of_tables_name_place_and_fault(text: str, said: str) -> None:
    with pytest.raises(PlateMapError, match=said):
        parse_barcode_platemap(text, source="barcode_platemap.csv")


def test_the_same_line_twice_is_one_barcode() -> None:
    assert parse_barcode_platemap(TEXT + "00012,mapA\n", source="b.csv").height == 3
