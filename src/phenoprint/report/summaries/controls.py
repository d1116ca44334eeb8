"""How far the positive controls stand from the negative ones, readout by readout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from phenoprint.tables import COMPOUND, PERT_TYPE, PLATE

__all__ = ["best_readouts", "control_statistics", "ranked_readouts"]

MAD_TO_SD = 1.4826
SCORES = ("z_prime", "robust_z_prime", "difference")
SCHEMA: dict[str, type[pl.DataType]] = {
    PLATE: pl.String,
    "poscon": pl.String,
    "feature": pl.String,
    "n_negcon": pl.Int64,
    "n_poscon": pl.Int64,
    **dict.fromkeys(SCORES, pl.Float64),
}
UNNAMED = "positive control"


def control_statistics(frame: pl.DataFrame, features: Sequence[str]) -> pl.DataFrame:
    """Z' and robust Z' of every readout on every plate, for each compound among the positive controls.

    Z' is 1 - 3 (sd+ + sd-) / |mean+ - mean-| (Zhang, Chung and Oldenburg 1999); the robust form takes medians and
    1.4826 MAD. Compounds are never pooled: what they do differs, and that difference is not the assay's noise.

    Parameters
    ----------
    frame
        One row per well, with Metadata_Plate and Metadata_pert_type, and Metadata_compound where compounds are known.
        Values as they were measured: normalization that clips would shrink the spread of strong controls.
    features
        Readouts.

    Returns
    -------
    pl.DataFrame
        ``Metadata_Plate``, ``poscon`` (the compound), ``feature``, ``n_negcon``, ``n_poscon``, ``z_prime``,
        ``robust_z_prime``, ``difference`` (of the medians, in robust standard deviations of the negative controls).
        Null where a plate has fewer than two wells of a control or the controls do not differ; robust forms also where
        more than half the wells of a control are equal, for a MAD of zero says nothing about the spread.
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
        "mad": (wide - wide.median()).abs().median() * MAD_TO_SD,
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
            z = 1 - 3 * (at["sd"][0] + at["sd"][1]) / np.abs(at["mean"][0] - at["mean"][1])
            gap = at["median"][0] - at["median"][1]
            robust = np.where(spread, 1 - 3 * (at["mad"][0] + at["mad"][1]) / np.abs(gap), np.nan)
            difference = gap / at["mad"][1]
        columns = {
            PLATE: [plate] * len(names),
            "poscon": [positive] * len(names),
            "feature": names,
            "n_negcon": at["n"][1].astype(np.int64),
            "n_poscon": at["n"][0].astype(np.int64),
            **{
                label: np.where(enough & np.isfinite(values), values, np.nan)
                for label, values in zip(SCORES, (z, robust, difference), strict=True)
            },
        }
        parts.append(pl.DataFrame(columns, schema=SCHEMA).with_columns(pl.col(SCORES).fill_nan(None)))
    return pl.concat(parts)


def ranked_readouts(statistics: pl.DataFrame) -> pl.DataFrame:
    """Rank the readouts of each positive control by how far it stands from the negative ones on the typical plate.

    Parameters
    ----------
    statistics
        What `control_statistics` returned.

    Returns
    -------
    pl.DataFrame
        ``poscon``, ``feature``, ``z_prime`` and ``robust_z_prime`` (medians over plates), ``n_poscon`` (fewest wells
        on a plate), ``place`` (1 is the best of its control); best controls first. Readouts without any Z' are left
        out, and those whose negative controls are mostly equal: a constant that differs once makes a perfect Z'.
    """
    # the lower of the two: where the negative controls fall into two heaps, the MAD sees the larger one alone
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
    """Readouts that separate the controls best on the typical plate, without many twins.

    Parameters
    ----------
    statistics
        What `control_statistics` returned.
    n
        How many at most.
    each
        How many at most of one compartment, family and channel: neighbours in a family say the same thing.

    Returns
    -------
    list of str
        Best first, by the median over plates of the lower of Z' and robust Z' (of Z' where a MAD is zero). Several
        positive controls choose in turn, so that a strong one does not crowd out the others.
    """
    taken: dict[tuple[str, ...], int] = {}
    chosen: list[str] = []
    for name in ranked_readouts(statistics).sort("place", maintain_order=True)["feature"].unique(maintain_order=True):
        parts = name.split("_")
        kin = (*parts[:2], parts[3] if len(parts) > 3 else "")
        if taken.get(kin, 0) < each:
            taken[kin] = taken.get(kin, 0) + 1
            chosen.append(name)
        if len(chosen) == n:
            break
    return chosen
