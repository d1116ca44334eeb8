"""How much of the differences between the wells of a plate follows their position: rim, rows, columns, a gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from phenoprint.errors import UsageError
from phenoprint.tables import MAD_SCALE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from phenoprint.plates import PlateFormat

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]

__all__ = ["PATTERNS", "PositionEffect", "inert_looking", "on_rim", "position_effect", "position_pattern", "shared_by"]

PATTERNS = ("edge", "row", "column", "gradient")
"""Patterns that wells of a plate may follow."""

_FEWEST_OF_A_KIND = 3  # wells on the rim, and inside
_FEWEST_WELLS = 8  # for rows, columns and gradients
_FEWEST_LINES = 3  # rows, or columns
# A p value above 0.1 needs no more than the first permutations.
_FIRST, _ALL = 99, 999
_FAR = 3.0  # robust standard deviations beyond which a well does not look inert


@dataclass(frozen=True)
class PositionEffect:
    """What a pattern explains.

    Attributes
    ----------
    share
        Share of the variance between wells that the pattern explains, corrected for the number of its parameters
        (adjusted R squared); 0 is expected without an effect, and negative shares are set to 0.
    p
        Probability of such a share if the wells changed places at random, by permutation.
    n
        Wells.
    """

    share: float
    p: float
    n: int


def on_rim(places: Matrix, shape: PlateFormat) -> Mask:
    """Whether each well lies in the outermost rows and columns of the plate, whichever wells are in use.

    Parameters
    ----------
    places
        Row and column of each well, from 0, shape (wells, 2).
    shape
        The plate.

    Examples
    --------
    >>> from phenoprint.plates import PlateFormat
    >>> on_rim(np.array([[1.0, 1.0], [2.0, 11.0]]), PlateFormat.of(96)).tolist()
    [False, True]
    """
    last = np.array([shape.rows - 1, shape.columns - 1])
    found: Mask = ((places == 0) | (places == last)).any(axis=1)
    return found


def position_pattern(places: Matrix, shape: PlateFormat, pattern: str) -> Matrix | str:
    """Return the columns of a design for one pattern, or why the wells cannot show it.

    Parameters
    ----------
    places
        Row and column of each well, from 0, shape (wells, 2).
    shape
        The plate.
    pattern
        One of `PATTERNS`: ``"edge"`` (outermost rows and columns of the plate against the others), ``"row"`` and
        ``"column"`` (each line has a level of its own), ``"gradient"`` (a plane over rows and columns).

    Returns
    -------
    numpy.ndarray or str
        Shape (wells, parameters), or a reason.

    Raises
    ------
    UsageError
        If the pattern is not known.
    """
    if pattern not in PATTERNS:
        raise UsageError(f"expected one of the patterns {', '.join(PATTERNS)}; found {pattern!r}")
    if pattern == "edge":
        return _edge(on_rim(places, shape), shape)
    if len(places) < _FEWEST_WELLS:
        return f"{len(places)} wells, {_FEWEST_WELLS} needed"
    if pattern == "gradient":
        varies = [axis for axis in (0, 1) if len(np.unique(places[:, axis])) >= _FEWEST_LINES]
        return places[:, varies] if varies else f"wells in fewer than {_FEWEST_LINES} rows and columns"
    lines, codes, sizes = np.unique(places[:, int(pattern == "column")], return_inverse=True, return_counts=True)
    if (sizes >= 2).sum() < _FEWEST_LINES or len(places) - len(lines) < _FEWEST_OF_A_KIND:
        return f"fewer than {_FEWEST_LINES} {pattern}s with two wells"
    return np.eye(len(lines))[codes]


def _edge(rim: Mask, shape: PlateFormat) -> Matrix | str:
    n_rim, n_inner = int(rim.sum()), int((~rim).sum())
    if not n_rim:
        return f"no well lies in the outermost rows and columns of the {shape} plate"
    if min(n_rim, n_inner) < _FEWEST_OF_A_KIND:
        return f"{n_rim} wells on the rim of the {shape} plate and {n_inner} inside, {_FEWEST_OF_A_KIND} each needed"
    return rim[:, None].astype(np.float64)


def position_effect(design: Matrix, values: Matrix, *, seed: int = 0) -> PositionEffect | None:
    """Measure how much of the variance between wells a design explains, and how often chance explains as much.

    Parameters
    ----------
    design
        Shape (wells, parameters); a constant is added.
    values
        Shape (wells, measures), complete. Ranks make the test robust; of many features, principal components do.
    seed
        Seed of the permutations.

    Returns
    -------
    PositionEffect or None
        None if the values do not vary, or the design leaves no well over.

    Notes
    -----
    Redundancy analysis with a permutation test (Legendre and Legendre, Numerical Ecology, 2012, chapter 11) and
    Ezekiel's adjusted R squared (Peres-Neto et al., Ecology 87:2614, 2006). For ranks of one measure, the test by rows
    is that of Kruskal and Wallis. The permutations stop early where p is clearly large (Besag and Clifford, Biometrika
    78:301, 1991).

    Examples
    --------
    >>> column = np.repeat(np.arange(4.0), 5)[:, None]
    >>> found = position_effect(column, column**2)
    >>> round(found.share, 2), found.p
    (0.91, 0.001)
    """
    n = len(values)
    centred = values - values.mean(axis=0)
    total = float((centred**2).sum())
    basis = _orthonormal(design)
    freedom = basis.shape[1]
    if total <= 1e-12 * n or not freedom or n - 1 - freedom < 1:
        return None
    explained = float(((basis.T @ centred) ** 2).sum())
    share = 1 - (1 - explained / total) * (n - 1) / (n - 1 - freedom)
    rng = np.random.default_rng(seed)
    limit = explained * (1 - 1e-9)
    reached = _count(basis, centred, limit, _FIRST, rng)
    drawn = _FIRST
    if reached < (_FIRST + 1) // 10:
        reached += _count(basis, centred, limit, _ALL - _FIRST, rng)
        drawn = _ALL
    return PositionEffect(max(0.0, share), (reached + 1) / (drawn + 1), n)


def shared_by(values: Matrix, *, components: int = 20) -> Matrix:
    """Return the leading principal components of profiles, shape (wells, components), scaled by their variance."""
    centred = values - values.mean(axis=0)
    power, axes = np.linalg.eigh(centred @ centred.T)
    order = np.argsort(power)[::-1][:components]
    points: Matrix = axes[:, order] * np.sqrt(np.maximum(power[order], 0))
    return points


def inert_looking(values: ArrayLike) -> Mask:
    """Whether each value lies within three robust standard deviations of the median of all.

    Which wells are taken does not depend on their position, so that p values among them hold. A moderate effect of
    position stays among them; wells with a strong one do not, and a test that lacks them uses all wells.

    Parameters
    ----------
    values
        One value per well, shape (wells,); NaN does not look inert.

    Examples
    --------
    >>> inert_looking([1.0, 2.0, 3.0, 50.0]).tolist()
    [True, True, True, False]
    """
    array = np.asarray(values, dtype=np.float64)
    known = array[np.isfinite(array)]
    if not len(known):
        return np.zeros(len(array), dtype=bool)
    middle = float(np.median(known))
    spread = MAD_SCALE * float(np.median(np.abs(known - middle)))
    with np.errstate(invalid="ignore"):
        looks: Mask = np.abs(array - middle) <= max(_FAR * spread, 1e-9 * max(1.0, abs(middle)))
    return looks


def _orthonormal(design: Matrix) -> Matrix:
    """Return an orthonormal basis of the design without the constant."""
    centred = design - design.mean(axis=0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    basis: Matrix = left[:, size > 1e-9 * max(1.0, float(size.max(initial=0)))]
    return basis


def _count(basis: Matrix, centred: Matrix, limit: float, times: int, rng: np.random.Generator) -> int:
    """Count permutations that explain at least as much."""
    n, freedom = basis.shape
    order = rng.permuted(np.tile(np.arange(n), (times, 1)), axis=1)
    mixed = basis[order].transpose(0, 2, 1).reshape(times * freedom, n) @ centred
    return int(((mixed**2).reshape(times, -1).sum(axis=1) >= limit).sum())
