"""The command line: ``phenoprint init run status query report exclude import export data verify demo``.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 partial (something of the screen could not be used, or its run has not
ended), 130 stopped by an interrupt (SIGINT, as from Ctrl-C, or SIGTERM); what was done is kept.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from typing import Annotated

import typer

from phenoprint.cli import (
    command_data,
    command_demo,
    command_exchange,
    command_exclude,
    command_init,
    command_query,
    command_run,
    command_verify,
)
from phenoprint.cli.render import console, errors

__all__ = ["app", "main"]

DONE, FAILED, USAGE, PARTIAL = 0, 1, 2, 3
INTERRUPTED = 130  # also what typer makes of an interrupt

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
        from importlib.metadata import version

        console.print(f"phenoprint {version('phenoprint')}")
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
app.command("status")(command_run.status)
app.command("query")(command_query.query)
app.command("report")(command_run.report)
app.command("exclude")(command_exclude.exclude)
app.command("import")(command_exchange.import_)
app.command("export")(command_exchange.export)
app.command("demo")(command_demo.demo)
app.command("verify")(command_verify.verify)
app.add_typer(command_data.app, name="data")


def _stop_on_sigterm() -> None:
    """Take SIGTERM, which schedulers send to end a job, as Ctrl-C: the lock is freed and no worker is left."""
    if threading.current_thread() is threading.main_thread():  # no other may set a handler
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    Errors that Phenoprint raises on purpose are printed as one message; ``PHENOPRINT_DEBUG=1`` shows the trace.
    """
    from rich.markup import escape

    from phenoprint.errors import PhenoprintError, UsageError

    for stream in (sys.stdout, sys.stderr):  # a Windows console may not be able to show the compounds' names
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
    _stop_on_sigterm()
    try:
        code = app(args=arguments, standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt  # noqa: TRY301 - one place says what an interrupt means
    except PhenoprintError as error:
        if os.environ.get("PHENOPRINT_DEBUG"):
            raise
        errors.print(f"[bold red]error[/]  {escape(str(error))}", soft_wrap=True)
        code = USAGE if isinstance(error, UsageError) else FAILED
    except KeyboardInterrupt:
        errors.print("stopped; what is done is kept, the same command goes on from here")
        code = INTERRUPTED
    except Exception as error:
        if type(error).__module__.startswith(("click", "typer")):
            error.show()  # type: ignore[attr-defined]
            code = USAGE
        else:
            raise
    sys.exit(code or DONE)


if __name__ == "__main__":
    main()
