"""Rows of table ``score``: a share of treatments, its baselines, and intervals that respect compounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.evaluation.headlines import is_headline
from phenoprint.tables import COMPOUND, PERTURBATION, Groups, frame_of, require_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BASELINES", "PROFILES", "cluster_interval", "score_rows"]

PROFILES: Final = "none"
"""Name, in column ``baseline`` of table ``score``, of the score of the profiles themselves."""

BASELINES: Final = ("cell_count", "well_position", "plate", "shuffled_labels")
"""Names of the baselines: scores of the same treatments without morphology."""

_LEVEL = 0.95
_AT_ONCE = 2_000_000


def score_rows(
    score: str,
    outcomes: pl.DataFrame,
    *,
    description: str,
    n_total: int,
    n_features: int | None = None,
    group: str | None = None,
    cluster: str = COMPOUND,
    n_resamples: int = 2000,
    seed: int = 0,
) -> pl.DataFrame:
    """Make the rows of one score for table ``score``: the profiles and each baseline, with intervals.

    Parameters
    ----------
    score
        Name of the score.
    outcomes
        One row per treatment with its outcome, 0 to 1 (whether it is active, or called correctly; Boolean counts as 0
        and 1; NULL where it was not scored): column ``none`` for the profiles and one column for each of `BASELINES`
        that was tried. With ``Metadata_perturbation``, rows of the same treatment count as one in ``n``.
    description
        What the score measures, in a sentence.
    n_total
        Treatments of the screen that could have been scored.
    n_features
        Features of the profiles.
    group
        A column of `outcomes`: the score is the mean over its values of the mean within each (macro average), such as
        over mechanisms. None: the mean over treatments.
    cluster
        The column whose values are resampled together. A row without a value is a cluster of its own.
    n_resamples
        Bootstrap samples.
    seed
        Seed of the samples.

    Returns
    -------
    polars.DataFrame
        Table ``score``: one row for the profiles, with the gain over the best baseline on the treatments that both
        score, and one per baseline; intervals are those of `cluster_interval`.

    Raises
    ------
    UsageError
        Where no column is an outcome.

    Examples
    --------
    >>> outcomes = pl.DataFrame({
    ...     "Metadata_compound": list("aabbccdd"),
    ...     "none": [True, True, True, True, True, True, False, True],
    ...     "cell_count": [False, True, False, False, False, False, False, False],
    ... })
    >>> rows = score_rows("active", outcomes, description="share of active treatments", n_total=9)
    >>> rows.select("baseline", "value", "n", "best_baseline", "gain").rows()
    [('none', 0.875, 8, 'cell_count', 0.75), ('cell_count', 0.125, 8, None, None)]
    """
    require_columns(outcomes, [PROFILES], purpose="the outcomes of the profiles")
    tried = [name for name in BASELINES if name in outcomes.columns]
    own_cluster = pl.concat_str(pl.lit("row "), pl.int_range(pl.len()).cast(pl.String))
    named = pl.col(cluster).cast(pl.String) if cluster in outcomes.columns else pl.lit(None, pl.String)
    keyed = outcomes.with_columns(pl.coalesce(pl.lit("= ") + named, own_cluster).alias("_cluster"))
    clusters = Groups.of(keyed, ["_cluster"]).codes
    groups = None if group is None else Groups.of(keyed, [group]).codes
    values = {
        name: keyed[name].cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)
        for name in (PROFILES, *tried)
    }
    found = {
        name: cluster_interval(v, clusters, groups=groups, n_resamples=n_resamples, seed=seed)
        for name, v in values.items()
    }
    known = [name for name in tried if not np.isnan(found[name][0])]
    best = max(known, key=lambda name: found[name][0], default=None)
    rows = []
    for name, (value, low, high) in found.items():
        there = pl.Series(~np.isnan(values[name]))
        n = keyed.filter(there)[PERTURBATION].n_unique() if PERTURBATION in keyed.columns else int(there.sum())
        gain: tuple[float, float, float] | None = None
        if name == PROFILES and best is not None:
            difference = values[PROFILES] - values[best]
            gain = cluster_interval(
                difference, clusters, groups=groups, bounds=(-1.0, 1.0), n_resamples=n_resamples, seed=seed
            )
        rows.append(
            {
                "score": score,
                "baseline": name,
                "value": value,
                "low": low,
                "high": high,
                "n": n,
                "n_total": n_total,
                "n_features": n_features if name == PROFILES else None,
                "is_headline": is_headline(n),
                "best_baseline": best if gain else None,
                "gain": gain[0] if gain else None,
                "gain_low": gain[1] if gain else None,
                "gain_high": gain[2] if gain else None,
                "description": description,
            }
        )
    return frame_of("score", rows)


def cluster_interval(
    outcomes: NDArray[np.float64],
    clusters: NDArray[np.intp],
    *,
    groups: NDArray[np.intp] | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return the mean of some outcomes with a 95 % interval: whole clusters are resampled.

    Parameters
    ----------
    outcomes
        Shape (rows,), NaN where there is none.
    clusters
        Number of the cluster of each row, such as its compound; shape (rows,).
    groups
        Number of the group of each row; the mean over groups of the mean within each. None: the mean over rows.
    bounds
        Smallest and largest value that an outcome can have.
    n_resamples
        Bootstrap samples.
    seed
        Seed of the samples.

    Returns
    -------
    tuple of float
        Mean, lower and upper end. NaN without an outcome; both ends NaN with fewer than two clusters.

    Notes
    -----
    Doses and replicates of a compound are no independent evidence, so compounds are drawn with all their rows. The
    percentiles are those of the expanded percentile interval (Hesterberg, The American Statistician 69:371, 2015),
    which corrects the narrowness of the bootstrap with few clusters. Where all outcomes are equal, resampling shows no
    spread; then the share of clusters that might behave differently has the exact binomial bound of 0 in n clusters,
    and these are taken to have the most extreme outcome.

    Examples
    --------
    >>> mean, low, high = cluster_interval(np.ones(10), np.arange(10))
    >>> mean, round(low, 2), high
    (1.0, 0.69, 1.0)
    """
    from scipy.stats import norm, t

    if len(outcomes) != len(clusters):
        raise UsageError(f"expected one cluster per outcome; found {len(clusters)} for {len(outcomes)}")
    there = ~np.isnan(outcomes)
    if not there.any():
        return np.nan, np.nan, np.nan
    values = outcomes[there]
    _, cluster = np.unique(clusters[there], return_inverse=True)
    group = np.zeros(len(values), np.intp) if groups is None else np.unique(groups[there], return_inverse=True)[1]
    n, n_groups = int(cluster.max()) + 1, int(group.max()) + 1
    sums, counts = np.zeros((n, n_groups)), np.zeros((n, n_groups))
    np.add.at(sums, (cluster, group), values)
    np.add.at(counts, (cluster, group), 1.0)
    mean = float((sums.sum(axis=0) / counts.sum(axis=0)).mean())
    if n < 2:
        return mean, np.nan, np.nan
    if np.ptp(values) == 0:
        others = 1 - ((1 - _LEVEL) / 2) ** (1 / n)
        return mean, mean - others * (mean - bounds[0]), mean + others * (bounds[1] - mean)
    rng = np.random.default_rng(seed)
    means = []
    step = max(1, _AT_ONCE // n)
    for start in range(0, n_resamples, step):
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=min(step, n_resamples - start)).astype(np.float64)
        held = drawn @ counts
        with np.errstate(invalid="ignore"):
            means.append(np.nanmean(drawn @ sums / held, axis=1))
    tail = float(norm.cdf(np.sqrt(n / (n - 1)) * t.ppf((1 - _LEVEL) / 2, n - 1)))
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return mean, float(low), float(high)
