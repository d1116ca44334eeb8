"""Plate maps in spreadsheets: texts of cells, choice of sheets, drawn plates."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Callable

import openpyxl
import polars as pl
import pytest

from phenoprint.errors import PlateMapError
from phenoprint.plates import parse_plate_map, plate_map_of, read_parts
from phenoprint.plates.workbook import read_workbook

Write = Callable[..., bytes]


def wells(content: bytes, **options: object) -> list[tuple[object, ...]]:
    frame = parse_plate_map(content, source="map.xlsx", **options)  # type: ignore[arg-type]
    kept = ("Plate", "Well", "pert_type", "compound", "Concentration", "Concentration_Unit")
    return frame.select(f"Metadata_{name}" for name in kept).rows()


def fails(content: bytes, said: str, **options: object) -> None:
    with pytest.raises(PlateMapError, match=said) as caught:
        wells(content, **options)
    assert "map.xlsx" in str(caught.value)


def test_numbers_dates_and_truth_are_written_as_a_person_sees_them(xlsx: Write, ods: Write) -> None:
    rows = [[1053597806.0, 0.1 + 0.2, 12.5, 1e20, -3.0]]
    for content in (xlsx({"S": rows}), ods({"S": rows})):
        assert read_workbook(content, source="map")[0].rows == [(1, ["1053597806", "0.3", "12.5", "1e+20", "-3"])]
    values = [dt.date(2001, 9, 2), dt.datetime(2001, 9, 2, 3, 4), True, " a\u00a0"]  # noqa: DTZ001 (a cell has no zone)
    assert read_workbook(xlsx({"S": [values]}), source="map")[0].rows == [
        (1, ["2001-09-02", "2001-09-02T03:04:00", "TRUE", "a"])
    ]


def test_a_list_with_titles_merged_cells_and_float_barcodes(xlsx: Write, ods: Write) -> None:
    rows = [
        ["Screen of March", None, None, None],
        ["Plate", 1053597806.0],
        [],
        ["Well", "Treatment", None, "Role"],
        ["Well", "Cmpd", "Conc (µM)", "Role"],
        ["A1", "DMSO", None, "DMSO_ctrl"],
        ["A2", "taxol", 0.1, "sample"],
        ["A3", None, 0.2, "sample"],
        [None, None, None, None],
    ]
    expected = [
        ("1053597806", "A01", "negcon", "DMSO", None, None),
        ("1053597806", "A02", "trt", "taxol", 0.1, "uM"),
        ("1053597806", "A03", "trt", "taxol", 0.2, "uM"),
    ]
    assert wells(xlsx({"Map": rows}, merged=["A1:D1", "A4:A5", "B4:C4", "D4:D5", "B7:B8"])) == expected
    spanned: list[list[object]] = [list(row) for row in rows]
    spanned[0] = [("Screen of March", 1, 4), ..., ..., ...]
    spanned[3] = [("Well", 2, 1), ("Treatment", 1, 2), ..., ("Role", 2, 1)]
    spanned[4] = [..., "Cmpd", "Conc (µM)", ...]
    spanned[6] = ["A2", ("taxol", 2, 1), 0.1, "sample"]
    spanned[7] = ["A3", ..., 0.2, "sample"]
    assert wells(ods({"Map": spanned})) == expected


def drawn(title: str, rows: list[list[object]], at: int = 0) -> list[list[object]]:
    """Draw a block, its corner in column ``at``."""
    lead: list[object] = [None] * at
    body = [[*lead, "ABCDEFGH"[number], *row] for number, row in enumerate(rows)]
    return [[*lead, title], [*lead, None, *(float(n + 1) for n in range(len(rows[0])))], *body]


COMPOUNDS: list[list[object]] = [["DMSO", "taxol", "taxol"], [None, "Wörtmannin", "DMSO"]]
DOSES: list[list[object]] = [[None, 1, 2], [None, 4.5, None]]
DRAWN = [
    (None, "A01", "negcon", "DMSO", None, None),
    (None, "A02", "trt", "taxol", 1.0, "nM"),
    (None, "A03", "trt", "taxol", 2.0, "nM"),
    (None, "B01", "empty", None, None, None),
    (None, "B02", "trt", "Wörtmannin", 4.5, "nM"),
    (None, "B03", "negcon", "DMSO", None, None),
]


def test_drawn_plates_below_and_beside_each_other(xlsx: Write, ods: Write) -> None:
    below = [["Layout of plate 7"], [], *drawn("Substanz", COMPOUNDS), [], *drawn("Konz. (nM)", DOSES)]
    left, right = drawn("Compound", COMPOUNDS), drawn("Dose (nM)", DOSES)
    beside = [[*row, *[None] * (5 - len(row)), *other] for row, other in zip(left, right, strict=True)]
    shifted = [[], [None, None, "my notes"], *drawn("Compound", COMPOUNDS, at=2), [], *drawn("Dose nM", DOSES, at=2)]
    for rows in (below, beside, shifted):
        assert wells(xlsx({"Map": rows})) == DRAWN
        assert wells(ods({"Map": rows})) == DRAWN
    text = "\n".join(",".join("" if cell is None else str(cell) for cell in row) for row in beside)
    assert wells(text.replace(".0", "").encode()) == DRAWN


def test_rising_whole_doses_are_no_header(xlsx: Write) -> None:
    rows = [*drawn("Compound", [["a", "b", "c"]] * 3), [], *drawn("Dose (uM)", [[1, 2, 4], [1, 3, 9], [2, 4, 8]])]
    assert [row[4] for row in wells(xlsx({"Map": rows}))] == [1, 2, 4, 1, 3, 9, 2, 4, 8]


def test_one_drawn_plate_under_a_title_of_its_own(xlsx: Write) -> None:
    rows = drawn("FKHR translocation, May", COMPOUNDS)
    assert [row[3] for row in wells(xlsx({"Map": rows}))] == ["DMSO", "taxol", "taxol", None, "Wörtmannin", "DMSO"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["Compound"], [None, 1, 2], ["A", "x", "y"], [None, "x", "z"]], "line 4: 'x' begins no row"),
        ([["Compound"], [None, 1, 1], ["A", "x", "y"], [], ["Dose"], [None, 1, 2], ["A", 1, 2]], "line 2: '1' begins"),
        ([["Compound"], [None, 1, 2], ["A", "x", "y"], [None, None, "z"]], "line 4: 'z' begins no row"),
        (
            [["moa", 1, 2], ["A", 1, 2], ["dose", 1, 3], ["A", 1, 2]],
            "'dose' does not have the same wells as 'moa': A02, A03",
        ),
        ([["moa", 1, 2], ["A", 1, 2], ["dose", 1, 2], ["B", 1, 2]], "A01, A02, B01, B02 are in one of them only"),
        ([["a", "b"], [None, 1, 2], ["A", "x", "y"]], "'a' and 'b' are both above the block of line 2"),
        (
            [["Well", 1, 2], ["A", "x", "y"], ["Dose"], [None, 1, 2], ["A", 1, 2]],
            "a block is named 'Well', which is a place",
        ),
    ],
)
def test_damaged_drawings_are_refused(xlsx: Write, rows: list[list[object]], said: str) -> None:
    fails(xlsx({"Map": rows}), said)


def test_the_sheet_that_is_a_plate_map_is_read_and_the_others_are_named(xlsx: Write) -> None:
    sheets = {
        "Readme": [["made by Anna"]],
        "Layout": [["Well", "Compound"], ["A1", "DMSO"]],
        "old": [["Well", "Compound"], ["A1", "wrong"]],
    }
    content = xlsx(sheets, hidden=["old"])
    assert wells(content) == [(None, "A01", "negcon", "DMSO", None, None)]
    reading = plate_map_of(read_parts(content, source="map.xlsx")).reading
    skipped = reading.filter(kind="sheet").select("found", "read_as", "doubt").rows()
    assert skipped == [("Readme", None, "no wells in it"), ("old", None, "hidden")]
    assert wells(content, sheet="OLD") == [(None, "A01", "trt", "wrong", None, None)]
    fails(content, r"no sheet 'Map'; its sheets: 'Readme', 'Layout', 'old' \(hidden\)", sheet="Map")
    fails(xlsx({"Readme": sheets["Readme"]}), "no sheet is a plate map; expected a header with a column of wells")


def test_several_sheets_are_plates_by_name_or_variables(xlsx: Write) -> None:
    one, two = ([["Well", "Compound"], ["A1", name]] for name in ("DMSO", "taxol"))
    assert [row[:4] for row in wells(xlsx({"0042": one, "P2": two}))] == [
        ("0042", "A01", "negcon", "DMSO"),
        ("P2", "A01", "trt", "taxol"),
    ]
    fails(xlsx({"Sheet1": one, "Tabelle2": two}), "2 sheets are plate maps .* and none names its plate")
    with_plate = [["Plate", "Well", "Compound"], ["P9", "A1", "taxol"]]
    fails(xlsx({"a": one, "b": with_plate}), "sheet 'a': this sheet does not name its plate")
    fails(xlsx({"a": with_plate, "b": with_plate}), "well A01 of plate P9 is in more than one sheet")
    bare = [drawn("", rows)[1:] for rows in (COMPOUNDS, DOSES)]
    assert wells(xlsx({"Compound": bare[0], "Concentration (nM)": bare[1]})) == DRAWN


def test_names_that_a_spreadsheet_changed_are_refused(xlsx: Write) -> None:
    fails(xlsx({"M": [["Well", "Gene"], ["A1", dt.date(2024, 9, 2)]]}), "line 2: Gene '2024-09-02' looks like a name")
    fails(b"well,gene\nA1,2-Sep\nA2,01. Mrz\n", "looks like a name that a spreadsheet turned into a date")
    fails(xlsx({"M": [["Well", "Plate"], ["A1", 1.5e19]]}), "'1.5e\\+19' looks like a barcode")


def test_errors_and_formulas_without_results_are_no_blank_cells(xlsx: Write) -> None:
    content = xlsx({"M": [["Well", "Compound"], ["A1", "=B3"], ["A2", "#N/A"]]})
    fails(content, "line 2: Compound '=B3' is an error or a formula without a result.*line 3: Compound '#N/A'")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    sheet = sheet.replace(b"<f>B3</f><v />", b"<f>B3</f><v>7</v>").replace(b' t="e"><v>#N/A</v>', b"><v>8</v>")
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        for name, data in (parts | {"xl/worksheets/sheet1.xml": sheet}).items():
            archive.writestr(name, data)
    assert [row[3] for row in wells(stored.getvalue())] == ["7", "8"]


def test_percentages_keep_their_sign() -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in (["Well", "Compound", "Conc"], ["A1", "ethanol", 0.005], ["A2", "ethanol", 2]):
        sheet.append(row)
    sheet["C2"].number_format = "0.0%"
    content = io.BytesIO()
    book.save(content)
    assert [row[4:] for row in wells(content.getvalue())] == [(0.5, "%"), (2.0, None)]


def test_damaged_workbooks_and_other_archives_are_named() -> None:
    fails(bytes.fromhex("d0cf11e0a1b11ae1") * 99, "cannot read map.xlsx as a spreadsheet")
    fails(b"PK\x03\x04" + b"xl/workbook.xml" * 20, "cannot read map.xlsx as a spreadsheet")
    for content in (b"PK\x03\x04", b"PK\x03\x04" + b"x" * 200):
        fails(content, "map.xlsx is a zip archive and no spreadsheet, or a damaged one")


def test_a_truncated_workbook_is_named(xlsx: Write) -> None:
    content = xlsx({"M": [["Well", "Compound"], ["A1", "x"]]})
    fails(content[:-200], "cannot read map.xlsx as a spreadsheet")


def test_damaged_xml_is_refused_where_the_reader_would_not_end(xlsx: Write, ods: Write) -> None:
    rows = [["Well", "Compound"], ["A1", "x"]]
    for content, part in ((ods({"M": rows}), "content.xml"), (xlsx({"M": rows}), "xl/worksheets/sheet1.xml")):
        changed = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(changed, "w") as copy:
            for name in archive.namelist():
                data = archive.read(name)
                copy.writestr(
                    name, data.replace(b"</table:table>", b"").replace(b"</row>", b"") if name == part else data
                )
        fails(changed.getvalue(), f"its part {part} is damaged: mismatched tag")


def test_text_has_no_sheets() -> None:
    fails(b"well,compound\nA1,x\n", "text file without sheets", sheet="Layout")


@pytest.mark.parametrize(("row", "column"), [(60_000, 100), (1_048_576, 16_384)])
def test_stray_cells_far_away_are_refused_before_they_fill_memory(row: int, column: int) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0]["A1"] = "Well"
    book.worksheets[0].cell(row, column, "x")
    content = io.BytesIO()
    book.save(content)
    fails(content.getvalue(), f"{row} rows and {column} columns; a plate map is smaller")


def test_values_repeated_for_ever_are_refused(ods: Write) -> None:
    content = io.BytesIO()
    whole = io.BytesIO(ods({"M": [["Well", "Compound"], ["A1", "x"]]}))
    cell = b'<table:table-cell office:value-type="string">'
    endless = cell[:-1] + b' table:number-columns-repeated="999999999">'
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(content, "w") as changed:
        for name in archive.namelist():
            changed.writestr(name, archive.read(name).replace(cell, endless))
    fails(content.getvalue(), "2 rows and 1999999998 columns; a plate map is smaller")


def test_the_schema_is_the_same_for_all(xlsx: Write, ods: Write) -> None:
    rows = [["Well", "Compound", "Dose", "Batch"], ["A1", "x", 2, "b1"]]
    frames = [parse_plate_map(content, source="m") for content in (xlsx({"S": rows}), ods({"S": rows}))]
    assert frames[0].equals(parse_plate_map("Well,Compound,Dose,Batch\nA1,x,2,b1\n", source="m"))
    assert frames[0].equals(frames[1])
    assert frames[0].schema["Metadata_Concentration"] == pl.Float64
