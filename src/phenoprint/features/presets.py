"""Named choices of feature families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.features.family import FAMILIES, FeatureFamily

__all__ = ["chosen_families", "presets"]

FamilyLike = str | Mapping[str, Any]

# The preset cell-painting-fast omits the measures with the highest cost for the information they add.
#
# Of the CPU time of the full preset on the reference field (1080 x 1080 pixels, 5 channels, 191 cells; 0.95 to
# 1.1 s, ``tests/benchmarks/features.py families``), the omitted measures take: texture scales 3 and 5 15 %, Costes
# 10 %, CellProfiler's choice among equal pixels 8 %, RWC 4 %, granularities 9 to 16 3 %. The rest takes 0.6 to 0.7 s.
#
# The loss was measured on a real plate of gene variants (VarChAMP PPL8, 286 wells, CellProfiler's own values, texture
# scales 5, 10, 20) and on a simulated one (384 wells, 12 mechanisms x 3 compounds x 3 doses): the largest ``|r|`` over
# wells between an omitted feature and any other (median; percentage of 0.9 and more), and the mean average precision
# of replicates among the other wells (real) or among controls (simulated), after removing one feature of each pair
# with ``|r|`` > 0.9 (``tests/benchmarks/preset_loss.py``):
#
# ==========================  =====================  =====================  ==========  ===============
# omitted                     real ``|r|``           simulated ``|r|``      real mAP    simulated mAP
# ==========================  =====================  =====================  ==========  ===============
# nothing                                                                   0.259       0.732
# all texture scales but 10   0.99; 83 %             0.94; 72 %             0.265       0.728
# Costes                      0.71; 0 %              (constant there)       0.274       0.732
# RWC                         0.80; 19 %             0.80; 35 %             0.256       0.729
# granularity 9 to 16         0.52; 0 %              0.28; 0 %              0.256       0.762
# all four                    0.99; 74 %             0.94; 66 %             0.279       0.760
# ==========================  =====================  =====================  ==========  ===============
#
# Two thirds of the omitted features are thus contained in other columns, and the others (Costes, high granularities)
# are hardly reproducible between wells. The nearest neighbour among other compounds has the same mechanism for 0.85 of
# the treatments of the simulated plate with all features, and for 0.89 with this preset.
_PRESETS: dict[str, tuple[str, Sequence[FamilyLike]]] = {
    "cell-painting-full": (
        "every family, with all parameters of a Cell Painting pipeline",
        (
            "shape",
            "intensity",
            "location",
            "neighbors",
            "correlation",
            "texture",
            "granularity",
            "radial",
            "image_quality",
        ),
    ),
    "cell-painting-fast": (
        "every family in two thirds of the time: texture at one scale, granularity to 8, no Costes, no RWC",
        (
            "shape",
            {"family": "intensity", "exact_ties": False},
            "location",
            "neighbors",
            {"family": "correlation", "measures": ("Correlation", "Overlap", "K", "Manders")},
            {"family": "texture", "scales": (10,)},
            {"family": "granularity", "length": 8},
            {"family": "radial", "exact_ties": False},
            "image_quality",
        ),
    ),
    "minimal": (
        "size, shape, intensity, neighbours and Pearson correlation",
        (
            {"family": "shape", "advanced": False, "zernike": False},
            "intensity",
            "location",
            "neighbors",
            {"family": "correlation", "measures": ("Correlation",)},
        ),
    ),
}


def presets() -> dict[str, str]:
    """Return the names of the presets with one-line descriptions.

    Examples
    --------
    >>> sorted(presets())
    ['cell-painting-fast', 'cell-painting-full', 'minimal']
    """
    return {name: text for name, (text, _) in _PRESETS.items()}


def chosen_families(preset: str, families: Sequence[FamilyLike] = ()) -> tuple[FeatureFamily, ...]:
    """Return the families of a preset and further ones, with their parameters.

    ``cell-painting-full`` has every feature of a CellProfiler pipeline for Cell Painting. ``cell-painting-fast`` leaves
    out two of three texture scales, the colocalization coefficients Costes and RWC, granularities beyond 8, and
    CellProfiler's choice among equally bright or equally deep pixels; every other value is the same. ``minimal`` is for
    counting and a first look.

    Parameters
    ----------
    preset
        A name in `presets`.
    families
        Families beyond the preset: a name in `FAMILIES`, or a mapping with ``family`` and its parameters. A family that
        the preset has is replaced.

    Raises
    ------
    UnknownNameError
        For an unknown preset, family or parameter.
    UsageError
        For a mapping without ``family``, and as `Registry.make`.

    Examples
    --------
    >>> [family.name for family in chosen_families("minimal", [{"family": "texture", "scales": [10]}])]
    ['shape', 'intensity', 'location', 'neighbors', 'correlation', 'texture']
    """
    if preset not in _PRESETS:
        raise UnknownNameError("preset", preset, _PRESETS)
    further = [_entry(family) for family in families]
    named = {name for name, _ in further}
    entries = [_entry(family) for family in _PRESETS[preset][1]]
    return tuple(
        FAMILIES.make(name, **parameters)
        for name, parameters in [*(entry for entry in entries if entry[0] not in named), *further]
    )


def _entry(family: FamilyLike) -> tuple[str, dict[str, Any]]:
    """Split an entry into name and parameters."""
    parameters = {"family": family} if isinstance(family, str) else dict(family)
    name = parameters.pop("family", None)
    if not isinstance(name, str):
        raise UsageError(
            f"a feature family is a name, or a table with family = NAME and its parameters; found {family!r}"
        )
    return name, parameters
