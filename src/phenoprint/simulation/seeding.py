"""Random streams that depend on purpose and position only, not on the order or the number of workers."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

__all__ = ["Stream", "stream"]


class Stream(IntEnum):
    """Purposes of random streams; each has numbers of its own."""

    COMPOUNDS = 1
    LAYOUT = 2
    BATCH = 3
    PLATE = 4
    WELL = 5
    FIELD = 6
    CELLS = 7
    CAMERA = 8
    TEXTURE = 9
    PROFILES = 10
    POSITION = 11


def stream(seed: int, purpose: Stream, *key: int) -> np.random.Generator:
    """Return the random generator of one purpose and position.

    Parameters
    ----------
    seed
        The screen's seed, 0 or more.
    purpose
        Purpose of the numbers.
    *key
        Indices of the position, such as plate, row, column, site.

    Returns
    -------
    numpy.random.Generator
        The same numbers for the same arguments, in any process.

    Examples
    --------
    >>> stream(1, Stream.WELL, 0, 3).random() == stream(1, Stream.WELL, 0, 3).random()
    True
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(int(purpose), *key))))
