from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprint.errors import PlateMapError, UnknownNameError, UsageError
from phenoprint.plates import PlateFormat, Well, normalize_wells

wells = st.builds(Well, st.integers(0, 31), st.integers(0, 47))


@given(wells)
def test_a_well_is_read_from_every_spelling(well: Well) -> None:
    name = str(well)
    letters, number = name.rstrip("0123456789"), well.col + 1
    for text in (
        name,
        name.lower(),
        f"{letters}{number}",
        f"{letters}-{number:02d}",
        f" {letters}:{number} ",
        f"r{well.row + 1}c{number}",
        f"R{well.row + 1:02d}C{number:02d}",
        f"row {well.row + 1}, column {number}",
        f"{well.row + 1:02d}{number:02d}",
        f"{well.row + 1:03d}{number:03d}",
    ):
        assert Well.parse(text) == well, text
    assert Well.parse((well.row, well.col)) == well
    assert Well.parse(well) == well


@given(st.lists(wells, min_size=2, max_size=10))
def test_wells_sort_by_row_then_column(some: list[Well]) -> None:
    assert sorted(some) == sorted(some, key=lambda well: (well.row, well.col))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("A1", "A01"), ("p24", "P24"), ("AF48", "AF48"), ("r16c24", "P24"), ("R12", "R12"), ("C3", "C03"), ("Z9", "Z09")],
)
def test_known_spellings(text: str, expected: str) -> None:
    assert str(Well.parse(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "A", "A0", "A49", "AG01", "BA1", "1A", "A1B", "r0c1", "r33c1", "0001", "9999", "A01x", "101", "well"]
)
def test_text_that_is_no_well_is_named(text: str) -> None:
    with pytest.raises(PlateMapError, match="is not a") as caught:
        Well.parse(text)
    if text:
        assert text in str(caught.value) or text[:2] in str(caught.value)


@pytest.mark.parametrize("place", [(-1, 0), (32, 0), (0, 48)])
def test_positions_off_every_plate_are_refused(place: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="rows run 0 to 31"):
        Well(*place)


@pytest.mark.parametrize(("n", "last"), [(6, "B03"), (24, "D06"), (96, "H12"), (384, "P24"), (1536, "AF48")])
def test_formats_end_where_they_should(n: int, last: str) -> None:
    plate = PlateFormat.of(n)
    assert plate.n_wells == n == len(set(plate.wells()))
    assert str(plate.wells()[-1]) == last
    assert plate.is_edge(plate.wells()[-1])
    assert str(plate) == f"{n}-well"


def test_an_unknown_format_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="384"):
        PlateFormat.of(385)


@pytest.mark.parametrize("n", [6, 12, 24, 48, 96, 384, 1536])
def test_a_full_plate_is_recognised(n: int) -> None:
    assert PlateFormat.infer([str(well) for well in PlateFormat.of(n).wells()]).n_wells == n


@pytest.mark.parametrize(
    ("used", "n"),
    [(["A01"], 96), (["H12"], 96), (["A13"], 384), (["I1"], 384), (["Q01"], 1536), (["A25"], 1536), ([], 96)],
)
def test_the_smallest_screening_format_that_fits(used: list[str], n: int) -> None:
    assert PlateFormat.infer(used).n_wells == n


def test_a_plate_holds_its_wells_only() -> None:
    assert Well(7, 11) in PlateFormat.of(96)
    assert Well(8, 0) not in PlateFormat.of(96)
    assert "A01" not in PlateFormat.of(96)


def test_columns_of_wells_get_one_spelling() -> None:
    mixed = pl.Series("well", ["a1", "A1", "A01", None, "r08c12"])
    tidy = normalize_wells(mixed)
    assert tidy.to_list() == ["A01", "A01", "A01", None, "H12"]
    assert tidy.name == "well"
    assert mixed.to_list()[0] == "a1"


def test_bad_wells_are_all_named_or_become_null() -> None:
    mixed = pl.Series("well", ["a1", "X", "Y"])
    with pytest.raises(PlateMapError, match=r"'X', 'Y'"):
        normalize_wells(mixed)
    assert normalize_wells(mixed, strict=False).to_list() == ["A01", None, None]


@pytest.mark.parametrize("series", [pl.Series("w", [], dtype=pl.String), pl.Series("w", [None, None])])
def test_columns_without_a_well(series: pl.Series) -> None:
    assert normalize_wells(series).null_count() == len(series)
