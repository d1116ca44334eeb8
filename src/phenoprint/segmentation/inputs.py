"""Input of the segmenters: pixels in [0, 1], and the channels of nuclei and cells found by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from phenoprint.errors import ImageError, UnknownNameError, UsageError
from phenoprint.pixels import to_unit

__all__ = ["CELL_CHANNELS", "NUCLEUS_CHANNELS", "cell_channels", "nucleus_channel", "unit_pixels"]

NUCLEUS_CHANNELS = (
    "DNA",
    "DAPI",
    "Hoechst",
    "Nuclei",
    "Nucleus",
    "Nuclear",
    "DRAQ5",
    "H2B",
    "NuclearDNA",
    "HOECHST 33342",
)
"""Names of nuclear stains, the best first; case, spaces, dashes and underscores do not matter."""

CELL_CHANNELS = (
    "AGP",
    "RNA",
    "ER",
    "CellMask",
    "Cells",
    "Cytoplasm",
    "Actin",
    "Phalloidin",
    "Membrane",
    "Tubulin",
    "GFP",
    "Mito",
)
"""Channels that show whole cells, the best first. AGP (actin, Golgi, plasma membrane) and RNA fill them evenly."""

NOT_FLUORESCENT = ("brightfield", "bf", "phase", "dic", "transmitted", "tl", "brightfieldlow", "brightfieldhigh")


def unit_pixels(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Scale pixels to [0, 1] after checking that each is a number; see `phenoprint.pixels.to_unit`.

    Raises
    ------
    ImageError
        If there is no pixel, a pixel is NaN or infinite, or the type is neither integer, boolean nor float.
    """
    if pixels.size == 0:
        raise ImageError(f"the field has no pixels: shape {pixels.shape}")
    if pixels.dtype.kind not in "biuf":
        raise ImageError(f"pixels must be integers or floats, found {pixels.dtype}")
    # A sum is NaN or infinite if any value is: one pass, no copy.
    if not np.isfinite(pixels.sum(dtype=np.float64)):
        bad = int(pixels.size - np.isfinite(pixels).sum())
        raise ImageError(
            f"{bad} of {pixels.size} pixels are NaN or infinite; segmentation needs finite pixels: check the "
            "illumination correction, or replace these pixels first"
        )
    return to_unit(pixels)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def nucleus_channel(channels: Sequence[str], wanted: str | None = None) -> int:
    """Find the nuclear channel.

    Parameters
    ----------
    channels
        Names of all channels.
    wanted
        Name of the nuclear channel; None searches for the names in `NUCLEUS_CHANNELS`.

    Returns
    -------
    int
        Its index.

    Raises
    ------
    UnknownNameError
        If `wanted` is not among the channels.
    UsageError
        If no channel has one of the usual names.

    Examples
    --------
    >>> nucleus_channel(["GFP", "Hoechst 33342"])
    1
    """
    if wanted is not None:
        if wanted in channels:
            return list(channels).index(wanted)
        raise UnknownNameError("nucleus_channel", wanted, channels)
    plain = [_plain(name) for name in channels]
    for name in NUCLEUS_CHANNELS:
        if _plain(name) in plain:
            return plain.index(_plain(name))
    # "Hoechst33342" or "DAPI_460": the stain followed by something else.
    for name in NUCLEUS_CHANNELS[:3]:
        for index, given in enumerate(plain):
            if given.startswith(_plain(name)):
                return index
    raise UsageError(
        f"no nuclear channel: looked for {', '.join(NUCLEUS_CHANNELS)} and found {', '.join(channels) or 'none'}; "
        "name it with nucleus_channel=..."
    )


def cell_channels(
    channels: Sequence[str], *, nucleus: int, wanted: str | Sequence[str] | None = None
) -> tuple[int, ...]:
    """Find the channels whose mean shows the cells.

    Parameters
    ----------
    channels
        Names of all channels.
    nucleus
        Index of the nuclear channel, which is chosen only if it is in `wanted`.
    wanted
        One name or several; an empty sequence means none. None takes the first of `CELL_CHANNELS` that is among the
        channels, or else all other channels that are not transmitted light.

    Returns
    -------
    tuple of int
        Their indices; empty if no channel shows the cells.

    Raises
    ------
    UnknownNameError
        If a wanted name is not among the channels.

    Examples
    --------
    >>> cell_channels(["DNA", "ER", "RNA", "AGP", "Mito"], nucleus=0)
    (3,)
    """
    if wanted is not None:
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        for name in names:
            if name not in channels:
                raise UnknownNameError("cell channel", name, channels)
        return tuple(list(channels).index(name) for name in names)
    plain = [_plain(name) for name in channels]
    for name in CELL_CHANNELS:
        for index, given in enumerate(plain):
            if given == _plain(name) and index != nucleus:
                return (index,)
    return tuple(index for index, given in enumerate(plain) if index != nucleus and given not in NOT_FLUORESCENT)
