from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprint.errors import PlateMapError
from phenoprint.plates import PLATE_MAP_SCHEMA, PlateFormat, parse_plate_map


def parse(text: str, **options: object) -> pl.DataFrame:
    return parse_plate_map(text, source="map.csv", **options)  # type: ignore[arg-type]


def fails(text: str, said: str, **options: object) -> None:
    with pytest.raises(PlateMapError, match=said) as caught:
        parse(text, **options)
    assert str(caught.value).startswith("map.csv: ")


def column(frame: pl.DataFrame, name: str) -> list[object]:
    return frame[f"Metadata_{name}"].to_list()


def test_a_broad_map_is_read_by_its_own_names() -> None:
    text = (
        "plate_map_name\twell_position\tbroad_sample\tmmoles_per_liter\tsolvent\tmoa\n"
        "H1\ta1\tBRD-K1\t0.005\tDMSO\tHDAC inhibitor\n"
        "H1\tA2\t\t\tDMSO\t\n"
        "H1\tA3\t\t\t\t\n"
    )
    wells = parse(text)
    assert wells.schema == {
        **PLATE_MAP_SCHEMA,
        "Metadata_plate_map_name": pl.String,
        "Metadata_broad_sample": pl.String,
        "Metadata_mmoles_per_liter": pl.String,
        "Metadata_solvent": pl.String,
    }
    assert column(wells, "Well") == ["A01", "A02", "A03"]
    assert column(wells, "Row") == [1, 1, 1]
    assert column(wells, "Col") == [1, 2, 3]
    assert column(wells, "pert_type") == ["trt", "negcon", "empty"]
    assert column(wells, "compound") == ["BRD-K1", "DMSO", None]
    assert column(wells, "Concentration") == [0.005, None, None]
    assert column(wells, "Concentration_Unit") == ["mM", None, None]
    assert column(wells, "moa") == ["HDAC inhibitor", None, None]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_separators_line_ends_and_marks(delimiter: str, ending: str) -> None:
    rows = [["Metadata_Well", "compound", "dose"], ["A1", "Wörtmannin–β", "3.5 nM"], ["", "", ""], ["B2", "DMSO", ""]]
    text = "\ufeff# made by hand" + ending + ending.join(delimiter.join(row) for row in rows) + ending
    wells = parse(text)
    assert column(wells, "Well") == ["A01", "B02"]
    assert column(wells, "compound") == ["Wörtmannin–β", "DMSO"]
    assert column(wells, "Concentration") == [3.5, None]


def test_row_and_column_numbers_or_letters_make_the_well() -> None:
    assert column(parse("row,column,drug\n2,11,x\n"), "Well") == ["B11"]
    assert column(parse("Row,Col,drug\nP,24,x\n"), "Well") == ["P24"]


def test_rows_and_columns_beside_the_wells_are_kept_only_when_they_disagree() -> None:
    assert "Metadata_Row_1" not in parse("well,Row,Col\nB3,2,3\n").columns
    assert column(parse("well,Row,Col\nB3,2,3\n"), "Row") == [2]


def test_barcodes_with_leading_zeros_stay_strings() -> None:
    wells = parse("barcode,well,compound\n00042,A1,x\n042,A1,y\n")
    assert column(wells, "Plate") == ["00042", "042"]


def test_a_barcode_that_a_spreadsheet_rewrote_is_refused() -> None:
    fails("plate,well\n1.05E+09,A1\n", r"line 2: plate '1.05E\+09' looks like a barcode")


def test_other_columns_are_kept_as_strings() -> None:
    wells = parse("well,compound,cell line,passage\nA1,x,U2OS,007\n")
    assert column(wells, "cell_line") == ["U2OS"]
    assert column(wells, "passage") == ["007"]


