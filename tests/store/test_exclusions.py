"""Exclusions: written once, checked against the screen, undone."""

from __future__ import annotations

import gzip
from pathlib import Path

import openpyxl
import polars as pl
import pytest

import phenoprint
from phenoprint.errors import PlateMapError, ScreenLockedError, UsageError
from phenoprint.exchange import read_exclusion_list
from phenoprint.store import Screen, change_exclusions, create


@pytest.fixture
def screen(tmp_path: Path) -> Screen:
    """A screen of two plates, sites and cells, without anything measured."""
    made = create(tmp_path / "screen")
    keys = [(plate, f"{row}{column:02d}") for plate in ("P1", "P2") for row in "ABC" for column in range(1, 5)]
    wells = pl.DataFrame(keys, schema=["Metadata_Plate", "Metadata_Well"], orient="row")
    made.write("plate", pl.DataFrame({"Metadata_Plate": ["P1", "P2"]}))
    made.write("well", wells.with_columns(has_images=pl.lit(value=True), is_annotated=pl.lit(value=True)))
    sites = wells.join(pl.DataFrame({"Metadata_Site": ["1", "2"]}), how="cross")
    made.write("site", sites.with_columns(status=pl.lit("ok")))
    numbers = pl.DataFrame({"Metadata_ObjectNumber": [1, 2, 3]}, schema={"Metadata_ObjectNumber": pl.Int32})
    made.write("cell", sites.join(numbers, how="cross"))
    return made


def scopes(screen: Screen) -> list[tuple[object, ...]]:
    columns = ["scope", "Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_ObjectNumber", "reason"]
    return screen.table("exclusion").select(columns).collect().rows()


def test_every_scope_is_written_with_person_and_date(screen: Screen) -> None:
    phenoprint.exclude(screen.path, "P2", reason="spill", who="ada")
    phenoprint.exclude(screen, "P1", "b3", reason="pipetting error")
    phenoprint.exclude(screen, "P1", "A01", site=2, reason=" hair ")
    change = phenoprint.exclude(screen, "P1", "A01", site="1", object_number=3, reason="debris")
    assert scopes(screen) == [
        ("object", "P1", "A01", "1", 3, "debris"),
        ("site", "P1", "A01", "2", None, "hair"),
        ("well", "P1", "B03", None, None, "pipetting error"),
        ("plate", "P2", None, None, None, "spill"),
    ]
    assert change.everything.height == 4
    rows = screen.sql("SELECT who, date FROM exclusion ORDER BY Metadata_Plate DESC")
    assert rows["who"][0] == "ada"
    assert rows["who"].null_count() == 0
    assert rows["date"].str.to_datetime(time_zone="UTC").len() == 4
    flagged = screen.sql("SELECT Metadata_Plate || ' ' || Metadata_Well AS place, reason FROM wells_flagged").rows()
    assert flagged[:3] == [
        ("P1 A01", "cell 3 of site 1 excluded: debris"),
        ("P1 A01", "site 2 excluded: hair"),
        ("P1 B03", "excluded: pipetting error"),
    ]
    assert {reason for _, reason in flagged[3:]} == {"excluded: spill"}
    assert len(flagged) == 3 + 12


@pytest.mark.parametrize("well", ["b3", "B3", "B03", "r02c03"])
def test_excluding_twice_is_reported_and_writes_one_row(screen: Screen, well: str) -> None:
    phenoprint.exclude(screen, "P1", "B03", reason="first")
    change = phenoprint.exclude(screen, "P1", well, reason="second")
    assert change.added.is_empty()
    assert change.already["reason"].to_list() == ["first"]
    assert [row[-1] for row in scopes(screen)] == ["first"]
    assert phenoprint.exclude(screen, "P1", well).already.height == 1  # no reason is needed for what is there


