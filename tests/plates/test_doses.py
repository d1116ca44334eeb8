from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprint.errors import PlateMapError
from phenoprint.plates import Dose, canonical_unit, parse_dose


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.6 µM", (3.6, "uM")),  # micro sign
        ("3.6 μM", (3.6, "uM")),  # Greek mu
        ("10nM", (10.0, "nM")),
        ("1e-3 mM", (0.001, "mM")),
        ("0,5", (0.5, None)),
        ("12,34 uM", (12.34, "uM")),
        ("0,125", (0.125, None)),
        (".5", (0.5, None)),
        ("5 ug/mL", (5.0, "ug/ml")),
        ("0.1 %", (0.1, "%")),
        ("0", (0.0, None)),
        ("2 mmoles_per_liter", (2.0, "mM")),
    ],
)
def test_doses_as_people_write_them(text: str, expected: tuple[float, str | None]) -> None:
    assert parse_dose(text) == Dose(*expected)


@pytest.mark.parametrize("text", ["", " ", None, "NA", "n/a", "NaN", "-", "null"])
def test_blank_doses_are_missing(text: str | None) -> None:
    assert parse_dose(text) == Dose(None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("high", "not a number"),
        ("1,000", "1000 or 1.000"),
        ("-1", "negative"),
        ("inf", "not a number"),
        ("1e999", "infinite"),
        ("3 furlongs", "unknown unit 'furlongs'"),
        ("1-2", "unknown unit"),
    ],
)
def test_errors_of_doses_name_the_fault(text: str, said: str) -> None:
    with pytest.raises(PlateMapError, match=said):
        parse_dose(text)


@given(st.floats(0, 1e6), st.sampled_from(["M", "mM", "uM", "nM", "pM", "mg/ml"]))
def test_what_is_written_is_read(value: float, unit: str) -> None:
    assert parse_dose(f"{value!r} {unit}") == Dose(value, unit)


def test_units_have_one_spelling() -> None:
    assert {canonical_unit(text) for text in ("µM", "μM", "uM", "UM", "(µM)", "umol/L", "micromolar")} == {"uM"}
    assert canonical_unit("M") == "M"
    assert canonical_unit("m") is None
    assert canonical_unit("apples") is None
