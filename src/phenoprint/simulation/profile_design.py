"""Designs of simulated well profiles: plates, treatments, effects and nuisances, and a few designs by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from phenoprint.errors import UsageError
from phenoprint.plates import PlateFormat

__all__ = ["PROFILE_DESIGNS", "ProfileDesign"]

_FRACTIONS = ("share_inert", "share_two_mechanisms", "share_unlabelled", "share_cytotoxic", "missing")
_SIZES = ("position_effect", "batch_effect", "plate_error", "density_effect", "count_spread")


@dataclass(frozen=True, kw_only=True)
class ProfileDesign:
    """The complete design of simulated well profiles.

    A library of `n_compounds` compounds at `n_doses` doses is tested with `n_replicates` wells per treatment. With no
    more plates than replicates, every plate holds the whole library ``n_replicates / n_plates`` times. With more,
    the library is divided among ``n_plates / n_replicates`` sets of plates, and each plate of a set holds a treatment
    once. All sizes of effects are lengths relative to the typical length of the noise of a well, over all features.

    Parameters
    ----------
    n_plates, plate_format
        Number of plates and wells per plate. One of `n_plates` and `n_replicates` is a multiple of the other.
    layout
        ``"same"``: the plates of a set have one layout, and controls have the same positions on all plates;
        ``"random"``: each plate has its own.
    n_controls, n_positive
        Negative and positive control wells per plate; the positive controls are one compound.
    n_replicates
        Wells per treatment, over all plates.
    n_compounds
        Compounds of the library; None fills the plates.
    n_mechanisms
        Mechanisms; compounds that are not inert take them in turn.
    n_doses, dose_range_um
        Doses of every compound, evenly spaced on a logarithmic scale. One dose is the highest, at full effect.
    share_inert
        Fraction of the compounds without any effect.
    effect_size
        Smallest and largest effect of a compound at an infinite dose, drawn evenly on a logarithmic scale. 1 shifts
        the profile as far as the noise of one well does.
    mechanism_cosine
        Cosine between mechanisms. A number: between any two. A pair: between the two mechanisms of each successive
        pair, evenly spaced from the first value to the second; mechanisms of different pairs are orthogonal.
    fidelity
        Cosine between the effect of a compound and that of its mechanism.
    share_two_mechanisms
        Fraction of the active compounds with two mechanisms, labelled ``A|B``.
    share_unlabelled
        Fraction of the active compounds whose ``Metadata_moa`` is null.
    share_cytotoxic
        Fraction of the active compounds that kill cells at the highest doses, with a phenotype that they share.
    position_effect
        Size of the effect of a well's position, the same on all plates.
    position_smoothness
        Part of the variance of the position effect that follows rows, columns and the edge; the rest differs from
        position to position.
    n_batches, batches
        Number of batches, and what they divide: ``"replicates"`` or ``"compounds"``.
    batch_effect, plate_error
        Size of the shift of each batch and plate; they also change the scale of each feature.
    n_cells, count_spread
        Typical number of cells of a well, and standard deviation of its natural logarithm.
    density_effect
        Shift of the profile per natural logarithm of the number of cells.
    n_features, effective_dimension
        Number of features, and effective number of dimensions of their noise,
        ``trace(covariance)^2 / trace(covariance^2)``.
    tail_df
        Degrees of freedom of the noise of a well (multivariate t); infinity is normal, 3 has heavy tails.
    missing
        Fraction of values that are missing at random.
    n_damaged
        Wells that lack half of the features.

    Raises
    ------
    UsageError
        If a value is out of range, or the treatments do not fit on the plates.

    Examples
    --------
    >>> ProfileDesign(n_plates=4, n_replicates=4).compounds
    352
    >>> ProfileDesign(n_plates=4, n_replicates=2, n_doses=4, n_compounds=100).n_sets
    2
    """

    n_plates: int = 4
    plate_format: int = 384
    layout: Literal["same", "random"] = "same"
    n_controls: int = 32
    n_positive: int = 0
    n_replicates: int = 4
    n_compounds: int | None = None
    n_mechanisms: int = 12
    n_doses: int = 1
    dose_range_um: tuple[float, float] = (0.03, 30.0)
    share_inert: float = 0.5
    effect_size: tuple[float, float] = (0.5, 3.0)
    mechanism_cosine: float | tuple[float, float] = (0.3, 0.9)
    fidelity: float = 0.95
    share_two_mechanisms: float = 0.0
    share_unlabelled: float = 0.0
    share_cytotoxic: float = 0.0
    position_effect: float = 0.0
    position_smoothness: float = 0.0
    n_batches: int = 1
    batches: Literal["replicates", "compounds"] = "replicates"
    batch_effect: float = 0.0
    plate_error: float = 0.5
    n_cells: float = 1500.0
    count_spread: float = 0.12
    density_effect: float = 0.0
    n_features: int = 300
    effective_dimension: float = 25.0
    tail_df: float = math.inf
    missing: float = 0.0
    n_damaged: int = 0

    def __post_init__(self) -> None:
        """Check all values."""
        PlateFormat.of(self.plate_format)
        for name in ("n_plates", "n_replicates", "n_mechanisms", "n_doses", "n_features", "n_batches"):
            self._check(name, getattr(self, name) >= 1, "1 or more")
        for name in ("n_controls", "n_positive", "n_damaged", *_SIZES):
            self._check(name, 0 <= getattr(self, name) < math.inf, "0 or more")
        for name in (*_FRACTIONS, "position_smoothness", "fidelity"):
            self._check(name, 0 <= getattr(self, name) <= 1, "between 0 and 1")
        cosines = self.mechanism_cosine if isinstance(self.mechanism_cosine, tuple) else (self.mechanism_cosine,)
        self._check("mechanism_cosine", all(0 <= value < 1 for value in cosines), "at least 0 and below 1")
        for name in ("effect_size", "dose_range_um"):
            low, high = getattr(self, name)
            self._check(name, 0 < low <= high < math.inf, "a pair above 0, the smaller first")
        self._check("layout", self.layout in ("same", "random"), "same or random")
        self._check("batches", self.batches in ("replicates", "compounds"), "replicates or compounds")
        self._check("tail_df", self.tail_df > 2, "above 2")
        self._check("effective_dimension", self.effective_dimension >= 1, "1 or more")
        self._check("n_mechanisms", 2 * self.n_mechanisms <= self.n_features, "at most half of n_features")
        self._check("n_cells", self.n_cells > 0, "above 0")
        if max(self.n_plates, self.n_replicates) % min(self.n_plates, self.n_replicates):
            raise UsageError(
                f"one of n_plates and n_replicates must be a multiple of the other, got {self.n_plates} "
                f"and {self.n_replicates}"
            )
        divided = self.n_copies if self.batches == "replicates" else self.n_sets
        self._check("n_batches", self.n_batches <= divided, f"at most {divided}, the number of groups of plates")
        if self.compounds < 1 or self.compounds > self._capacity:
            raise UsageError(
                f"{self.n_plates} plate(s) of {self.plate_format} wells with {self.n_controls} + {self.n_positive} "
                f"controls have room for {max(self._capacity, 0)} compounds at {self.n_doses} dose(s) and "
                f"{self.n_replicates} replicates, got n_compounds={self.n_compounds}"
            )

    def _check(self, name: str, is_good: bool, wanted: str) -> None:
        if not is_good:
            raise UsageError(f"{name} must be {wanted}, got {getattr(self, name)!r}")

    @property
    def n_copies(self) -> int:
        """Number of plates that hold the same treatments."""
        return min(self.n_plates, self.n_replicates)

    @property
    def n_sets(self) -> int:
        """Number of sets of plates, each with treatments of its own."""
        return self.n_plates // self.n_copies

    @property
    def wells_per_plate(self) -> int:
        """Number of wells of a treatment on each plate that holds it."""
        return self.n_replicates // self.n_copies

    @property
    def compounds(self) -> int:
        """Number of compounds of the library."""
        return self._capacity if self.n_compounds is None else self.n_compounds

    @property
    def _capacity(self) -> int:
        free = self.plate_format - self.n_controls - self.n_positive
        return self.n_sets * (free // (self.n_doses * self.wells_per_plate))


PROFILE_DESIGNS: Mapping[str, ProfileDesign] = MappingProxyType(
    {
        "null": ProfileDesign(share_inert=1.0),
        "position": ProfileDesign(share_inert=1.0, position_effect=1.0),
        "batch": ProfileDesign(
            share_inert=1.0, n_plates=8, n_batches=2, n_replicates=4, batches="compounds", batch_effect=2.0
        ),
        "mechanism": ProfileDesign(
            n_compounds=96, n_plates=4, n_positive=8, layout="random", share_two_mechanisms=0.1, share_inert=0.5
        ),
        "dose": ProfileDesign(
            n_compounds=40,
            n_doses=8,
            n_positive=8,
            share_two_mechanisms=0.1,
            share_cytotoxic=0.3,
            effect_size=(1.0, 4.0),
        ),
    }
)
"""Designs by name: ``null`` (no effects), ``position`` (the same layout on all plates, position effects as large as the
noise of a well, no treatment effect), ``batch`` (compounds divided between two batches, no treatment effect),
``mechanism`` (twelve overlapping mechanisms, half of the compounds inert) and ``dose`` (eight doses, cytotoxicity)."""