def test_undo_takes_back_this_place_only(screen: Screen) -> None:
    phenoprint.exclude(screen, "P1", "B03", reason="well")
    phenoprint.exclude(screen, "P1", "B03", site=1, reason="site")
    change = phenoprint.exclude(screen, "P1", "b03", undo=True)
    assert change.removed["reason"].to_list() == ["well"]
    assert [row[-1] for row in scopes(screen)] == ["site"]
    with pytest.raises(UsageError, match="unknown exclusion 'P1 B03'; the closest of 1 there are: P1 B03 site 1"):
        phenoprint.exclude(screen, "P1", "B03", undo=True)
    phenoprint.exclude(screen, "P1", "B03", site=1, undo=True)
    assert scopes(screen) == []
    assert screen.sql("SELECT count(*) AS n FROM wells_flagged")["n"][0] == 0


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (("P3", None), "unknown plate 'P3'; the closest of 2 there are: P"),
        (("P1", "B05"), "unknown well 'B05' of plate P1; the closest of 12 there are: B0"),
        (("P1", "B"), "'B' is not a well"),
    ],
)
def test_places_that_are_not_there_are_refused(screen: Screen, place: tuple[str, str | None], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        phenoprint.exclude(screen, *place, reason="x")
    assert "exclusion" not in screen.tables()


def test_sites_and_cells_that_are_not_there_are_refused(screen: Screen) -> None:
    with pytest.raises(UsageError, match="unknown site '3' of well A01 of plate P1; the closest of 2"):
        phenoprint.exclude(screen, "P1", "A1", site=3, reason="x")
    with pytest.raises(UsageError, match="has no cell 4; its 3 cells are numbered from 1 to 3"):
        phenoprint.exclude(screen, "P1", "A1", site=1, object_number=4, reason="x")
    with pytest.raises(UsageError, match="Site '1' is given without a well"):
        phenoprint.exclude(screen, "P1", site=1, reason="x")
    with pytest.raises(UsageError, match="without a site"):
        phenoprint.exclude(screen, "P1", "A01", object_number=1, reason="x")
    with pytest.raises(UsageError, match="P1 A01: give a reason"):
        phenoprint.exclude(screen, "P1", "A01", reason="  ")


def test_all_rows_of_a_list_are_written_or_none(screen: Screen, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("Assay_Plate_Barcode;well_position;Field;Comment\nP1;a1;2;Blase\nP2;C4;1;\n", encoding="cp1252")
    places = read_exclusion_list(path, reason="by eye")
    assert places["reason"].to_list() == ["Blase", "by eye"]
    change_exclusions(screen, places)
    assert [row[:4] for row in scopes(screen)] == [("site", "P1", "A01", "2"), ("site", "P2", "C04", "1")]
    path.write_text("plate,well,reason\nP1,B1,x\nP1,B9,x\n")
    with pytest.raises(UsageError, match="B09"):
        change_exclusions(screen, read_exclusion_list(path))
    assert len(scopes(screen)) == 2
    change_exclusions(screen, places, undo=True)
    assert scopes(screen) == []


def test_a_spreadsheet_is_a_list_too(screen: Screen, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheets = (book.active, book.create_sheet("more"), book.create_sheet("notes"))
    sheets[2].sheet_state = "hidden"
    for row in (["Bad wells of May"], [], ["Plate", "Well", "Site", "Why"], ["P1", "A1", 2, "hair"]):
        sheets[0].append(row)
    for row in (["Plate", "Well", "Reason"], ["P2", "C4", "dust"]):
        sheets[1].append(row)
    sheets[2].append(["nothing", "of", "interest"])
    book.save(tmp_path / "bad.xlsx")
    change_exclusions(screen, read_exclusion_list(tmp_path / "bad.xlsx"))
    assert scopes(screen) == [
        ("site", "P1", "A01", "2", None, "hair"),
        ("well", "P2", "C04", None, None, "dust"),
    ]


def test_a_list_without_wells_excludes_plates(screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "plates.tsv").write_text("barcode\treason\nP2\tspill\n")
    change_exclusions(screen, read_exclusion_list(tmp_path / "plates.tsv"))
    assert scopes(screen) == [("plate", "P2", None, None, None, "spill")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plate,well,reason\nP1,,x\n", "line 2: the column 'well' is empty"),
        ("compound,dose\nDMSO,1\n", "no column of plates or wells"),
        ("plate,well,site,object\nP1,A1,1,one\n", "'one' is not the number of a cell"),
    ],
)
def test_lists_that_cannot_be_used_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(PlateMapError, match=message):
        read_exclusion_list(tmp_path / "bad.csv")
    with pytest.raises(PlateMapError, match="cannot read"):
        read_exclusion_list(tmp_path / "absent.csv")


def test_a_list_without_plates_is_about_the_only_plate(screen: Screen) -> None:
    places = pl.DataFrame({"Metadata_Well": ["A1"], "reason": ["x"]})
    with pytest.raises(UsageError, match="has no plate, and the screen has several"):
        change_exclusions(screen, places)
    single = create(screen.path.parent / "single")
    single.write("well", screen.table("well").filter(Metadata_Plate="P1").collect())
    assert change_exclusions(single, places).added["Metadata_Plate"].to_list() == ["P1"]


def test_a_screen_that_is_held_is_not_touched(screen: Screen) -> None:
    with screen.lock(), pytest.raises(ScreenLockedError):
        phenoprint.exclude(screen, "P1", reason="x")
    assert "exclusion" not in screen.tables()


def test_a_compressed_list_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv.gz"
    path.write_bytes(gzip.compress(b"plate;well;reason\nP1;b3;dust\n"))
    assert read_exclusion_list(path).rows() == [("P1", "b3", "dust")]
