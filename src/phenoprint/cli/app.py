"""The entry point of the command line: signals, errors and exit codes; `commands` has the commands.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 partial (something of the screen could not be used, or its run has not
ended), 130 stopped by an interrupt (SIGINT, as from Ctrl-C, or SIGTERM); what was done is kept.
"""

from __future__ import annotations

import io
import os
import sys

from phenoprint.cli.signals import INTERRUPTED, STOPPED, interrupt_on_stop, leave_on_stop

__all__ = ["main"]

DONE, FAILED, USAGE, PARTIAL = 0, 1, 2, 3


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Errors of Phenoprint are printed as one message; ``PHENOPRINT_DEBUG=1`` shows the trace.
    """
    leave_on_stop()
    from rich.markup import escape

    from phenoprint.cli.commands import app
    from phenoprint.cli.render import errors
    from phenoprint.errors import PhenoprintError, UsageError

    for stream in (sys.stdout, sys.stderr):  # a Windows console may not be able to show the compounds' names
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        interrupt_on_stop()
        code = app(args=arguments, standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt  # noqa: TRY301 - handled below, like every interrupt
    except PhenoprintError as error:
        if os.environ.get("PHENOPRINT_DEBUG"):
            raise
        errors.print(f"[bold red]error[/]  {escape(str(error))}", soft_wrap=True)
        code = USAGE if isinstance(error, UsageError) else FAILED
    except KeyboardInterrupt:
        errors.print(STOPPED)
        code = INTERRUPTED
        # After an interrupt within "exec" (as dataclasses use it), "python -m" ends by the signal whatever the exit
        # code, although the interrupt was caught. Another "exec" resets that.
        exec("")  # noqa: S102 - the text is empty
    except Exception as error:
        if type(error).__module__.startswith(("click", "typer")):
            error.show()  # type: ignore[attr-defined]
            code = USAGE
        else:
            raise
    sys.exit(code or DONE)


if __name__ == "__main__":
    main()
