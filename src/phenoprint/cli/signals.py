"""What SIGTERM, which schedulers send to end a job, and Ctrl-C (SIGINT) do."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

__all__ = ["INTERRUPTED", "STOPPED", "check_stopped", "interrupt_on_stop", "leave_on_stop"]

INTERRUPTED = 130  # also the exit code of typer after an interrupt
STOPPED = "stopped; finished work is kept, and the same command continues it"

_requested = threading.Event()


def leave_on_stop() -> None:
    """End the process at once from now on: no lock is held, and an exception would interrupt an import."""
    _requested.clear()
    _handle(_leave)


def interrupt_on_stop() -> None:
    """Raise `KeyboardInterrupt` from now on, so that locks are released and workers ended."""
    _handle(_interrupt)


def check_stopped() -> None:
    """Raise `KeyboardInterrupt` if a signal arrived whose exception was lost.

    Python prints and drops an exception that is raised while a library calls back from C, such as in a finalizer.

    Raises
    ------
    KeyboardInterrupt
        If a signal arrived since `leave_on_stop`.
    """
    if _requested.is_set():
        raise KeyboardInterrupt


def _leave(_number: int, _frame: FrameType | None) -> None:
    os.write(2, f"{STOPPED}\n".encode())
    os._exit(INTERRUPTED)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _requested.set()
    raise KeyboardInterrupt


def _handle(handler: Callable[[int, FrameType | None], object]) -> None:
    """Set a handler for both signals, except where SIGINT is ignored, as by nohup and for jobs in the background."""
    if threading.current_thread() is not threading.main_thread():  # no other thread may set a handler
        return
    signal.signal(signal.SIGTERM, handler)
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _leave, _interrupt):
        signal.signal(signal.SIGINT, handler)
