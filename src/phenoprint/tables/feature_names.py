"""Names of features: ``Compartment_Family_Measure[_Channel][_parameters]``, as CellProfiler writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

__all__ = ["FeatureName", "channels_of", "split_channels", "split_feature"]

_COMPARTMENTS: Final = ("Nuclei", "Cells", "Cytoplasm", "Image")
_INTENSITY: Final = re.compile(r"[A-Za-z]+_Intensity_(?:MeanIntensity|IntegratedIntensity|MedianIntensity)_(.+)")
_IN_CARTA: Final = re.compile(r".+_(wv\d+)")


class FeatureName(NamedTuple):
    """Parts of a feature's name; None where the name has no such part.

    Parameters
    ----------
    compartment, family, measure
        The first three parts. Of a name without a compartment, `measure` is the whole name.
    channel
        One channel, or several joined by a comma.
    parameters
        The words that remain, joined by ``_``.
    """

    compartment: str | None
    family: str | None
    measure: str | None
    channel: str | None
    parameters: str | None


def channels_of(features: Iterable[str]) -> tuple[str, ...]:
    """Find the channels that features are named after: those whose mean intensity is measured.

    Examples
    --------
    >>> channels_of(["Cells_Intensity_MeanIntensity_DNA", "Nuclei_Texture_Contrast_ER_3_00_256"])
    ('DNA',)
    """
    return tuple(dict.fromkeys(match[1] for name in features if (match := _INTENSITY.fullmatch(name))))


def split_channels(text: str, channels: Sequence[str]) -> list[tuple[str, bool]]:
    """Split a part of a name into words and channels; a channel may contain ``_``.

    Parameters
    ----------
    text
        Words joined by ``_``.
    channels
        Names of channels; the longest that fits is taken.

    Returns
    -------
    list of tuple
        Each word or channel, and whether it is a channel.

    Examples
    --------
    >>> split_channels("Contrast_DNA_brightfield_3", ["DNA", "DNA_brightfield"])
    [('Contrast', False), ('DNA_brightfield', True), ('3', False)]
    """
    by_length = sorted(channels, key=len, reverse=True)
    found: list[tuple[str, bool]] = []
    while text:
        channel = next((c for c in by_length if text == c or text.startswith(f"{c}_")), None)
        taken = text.partition("_")[0] if channel is None else channel
        found.append((taken, channel is not None))
        text = text[len(taken) + 1 :]
    return found


def split_feature(name: str, channels: Sequence[str]) -> FeatureName:
    """Split the name of a feature.

    Parameters
    ----------
    name
        The feature.
    channels
        Names of channels, see `channels_of`.

    Examples
    --------
    >>> split_feature("Cells_Texture_Contrast_DNA_3_00_256", ["DNA"])
    FeatureName(compartment='Cells', family='Texture', measure='Contrast', channel='DNA', parameters='3_00_256')
    >>> split_feature("Cells_Correlation_RWC_ER_DNA", ["DNA", "ER"])[2:]
    ('RWC', 'ER,DNA', None)
    """
    compartment, _, rest = name.partition("_")
    if compartment not in _COMPARTMENTS or not rest:
        match = _IN_CARTA.fullmatch(name)
        return FeatureName(None, None, name, match[1] if match else None, None)
    family, _, tail = rest.partition("_")
    words = split_channels(tail, channels)
    is_first = (
        [is_channel for _, is_channel in words] if any(c for _, c in words) else [w[:1].isdigit() for w, _ in words]
    )
    first = is_first.index(True) if True in is_first else len(words)
    measure = "_".join(word for word, _ in words[:first])
    channel = ",".join(word for word, is_channel in words if is_channel)
    parameters = "_".join(word for word, is_channel in words[first:] if word and not is_channel)
    return FeatureName(compartment, family, measure or None, channel or None, parameters or None)