def test_units_are_read_from_the_cell_its_neighbour_or_the_header() -> None:
    assert column(parse("well,compound,dose\nA1,x,3 nM\n"), "Concentration_Unit") == ["nM"]
    assert column(parse("well,compound,dose,dose_unit\nA1,x,3,µM\n"), "Concentration_Unit") == ["uM"]
    assert column(parse("well,compound,Concentration (µM)\nA1,x,3\n"), "Concentration_Unit") == ["uM"]
    assert column(parse("well,compound,dose_nM\nA1,x,3\n"), "Concentration_Unit") == ["nM"]
    assert column(parse("well,compound,dose\nA1,x,3\n"), "Concentration_Unit") == [None]
    fails("well,compound,dose,dose_unit\nA1,x,3 nM,uM\n", "another unit than its unit column")
    # a unit column may hold the lab's own unit; beside a number it is more likely a slip
    assert column(parse("well,compound,dose,dose_unit\nA1,x,3,plaques\n"), "Concentration_Unit") == ["plaques"]
    fails("well,compound,dose\nA1,x,3 plaques\n", "unknown unit 'plaques'")


def test_one_compound_has_one_unit() -> None:
    wells = parse("well,compound,dose\nA1,x,250 nM\nA2,x,0.1 uM\nA3,x,500 nM\nA4,y,2 uM\n")
    assert column(wells, "Concentration") == [250.0, 100.0, 500.0, 2.0]
    assert column(wells, "Concentration_Unit") == ["nM", "nM", "nM", "uM"]


def test_the_caller_names_controls_and_words() -> None:
    text = "well,compound,pert_type\nA1,Taxol,\nA2,x,lysis\nA3,taxol,trt\nA4,Nocodazole,\n"
    wells = parse(text, pert_types={"taxol": "poscon", "Lysis": "negcon"})
    assert column(wells, "pert_type") == ["poscon", "negcon", "poscon", "trt"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("well,compound\nA1,x\nQQ1,y\nZZ,y\n", r"line 3: well 'QQ1' is not a well.*line 4: well 'ZZ'"),
        ("well,compound\n,x\n", "line 2: well a blank is not a well"),
        ("well,compound\nA1,x\n\na01,y\n", "line 4: well A01 is already given at line 2"),
        ("plate,well\nP1,A1\nP2,A1\nP1,a1\n", "line 4: well A01 of plate P1 is already given at line 2"),
        ("plate,well\nP1,A1\n,A2\n", "line 3: no plate, while other lines name one"),
        ("well,compound,dose\nA1,x,lots\n", "line 2: dose 'lots' is not a number"),
        ("well,pert_type\nA1,negcom\n", "line 2: unknown pert_type 'negcom'; did you mean 'negcon'"),
        ("compound,dose\nx,1\n", "line 1: no column of wells among compound, dose"),
        ("well,compound\nA1,x,surplus\n", "line 2: 3 cells under a header of 2"),
        ("well,compound,compound\nA1,x,y\n", "two columns are named 'compound'"),
        ("well,,compound\nA1,?,y\n", "column 2 has values but no name"),
        ("well,cell line,cell_line\nA1,a,b\n", "would both become Metadata_cell_line"),
        ("  \n\n", "the plate map is empty"),
        ("PK\x03\x04\0\0", "binary data"),
    ],
)
def test_errors_of_maps_name_place_and_fault(text: str, said: str) -> None:
    fails(text, said)


def test_wells_outside_the_format_are_refused() -> None:
    text = "well,compound\nA1,x\nH13,y\n"
    fails(text, r"line 3: well H13 is not on a 96-well plate \(A01 to H12\)", plate_format=96)
    assert parse(text, plate_format=PlateFormat.of(384)).height == 2


def test_many_problems_are_counted() -> None:
    fails("well\n" + "bad\n" * 9, r"map.csv: line 2: well 'bad' is .* \(the same at line 3, 4, 5 and 5 more\)$")
    fails("well\n" + "".join(f"bad{n}\n" for n in range(9)), "and 4 more problems")


def test_a_map_without_rows_has_the_columns() -> None:
    assert parse("well,compound\n").schema == PLATE_MAP_SCHEMA


def test_line_numbers_count_quoted_line_breaks() -> None:
    fails('well,compound\nA1,"two\nlines"\nA2,x\nA2,y\n', "line 5: well A02 is already given at line 4")


