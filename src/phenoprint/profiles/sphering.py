"""Sphering and typical variation normalization, after which controls vary equally in all directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from phenoprint.errors import DataError, UnknownNameError
from phenoprint.profiles.normalizers import Fit, Normalizer, learned
from phenoprint.profiles.whitening import KINDS, Whitening, fit_whitening
from phenoprint.tables import MOST_LACKED, mean, sd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FloatArray, IntArray

__all__ = ["Sphering", "SpheringFit", "Tvn", "held_out_variances"]


@dataclass(frozen=True)
class SpheringFit(Fit):
    """A fitted sphering.

    Attributes
    ----------
    used
        Which features vary and have reference values; shape (features,).
    steps
        Whitenings of the used features, applied one after the other (TVN has two); empty if the reference was too
        small.
    held_out
        Variance of transformed wells that were held out from a fit, about the mean of the fitted wells, shape (used
        features or components,): near 1 if the sphering generalizes, large if it was fitted to noise. None if there
        are too few wells for a split.
    reference
        Reference wells of one group, shape (features, wells), until all groups are fitted together; then None.
    """

    used: NDArray[np.bool_] | None = None
    steps: tuple[Whitening, ...] = ()
    held_out: NDArray[np.float64] | None = None
    reference: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Sphering(Normalizer):
    """Whiten: transform the reference wells to mean 0, variance 1 and no correlation.

    Parameters
    ----------
    kind
        ``"ZCA-cor"`` (closest to the standardized features), ``"ZCA"`` (closest to the features), ``"PCA"`` and
        ``"PCA-cor"`` (features become ``PC1``, ``PC2``, ...).
    regularization
        Shrinkage of the covariance towards a multiple of the identity: a share from 0 to 1, ``"ledoit_wolf"``, or
        ``"plates"``, the share with the largest likelihood of held-out plates. 0 is no shrinkage: the covariance of the
        transformed controls is then the identity in the subspace that they span. With fewer controls than features the
        other directions are undefined, so use shrinkage.
    outside
        Without shrinkage, the rule for directions in which the controls do not vary: ``"drop"``, or ``"smallest"``: use
        the smallest variance of the other directions (pycytominer's rule).

    Notes
    -----
    Kessy, Lewin and Strimmer, Am Stat 72:309, 2018. Fit to many plates (``by=[]`` or a batch), since one plate
    has few controls. Equals ``pycytominer.normalize(method="spherize", spherize_epsilon=0)`` with ``regularization=0,
    outside="smallest"``; its epsilon is added to singular values, ours is a share of the covariance. Every fit is
    checked; one that does not whiten is an error.
    """

    name: ClassVar[str] = "sphering"
    spread_name: ClassVar[str] = "sd"
    done: ClassVar[str] = "sphered on {n} reference values"
    is_joint: ClassVar[bool] = True
    kind: str = "ZCA-cor"
    regularization: float | str = "ledoit_wolf"
    outside: str = "drop"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("kind of whitening", self.kind, KINDS)

    def fit(self, reference: FloatArray, *, blocks: IntArray | None = None) -> SpheringFit:
        """Estimate the covariance of the reference and check the whitening."""
        fit, rows = _start(reference)
        if fit.used is None or not fit.used.any():
            return fit
        whitening = fit_whitening(rows, self.kind, share=self.regularization, outside=self.outside, blocks=blocks)
        return replace(
            fit, steps=(whitening,), held_out=held_out_variances(rows, blocks, whitening, self.regularization)
        )

    def outputs(self, features: Sequence[str], fits: Sequence[Fit]) -> list[str]:
        """Keep the names for ZCA; ``PC1`` onwards for PCA."""
        if self.kind.startswith("ZCA"):
            return list(features)
        rank = max((fit.steps[0].rank for fit in fits if isinstance(fit, SpheringFit) and fit.steps), default=0)
        return [f"PC{i}" for i in range(1, rank + 1)]

    def apply(self, values: FloatArray, fit: Fit) -> NDArray[np.float64]:
        """Transform wells, shape (features, wells); NaN for features without spread and for damaged wells.

        A well that lacks a quarter of the features or fewer has the mean of the reference there.
        """
        return _apply(values, fit, is_component=self.kind.startswith("PCA"))


@dataclass(frozen=True)
class Tvn(Normalizer):
    """Typical variation normalization: whiten with all controls, then align the controls of each plate (or batch).

    The controls of every group are centred, and their common covariance is whitened. Then the covariance of the
    controls of each group in that space is mapped to the identity (correlation alignment).

    Parameters
    ----------
    regularization
        Shrinkage of the common whitening, as in `Sphering`.
    alignment
        Shrinkage of each group's covariance towards a multiple of the identity, a share or ``"ledoit_wolf"``; 1 aligns
        only mean and overall scale. A group has few controls, and a fit without shrinkage fits their noise.

    Notes
    -----
    Ando, McLean and Berndl, bioRxiv 161422, 2017, with the shrinkage of Ledoit and Wolf, where the original adds a
    constant to the diagonal, and ZCA instead of PCA axes, so that features keep their names; distances are the same.
    """

    name: ClassVar[str] = "tvn"
    spread_name: ClassVar[str] = "sd"
    done: ClassVar[str] = "sphered with all groups, then aligned by {n} reference values"
    is_joint: ClassVar[bool] = True
    regularization: float | str = "ledoit_wolf"
    alignment: float | str = "ledoit_wolf"

    def fit(self, reference: FloatArray, *, blocks: IntArray | None = None) -> SpheringFit:
        """Keep the group's reference for `pool`, which fits."""
        del blocks
        return replace(_start(reference)[0], reference=np.asarray(reference, dtype=np.float64))

    def pool(self, fits: Sequence[Fit]) -> list[Fit]:
        """Fit the common whitening and each group's alignment."""
        raw = [(fit, fit.reference) for fit in fits if isinstance(fit, SpheringFit) and fit.reference is not None]
        if not raw:
            return list(fits)
        used = np.all([fit.scale > 0 for fit, _ in raw], axis=0)
        if not used.any():
            raise DataError("TVN needs features that vary among the controls of every group; found none")
        rows = [np.ascontiguousarray(reference[used].T) - fit.center[used] for fit, reference in raw]
        groups = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
        common = fit_whitening(np.concatenate(rows), "ZCA-cor", share=self.regularization, blocks=groups)
        return [self._align(fit, used, common) if isinstance(fit, SpheringFit) else fit for fit in fits]

    def _align(self, fit: SpheringFit, used: NDArray[np.bool_], common: Whitening) -> SpheringFit:
        if fit.reference is None:
            return fit
        own = replace(common, center=fit.center[used] + common.center)
        aligned = fit_whitening(
            own.apply(np.ascontiguousarray(fit.reference[used].T)), "ZCA", share=self.alignment, outside="smallest"
        )
        scale = np.where(used, fit.scale, np.where(np.isnan(fit.scale), np.nan, 0.0))
        return replace(fit, used=used, scale=scale, steps=(own, aligned), reference=None)

    def apply(self, values: FloatArray, fit: Fit) -> NDArray[np.float64]:
        """Transform wells, shape (features, wells); NaN for features without spread and for damaged wells.

        A well that lacks a quarter of the features or fewer has the mean of the reference there.
        """
        return _apply(values, fit, is_component=False)


def _start(reference: FloatArray) -> tuple[SpheringFit, NDArray[np.float64]]:
    """Find the features that vary; return an initial fit, and the wells, shape (wells, used features), float64."""
    plain = learned(reference, mean(reference), sd(reference, ddof=1))
    used = (plain.scale > 0) & (plain.n == reference.shape[1])
    scale = np.where(np.isnan(plain.scale), plain.scale, np.where(used, plain.scale, 0.0))
    fit = SpheringFit(plain.center, scale, plain.spread, plain.n, used=used)
    return fit, np.ascontiguousarray(reference[used].T, dtype=np.float64)


def _apply(values: FloatArray, fit: Fit, *, is_component: bool) -> NDArray[np.float64]:
    if not isinstance(fit, SpheringFit) or fit.used is None or not fit.steps:
        return np.full(values.shape, np.nan)
    rows = np.ascontiguousarray(values[fit.used].T, dtype=np.float64)
    absent = np.isnan(rows)
    is_repaired = absent.any(axis=1) & (absent.mean(axis=1) <= MOST_LACKED)
    rows[is_repaired] = np.where(absent[is_repaired], fit.center[fit.used], rows[is_repaired])
    for step in fit.steps:
        rows = step.apply(rows)
    if is_component:
        return np.ascontiguousarray(rows.T)
    out = np.full(values.shape, np.nan)
    out[fit.used] = rows.T
    return out


def held_out_variances(
    rows: NDArray[np.float64],
    blocks: IntArray | None,
    fitted: Whitening,
    share: float | str,
) -> NDArray[np.float64] | None:
    """Compute the variance of held-out wells after a whitening that was fitted to the other wells.

    Every third plate is held out. The variance is that about the mean of the fitted wells.

    Parameters
    ----------
    rows
        Reference wells, shape (wells, features).
    blocks
        Plate of each well; with fewer than three plates every third well is held out instead.
    fitted
        The whitening of all rows, which determines the kind.
    share
        Its shrinkage, or the rule that chooses it, which is applied again without the held-out wells.

    Returns
    -------
    numpy.ndarray or None
        Shape (features or components,); None for fewer than nine wells or if a feature is constant in the other wells.
    """
    if len(rows) < 9:
        return None
    plates = np.unique(np.zeros(len(rows)) if blocks is None else blocks, return_inverse=True)[1]
    held = (plates if plates.max(initial=0) >= 2 else np.arange(len(rows))) % 3 == 2
    if not (np.ptp(rows[~held], axis=0) > 0).all():
        return None
    try:
        inside = None if blocks is None else blocks[~held]
        trial = fit_whitening(rows[~held], fitted.kind, share=share, outside="drop", blocks=inside)
    except DataError:
        return None
    transformed = trial.apply(rows[held])
    variances: NDArray[np.float64] = (transformed**2).mean(axis=0)
    return variances
