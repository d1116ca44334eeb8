"""Where the command line begins and ends: signals, errors and exit codes; `commands` has what lies between.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 partial (something of the screen could not be used, or its run has not
ended), 130 stopped by an interrupt (SIGINT, as from Ctrl-C, or SIGTERM); what was done is kept.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

__all__ = ["main"]

DONE, FAILED, USAGE, PARTIAL = 0, 1, 2, 3
INTERRUPTED = 130  # also what typer makes of an interrupt
_STOPPED = "stopped; what is done is kept, the same command goes on from here"


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End at once: nothing is held or begun yet, and an exception would come out of the middle of an import."""
    os.write(2, f"{_STOPPED}\n".encode())
    os._exit(INTERRUPTED)


def _on_stop(handler: Callable[[int, FrameType | None], object]) -> None:
    """Say what SIGTERM, which schedulers send to end a job, and Ctrl-C do from now on."""
    if threading.current_thread() is not threading.main_thread():  # no other may set a handler
        return
    signal.signal(signal.SIGTERM, handler)
    # Whoever started this may have set Ctrl-C to be ignored, as nohup and shells do for jobs in the background.
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _leave):
        signal.signal(signal.SIGINT, handler)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    Errors that Phenoprint raises on purpose are printed as one message; ``PHENOPRINT_DEBUG=1`` shows the trace.
    """
    _on_stop(_leave)
    from rich.markup import escape

    from phenoprint.cli.commands import app
    from phenoprint.cli.render import errors
    from phenoprint.errors import PhenoprintError, UsageError

    for stream in (sys.stdout, sys.stderr):  # a Windows console may not be able to show the compounds' names
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        _on_stop(signal.default_int_handler)  # the lock is freed, and no worker is left
        code = app(args=arguments, standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt  # noqa: TRY301 - one place says what an interrupt means
    except PhenoprintError as error:
        if os.environ.get("PHENOPRINT_DEBUG"):
            raise
        errors.print(f"[bold red]error[/]  {escape(str(error))}", soft_wrap=True)
        code = USAGE if isinstance(error, UsageError) else FAILED
    except KeyboardInterrupt:
        errors.print(_STOPPED)
        code = INTERRUPTED
        # "python -m" ends by the signal, whatever the exit code, where the interrupt came out of a text being executed,
        # as when dataclasses are made, although it was caught; executing another text makes it forget.
        exec("")  # noqa: S102 - nothing of anybody's is executed
    except Exception as error:
        if type(error).__module__.startswith(("click", "typer")):
            error.show()  # type: ignore[attr-defined]
            code = USAGE
        else:
            raise
    sys.exit(code or DONE)


if __name__ == "__main__":
    main()