GRID = """\
,1,2,3
A,DMSO,taxol,taxol
B,,Wörtmannin,DMSO

Dose (nM)
,1,2,3
A,,10,30
B,,5 uM,
moa,1,2,3
A,,tubulin,tubulin
B,,PI3K,
"""


def test_a_grid_of_several_blocks() -> None:
    wells = parse("compound\n" + GRID)
    assert column(wells, "Well") == ["A01", "A02", "A03", "B01", "B02", "B03"]
    assert column(wells, "compound") == ["DMSO", "taxol", "taxol", None, "Wörtmannin", "DMSO"]
    assert column(wells, "pert_type") == ["negcon", "trt", "trt", "empty", "trt", "negcon"]
    assert column(wells, "Concentration") == [None, 10.0, 30.0, None, 5.0, None]
    assert column(wells, "Concentration_Unit") == [None, "nM", "nM", None, "uM", None]
    assert column(wells, "moa") == [None, "tubulin", "tubulin", None, "PI3K", None]


def test_one_block_without_a_name_holds_compounds() -> None:
    wells = parse("\t1\t2\nA\tx\tDMSO\nB\t\t\n")
    assert column(wells, "compound") == ["x", "DMSO", None, None]


def test_blocks_of_several_plates() -> None:
    block = "compound,1,2\nA,{},DMSO\n"
    wells = parse("plate,007\n" + block.format("x") + "\nplate,008\n" + block.format("y"))
    assert wells.select("Metadata_Plate", "Metadata_Well", "Metadata_compound").rows() == [
        ("007", "A01", "x"),
        ("007", "A02", "DMSO"),
        ("008", "A01", "y"),
        ("008", "A02", "DMSO"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GRID, "one block of several has no name"),
        (",1,2\nA,x,y\nA,x,y\n", "line 3: row A of this block is already given at line 2"),
        (",1,2\nA,x,y,z\n", "line 2: cells beyond column 2"),
        (",1,2\nA,x,y\nmade,by,hand\n", "line 3: 'made' begins no row"),
        ("dose\n,1,2\nA,1,lots\n", "line 3: dose 'lots'"),
    ],
)
def test_errors_of_grids_name_place_and_fault(text: str, said: str) -> None:
    fails(text, said)


@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(0, 23)), min_size=1, max_size=40, unique=True),
    st.data(),
)
def test_a_list_and_a_grid_of_the_same_plate_agree(places: list[tuple[int, int]], data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(["x", "DMSO", "ß", "y z"]), min_size=len(places), max_size=len(places)))
    held = dict(zip(places, names, strict=True))
    listed = "well,compound\n" + "".join(f"{chr(65 + r)}{c + 1},{name}\n" for (r, c), name in held.items())
    grid = "," + ",".join(str(c + 1) for c in range(24)) + "\n"
    for r in range(16):
        grid += chr(65 + r) + "," + ",".join(held.get((r, c), "") for c in range(24)) + "\n"
    from_list = parse(listed).sort("Metadata_Well")
    from_grid = parse(grid).filter(pl.col("Metadata_pert_type") != "empty").sort("Metadata_Well")
    assert from_list.equals(from_grid)


@pytest.mark.real
def test_the_variant_screen_map(real_data: Path) -> None:
    path = next((real_data / "varchamp_golden" / "platemap").glob("*.txt"))
    wells = parse_plate_map(path.read_text(encoding="utf-8"), source=path.name, plate_format=384)
    assert wells.height == 288
    counts = dict(wells["Metadata_pert_type"].value_counts().iter_rows())
    assert counts == {"trt": 180, "negcon": 56, "poscon": 52}
    golden = pl.read_csv(
        next((real_data / "varchamp_golden").glob("*_augmented.csv.gz")),
        columns=["Metadata_Well", "Metadata_allele"],
        infer_schema=False,
    )
    joined = golden.join(wells, on="Metadata_Well", how="left")
    assert (joined["Metadata_allele"] == joined["Metadata_compound"]).all()
