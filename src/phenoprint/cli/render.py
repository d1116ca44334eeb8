"""Print tables, progress and errors. No other package than `cli` prints."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from phenoprint.cli.signals import check_stopped
from phenoprint.pipeline import Event, Message, StepFinished, StepStarted, UnitFinished

__all__ = [
    "ProgressDisplay",
    "console",
    "errors",
    "filled",
    "json_value",
    "located",
    "print_frame",
    "print_incomplete",
    "print_json",
]

# Text of the data is not interpreted as emoji (":x:") or markup ("[red]").
console = Console(highlight=False, emoji=False)
errors = Console(stderr=True, highlight=False, emoji=False)

# A column is at least this wide for texts of several words, and for a single long word.
_FOLDED = 20
_WORD = 32
# Up to this many rows are printed as blocks, with up to this many columns.
_FEW = 5
_BLOCK = 60
# Control characters would be executed by the terminal: their symbols are printed instead.
_CONTROL = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t"}


class _Rate(ProgressColumn):
    """Units per second."""

    def render(self, task: Task) -> Text:
        """Return the rate; empty until it is known."""
        speed = task.finished_speed or task.speed
        return Text("" if not speed else f"{speed:,.1f}/s", style="dim")


class ProgressDisplay:
    """Progress bars with rate and remaining time; plain lines if the output is not a terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bars = not quiet and errors.is_terminal
        self._progress = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=errors,
            disable=not self._bars,
        )
        self._tasks: dict[str, TaskID] = {}
        self._titles: dict[str, str] = {}
        self._failures = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Draw one event; stop here if a signal has arrived.

        Raises
        ------
        KeyboardInterrupt
            If the process was asked to stop.
        """
        check_stopped()
        if self._quiet:
            return
        match event:
            case StepStarted():
                self._start(event)
            case UnitFinished():
                self._advance(event)
            case StepFinished():
                self._finish(event)
            case Message(text=text, level="warning"):
                errors.print(f"[yellow]note[/]  {escape(text)}", soft_wrap=True)
            case Message(text=text):
                errors.print(f"[dim]{escape(text)}[/]")

    def _start(self, event: StepStarted) -> None:
        self._titles[event.step] = event.title
        if self._bars:
            task = self._progress.add_task(event.title, total=event.total, completed=event.fresh)
            self._tasks[event.step] = task

    def _advance(self, event: UnitFinished) -> None:
        if event.error is not None:
            self._failures += 1
            if self._failures <= 5:
                errors.print(
                    f"[red]failed[/] {escape(event.step)} {escape(event.unit)}: {escape(event.error)}", soft_wrap=True
                )
            elif self._failures == 6:
                errors.print("[red]failed[/] ... and more: see 'phenoprint status'")
        if event.step in self._tasks:
            self._progress.advance(self._tasks[event.step])

    def _finish(self, event: StepFinished) -> None:
        if self._bars:
            task = self._tasks.get(event.step)
            if task is not None:
                self._progress.stop_task(task)
            return
        failed = f", {event.failed} failed" if event.failed else ""
        if event.done or event.failed:
            title = self._titles.get(event.step, event.step)
            errors.print(f"{title:<18} {event.done:>6} done{failed}  {event.seconds:7.1f} s")


def _cell(value: Any) -> Text:
    """Return a value as the text of a cell."""
    if value is None:
        return Text("NULL", style="dim")
    if isinstance(value, float):
        return Text(f"{value:.5g}")
    if isinstance(value, bytes):
        return Text(f"{len(value)} bytes", style="dim")
    return Text(str(value).translate(_CONTROL))


def filled(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop columns without any value, which would take space from the others."""
    return frame.select(column for column in frame if column.null_count() < frame.height)


