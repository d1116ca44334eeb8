"""How the command line draws: tables, progress, errors. The only package that prints."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime
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

from phenoprint.pipeline.events import Event, Message, StepFinished, StepStarted, UnitFinished

__all__ = ["ProgressDisplay", "console", "errors", "filled", "frame_json", "print_frame", "print_json"]

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

# More columns than this do not fit a terminal side by side.
_WIDEST = 16


class _Rate(ProgressColumn):
    """Units a second."""

    def render(self, task: Task) -> Text:
        """Return the rate, blank until it is known."""
        speed = task.finished_speed or task.speed
        return Text("" if not speed else f"{speed:,.1f}/s", style="dim")


class ProgressDisplay:
    """Progress bars with rate and remaining time; plain lines where the output is no terminal."""

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
        """Draw one event."""
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


def _cell(value: Any) -> str:
    if value is None:
        return "[dim]NULL[/]"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, bytes):
        return f"[dim]{len(value)} bytes[/]"
    return escape(str(value))


def filled(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop the columns that have no value at all, which would squeeze the others."""
    return frame.select(column for column in frame if column.null_count() < frame.height)


def print_frame(frame: pl.DataFrame, *, limit: int | None = 100, title: str | None = None) -> None:
    """Print a frame as a table; says how many rows were left out."""
    if frame.width > _WIDEST:
        _print_wide(frame, limit=limit, title=title)
        return
    table = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    numeric = {name for name, dtype in frame.schema.items() if dtype.is_numeric()}
    for name in frame.columns:
        table.add_column(escape(name), justify="right" if name in numeric else "left", overflow="fold")
    shown = frame if limit is None else frame.head(limit)
    for row in shown.iter_rows():
        table.add_row(*(_cell(value) for value in row))
    console.print(table)
    if shown.height < frame.height:
        console.print(f"[dim]{frame.height - shown.height:,} more of {frame.height:,} rows; --limit 0 shows all[/]")


def _print_wide(frame: pl.DataFrame, *, limit: int | None, title: str | None) -> None:
    """Print a frame of many columns turned on its side: a line a column, the first rows beside each other."""
    shown = frame.head(min(limit or frame.height, 5))
    names = frame.columns if frame.width <= 200 else [*frame.columns[:60], "..."]
    table = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    table.add_column("column", overflow="fold")
    for number in range(shown.height):
        table.add_column(f"row {number + 1}", justify="right", overflow="fold")
    for name in names:
        values = ["..."] * shown.height if name == "..." else [_cell(value) for value in shown[name].to_list()]
        table.add_row(escape(name), *values)
    console.print(table)
    console.print(
        f"[dim]{frame.width:,} columns, {frame.height:,} rows; name fewer, or see all with --csv or --parquet[/]"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return str(value)


def frame_json(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a frame as a list of records; NaN and infinities, which JSON has not, become null, decimals floats."""
    frame = frame.with_columns(
        pl.col(name).cast(pl.Float64) for name, kind in frame.schema.items() if kind.is_decimal()
    )
    floats = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    finite = frame.with_columns(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in floats)
    return finite.to_dicts()


def print_json(data: Any) -> None:
    """Print data as JSON on standard output, one document."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, default=_plain, allow_nan=False, indent=1) + "\n")
