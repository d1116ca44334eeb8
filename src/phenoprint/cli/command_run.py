"""``phenoprint run``, ``status`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer
from rich.markup import escape

from phenoprint.cli.render import ProgressDisplay, console, filled, located, print_frame, print_incomplete, print_json

if TYPE_CHECKING:
    from phenoprint.pipeline import RunResult, ScreenState
    from phenoprint.store import Screen

__all__ = ["analyse", "exit_code", "report", "run", "status"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
ScreenPath = Annotated[Path, typer.Argument(metavar="SCREEN", help="A screen folder.")]


def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A screen.toml, or a screen folder with one.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Screen folder. Default: a folder with the screen's name in the current folder."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", "-j", min=1, help="Processes. Default: all cores.")
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Repeat units that failed on bad data, even if the data have not changed."),
    ] = False,
    rehash: Annotated[
        bool,
        typer.Option("--rehash", help="Hash every image and output again, also those with unchanged size and time."),
    ] = False,
    write_report: Annotated[bool, typer.Option("--report/--no-report", help="Write the HTML report.")] = True,
    as_json: Json = False,
) -> int:
    """Run a screen from images to profiles; results that are up to date are kept."""
    from phenoprint.pipeline import run_screen

    with ProgressDisplay(quiet=as_json) as display:
        result = run_screen(
            config, output=output, workers=workers, retry_failed=retry_failed, rehash=rehash, on_event=display
        )
    return _finished(result, write_report=write_report, as_json=as_json)


def analyse(
    screen: Annotated[
        Path, typer.Argument(metavar="SCREEN", help="A screen folder with well profiles, of a run or imported.")
    ],
    workers: Annotated[
        int | None, typer.Option("--workers", "-j", min=1, help="Processes. Default: all cores.")
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Repeat units that failed on bad data, even if the data have not changed."),
    ] = False,
    write_report: Annotated[bool, typer.Option("--report/--no-report", help="Write the HTML report.")] = True,
    as_json: Json = False,
) -> int:
    """Run again what follows from the well profiles, without images.

    Use it after a change of screen.toml or of excluded wells: recipe, activity,
    calls, dose-response, plate acceptance, clusters and maps are made again
    where their options or data have changed. Images and cells are not read
    and may be elsewhere; what was measured on them stays as it is.

    Example: set evaluation.null_size = 100000 in my_screen/screen.toml, then
    phenoprint analyse my_screen
    """
    from phenoprint.pipeline import analyse_screen

    with ProgressDisplay(quiet=as_json) as display:
        result = analyse_screen(screen, workers=workers, retry_failed=retry_failed, on_event=display)
    return _finished(result, write_report=write_report, as_json=as_json)


def _finished(result: RunResult, *, write_report: bool, as_json: bool) -> int:
    """Write the report, print how a run ended, and return the exit code."""
    from phenoprint.cli.plate_maps import print_plate_maps
    from phenoprint.pipeline import screen_notes, wells_by_kind

    path = None
    if write_report:
        from phenoprint.report import write_report as write

        path = write(result.screen)
    summary = summarise(result.screen)
    kinds = wells_by_kind(result.screen)
    reading = result.screen.table("plate_map_reading").collect()
    if as_json:
        steps = {name: vars(count) for name, count in result.summary.steps.items()}
        print_json(
            {
                "screen": str(result.screen.path),
                "report": None if path is None else str(path),
                "is_partial": result.is_partial,
                "seconds": result.summary.seconds,
                "steps": steps,
                "summary": summary,
                "notes": screen_notes(result.screen),
                "wells_by_kind": kinds,
                "plate_map_reading": reading.to_dicts(),
            }
        )
    else:
        print_plate_maps(reading, kinds)
        print_summary(summary)
        if summary["treatments"] == 0:
            console.print(
                "[yellow]note[/]    no well has a treatment, so there are no calls: annotate the wells with a "
                "plate map (images: \\[plate_map] in screen.toml; tables: import again with --plate-map)",
                soft_wrap=True,
            )
        console.print(f"screen  {result.screen.path}", soft_wrap=True, markup=False)
        if path is not None:
            console.print(f"report  {path}", soft_wrap=True, markup=False)
        blocked = [name for name, count in result.summary.steps.items() if count.blocked]
        if blocked:
            console.print(f"[yellow]not done[/] because an earlier step failed: {', '.join(blocked)}")
        if result.is_partial:
            console.print("[yellow]partial[/]: some input could not be used; 'phenoprint status' lists what and why")
    return exit_code(result)


def exit_code(result: RunResult) -> int:
    """Return 0 if everything was done, 3 if some input could not be used, 1 if there is no profile."""
    if not result.is_partial:
        return 0
    return 3 if "profile_well" in result.screen.tables() else 1


def summarise(screen: object) -> dict[str, object]:
    """Return the most important numbers of a screen."""
    from phenoprint.pipeline import screen_summary

    return screen_summary(screen)  # type: ignore[arg-type]


def print_summary(summary: dict[str, object]) -> None:
    """Print the numbers of a screen as a two-column table."""
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    for name, value in summary.items():
        if value is None or isinstance(value, (dict, list)):
            continue
        text = f"{value:,.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
        table.add_row(name.replace("_", " "), text)
    for name, text in _scores(summary.get("scores")):
        table.add_row(name, text)
    console.print(table)


def _scores(rows: object) -> list[tuple[str, str]]:
    """Return each score with interval, number of treatments and baselines; no value if there are too few.

    Means over mechanisms and scores of inactive treatments are in the table ``score`` alone.
    """
    from phenoprint.evaluation import BASELINES, PROFILES, based_on

    stored = {(row["score"], row["baseline"]): row for row in (rows if isinstance(rows, list) else [])}
    lines: list[tuple[str, str]] = []
    for (score, baseline), row in stored.items():
        if baseline != PROFILES or not row["n"] or score.endswith(("_macro", "_all_treatments")):
            continue
        text = based_on(row["n"] or 0, row["n_total"])
        if row["is_headline"] and row["value"] is not None:
            ends = f" [{row['low']:.2f}, {row['high']:.2f}]" if row["low"] is not None else ""
            beside = [
                f"{name.replace('_', ' ')} {stored[score, name]['value']:.2f}"
                for name in BASELINES
                if (score, name) in stored and stored[score, name]["value"] is not None
            ]
            text = f"{row['value']:.2f}{ends} on {text}{', beside ' if beside else ''}{', '.join(beside)}"
        lines.append((score.replace("_", " "), text))
    return lines


def status(screen: ScreenPath, as_json: Json = False) -> int:
    """Report what is done, what would run again and why, what failed, and what was lost where.

    Exit code 3 if something of the screen could not be used, its run has not ended, or results are out of date without
    a change by the user.
    """
    from phenoprint.pipeline import screen_state
    from phenoprint.store import open as open_screen

    opened = open_screen(screen)
    state = screen_state(opened)
    if as_json:
        print_json(
            {
                "screen": str(state.path),
                "held_by": state.held_by,
                "incomplete": state.incomplete,
                "is_whole": state.is_whole,
                "is_partial": state.is_partial,
                "has_run": state.has_run,
                "changed": state.changed,
                "steps": state.steps.to_dicts(),
                "to_run": state.to_run.to_dicts(),
                "wrong": state.wrong.to_dicts(),
                "failures": state.failures.to_dicts(),
                "lost": state.lost.to_dicts(),
                "problems": state.problems.to_dicts(),
                "damaged": state.damaged.to_dicts(),
                "notes": state.notes,
            }
        )
    else:
        held = f"  (held by {state.held_by})" if state.held_by else ""
        console.print(f"screen  {state.path}{held}", soft_wrap=True, markup=False)
        print_incomplete(state.incomplete, on=console)
        _print_steps(opened, state.steps)
        _print_outlook(state)
        if not state.has_run:
            console.print(f"not run yet  next: phenoprint run {state.path}", soft_wrap=True, markup=False)
        damaged = "tables that cannot be read; 'phenoprint run' writes them again"
        for title, frame in (
            (damaged, state.damaged),
            ("failed", state.failures),
            ("problems of the input", located(state.problems)),
        ):
            if frame.height:
                print_frame(filled(frame), limit=20, title=title)
        for note in state.notes:
            console.print(f"[yellow]note[/]  {escape(note)}", soft_wrap=True, emoji=False)
        if state.lost.height:
            print_frame(state.lost, limit=20, title="lost, by step and reason")
    return 0 if state.is_whole and not state.is_partial else 3


def _print_outlook(state: ScreenState) -> None:
    """Print which steps would run again, and why."""
    if state.changed:
        steps = state.to_run["step"].unique(maintain_order=True).to_list()
        then = f"these steps would run again: {', '.join(steps)}" if steps else "no step is known to depend on it"
        verb = "has" if len(state.changed) == 1 else "have"
        what = ", ".join(state.changed)
        console.print(f"[cyan]changed[/] {escape(what)} {verb} changed since the run; {then}", soft_wrap=True)
    # Unreadable tables are listed separately.
    unreadable = pl.any_horizontal(pl.lit(value=False), *map(pl.col("reason").str.starts_with, state.damaged["path"]))
    wrong = state.wrong.filter(~((pl.col("state") == "damaged") & unreadable))
    if wrong.height:
        by_reason = (
            wrong.group_by("step", "state", "reason", maintain_order=True)
            .agg(pl.len().alias("units"), pl.col("unit").first().alias("such as"))
            .select("step", "state", "units", "such as", "reason")
        )
        print_frame(by_reason, limit=20, title="out of date or damaged; 'phenoprint run' repeats it")


def _print_steps(screen: Screen, steps: pl.DataFrame) -> None:
    """Print the steps that run on the screen, and others that have results."""
    from phenoprint.pipeline import imported_tables, schedule_of

    imported = imported_tables(screen)
    if imported:
        console.print(f"imported  {', '.join(sorted(imported))}")
    own = [step.name for step in schedule_of(screen).steps]
    if not own:
        console.print("no step uses treatment profiles as input; query and export them")
        return
    print_frame(steps.filter(pl.col("step").is_in(own) | (pl.col("done") + pl.col("failed") > 0)))


def report(
    screen: ScreenPath,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
    as_json: Json = False,
) -> int:
    """Write the HTML report of a screen."""
    from phenoprint.report import write_report
    from phenoprint.store import open as open_screen

    opened = open_screen(screen)
    print_incomplete(opened.incomplete)
    path = write_report(opened, output=output)
    if as_json:
        print_json({"report": str(path)})
    else:
        console.print(f"report  {path}", soft_wrap=True, markup=False)
    return 0
