"""Named choices of families."""

from __future__ import annotations

from collections.abc import Callable

from phenoprint.errors import UnknownNameError
from phenoprint.features.family import FeatureFamily

__all__ = ["preset_families", "presets"]

Families = tuple[FeatureFamily, ...]


def _full() -> Families:
    """Every family there is, with all parameters of a Cell Painting pipeline."""
    from phenoprint.features import _builtin as families

    return (
        families.shape.AreaShape(),
        families.intensity.Intensity(),
        families.location.Location(),
        families.neighbors.Neighbors(),
        families.correlation.Correlation(),
        families.texture.Texture(),
        families.granularity.Granularity(),
        families.radial.RadialDistribution(),
        families.imagequality.ImageQuality(),
    )


def _fast() -> Families:
    """Every family, without the parts that cost most for what they tell.

    Of the CPU time of the full preset on the reference field (1080 x 1080 pixels, 5 channels, 191 cells; 0.95 to
    1.1 s, ``tests/benchmarks/features.py families``), what is left out took: texture scales 3 and 5 15 %, Costes 10 %,
    CellProfiler's choice among equal pixels 8 %, RWC 4 %, granularities 9 to 16 3 %. The rest takes 0.6 to 0.7 s.

    What is lost, on a real plate of gene variants (VarChAMP PPL8, 286 wells, CellProfiler's own values, texture scales
    5, 10, 20) and on a simulated one (384 wells, 12 mechanisms x 3 compounds x 3 doses). The largest ``|r|`` over wells
    between a feature left out and any that is kept (median; share of 0.9 and more), and the mean average precision of
    replicates among the others (real) or among controls (simulated), after dropping one of each pair with
    ``|r|`` > 0.9 (``tests/benchmarks/preset_loss.py``):

    ==========================  =====================  =====================  ==========  ===============
    left out                    real ``|r|``           simulated ``|r|``      real mAP    simulated mAP
    ==========================  =====================  =====================  ==========  ===============
    nothing                                                                   0.259       0.732
    all texture scales but 10   0.99; 83 %             0.94; 72 %             0.265       0.728
    Costes                      0.71; 0 %              (constant there)       0.274       0.732
    RWC                         0.80; 19 %             0.80; 35 %             0.256       0.729
    granularity 9 to 16         0.52; 0 %              0.28; 0 %              0.256       0.762
    all four                    0.99; 74 %             0.94; 66 %             0.279       0.760
    ==========================  =====================  =====================  ==========  ===============

    So two thirds of what is left out is there in another column, and the rest (Costes, high granularities) hardly
    repeats from well to well. Mechanisms of the simulated plate, nearest neighbour among other compounds: 0.85 right
    with all features, 0.89 with these.
    """
    from phenoprint.features import _builtin as families

    return (
        families.shape.AreaShape(),
        families.intensity.Intensity(exact_ties=False),
        families.location.Location(),
        families.neighbors.Neighbors(),
        families.correlation.Correlation(measures=("Correlation", "Overlap", "K", "Manders")),
        families.texture.Texture(scales=(10,)),
        families.granularity.Granularity(length=8),
        families.radial.RadialDistribution(exact_ties=False),
        families.imagequality.ImageQuality(),
    )


def _minimal() -> Families:
    """Size, shape, intensity, neighbours and Pearson correlation."""
    from phenoprint.features import _builtin as families

    return (
        families.shape.AreaShape(advanced=False, zernike=False),
        families.intensity.Intensity(),
        families.location.Location(),
        families.neighbors.Neighbors(),
        families.correlation.Correlation(measures=("Correlation",)),
    )


_PRESETS: dict[str, tuple[str, Callable[[], Families]]] = {
    "cell-painting-full": ("every family there is, with all parameters of a Cell Painting pipeline", _full),
    "cell-painting-fast": (
        "every family in two thirds of the time: texture at one scale, granularity to 8, no Costes, no RWC",
        _fast,
    ),
    "minimal": ("size, shape, intensity, neighbours and Pearson correlation", _minimal),
}


def presets() -> dict[str, str]:
    """Names of the presets, each with a line on what it measures.

    Examples
    --------
    >>> sorted(presets())
    ['cell-painting-fast', 'cell-painting-full', 'minimal']
    """
    return {name: text for name, (text, _) in _PRESETS.items()}


def preset_families(preset: str) -> tuple[FeatureFamily, ...]:
    """Return the families of a preset with their parameters.

    ``cell-painting-full`` has every feature of a CellProfiler pipeline for Cell Painting. ``cell-painting-fast`` leaves
    out what costs most for what it tells: two of three texture scales, the colocalization coefficients Costes and RWC,
    granularities beyond 8, and CellProfiler's choice among equally bright or equally deep pixels; every other value is
    the same. ``minimal`` is for counting and a first look.

    Raises
    ------
    UnknownNameError
        If there is no such preset.
    """
    if preset not in _PRESETS:
        raise UnknownNameError("preset", preset, _PRESETS)
    return _PRESETS[preset][1]()
