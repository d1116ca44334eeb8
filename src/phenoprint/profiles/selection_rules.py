"""The rules of feature selection: which features are dropped, and why, given one number per feature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from phenoprint.errors import UsageError
from phenoprint.profiles.nuisance import nuisance_features
from phenoprint.profiles.redundancy import redundant
from phenoprint.tables import StatusRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.profiles.redundancy import Exact
    from phenoprint.tables import FloatArray

    Vector = NDArray[np.float64]
    Verdicts = dict[int, StatusRow]

__all__ = [
    "DEFAULT_BLOCKLIST",
    "Options",
    "blocked",
    "correlated",
    "low_frequency",
    "low_variance",
    "missing",
    "noisy",
    "not_phenotypic",
    "not_reproducible",
    "outlying",
]


_CHANNELS = ("AGP", "DNA", "ER", "Mito", "RNA")

DEFAULT_BLOCKLIST: tuple[str, ...] = (
    *(f"Nuclei_Correlation_Manders_{a}_{b}" for a, b in permutations(_CHANNELS, 2)),
    *(f"Nuclei_Correlation_RWC_{a}_{b}" for a, b in permutations(_CHANNELS, 2)),
    *(f"Nuclei_Granularity_{scale}_{channel}" for scale in (14, 15, 16) for channel in _CHANNELS),
)
"""The 55 features of Way (2019), "Blocklist features - Cell Profiler", https://doi.org/10.6084/m9.figshare.10255811,
which pycytominer uses by default."""


@dataclass(frozen=True)
class Options:
    """Options of `select_features`, with their ranges checked."""

    na_cutoff: float = 0.05
    freq_cut: float = 0.05
    unique_cut: float = 0.01
    common_cut: float = 0.25
    min_variance: float = 1e-6
    correlation: float = 0.9
    signed_correlation: bool = False
    greedy_correlation: bool = True
    outlier_cutoff: float = 500.0
    blocklist: Sequence[str] = DEFAULT_BLOCKLIST
    replicate_by: Sequence[str] = ()
    noise_cutoff: float = 0.8
    reproducibility_cutoff: float = 0.1
    keep: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("na_cutoff", "freq_cut", "unique_cut", "common_cut", "correlation"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must lie between 0 and 1; found {getattr(self, name)}")
        for name in ("min_variance", "outlier_cutoff"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} must be 0 or larger; found {getattr(self, name)}")


def missing(share: Vector, names: Sequence[str], options: Options) -> Verdicts:
    """Drop features with a larger share of missing values than `na_cutoff`."""
    limit = options.na_cutoff
    reason = lambda x: f"{x:.1%} of the values are missing, more than {limit:.1%}"  # noqa: E731
    return _dropped(share > limit, names, "missing_values", reason, share)


def low_frequency(values: FloatArray, names: Sequence[str], options: Options) -> Verdicts:
    """Drop features with few distinct or mostly equal values; shape (features, rows)."""
    verdicts: Verdicts = {}
    n_rows = values.shape[1]
    ordered = np.sort(values, axis=1)  # NaN last
    n_there = n_rows - np.isnan(ordered).sum(axis=1)
    for i, (row, n) in enumerate(zip(ordered, n_there.tolist(), strict=True)):
        starts = np.flatnonzero(np.concatenate([[True], row[1:n] != row[: n - 1]])) if n else np.empty(0, np.intp)
        runs = np.sort(np.diff(np.append(starts, n)))[::-1]
        if len(runs) < 2:
            verdicts[i] = StatusRow(None, names[i], "constant", "every value is the same", float(len(runs)))
            continue
        ratio, unique = runs[1] / runs[0], len(runs) / n_rows
        # Without the second condition, the median well of each plate, which is 0, or the wells at a limit would do.
        if ratio < options.freq_cut and runs[0] >= options.common_cut * n:
            reason = f"the second most common value is {ratio:.3g} times as common as the most common one"
            verdicts[i] = StatusRow(None, names[i], "low_variance", reason, float(ratio))
        elif unique < options.unique_cut:
            reason = f"{len(runs)} distinct values in {n_rows} rows"
            verdicts[i] = StatusRow(None, names[i], "low_variance", reason, float(unique))
    return verdicts


def low_variance(variance: Vector, names: Sequence[str], options: Options) -> Verdicts:
    """Drop features with a variance of `min_variance` or less."""
    known, limit = np.nan_to_num(variance), options.min_variance
    reason = lambda x: f"variance {x:.3g}, not above {limit:.3g}"  # noqa: E731
    low = _dropped(known <= limit, names, "low_variance", reason, known)
    return {i: row if row.value else row._replace(status="constant") for i, row in low.items()}


def correlated(correlation: Vector, names: Sequence[str], options: Options, exact: Exact) -> Verdicts:
    """Drop features that are redundant because of another one; `exact` as in `redundant`."""
    found = redundant(
        correlation,
        threshold=options.correlation,
        signed=options.signed_correlation,
        greedy=options.greedy_correlation,
        exact=exact,
    )
    return {
        i: StatusRow(None, names[i], "correlated", f"r = {r:.3f} with {names[partner]}", r) for i, partner, r in found
    }


def blocked(names: Sequence[str], options: Options) -> Verdicts:
    """Drop features on the blocklist."""
    unwanted = set(options.blocklist)
    return {
        i: StatusRow(None, name, "blocklisted", "on the blocklist", None)
        for i, name in enumerate(names)
        if name in unwanted
    }


def not_phenotypic(names: Sequence[str], options: Options) -> Verdicts:
    """Drop columns that are not phenotypes, except for those in `keep`."""
    found = nuisance_features(names, options.keep)
    return {
        i: StatusRow(None, name, "nuisance", f"not a phenotype: {found[name]}", None)
        for i, name in enumerate(names)
        if name in found
    }


def outlying(largest: Vector, names: Sequence[str], options: Options) -> Verdicts:
    """Drop features with an absolute value above `outlier_cutoff`."""
    limit = options.outlier_cutoff
    reason = lambda x: f"an absolute value of {x:.3g}, above {limit:g}"  # noqa: E731
    return _dropped(largest > limit, names, "outlier", reason, largest)


def noisy(noise: Vector, names: Sequence[str], options: Options) -> Verdicts:
    """Drop features with a standard deviation within treatments above `noise_cutoff`."""
    limit = options.noise_cutoff
    reason = lambda x: f"mean standard deviation within treatments {x:.3g}, above {limit:g}"  # noqa: E731
    return _dropped(noise > limit, names, "noisy", reason, noise)


def not_reproducible(agreement: Vector, names: Sequence[str], options: Options) -> Verdicts:
    """Drop features with an agreement of replicates that is below `reproducibility_cutoff` or undefined."""
    limit = options.reproducibility_cutoff
    reason = lambda x: f"intraclass correlation of replicates {x:.3f}, not at least {limit:g}"  # noqa: E731
    return _dropped(~(agreement >= limit), names, "not_reproducible", reason, agreement)


def _dropped(
    is_dropped: NDArray[np.bool_], names: Sequence[str], status: str, reason: Callable[[float], str], values: Vector
) -> Verdicts:
    """Return a row of status for each dropped feature, by its index."""
    found = ((i, float(values[i])) for i in np.flatnonzero(is_dropped).tolist())
    return {i: StatusRow(None, names[i], status, reason(x), None if np.isnan(x) else x) for i, x in found}
