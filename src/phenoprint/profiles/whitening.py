"""Whitening: a linear map that makes the reference wells uncorrelated with variance one, and its check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from phenoprint.errors import DataError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

__all__ = ["KINDS", "TOLERANCE", "Whitening", "fit_whitening", "ledoit_wolf_share", "shrinkage_by_plates"]

KINDS = ("PCA", "PCA-cor", "ZCA", "ZCA-cor")
"""PCA rotates to the principal axes, ZCA also rotates back; ``-cor`` first scales every feature to variance one."""

TOLERANCE = 1e-6
"""Largest accepted deviation of the covariance of the transformed reference from the identity."""

_NOISE = 1e-9  # with eigenvalues below this share of the largest, use a singular value decomposition


@dataclass(frozen=True)
class Whitening:
    """A fitted whitening.

    With the covariance ``S`` of the reference (n - 1) and its eigenvectors, the map is ``S*^(-1/2)`` (ZCA) or the
    coordinates along the eigenvectors divided by the root of their eigenvalues (PCA), where ``S* = (1 - share) S +
    share * target * I``.

    Attributes
    ----------
    kind
        One of `KINDS`.
    center
        Mean of the reference, shape (features,).
    scale
        Divisor after centring; ones unless the kind ends in ``-cor``; shape (features,).
    basis
        Eigenvectors of the fitted subspace, shape (rank, features).
    variances
        Variances of the (shrunk) covariance along them, shape (rank,), largest first.
    outside
        Variance used for directions in which the reference does not vary; 0: such directions are dropped.
    share, target
        Parameters of the shrinkage.
    n
        Number of reference wells.
    error
        Largest deviation of the covariance of the transformed reference (with the same shrinkage) from the identity.
    """

    kind: str
    center: Matrix
    scale: Matrix
    basis: Matrix
    variances: Matrix
    outside: float
    share: float
    target: float
    n: int
    error: float

    @property
    def rank(self) -> int:
        """Dimension of the fitted subspace."""
        return len(self.basis)

    def apply(self, rows: Matrix) -> Matrix:
        """Transform profiles, shape (rows, features), to (rows, features) for ZCA and (rows, rank) for PCA."""
        standard = (rows - self.center) / self.scale
        within = standard @ self.basis.T
        weights = 1 / np.sqrt(self.variances)
        if self.kind.startswith("PCA"):
            coordinates: Matrix = within * weights
            return coordinates
        if self.outside > 0:
            beyond = 1 / np.sqrt(self.outside)
            full: Matrix = standard * beyond + (within * (weights - beyond)) @ self.basis
            return full
        projected: Matrix = (within * weights) @ self.basis
        return projected


def fit_whitening(
    reference: Matrix,
    kind: str = "ZCA-cor",
    *,
    share: float | str = "ledoit_wolf",
    outside: str = "drop",
    blocks: NDArray[np.intp] | None = None,
) -> Whitening:
    """Fit a whitening and check that it whitens.

    Parameters
    ----------
    reference
        Shape (wells, features), complete; every feature must vary.
    kind
        One of `KINDS`.
    share
        Shrinkage towards a multiple of the identity, 0 to 1: 0 is none, ``"ledoit_wolf"`` the closed form,
        ``"plates"`` the share with the largest likelihood of held-out plates.
    outside
        Without shrinkage, the rule for directions in which the reference does not vary: ``"drop"``, or ``"smallest"``:
        use the smallest variance of the other directions (pycytominer's rule).
    blocks
        Plate of each well, for ``"plates"``.

    Returns
    -------
    Whitening
        The fitted and checked map.

    Raises
    ------
    DataError
        If the result does not whiten, or there are fewer than three wells or no feature.
    UnknownNameError, UsageError
        For an unknown kind or rule, or a share outside 0 to 1.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of whitening", kind, KINDS)
    if outside not in ("drop", "smallest"):
        raise UnknownNameError("rule for directions outside the reference", outside, ["drop", "smallest"])
    n, width = reference.shape
    if n < 3 or not width:
        raise DataError(f"whitening needs at least 3 reference wells and 1 feature; found {n} wells, {width} features")
    center = reference.mean(axis=0)
    standard = reference - center
    spread = standard.std(axis=0, ddof=1)
    if not (spread > 0).all():
        raise DataError(f"whitening needs features that vary; {int((spread <= 0).sum())} of {width} are constant")
    scale = spread if kind.endswith("-cor") else np.ones(width)
    standard = standard / scale
    gram = _gram(standard)
    amount = _share(standard, gram, share, blocks)
    basis, variances, along = principal_axes(standard, gram)
    target = float(np.trace(gram) / (n - 1) / width)
    shrunk = (1 - amount) * variances + amount * target
    error = _deviation(along, shrunk, amount, target)
    if not error <= TOLERANCE:
        raise DataError(
            f"the sphering does not whiten: the covariance of the transformed reference differs from the identity by "
            f"{error:.2g}, more than {TOLERANCE:g}. The reference is too nearly degenerate ({n} wells, {width} "
            "features): drop redundant features first, or shrink with regularization='ledoit_wolf'"
        )
    beyond = amount * target if amount else (float(shrunk[-1]) if outside == "smallest" else 0.0)
    return Whitening(kind, center, scale, basis, shrunk, beyond, amount, target, n, error)


def _gram(standard: Matrix) -> Matrix:
    """Compute the products of all pairs of rows or of columns, whichever are fewer."""
    return standard @ standard.T if len(standard) <= standard.shape[1] else standard.T @ standard


def principal_axes(standard: Matrix, gram: Matrix | None = None) -> tuple[Matrix, Matrix, Matrix]:
    """Find the axes along which centred rows vary.

    Parameters
    ----------
    standard
        Shape (n, features), centred.
    gram
        Their products, if already computed: of rows if n is not larger than the number of features, else of columns.

    Returns
    -------
    tuple
        Axes (rank, features), variances (n - 1) along them, largest first (rank,), and the covariance of the rows'
        coordinates along them (rank, rank), for the check: diagonal except for rounding.
    """
    n, width = standard.shape
    most = min(n - 1, width)
    products = _gram(standard) if gram is None else gram
    if most:
        values, vectors = np.linalg.eigh(products / (n - 1))
        values, vectors = values[::-1][:most], vectors[:, ::-1][:, :most]
        if values[-1] > _NOISE * values[0]:
            if n > width:
                return vectors.T, values, vectors.T @ (products / (n - 1)) @ vectors
            basis = (standard.T @ vectors / np.sqrt(values * (n - 1))).T
            return basis, values, _covariance(standard @ basis.T)
    # Products have half of the digits, too few for nearly degenerate data.
    left, singular, right = np.linalg.svd(standard, full_matrices=False)
    floor = singular[0] * max(n, width) * np.finfo(np.float64).eps if len(singular) else 0.0
    rank = min(int((singular > floor).sum()), most)
    return right[:rank], singular[:rank] ** 2 / (n - 1), _covariance(left[:, :rank] * singular[:rank])


def _covariance(coordinates: Matrix) -> Matrix:
    centered = coordinates - coordinates.mean(axis=0)
    products: Matrix = centered.T @ centered / max(len(centered) - 1, 1)
    return products


def _deviation(along: Matrix, shrunk: Matrix, share: float, target: float) -> float:
    """Return the largest deviation of the shrunk and whitened covariance along the axes from the identity."""
    if not len(shrunk):
        return 0.0
    root = np.sqrt(shrunk)
    covariance = (1 - share) * along / root / root[:, None]
    covariance[np.diag_indices_from(covariance)] += share * target / shrunk - 1
    return float(np.abs(covariance).max())


def ledoit_wolf_share(standard: Matrix, gram: Matrix | None = None) -> float:
    """Compute the shrinkage that minimizes the expected squared error of the covariance.

    Parameters
    ----------
    standard
        Centred rows, shape (n, features).
    gram
        Their products, as in `principal_axes`, if already computed.

    Returns
    -------
    float
        Share of the target, 0 to 1.

    Notes
    -----
    Ledoit and Wolf, J Multivar Anal 88:365, 2004. Computed from the smaller of the two products, without
    the fourth powers of all pairs of features.
    """
    n, width = standard.shape
    products = _gram(standard) if gram is None else gram
    squared = float(np.vdot(products, products)) / n**2  # of the covariance (n), all entries
    target = float(np.trace(products)) / n / width
    distance = squared / width - target**2
    lengths = np.einsum("ij,ij->i", standard, standard)
    noise = (float((lengths**2).sum()) / n - squared) / n / width
    return float(np.clip(noise / distance, 0, 1)) if distance > 0 else 1.0


def shrinkage_by_plates(standard: Matrix, blocks: NDArray[np.intp], *, folds: int = 3) -> float:
    """Choose the shrinkage with the largest normal log-likelihood of held-out plates.

    Parameters
    ----------
    standard
        Centred rows, shape (n, features).
    blocks
        Plate of each row; with fewer than three plates rows are held out instead.
    folds
        Number of parts that are held out in turn; plates are assigned to them in order.

    Returns
    -------
    float
        One of 25 shares from 0.001 to 0.999, evenly spaced in log-odds.
    """
    odds = np.logspace(-3, 3, 25)
    shares = odds / (1 + odds)
    plates = np.unique(blocks, return_inverse=True)[1]
    part = (plates if plates.max(initial=0) >= 2 else np.arange(len(standard))) % folds
    total = np.zeros(len(shares))
    for fold in range(folds):
        train, held = standard[part != fold], standard[part == fold]
        center = train.mean(axis=0)
        basis, variances, _ = principal_axes(train - center)
        target = float(((train - center) ** 2).sum() / max(len(train) - 1, 1) / train.shape[1])
        along = ((held - center) @ basis.T) ** 2
        beyond = np.maximum(((held - center) ** 2).sum(axis=1) - along.sum(axis=1), 0).sum()
        shrunk = (1 - shares)[:, None] * variances + (shares * target)[:, None]
        rest = train.shape[1] - len(basis)
        total -= len(held) * (np.log(shrunk).sum(axis=1) + rest * np.log(shares * target)) / 2
        total -= ((along.sum(axis=0) / shrunk).sum(axis=1) + beyond / (shares * target)) / 2
    return float(shares[int(np.argmax(total))])


def _share(standard: Matrix, gram: Matrix, share: float | str, blocks: NDArray[np.intp] | None) -> float:
    if isinstance(share, str):
        if share == "ledoit_wolf":
            return ledoit_wolf_share(standard, gram)
        if share == "plates":
            plates = np.zeros(len(standard), dtype=np.intp) if blocks is None else blocks
            return shrinkage_by_plates(standard, plates)
        raise UnknownNameError("regularization", share, ["a number from 0 to 1", "ledoit_wolf", "plates"])
    if not 0 <= share <= 1:
        raise UsageError(f"regularization is a share from 0 to 1, 'ledoit_wolf' or 'plates'; found {share}")
    return float(share)
