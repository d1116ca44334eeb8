"""Whether further columns of well profiles help: the same treatments scored with them and without them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import DataError, SchemaError, UsageError
from phenoprint.evaluation.mechanisms import moa_accuracy
from phenoprint.evaluation.retrieval import average_precision
from phenoprint.evaluation.scores import cluster_interval
from phenoprint.profiles import consensus, select_features
from phenoprint.tables import COMPOUND, MOA, PERT_TYPE, PERTURBATION, WELL_KEY, feature_columns, frame_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["column_gain"]

_CLIPPED = 20.0  # standard deviations of control wells; as the recipe clips
_LEAST_KNOWN = 0.95  # share of the wells that a column needs a value in
_FEWEST = 3  # treatments that are scored
_DESCRIPTIONS = {
    "activity": "normalized average precision of a treatment's wells among the negative controls",
    "replicates": "normalized average precision of a treatment's wells among the wells of other compounds",
    "mechanism": "share of treatments whose nearest neighbour among other compounds has their mechanism",
}


def column_gain(wells: pl.DataFrame, columns: pl.DataFrame, *, seed: int = 0) -> pl.DataFrame:
    """Score profiles with and without further columns, on the same wells and treatments.

    Parameters
    ----------
    wells
        Selected well profiles with ``Metadata_Plate``, ``Metadata_Well``, ``Metadata_pert_type``,
        ``Metadata_perturbation``, ``Metadata_compound`` and, for mechanisms, ``Metadata_moa``.
    columns
        Further columns of the same wells, relative to controls. Those with many missing values are left out, as are
        those that a kept one represents (correlation above 0.9); other missing values count as 0, the mean of controls.
    seed
        Seed of the bootstrap.

    Returns
    -------
    polars.DataFrame
        Table ``heterogeneity_gain``: one row per score, with the difference and its 95% interval by bootstrap of whole
        compounds; without a value where a score cannot be computed, with the reason.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> kind = np.repeat(["negcon", *["trt"] * 8], 6)
    >>> name = np.repeat(["DMSO", *"abcdefgh"], 6)
    >>> wells = pl.DataFrame({
    ...     "Metadata_Plate": ["p"] * 54, "Metadata_Well": [f"W{i:02d}" for i in range(54)],
    ...     "Metadata_pert_type": kind, "Metadata_compound": name, "Metadata_perturbation": name,
    ... }).hstack(pl.DataFrame(rng.normal(size=(54, 5)), schema=list("vwxyz")))
    >>> helpful = 4 * rng.normal(size=(9, 5)).repeat(6, axis=0) * (kind != "negcon")[:, None]
    >>> columns = wells.select("Metadata_Plate", "Metadata_Well").hstack(pl.DataFrame(helpful, schema=list("ABCDE")))
    >>> found = column_gain(wells, columns)
    >>> found["score"].to_list(), bool(found["gain_low"][0] > 0.3), found["status"][2]
    (['activity', 'replicates', 'mechanism'], True, 'not_scored')
    """
    added = _chosen(wells, columns)
    names = [name for name in feature_columns(wells) if name not in feature_columns(columns)]
    without = wells.select(pl.col("^Metadata_.*$"), *names).join(added.select(WELL_KEY), on=WELL_KEY, how="semi")
    both = without.join(added, on=WELL_KEY, how="left", validate="1:1", maintain_order="left")
    counts = {"n_features_without": len(names), "n_features_with": len(feature_columns(both))}
    scores: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
        "activity": _activity,
        "replicates": _replicates,
        "mechanism": _mechanism,
    }
    rows: list[dict[str, object]] = []
    for score, scored in scores.items():
        row: dict[str, object] = {"score": score, "description": _DESCRIPTIONS[score], **counts}
        if counts["n_features_with"] == len(names):
            rows.append(row | {"status": "no_columns", "reason": "no column has values in enough wells and varies"})
            continue
        try:
            pairs = scored(without).join(scored(both), on=[PERTURBATION, COMPOUND], suffix="_with").drop_nulls()
        except (DataError, SchemaError, UsageError) as error:
            rows.append(row | {"status": "not_scored", "reason": str(error)})
            continue
        if pairs.height < _FEWEST:
            reason = f"{pairs.height} treatments can be scored, {_FEWEST} needed"
            rows.append(row | {"status": "not_scored", "n": pairs.height, "reason": reason})
            continue
        pairs = pairs.sort(PERTURBATION)
        difference = (pairs["value_with"] - pairs["value"]).to_numpy()
        clusters = pairs[COMPOUND].rank("dense").to_numpy().astype(np.intp) - 1
        gain, low, high = cluster_interval(difference, clusters, bounds=(-1.0, 1.0), seed=seed)
        found = {"without": pairs["value"].mean(), "with_columns": pairs["value_with"].mean(), "gain": gain}
        rows.append(row | found | {"gain_low": low, "gain_high": high, "n": pairs.height, "status": "ok"})
    return frame_of("heterogeneity_gain", rows)


def _chosen(wells: pl.DataFrame, columns: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that are used, complete, for the wells that have some."""
    names = feature_columns(columns)
    there = columns.join(wells.select(WELL_KEY), on=WELL_KEY, how="semi")
    some = pl.any_horizontal(pl.col(names).is_not_null()) if names else pl.lit(value=False)
    there = there.filter(some).sort(WELL_KEY)
    if there.is_empty():
        return there.select(WELL_KEY)
    share = dict(zip(names, there.select(pl.col(names).is_not_null().mean()).row(0), strict=True))
    known = [name for name in names if share[name] >= _LEAST_KNOWN]
    limited = there.select(*WELL_KEY, pl.col(known).cast(pl.Float64).fill_null(0.0).clip(-_CLIPPED, _CLIPPED))
    if not known or limited.height < _FEWEST:
        return limited.select(WELL_KEY)
    kept = select_features(limited, ["min_variance", "correlation_threshold"])
    return kept.select(*WELL_KEY, *feature_columns(kept))


