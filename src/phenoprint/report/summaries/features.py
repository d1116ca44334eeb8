"""Counts of features by status, and the meaning of each status."""

from __future__ import annotations

import polars as pl

__all__ = ["STATUS_MEANING", "features_by_family"]

STATUS_MEANING = {
    "ok": "usable",
    "all_null": "no value in any well",
    "zero_mad": "no spread around the median among the reference wells",
    "zero_sd": "no spread among the reference wells",
    "constant": "the same value everywhere",
    "correlated": "correlated with a feature that was kept",
    "low_variance": "varies little between wells",
    "missing_values": "missing in too many wells",
    "outlier": "has implausibly large values",
    "reference_all": "all wells were the reference because controls were too few",
    "blocklisted": "on the list of features known to be unreliable",
    "nuisance": "not a phenotype: an image measurement, a position or an object number",
    "skipped": "the whole step was skipped",
    "too_few": "no clusters: too few profiles",
    "too_many": "no clusters: too many profiles for the method",
    "trivial": "no clusters: one would hold almost all profiles",
    "no_structure": "no clusters: resamples do not find them again",
    "reduced": "many wells were mapped and clustered by principal components of all features",
    "limited": "some values were clipped at the limit; the feature is kept",
    "pooled": "no spread among the reference wells; the pooled spread was used",
    "too_few_reference": "too few reference wells have a value",
}


def features_by_family(names: list[str], kept: set[str], dictionary: pl.DataFrame | None) -> pl.DataFrame:
    """Count measured and kept features by family and channel.

    Parameters
    ----------
    names
        Measured features.
    kept
        Features of the final profiles.
    dictionary
        The table ``feature``; without it family is the second part of the name.

    Returns
    -------
    pl.DataFrame
        ``family``, ``channel`` ("pairs" for two channels, "–" for none), ``n``, ``n_kept``.
    """
    frame = pl.DataFrame({"feature": names}).with_columns(pl.col("feature").is_in(list(kept)).alias("kept"))
    if dictionary is not None and {"feature", "family", "channel"} <= set(dictionary.columns):
        frame = frame.join(
            dictionary.select("feature", "family", "channel").unique("feature"), on="feature", how="left"
        )
    else:
        frame = frame.with_columns(
            pl.lit(None, dtype=pl.String).alias("family"), pl.lit(None, dtype=pl.String).alias("channel")
        )
    second = pl.col("feature").str.split("_").list.get(1, null_on_oob=True)
    channel = pl.when(pl.col("channel").str.contains(",")).then(pl.lit("pairs")).otherwise(pl.col("channel"))
    return (
        frame.with_columns(
            pl.coalesce("family", second, pl.lit("other")).alias("family"),
            channel.fill_null("–").alias("channel"),
        )
        .group_by("family", "channel")
        .agg(pl.len().alias("n"), pl.col("kept").sum().alias("n_kept"))
    )
