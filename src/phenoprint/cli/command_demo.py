"""``phenoprint demo``: simulate a screen with known truth, run it, and report how much of the truth was recovered."""

from __future__ import annotations

import shlex
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from phenoprint.cli.command_run import exit_code, print_summary, summarise
from phenoprint.cli.render import ProgressDisplay, console, print_json
from phenoprint.errors import UsageError

__all__ = ["demo"]


class DemoDesign(StrEnum):
    """Screens that the demo can draw."""

    MECHANISMS = "mechanisms"
    NULL = "null"
    POSITION = "position"
    BATCH = "batch"


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of images and results.")] = Path("demo"),
    workers: Annotated[
        int | None, typer.Option("--workers", "-j", min=1, help="Processes. Default: all cores.")
    ] = None,
    plates: Annotated[int, typer.Option("--plates", min=1, help="Number of 384-well plates.")] = 1,
    tiny: Annotated[bool, typer.Option("--tiny", help="One 24-well plate, in seconds.")] = False,
    design: Annotated[
        DemoDesign,
        typer.Option(
            "--design", help="What to draw: compounds with mechanisms, or none with any effect (null, position, batch)."
        ),
    ] = DemoDesign.MECHANISMS,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the simulation.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> int:
    """Simulate a 384-well Cell Painting plate, run all steps, and print the results."""
    from phenoprint.pipeline import StepFinished, StepStarted, UnitFinished, run_screen, simulate_screen, truth_found
    from phenoprint.report import write_report
    from phenoprint.simulation import demo_design, tiny_design

    if tiny and design is not DemoDesign.MECHANISMS:
        raise UsageError(f"--tiny draws one plate with mechanisms; leave it out for --design {design.value}")
    begun = time.perf_counter()
    drawing = tiny_design(seed=seed) if tiny else demo_design(n_plates=plates, kind=design.value, seed=seed)
    with ProgressDisplay(quiet=as_json) as display:

        def drawn(done: int, total: int) -> None:
            if done == 1:
                display(StepStarted("simulate", "Simulation", total, 0))
            display(UnitFinished("simulate", str(done), 0.0))
            if done == total:
                display(StepFinished("simulate", total, 0, time.perf_counter() - begun))

        simulated = simulate_screen(output / "simulated", design=drawing, workers=workers, on_well=drawn)
        result = run_screen(simulated.config, output=output / "screen", workers=workers, on_event=display)
    report = write_report(result.screen)
    summary = summarise(result.screen)
    truth = truth_found(result.screen, simulated.truth)
    seconds = time.perf_counter() - begun
    if as_json:
        print_json(
            {
                "screen": str(result.screen.path),
                "report": str(report),
                "seconds": seconds,
                "summary": summary,
                "truth": truth.to_dicts(),
            }
        )
    else:
        print_summary(summary)
        for row in truth.iter_rows(named=True):
            console.print(f"truth   {row['found']} of {row['n']} {row['meaning']}", soft_wrap=True)
        console.print(f"time    {seconds:.0f} s")
        # One line each, without wrapping, so that paths and commands can be copied.
        example = shlex.quote("SELECT * FROM activity ORDER BY mean_average_precision DESC LIMIT 5")
        for line in (
            f"screen  {result.screen.path}",
            f"report  {report}",
            f"query   phenoprint query {shlex.quote(str(result.screen.path))} {example}",
        ):
            console.print(line, markup=False, soft_wrap=True)
    return exit_code(result)
