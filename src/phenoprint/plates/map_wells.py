"""Wells and plates of the rows of a plate map, and their problems."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from phenoprint.plates.text_table import LINE, Problems, TextTable
from phenoprint.plates.well import PlateFormat, Well, normalize_wells

__all__ = ["check_wells", "read_wells"]


def read_wells(table: TextTable, roles: Mapping[str, str], problems: Problems, *, first_line: int) -> pl.Series:
    """Return wells as ``A01`` from the well column, or from row and column."""
    frame = table.cells
    if "well" in roles:
        text = frame[roles["well"]]
    elif "row" in roles and "col" in roles:
        row, col = frame[roles["row"]], frame[roles["col"]]
        numeric = pl.lit("r") + row + "c" + col
        text = frame.select(
            pl.when(row.str.contains(r"^\d+$")).then(numeric).otherwise(row + col).alias("well")
        ).to_series()
    else:
        problems.add(
            first_line,
            f"no column of wells among {', '.join(table.names) or 'nothing'}; expected 'well' (or "
            "well_position, Metadata_Well), or 'row' and 'column', or a grid with column numbers above rows",
        )
        problems.raise_any()
        raise AssertionError  # raise_any has raised
    wells = normalize_wells(text, strict=False)
    for line, found in frame.select(LINE, text.alias("found")).filter(wells.is_null()).iter_rows():
        shown = "a blank" if found is None else repr(found)
        problems.add(line, f"well {shown} is not a well; write it like A01")
    problems.raise_any()
    return wells.alias("Metadata_Well")


def check_wells(
    table: TextTable,
    wells: pl.Series,
    plates: pl.Series,
    plate_format: int | PlateFormat | None,
    problems: Problems,
) -> None:
    """Note wells outside the format, wells given twice, and rows without a plate among rows with one."""
    frame = table.cells.select(LINE).with_columns(wells.alias("well"), plates.alias("plate"))
    if plate_format is not None:
        plate = PlateFormat.of(plate_format) if isinstance(plate_format, int) else plate_format
        outside = [well for well in wells.unique().to_list() if Well.parse(well) not in plate]
        last = Well(plate.rows - 1, plate.columns - 1)
        for line, well in frame.filter(pl.col("well").is_in(outside)).select(LINE, "well").iter_rows():
            problems.add(line, f"well {well} is not on a {plate} plate (A01 to {last}); correct it or the format")
    first = frame.with_columns(pl.col(LINE).min().over("plate", "well").alias("first"))
    for line, well, name, other in first.filter(pl.col(LINE) != pl.col("first")).select(
        LINE, "well", "plate", "first"
    ).iter_rows():  # fmt: skip
        on = f" of plate {name}" if name else ""
        problems.add(line, f"well {well}{on} is already given at line {other}; keep one of the two")
    if 0 < plates.null_count() < len(plates):
        for line in frame.filter(pl.col("plate").is_null())[LINE]:
            problems.add(line, "no plate, while other lines name one; fill in the plate, or remove the column")
