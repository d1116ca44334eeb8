"""``phenoprint doctor``: examine this computer and print what to do about problems."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from typing import Annotated

import typer
from rich.markup import escape

from phenoprint.cli.render import console, print_json

__all__ = ["doctor"]

_MARKS = {"ok": "[green]ok     [/]", "warning": "[yellow]warning[/]", "error": "[red]error  [/]"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> int:
    """Examine versions, cores, memory, GPU, browser, folders, kernels and the store; print what to do.

    Exit code 0 if Phenoprint can work here, 1 if it cannot.
    """
    from phenoprint.pipeline import examine

    findings = examine()
    works = all(finding.state != "error" for finding in findings)
    if as_json:
        print_json({"works": works, "findings": [asdict(finding) for finding in findings]})
        return 0 if works else 1
    width = max(len(finding.name) for finding in findings)
    for topic, group in groupby(findings, key=lambda finding: finding.topic):
        console.print(f"[bold]{topic}[/]")
        for finding in group:
            text = escape(f"{finding.name:<{width}}  {finding.value}")
            console.print(f"  {_MARKS[finding.state]} {text}", soft_wrap=True)
            if finding.advice is not None:
                console.print(f"          {' ' * width}  {escape(finding.advice)}", soft_wrap=True, style="bold")
    console.print("[green]Phenoprint can work here[/]" if works else "[red]Phenoprint cannot work here[/]")
    return 0 if works else 1
