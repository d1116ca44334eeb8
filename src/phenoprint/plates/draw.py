"""A plate drawn in a terminal: its files beside its plate map."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.plates.well import PlateFormat, Well, row_name

__all__ = ["draw_plate"]

Symbols = Mapping[str, str]

_UNICODE: Symbols = {
    "complete": "●", "partial": "◐", "unannotated": "?", "unseen": "!", "nothing": "·",
    "trt": "●", "negcon": "−", "poscon": "+", "empty": "○",
}  # fmt: skip
_ASCII: Symbols = {
    "complete": "#", "partial": "%", "unannotated": "?", "unseen": "!", "nothing": ".",
    "trt": "#", "negcon": "-", "poscon": "+", "empty": "o",
}  # fmt: skip
_FILES = {
    "complete": "images",
    "partial": "images, something missing",
    "unannotated": "images, not in the map",
    "unseen": "in the map, no image",
    "nothing": "neither",
}
_MAP = {
    "trt": "treatment",
    "negcon": "negative control",
    "poscon": "positive control",
    "empty": "empty",
    "nothing": "not in the map",
}
_GAP = "   "


def draw_plate(
    wells: pl.DataFrame,
    *,
    plate: str | None = None,
    problems: pl.DataFrame | None = None,
    plate_format: int | PlateFormat | None = None,
    width: int = 120,
    ascii_only: bool = False,
) -> str:
    """Draw one plate twice, from its files and from its map, with the counts of each mark below.

    Parameters
    ----------
    wells
        As `well_table` returns it.
    plate
        Which plate; may be left out when there is one.
    problems
        `Reconciliation.problems`; wells with missing sites or channels or unreadable files get a mark of
        their own.
    plate_format
        Wells of the plate; None infers it from the wells.
    width
        Columns of the terminal. 96- and 384-well plates are side by side from 111 columns on; in less room
        wells are drawn closer, then the two plates one above the other.
    ascii_only
        For terminals without Unicode.

    Returns
    -------
    str
        Lines joined by newlines, none longer than `width` where the plate allows it.

    Raises
    ------
    UsageError
        If there are several plates and no choice, or the plate does not exist.
    SchemaError
        If a column of the `well` table is missing.
    """
    needed = {"Metadata_Plate", "Metadata_Well", "Metadata_pert_type", "has_images", "is_annotated"}
    if absent := sorted(needed - set(wells.columns)):
        raise SchemaError(f"draw_plate needs the well table; its column {', '.join(absent)} is missing")
    plates = wells["Metadata_Plate"].unique().sort().to_list()
    if plate is None and len(plates) == 1:
        plate = plates[0]
    if plate not in plates:
        asked = "the plate to draw is not given" if plate is None else f"no plate {plate!r}"
        raise UsageError(f"{asked}; there are: {', '.join(plates[:10]) or 'none'}{' ...' if len(plates) > 10 else ''}")
    one = wells.filter(pl.col("Metadata_Plate") == plate)
    if plate_format is None:
        grid = PlateFormat.infer(one["Metadata_Well"].to_list())
    else:
        grid = PlateFormat.of(plate_format) if isinstance(plate_format, int) else plate_format
    marks = _ASCII if ascii_only else _UNICODE
    files, plan = _states(one, _partial(problems, plate))
    side_by_side = next((cell for cell in (2, 1) if 2 * _panel_width(grid, cell) + len(_GAP) <= width), None)
    cell = side_by_side or (2 if _panel_width(grid, 2) <= width else 1)
    left, right = _panel("files", grid, files, marks, cell), _panel("plate map", grid, plan, marks, cell)
    if side_by_side:
        body = [f"{a:<{_panel_width(grid, cell)}}{_GAP}{b}".rstrip() for a, b in zip(left, right, strict=True)]
    else:
        body = [*left, "", *right]
    legend = [_legend("files", files, _FILES, marks), _legend("map  ", plan, _MAP, marks)]
    return "\n".join([f"{plate} ({grid})", *body, "", *legend])


def _partial(problems: pl.DataFrame | None, plate: str | None) -> set[str]:
    """List the wells of the plate whose images are incomplete."""
    if problems is None:
        return set()
    kinds = ["missing_channel", "missing_site", "unreadable_file", "same_key"]
    mine = problems.filter((pl.col("Metadata_Plate") == plate) & pl.col("kind").is_in(kinds))
    return set(mine["Metadata_Well"].drop_nulls())


def _states(wells: pl.DataFrame, partial: set[str]) -> tuple[dict[Well, str], dict[Well, str]]:
    """Return the state of each well by its files and by the map."""
    has, mapped = pl.col("has_images"), pl.col("is_annotated")
    has_map = bool(wells["is_annotated"].any())
    role = pl.when(mapped).then(pl.coalesce("Metadata_pert_type", pl.lit("trt"))).otherwise(pl.lit("nothing"))
    by_file = (
        pl.when(has & ~mapped & pl.lit(has_map)).then(pl.lit("unannotated"))
        .when(has & pl.col("Metadata_Well").is_in(list(partial))).then(pl.lit("partial"))
        .when(has).then(pl.lit("complete"))
        .when(mapped & (role != "empty")).then(pl.lit("unseen"))
        .otherwise(pl.lit("nothing"))
    )  # fmt: skip
    table = wells.select("Metadata_Well", by_file.alias("files"), role.alias("map"))
    position = {name: Well.parse(name) for name in table["Metadata_Well"].to_list()}
    files = {position[well]: state for well, state, _ in table.iter_rows()}
    plan = {position[well]: state for well, _, state in table.iter_rows()}
    return files, plan


def _panel_width(grid: PlateFormat, cell: int) -> int:
    """Return the characters across one drawing: row letters, a space, the cells."""
    return 3 + cell * grid.columns


def _panel(title: str, grid: PlateFormat, states: Mapping[Well, str], marks: Symbols, cell: int) -> list[str]:
    """Draw title, column numbers and one line per row."""
    step = 2 if cell == 2 else 4  # room for two digits and a space
    numbers = [f"{column:<{cell * step}}" for column in range(1, grid.columns + 1, step)]
    lines = [title, ("   " + "".join(numbers))[: _panel_width(grid, cell)].rstrip()]
    for row in range(grid.rows):
        cells = [f"{marks[states.get(Well(row, col), 'nothing')]:<{cell}}" for col in range(grid.columns)]
        lines.append(f"{row_name(row):>2} {''.join(cells)}".rstrip())
    return lines


def _legend(name: str, states: Mapping[Well, str], words: Mapping[str, str], marks: Symbols) -> str:
    """List each mark in use with its meaning and count."""
    counts = {state: sum(found == state for found in states.values()) for state in words}
    return f"{name}  " + "   ".join(f"{marks[state]} {words[state]} {n}" for state, n in counts.items() if n)
