"""Separation of positive and negative controls, readout by readout, on many plates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from phenoprint.evaluation.assay import z_prime_of
from phenoprint.tables import COMPOUND, MAD_SCALE, PERT_TYPE, PLATE, channels_of, split_feature

__all__ = ["best_readouts", "control_statistics", "ranked_readouts"]

SEPARATIONS = ("z_prime", "robust_z_prime", "difference")
SCHEMA: dict[str, type[pl.DataType]] = {
    PLATE: pl.String,
    "poscon": pl.String,
    "feature": pl.String,
    "n_negcon": pl.Int64,
    "n_poscon": pl.Int64,
    **dict.fromkeys(SEPARATIONS, pl.Float64),
}
UNNAMED = "positive control"


def control_statistics(frame: pl.DataFrame, features: Sequence[str]) -> pl.DataFrame:
    """Compute Z' and robust Z' of each readout on each plate, for each compound among the positive controls.

    The formulas are those of `z_prime`. Compounds are not pooled: differences between their effects are not noise of
    the assay.

    Parameters
    ----------
    frame
        One row per well, with Metadata_Plate and Metadata_pert_type, and Metadata_compound where compounds are known.
        Measured values: normalization that clips would shrink the spread of strong controls.
    features
        Readouts.

    Returns
    -------
    pl.DataFrame
        ``Metadata_Plate``, ``poscon`` (the compound), ``feature``, ``n_negcon``, ``n_poscon``, ``z_prime``,
        ``robust_z_prime``, ``difference`` (of the medians, in robust standard deviations of the negative controls).
        NULL where a plate has fewer than two wells of a control or the controls do not differ; robust forms also where
        more than half the wells of a control are equal, since a MAD of zero is no estimate of the spread.

    Examples
    --------
    >>> kinds = ["negcon"] * 3 + ["poscon"] * 3
    >>> wells = pl.DataFrame({"Metadata_Plate": ["p"] * 6, "Metadata_pert_type": kinds, "x": [0.0, 1, 2, 10, 11, 12]})
    >>> control_statistics(wells, ["x"])["z_prime"].to_list()
    [0.4]
    """
    names = list(features)
    if frame.is_empty() or not names:
        return pl.DataFrame(schema=SCHEMA)
    controls = frame.filter(pl.col(PERT_TYPE).is_in(["negcon", "poscon"]))
    compound = pl.col(COMPOUND).cast(pl.String).fill_null(UNNAMED) if COMPOUND in frame.columns else pl.lit(UNNAMED)
    controls = controls.with_columns(pl.when(pl.col(PERT_TYPE) == "poscon").then(compound).alias("poscon"))
    wide = pl.col(names).cast(pl.Float64)
    statistics = {
        "mean": wide.mean(),
        "sd": wide.std(),
        "median": wide.median(),
        "mad": (wide - wide.median()).abs().median() * MAD_SCALE,
        "n": wide.count().cast(pl.Float64),
    }
    found: dict[str, dict[tuple[str, str | None], np.ndarray]] = {}
    for label, expression in statistics.items():
        table = controls.group_by([PLATE, "poscon"]).agg(expression)
        values = table.select(pl.col(names).fill_null(np.nan)).to_numpy()
        found[label] = dict(zip(table.select(PLATE, "poscon").rows(), values, strict=True))
    parts = [pl.DataFrame(schema=SCHEMA)]
    for plate, positive in sorted((plate, name) for plate, name in found["n"] if name is not None):
        if (plate, None) not in found["n"]:
            continue
        at = {label: (values[plate, positive], values[plate, None]) for label, values in found.items()}
        enough = (at["n"][0] >= 2) & (at["n"][1] >= 2)
        spread = (at["mad"][0] > 0) & (at["mad"][1] > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = z_prime_of(*at["mean"], *at["sd"])
            robust = np.where(spread, z_prime_of(*at["median"], *at["mad"]), np.nan)
            difference = (at["median"][0] - at["median"][1]) / at["mad"][1]
        columns = {
            PLATE: [plate] * len(names),
            "poscon": [positive] * len(names),
            "feature": names,
            "n_negcon": at["n"][1].astype(np.int64),
            "n_poscon": at["n"][0].astype(np.int64),
            **{
                label: np.where(enough & np.isfinite(values), values, np.nan)
                for label, values in zip(SEPARATIONS, (z, robust, difference), strict=True)
            },
        }
        parts.append(pl.DataFrame(columns, schema=SCHEMA).with_columns(pl.col(SEPARATIONS).fill_nan(None)))
    return pl.concat(parts)


def ranked_readouts(statistics: pl.DataFrame) -> pl.DataFrame:
    """Rank the readouts of each positive control by its separation from the negative controls on the typical plate.

    Parameters
    ----------
    statistics
        What `control_statistics` returned.

    Returns
    -------
    pl.DataFrame
        ``poscon``, ``feature``, ``z_prime`` and ``robust_z_prime`` (medians over plates), ``n_poscon`` (fewest wells
        on a plate), ``place`` (1 is the best of its control); best controls first. Readouts without a Z' are left out,
        as are those whose negative controls are mostly equal: a constant that differs once gives a perfect Z'.
    """
    # The lower of the two: the MAD of bimodal negative controls reflects only the larger mode.
    score = pl.min_horizontal("robust_z_prime", "z_prime")
    return (
        statistics.with_columns(score.alias("score"))
        .drop_nulls(["score", "difference"])
        .group_by("poscon", "feature")
        .agg(pl.col("score", "z_prime", "robust_z_prime").median(), pl.col("n_poscon").min())
        .sort(["score", "feature"], descending=[True, False])
        .with_columns(pl.int_range(1, pl.len() + 1).over("poscon").alias("place"))
        .drop("score")
    )


def best_readouts(statistics: pl.DataFrame, *, n: int = 12, each: int = 2) -> list[str]:
    """Choose the readouts that separate the controls best on the typical plate, with few of one kind.

    Parameters
    ----------
    statistics
        What `control_statistics` returned.
    n
        Maximum number.
    each
        Maximum number of one compartment, family and channel, since these are often redundant.

    Returns
    -------
    list of str
        Best first, by the median over plates of the lower of Z' and robust Z' (of Z' where a MAD is zero). Readouts
        of several positive controls alternate, so that a strong control does not displace the others.
    """
    taken: dict[tuple[str | None, ...], int] = {}
    chosen: list[str] = []
    ranked = ranked_readouts(statistics).sort("place", maintain_order=True)["feature"].unique(maintain_order=True)
    channels = channels_of(ranked)
    for name in ranked:
        parts = split_feature(name, channels)
        kind = (parts.compartment, parts.family, parts.channel) if parts.family else (name,)
        if taken.get(kind, 0) < each:
            taken[kind] = taken.get(kind, 0) + 1
            chosen.append(name)
        if len(chosen) == n:
            break
    return chosen