def located(problems: pl.DataFrame) -> pl.DataFrame:
    """Join plate, well, site and channel of each problem in one column, to save space for the details."""
    place = pl.concat_str(pl.col("^Metadata_(Plate|Well|Site|Channel)$"), separator=" ", ignore_nulls=True)
    return problems.select("kind", place.replace("", None).alias("where"), "detail")


def print_frame(
    frame: pl.DataFrame, *, limit: int | None = 100, title: str | None = None, hint: str = "--json shows all"
) -> None:
    """Print a frame as a table, with the number of rows and columns left out.

    Up to five rows that are too wide for the terminal are printed as blocks of one line per column; of more rows, the
    columns that fit are printed.

    Parameters
    ----------
    frame
        The rows.
    limit
        Number of rows to print; None: all.
    title
        Title above the table.
    hint
        How to see the columns that do not fit.
    """
    shown = frame if limit is None else frame.head(limit)
    cells = [[_cell(value) for value in row] for row in shown.rows()]
    fitting = _fitting(shown.columns, cells)
    if fitting < frame.width and shown.height <= _FEW:
        _print_blocks(shown.columns, cells, title=title, hint=hint)
    else:
        _print_table(shown, cells, fitting, title=title)
        if fitting < frame.width:
            names = [*frame.columns[fitting : fitting + 3], *(["..."] if frame.width > fitting + 3 else [])]
            text = f"{frame.width - fitting:,} of {frame.width:,} columns do not fit: {', '.join(names)}; {hint}"
            console.print(Text(text, style="dim"), soft_wrap=True)
    if shown.height < frame.height:
        console.print(f"[dim]{frame.height - shown.height:,} more of {frame.height:,} rows; --limit 0 shows all[/]")


def _fitting(names: list[str], cells: list[list[Text]]) -> int:
    """Return how many columns fit beside each other, at least one."""
    room = console.width - 1
    for place, name in enumerate(names):
        texts = [row[place].plain for row in cells]
        word = max((len(word) for text in texts for word in text.split()), default=0)
        longest = max((len(line) for text in texts for line in text.splitlines()), default=0)
        room -= max(len(name), min(word, _WORD), min(longest, _FOLDED)) + 3
        if room < 0:
            return max(place, 1)
    return len(names)


def _print_table(frame: pl.DataFrame, cells: list[list[Text]], n_columns: int, *, title: str | None) -> None:
    table = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    for name, kind in list(frame.schema.items())[:n_columns]:
        table.add_column(Text(name), justify="right" if kind.is_numeric() else "left", overflow="fold")
    for row in cells:
        table.add_row(*row[:n_columns])
    console.print(table)


def _print_blocks(names: list[str], cells: list[list[Text]], *, title: str | None, hint: str) -> None:
    """Print each row as a block of one line per column."""
    if title is not None:
        console.print(title)
    for number, row in enumerate(cells, start=1):
        console.print(f"[dim]row {number}[/]")
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, cell in zip(names[:_BLOCK], row, strict=False):
            table.add_row(Text(name), cell)
        console.print(table)
    if len(names) > _BLOCK:
        text = f"{len(names) - _BLOCK:,} of {len(names):,} columns are not shown; {hint}"
        console.print(Text(text, style="dim"), soft_wrap=True)


def print_incomplete(why: str | None, *, on: Console = errors) -> None:
    """Print why the tables of a screen may not belong together, if there is a reason; by default on stderr."""
    if why is not None:
        on.print(f"[bold yellow]incomplete[/]  {escape(why)}", soft_wrap=True)


def json_value(value: Any) -> Any:  # noqa: PLR0911 - one return per kind is the clearest here
    """Convert a value for JSON: no NaN, infinity or bytes; decimals without fraction as integers."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {str(key): json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | pl.Series):
        return [json_value(inner) for inner in value]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)


def print_json(data: Any) -> None:
    """Print data as one JSON document on standard output."""
    sys.stdout.write(json.dumps(json_value(data), ensure_ascii=False, allow_nan=False, indent=1) + "\n")
