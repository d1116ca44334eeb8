"""Annotation of imported tables in spreadsheets."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import polars as pl
import pytest

from phenoprint.errors import PlateMapError
from phenoprint.exchange import import_profiles, write_profiles
from phenoprint.exchange.annotation.treatments import read_treatments


def spreadsheet(path: Path, sheets: dict[str, list[list[object]]]) -> Path:
    book = openpyxl.Workbook()
    for number, (name, rows) in enumerate(sheets.items()):
        sheet = book.worksheets[0] if number == 0 else book.create_sheet()
        sheet.title = name
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    rows = [(plate, f"A0{n}", float(n)) for plate in ("P1", "P2") for n in (1, 2, 3)]
    frame = pl.DataFrame(rows, schema=["Metadata_Plate", "Metadata_Well", "Cells_AreaShape_Area"], orient="row")
    return write_profiles(frame.with_columns(pl.col("Cells_AreaShape_Area").cast(pl.Float32)), tmp_path / "all.csv")


def wells_of(source: Path, screen: Path, **options: object) -> list[tuple[object, ...]]:
    summary = import_profiles(source, screen, **options)  # type: ignore[arg-type]
    frame = summary.screen.table("well").sort("Metadata_Plate", "Metadata_Well").collect()
    return frame.select("Metadata_Plate", "Metadata_Well", "Metadata_compound", "Metadata_pert_type").rows()


def test_sheets_are_plates_and_one_may_be_chosen(profiles: Path, tmp_path: Path) -> None:
    sheets: dict[str, list[list[object]]] = {
        "P1": [["Layout"], [], ["Kavität", "Substanz"], ["A1", "DMSO"], ["A2", "taxol"], ["A3", None]],
        "P2": [["Compound"], [None, 1.0, 2.0, 3.0], ["A", "taxol", "ALLN", "DMSO"]],
    }
    plate_map = spreadsheet(tmp_path / "map.xlsx", sheets)
    first = [("P1", "A01", "DMSO", "negcon"), ("P1", "A02", "taxol", "trt"), ("P1", "A03", None, "empty")]
    second = [("P2", "A01", "taxol", "trt"), ("P2", "A02", "ALLN", "trt"), ("P2", "A03", "DMSO", "negcon")]
    assert wells_of(profiles, tmp_path / "screen", plate_map=plate_map) == [*first, *second]
    chosen = wells_of(profiles, tmp_path / "chosen", plate_map=plate_map, sheet="P2")
    assert chosen == [("P1", *row[1:]) for row in second] + second


def test_rows_of_one_well_and_named_columns(profiles: Path, tmp_path: Path) -> None:
    rows: list[list[object]] = [["Lab X"], ["barcode no", "Well", "Cmpd", "file"]]
    rows += [["P1", f"A{n}", "taxol", f"{n}_{field}.tif"] for n in (1, 2, 3) for field in (1, 2)]
    plate_map = spreadsheet(tmp_path / "map.xlsx", {"Sheet1": rows})
    wells = wells_of(profiles, tmp_path / "screen", plate_map=plate_map, map_columns={"Plate": "barcode no"})
    assert wells[:3] == [("P1", f"A0{n}", "taxol", "trt") for n in (1, 2, 3)]
    with pytest.raises(PlateMapError, match="sheet 'Sheet1': no column 'Plate X'; found barcode no, Well"):
        wells_of(profiles, tmp_path / "other", plate_map=plate_map, map_columns={"Plate": "Plate X"})


def test_barcodes_and_maps_in_spreadsheets(profiles: Path, tmp_path: Path) -> None:
    (tmp_path / "maps" / "platemap").mkdir(parents=True)
    barcodes: list[list[object]] = [["Assay_Plate_Barcode", "Plate_Map_Name"], ["P1", "m"], ["P2", "m"]]
    spreadsheet(tmp_path / "maps" / "barcode_platemap.xlsx", {"Sheet1": barcodes})
    spreadsheet(tmp_path / "maps" / "platemap" / "m.xlsx", {"Sheet1": [["well", "compound"], ["A1", "DMSO"]]})
    wells = wells_of(profiles, tmp_path / "screen", plate_map=tmp_path / "maps" / "barcode_platemap.xlsx")
    assert [row[2] for row in wells if row[1] == "A01"] == ["DMSO", "DMSO"]


def test_a_table_of_treatments(tmp_path: Path) -> None:
    table: list[list[object]] = [["Library"], [], ["Compound", "MoA", "catalog"], ["taxol", "tubulin", 1053597806.0]]
    path = spreadsheet(tmp_path / "moa.xlsx", {"Readme": [["bought in May"]], "Library": table})
    known = read_treatments(path)
    assert known.frame.select("Metadata_compound", "Metadata_moa", "Metadata_catalog").rows() == [
        ("taxol", "tubulin", "1053597806")
    ]
    twice = spreadsheet(tmp_path / "two.xlsx", {"a": table, "b": table})
    with pytest.raises(PlateMapError, match=r"expected one sheet with a column of compounds .* found 2 among 'a', 'b'"):
        read_treatments(twice)
