"""Whatever is done to a plate map: it is refused by name, or only what was changed is read otherwise.

And whatever is in the wells, a list and a drawn plate are read as the same in text and in every kind of spreadsheet.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phenoprint.errors import PlateMapError
from phenoprint.plates import parse_plate_map, plate_map_of, read_parts

Write = Callable[..., bytes]
Rows = list[list[object]]
SAID = ("Plate", "Well", "pert_type", "compound", "Concentration", "Concentration_Unit", "moa")
WELLS = [(row, column) for row in "ABC" for column in (1, 2, 3)]
NAMES = ["DMSO", "taxol", "α-Tocopherol", "x, y; z", '5\'-"x" <b>&', "007", "1e5", None]
DOSES = [None, 0, 1, 0.1, 2.5, 1e-3, 1234.5]
TYPES = ["negative control", "Positivkontrolle", "sample", "blank", None]


def as_list(wells: dict[tuple[str, int], tuple[object, ...]]) -> Rows:
    rows: Rows = [["Well", "Substanz", "Konz. (nM)", "Typ", "MoA"]]
    return rows + [[f"{row}{column}", *said] for (row, column), said in wells.items()]


def as_drawing(wells: dict[tuple[str, int], tuple[object, ...]]) -> Rows:
    rows: Rows = [["Layout of my plate"], []]
    for number, title in enumerate(("Substanz", "Konz. (nM)", "Typ", "MoA")):
        rows += [[title], [None, 1, 2, 3]]
        rows += [[row, *(wells[row, column][number] for column in (1, 2, 3))] for row in "ABC"]
        rows.append([])
    return rows


def as_text(rows: Rows, delimiter: str = ",") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([["" if v is None else v for v in row] for row in rows])
    return text.getvalue().encode()


def read(content: bytes) -> list[tuple[object, ...]]:
    frame = parse_plate_map(content, source="map").sort("Metadata_Well")
    return frame.select(f"Metadata_{name}" for name in SAID).rows()


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_lists_and_drawings_in_text_and_spreadsheets_agree(xlsx: Write, ods: Write, data: st.DataObject) -> None:
    said = st.tuples(*(st.sampled_from(values) for values in (NAMES, DOSES, TYPES, ["HDAC", None])))
    wells = {place: data.draw(said) for place in WELLS}
    as_rows = (as_list(wells), as_drawing(wells))
    first = read(as_text(as_rows[0]))
    for rows in as_rows:
        for content in (as_text(rows), as_text(rows, ";"), xlsx({"S": rows}), ods({"S": rows})):
            assert read(content) == first
    names = {f"{row}0{column}": wells[row, column][0] for row, column in WELLS}
    assert {row[1]: row[3] for row in first} == names


POOL = [
    *("A", "B", "1", "2", "DMSO", "Well", "plate", "x", "control", "", "3 nM", "AA", "Typ", "row", "1,2", "#N/A", "é"),
    *("A1", "sample", "blank", "=1", None, None),
]


def damage(rows: Rows, chance: random.Random) -> tuple[Rows, set[tuple[int, int]]]:
    """Change one thing; return which cells it concerns."""
    rows = [[*row, *[None] * (5 - len(row))] for row in rows]
    at, column = chance.randrange(len(rows)), chance.randrange(5)
    match chance.choice(["set", "set", "set", "swap", "drop", "double", "blank", "shift"]):
        case "set":
            rows[at][column] = chance.choice(POOL)
            return rows, {(at, column)}
        case "swap":
            other, place = chance.randrange(len(rows)), chance.randrange(5)
            rows[at][column], rows[other][place] = rows[other][place], rows[at][column]
            return rows, {(at, column), (other, place)}
        case "drop":
            rows.pop(at)
        case "double":
            rows.insert(at, list(rows[at]))
        case "blank":
            rows.insert(at, [None] * 5)
            return rows, set()
        case "shift":
            rows[at] = [None, *rows[at]]
    return rows, {(at, place) for place in range(5)}


def concerned(kind: str, cells: set[tuple[int, int]]) -> set[str]:
    """Wells whose cells were changed."""
    if kind == "list":
        return {"{}0{}".format(*WELLS[row - 1]) for row, _ in cells if row}
    found = set()
    for row, column in cells:
        within = (row - 2) % 6 - 2
        if row >= 2 and 0 <= within <= 2:
            found |= {f"{'ABC'[within]}0{n}" for n in ((column,) if column else (1, 2, 3)) if 1 <= n <= 3}
    return found


@pytest.mark.parametrize(
    ("kind", "form", "n"), [("list", "csv", 400), ("drawing", "csv", 400), ("drawing", "xlsx", 60)]
)
def test_damage_is_refused_or_stays_where_it_is(kind: str, form: str, n: int, xlsx: Write) -> None:
    chance = random.Random(f"{kind} {form}")  # noqa: S311 (no secret)
    wells = {
        place: ("DMSO" if number % 4 == 0 else f"cmpd{number}", number, "neg" if number % 4 == 0 else "sample", "m")
        for number, place in enumerate(WELLS)
    }
    rows = as_list(wells) if kind == "list" else as_drawing(wells)
    sound = {row[1]: row for row in read(as_text(rows))}
    refused = 0
    for _ in range(n):
        changed, cells = damage(rows, chance)
        content = as_text(changed) if form == "csv" else xlsx({"S": changed})
        try:
            found = plate_map_of(read_parts(content, source="map"))
        except PlateMapError as error:
            assert str(error).startswith("map")  # noqa: PT017 (a refusal is one of two right answers)
            refused += 1
            continue
        after = {row[1]: row for row in found.wells.select(f"Metadata_{name}" for name in SAID).rows()}
        differ = {well for well in sound.keys() | after.keys() if sound.get(well) != after.get(well)}
        unused = found.reading.filter(pl.col("kind").is_in(["column", "text"]), pl.col("read_as").is_null())
        is_noted = unused.height > (1 if kind == "drawing" else 0)  # the drawing's own title is beside it
        assert differ <= concerned(kind, cells) or is_noted or any("plate" in row for row in changed), (changed, differ)
    assert n / 10 < refused < n
