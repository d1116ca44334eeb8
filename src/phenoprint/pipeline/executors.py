"""Where units of work run: in this process or in a pool of spawned processes.

The engine decides what a unit does and how it is recorded. Another place to run units, such as a cluster, is one class
with :meth:`Executor.submit`.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from phenoprint.errors import UsageError

__all__ = ["Executor", "ProcessExecutor", "SerialExecutor", "available_cores", "make_executor"]

# One thread per worker, since the workers use all cores.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS"), "1"
)


def available_cores() -> int:
    """Return how many cores this process may use.

    Examples
    --------
    >>> available_cores() >= 1
    True
    """
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Windows and macOS have no affinity call
        return os.cpu_count() or 1


@contextmanager
def _for_children() -> Iterator[None]:
    """Start child processes with one thread each and with Ctrl-C, which reaches the whole group, ignored.

    An interrupt within the block is delivered to the parent when the block ends.
    """
    kept = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    has_masks = hasattr(signal, "pthread_sigmask")  # Windows has not
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if has_masks else set()
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if has_masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _begin_worker(lifeline: Connection) -> None:
    """Ignore interrupts in a worker, and end it when the parent ends or closes the lifeline."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=([parent.sentinel, lifeline],), daemon=True).start()


def _end_with(signs: list[int | Connection]) -> None:
    multiprocessing.connection.wait(signs)
    os._exit(1)


class Executor(ABC):
    """A context manager that runs functions."""

    @abstractmethod
    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Start ``function(*arguments)`` and return its future."""

    def restart(self) -> None:  # noqa: B027 - only pools can break
        """Make the executor usable again after a worker died."""

    def close(self) -> None:  # noqa: B027 - only pools hold anything
        """End the executor: drop work that has not begun, and wait for work that has."""

    def stop(self) -> None:
        """End the executor at once; the next run removes files that were written in part."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, Exception):
            self.close()
        else:  # an interrupt; a well may take minutes
            self.stop()


class SerialExecutor(Executor):
    """Runs every function in this process when it is submitted; for debugging and small screens."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Run ``function(*arguments)`` now; the future holds its result or exception."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:  # noqa: BLE001 - the future carries it to the caller
            future.set_exception(error)
        return future


class ProcessExecutor(Executor):
    """A pool of spawned processes, the same on Linux, macOS and Windows.

    Raises
    ------
    UsageError
        If no worker can start, as in a script without a main guard.
    """

    def __init__(self, workers: int) -> None:
        # Windows can wait for no more than 61 processes at once.
        self.workers = min(workers, 61) if sys.platform == "win32" else workers
        self._pool, self._lifeline = self._start()
        try:
            self.submit(os.getpid).result()
        except BrokenProcessPool as error:
            raise UsageError(
                "no worker process could start. A script that runs a screen must call it under "
                "if __name__ == '__main__':, because workers import the script again; or run with workers=1"
            ) from error

    def _start(self) -> tuple[ProcessPoolExecutor, tuple[Connection, Connection]]:
        context = multiprocessing.get_context("spawn")
        ends = context.Pipe(duplex=False)
        pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_begin_worker, initargs=ends[:1])
        return pool, ends

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Queue ``function(*arguments)`` for a worker process."""
        with _for_children():  # they are spawned inside submit
            try:
                return self._pool.submit(function, *arguments)
            except BrokenProcessPool:
                self.restart()
                return self._pool.submit(function, *arguments)

    def restart(self) -> None:
        """Replace the pool by a new one."""
        self.close()
        self._pool, self._lifeline = self._start()

    def close(self) -> None:
        """Stop the workers after their current work; drop queued work."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for end in self._lifeline:
            end.close()

    def stop(self) -> None:
        """Stop the workers at once; drop queued work."""
        self._lifeline[1].close()  # each worker waits for this end of the pipe, and ends
        self.close()


def make_executor(workers: int | None = None) -> Executor:
    """Return an executor with ``workers`` processes (default: the available cores).

    Examples
    --------
    >>> type(make_executor(1)).__name__
    'SerialExecutor'
    """
    count = available_cores() if workers is None else workers
    return SerialExecutor() if count <= 1 else ProcessExecutor(count)
