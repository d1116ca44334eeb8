"""Columns of a plate map read into values: strings and doses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.plates.doses import MOLAR, Dose, canonical_unit, parse_dose
from phenoprint.plates.text_table import LINE, Problems, TextTable
from phenoprint.plates.vocabulary import split_unit

__all__ = ["one_unit", "read_cells", "read_doses"]


def read_cells(table: TextTable, roles: Mapping[str, str], role: str) -> pl.Series:
    """Return the strings of a role's column; nulls if there is none."""
    if role in roles:
        return table.cells[roles[role]]
    return pl.Series(role, [None] * table.cells.height, dtype=pl.String)


def _each(table: TextTable, column: str, read: Callable[[str], object], problems: Problems) -> dict[str, object]:
    """Read every distinct text of a column once; a failure is noted at each of its lines."""
    results: dict[str, object] = {}
    for text in table.cells[column].drop_nulls().unique(maintain_order=True).to_list():
        try:
            results[text] = read(text)
        except PlateMapError as error:
            for line in table.cells.filter(pl.col(column) == text)[LINE]:
                problems.add(line, str(error))
    return results


def read_doses(
    table: TextTable, roles: Mapping[str, str], problems: Problems
) -> tuple[list[float | None], list[str | None]]:
    """Return dose and unit per row; the unit is beside the number, in a unit column, or in the column's name."""
    n = table.cells.height
    if "concentration" not in roles:
        return [None] * n, [None] * n
    column = roles["concentration"]
    read = _each(table, column, parse_dose, problems)
    of_name = split_unit(column)[1]
    written = read_cells(table, roles, "unit").to_list()
    units: dict[str, object] = {}
    if "unit" in roles:
        units = _each(table, roles["unit"], lambda text: canonical_unit(text) or text, problems)
    values: list[float | None] = []
    found: list[str | None] = []
    for line, text, unit_text in zip(table.cells[LINE], table.cells[column], written, strict=True):
        dose = read.get(text)
        value, unit = dose if isinstance(dose, Dose) else Dose(None, None)
        beside = units.get(unit_text) if unit_text else None
        if unit and beside and unit != beside:
            problems.add(line, f"dose {text!r} has another unit than its unit column, {unit_text!r}; keep one")
        values.append(value)
        found.append(None if value is None else unit or (str(beside) if beside else of_name))
    return values, found


def one_unit(frame: pl.DataFrame) -> pl.DataFrame:
    """Convert the doses of a compound in several molar units to its most frequent one."""
    unit, value = pl.col("Metadata_Concentration_Unit"), pl.col("Metadata_Concentration")
    doses = frame.filter(unit.is_in(list(MOLAR)))
    if doses.is_empty():
        return frame
    by = "Metadata_compound"
    common = (
        doses.group_by(by, unit).len().sort(by, "len", unit.name.keep(), descending=[False, True, False])
        .unique(by, keep="first", maintain_order=True).select(by, unit.alias("common"))
    )  # fmt: skip
    mixed = frame.join(common, on=by, how="left", nulls_equal=True, maintain_order="left")
    differs = unit.is_in(list(MOLAR)) & (unit != pl.col("common"))
    # multiplying or dividing by a whole power of ten rounds once
    power = unit.replace_strict(MOLAR, default=0) - pl.col("common").replace_strict(MOLAR, default=0)
    scaled = pl.when(power >= 0).then(value * 10.0**power).otherwise(value / 10.0 ** (-power))
    return mixed.with_columns(
        pl.when(differs).then(scaled).otherwise(value).alias("Metadata_Concentration"),
        pl.when(differs).then(pl.col("common")).otherwise(unit).alias("Metadata_Concentration_Unit"),
    ).drop("common")
