"""Where work runs: results and errors come back, and a dead worker does not take the pool with it."""

from __future__ import annotations

import os
from concurrent.futures.process import BrokenProcessPool

import pytest

from phenoprint.pipeline.executors import ProcessExecutor, SerialExecutor, available_cores, make_executor


def _threads() -> str | None:
    return os.environ.get("POLARS_MAX_THREADS")


def test_serial_executor_keeps_results_and_errors() -> None:
    with SerialExecutor() as executor:
        assert executor.submit(divmod, 7, 2).result() == (3, 1)
        with pytest.raises(ZeroDivisionError):
            executor.submit(divmod, 1, 0).result()


def test_number_of_workers_decides() -> None:
    assert isinstance(make_executor(1), SerialExecutor)
    assert available_cores() >= 1
    with make_executor(2) as executor:
        assert isinstance(executor, ProcessExecutor)


@pytest.mark.slow
def test_process_executor_continues_after_a_dead_worker_with_one_thread_each() -> None:
    before = os.environ.get("POLARS_MAX_THREADS")
    with ProcessExecutor(1) as executor:
        assert executor.submit(_threads).result() == "1"
        with pytest.raises(BrokenProcessPool):
            executor.submit(os._exit, 9).result()
        executor.restart()
        assert executor.submit(divmod, 7, 2).result() == (3, 1)
    assert os.environ.get("POLARS_MAX_THREADS") == before
