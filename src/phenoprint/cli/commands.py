"""The commands of the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from phenoprint.cli import (
    command_data,
    command_demo,
    command_design,
    command_doctor,
    command_exchange,
    command_exclude,
    command_init,
    command_query,
    command_repair,
    command_run,
    command_similar,
    command_verify,
)
from phenoprint.cli.render import console

__all__ = ["app"]

app = typer.Typer(
    name="phenoprint",
    help="High-content screens from plate images to profiles, SQL and mechanism-of-action calls.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from phenoprint import __version__

        console.print(f"phenoprint {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


app.command("init")(command_init.init)
app.command("run")(command_run.run)
app.command("analyse")(command_run.analyse)
app.command("status")(command_run.status)
app.command("query")(command_query.query)
app.command("similar")(command_similar.similar)
app.command("report")(command_run.report)
app.command("exclude")(command_exclude.exclude)
app.command("import")(command_exchange.import_)
app.command("export")(command_exchange.export)
app.command("demo")(command_demo.demo)
app.command("doctor")(command_doctor.doctor)
app.command("verify")(command_verify.verify)
app.command("repair")(command_repair.repair)
app.add_typer(command_data.app, name="data")
app.add_typer(command_design.app, name="design")
