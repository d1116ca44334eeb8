"""Named choices of families."""

from __future__ import annotations

from phenoprint.errors import UnknownNameError
from phenoprint.features.family import FeatureFamily

__all__ = ["preset_families", "presets"]


def _presets() -> dict[str, tuple[str, tuple[FeatureFamily, ...]]]:
    from phenoprint.features._builtin import (
        correlation,
        granularity,
        intensity,
        location,
        neighbors,
        radial,
        shape,
        texture,
    )

    full: tuple[FeatureFamily, ...] = (
        shape.AreaShape(),
        intensity.Intensity(),
        location.Location(),
        neighbors.Neighbors(),
        correlation.Correlation(),
        texture.Texture(),
        granularity.Granularity(),
        radial.RadialDistribution(),
    )
    small: tuple[FeatureFamily, ...] = (
        shape.AreaShape(advanced=False, zernike=False),
        intensity.Intensity(),
        location.Location(),
        neighbors.Neighbors(),
        correlation.Correlation(pearson_only=True),
    )
    return {
        "cell-painting-full": ("every family there is, with all parameters of a Cell Painting pipeline", full),
        "minimal": ("size, shape, intensity, neighbours and Pearson correlation", small),
    }


def presets() -> dict[str, str]:
    """Names of the presets, each with a line on what it measures.

    Examples
    --------
    >>> sorted(presets())
    ['cell-painting-full', 'minimal']
    """
    return {name: text for name, (text, _) in _presets().items()}


def preset_families(preset: str) -> tuple[FeatureFamily, ...]:
    """Return the families of a preset with their parameters.

    Raises
    ------
    UnknownNameError
        If there is no such preset.
    """
    known = _presets()
    if preset not in known:
        raise UnknownNameError("preset", preset, known)
    return known[preset][1]
