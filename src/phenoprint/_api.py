"""Public functions that use several packages."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phenoprint.pipeline import RunResult, SimulatedScreen
    from phenoprint.simulation import ScreenDesign
    from phenoprint.store import Screen

__all__ = ["analyse", "open", "run", "simulate"]


def open(path: str | os.PathLike[str]) -> Screen:  # noqa: A001 - the public name is phenoprint.open
    """Open a finished or running screen, read-only.

    The catalog of a screen whose folder was moved or copied is rebuilt, so that other DuckDB clients read it, too.

    Parameters
    ----------
    path
        The screen folder.

    Raises
    ------
    ScreenNotFoundError
        If there is none.

    Examples
    --------
    >>> phenoprint.open("bbbc013").sql("SELECT count(*) FROM well")  # doctest: +SKIP
    """
    from phenoprint.store import open as open_screen

    screen = open_screen(Path(path))
    screen.repair_moved()
    return screen


def run(
    config_path: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    retry_failed: bool = False,
) -> Screen:
    """Run a screen from images to profiles; results that are up to date are kept.

    Parameters
    ----------
    config_path
        A ``screen.toml`` or a screen folder.
    output
        Screen folder; default: the screen's name, below the current folder.
    workers
        Processes; default: the available cores. Scripts that run a screen need the usual
        ``if __name__ == "__main__":`` guard, because workers are spawned.
    retry_failed
        Repeat units that failed on bad data, even if the data have not changed.

    Returns
    -------
    Screen
        The screen, ready for queries.

    Raises
    ------
    ConfigError
        If the configuration is wrong.
    ScreenLockedError
        If another run holds the screen.

    Warns
    -----
    UserWarning
        If some input of the screen could not be used.

    Examples
    --------
    >>> screen = phenoprint.run("workflows/screens/bbbc013.toml")  # doctest: +SKIP
    """
    from phenoprint.pipeline import run_screen

    where = None if output is None else Path(output)
    return _checked(run_screen(Path(config_path), output=where, workers=workers, retry_failed=retry_failed))


def analyse(screen: str | os.PathLike[str], *, workers: int | None = None, retry_failed: bool = False) -> Screen:
    """Run again what follows from the well profiles of a screen, without its images: recipe, scores, calls, clusters.

    Parameters
    ----------
    screen
        A screen folder with well profiles.
    workers, retry_failed
        As in `run`.

    Returns
    -------
    Screen
        The screen, ready for queries.

    Raises
    ------
    ConfigError
        If the screen has no well profiles, or the configuration is wrong.
    ScreenLockedError
        If another run holds the screen.

    Warns
    -----
    UserWarning
        If some input of the screen could not be used.

    Examples
    --------
    >>> screen = phenoprint.analyse("bbbc013")  # doctest: +SKIP
    """
    from phenoprint.pipeline import analyse_screen

    return _checked(analyse_screen(Path(screen), workers=workers, retry_failed=retry_failed))


def _checked(result: RunResult) -> Screen:
    """Return the screen of a run; warn if something of it could not be used."""
    if result.is_partial:
        warnings.warn(
            f"some input of {result.screen.path} could not be used; what and why: "
            'screen.table("lost"), screen.status().failures',
            stacklevel=3,
        )
    return result.screen


def simulate(
    folder: str | os.PathLike[str],
    *,
    design: ScreenDesign | None = None,
    workers: int | None = None,
    masks: bool = False,
) -> SimulatedScreen:
    """Write a simulated Cell Painting screen: TIFF images, a plate map, a configuration, and the truth separately.

    Parameters
    ----------
    folder
        Folder to write into.
    design
        What to draw, see `phenoprint.simulation.ScreenDesign`; default: one 384-well plate.
    workers
        Number of processes; it has no effect on the pixels.
    masks
        Whether to write the true masks as well.

    Returns
    -------
    SimulatedScreen
        Paths of the configuration, the images, the plate map and the truth.

    Examples
    --------
    >>> screen = phenoprint.run(phenoprint.simulate("pilot").config)  # doctest: +SKIP
    """
    from phenoprint.pipeline import simulate_screen

    return simulate_screen(Path(folder), design=design, workers=workers, masks=masks)