def _mean(scored: pl.DataFrame) -> pl.DataFrame:
    """Average over the wells of each treatment."""
    found = scored.filter((pl.col(PERT_TYPE) == "trt") & (pl.col("n_pos_pairs") > 0))
    value = pl.col("normalized_average_precision").mean().alias("value")
    return found.group_by(PERTURBATION, COMPOUND).agg(value).drop_nulls()


def _of(wells: pl.DataFrame, kinds: Sequence[str]) -> pl.DataFrame:
    names = feature_columns(wells)
    known = wells.filter(pl.col(PERT_TYPE).is_in(list(kinds))).drop_nulls(PERTURBATION)
    return known.select(PERT_TYPE, PERTURBATION, COMPOUND, *names)


def _activity(wells: pl.DataFrame) -> pl.DataFrame:
    return _mean(average_precision(_of(wells, ["trt", "negcon"]), pos_sameby=[PERTURBATION], neg_diffby=[PERT_TYPE]))


def _replicates(wells: pl.DataFrame) -> pl.DataFrame:
    return _mean(average_precision(_of(wells, ["trt"]), pos_sameby=[PERTURBATION], neg_diffby=[COMPOUND]))


def _mechanism(wells: pl.DataFrame) -> pl.DataFrame:
    nothing = pl.DataFrame(schema={PERTURBATION: pl.String, COMPOUND: pl.String, "value": pl.Float64})
    if MOA not in wells.columns:
        return nothing
    labelled = wells.filter(pl.col(PERT_TYPE) == "trt").drop_nulls([MOA, PERTURBATION])
    if labelled[COMPOUND].n_unique() < _FEWEST:
        return nothing
    treatments = consensus(labelled.select(PERTURBATION, COMPOUND, MOA, *feature_columns(wells)), [PERTURBATION])
    annotated = treatments.join(labelled.select(PERTURBATION, COMPOUND, MOA).unique(PERTURBATION), on=PERTURBATION)
    found = moa_accuracy(
        annotated.select(PERTURBATION, COMPOUND, MOA, *feature_columns(treatments)), n_shuffles=1
    ).predictions
    return found.select(PERTURBATION, COMPOUND, pl.col("is_correct").cast(pl.Float64).alias("value")).drop_nulls()
