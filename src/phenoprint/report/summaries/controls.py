"""How far the positive controls stand from the negative ones, readout by readout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

__all__ = ["best_readouts", "control_statistics"]

MAD_TO_SD = 1.4826
PLATE, ROLE = "Metadata_Plate", "Metadata_pert_type"


def control_statistics(frame: pl.DataFrame, features: Sequence[str]) -> pl.DataFrame:
    """Z' and robust Z' of every readout on every plate.

    Z' is 1 - 3 (sd+ + sd-) / |mean+ - mean-| (Zhang, Chung and Oldenburg 1999); the robust form takes medians and
    1.4826 MAD. Both are the same on raw and on normalized wells, because a plate's normalization shifts and scales
    both controls alike.

    Parameters
    ----------
    frame
        One row a well, with Metadata_Plate and Metadata_pert_type.
    features
        Readouts.

    Returns
    -------
    pl.DataFrame
        ``Metadata_Plate``, ``feature``, ``n_negcon``, ``n_poscon``, ``z_prime``, ``robust_z_prime``, ``difference``
        (of the medians, in robust standard deviations of the negative controls). Null where a plate has fewer than two
        wells of a control or the controls do not differ.
    """
    names = list(features)
    schema: dict[str, pl.DataType] = {
        PLATE: pl.String(),
        "feature": pl.String(),
        "n_negcon": pl.Int64(),
        "n_poscon": pl.Int64(),
        "z_prime": pl.Float64(),
        "robust_z_prime": pl.Float64(),
        "difference": pl.Float64(),
    }
    controls = frame.filter(pl.col(ROLE).is_in(["negcon", "poscon"]))
    if controls.is_empty() or not names:
        return pl.DataFrame(schema=schema)
    wide = pl.col(names).cast(pl.Float64)
    statistics = {
        "mean": wide.mean(),
        "sd": wide.std(),
        "median": wide.median(),
        "mad": (wide - wide.median()).abs().median() * MAD_TO_SD,
        "n": wide.count().cast(pl.Float64),
    }
    found: dict[str, dict[tuple[str, str], np.ndarray]] = {}
    for label, expression in statistics.items():
        table = controls.group_by([PLATE, ROLE]).agg(expression)
        values = table.select(pl.col(names).fill_null(np.nan)).to_numpy()
        found[label] = dict(zip(table.select(PLATE, ROLE).rows(), values, strict=True))
    parts = []
    for plate in sorted(controls[PLATE].unique().to_list()):
        pair = [(plate, "poscon"), (plate, "negcon")]
        if any(key not in found["n"] for key in pair):
            continue
        at = {label: [values[key] for key in pair] for label, values in found.items()}
        enough = (at["n"][0] >= 2) & (at["n"][1] >= 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = 1 - 3 * (at["sd"][0] + at["sd"][1]) / np.abs(at["mean"][0] - at["mean"][1])
            gap = at["median"][0] - at["median"][1]
            robust = 1 - 3 * (at["mad"][0] + at["mad"][1]) / np.abs(gap)
            difference = gap / at["mad"][1]
        columns = {
            PLATE: [plate] * len(names),
            "feature": names,
            "n_negcon": at["n"][1].astype(np.int64),
            "n_poscon": at["n"][0].astype(np.int64),
            **{
                label: np.where(enough & np.isfinite(values), values, np.nan)
                for label, values in (("z_prime", z), ("robust_z_prime", robust), ("difference", difference))
            },
        }
        parts.append(
            pl.DataFrame(columns, schema=schema).with_columns(
                pl.col("z_prime", "robust_z_prime", "difference").fill_nan(None)
            )
        )
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema)


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
        Best first, by the median of robust Z' over plates (of Z' where a spread is zero).
    """
    score = pl.coalesce("robust_z_prime", "z_prime").median()
    ranked = (
        statistics.group_by("feature")
        .agg(score.alias("score"))
        .drop_nulls("score")
        .sort(["score", "feature"], descending=[True, False])["feature"]
        .to_list()
    )
    taken: dict[tuple[str, ...], int] = {}
    chosen = []
    for name in ranked:
        parts = name.split("_")
        kin = (*parts[:2], parts[3] if len(parts) > 3 else "")
        if taken.get(kin, 0) < each:
            taken[kin] = taken.get(kin, 0) + 1
            chosen.append(name)
        if len(chosen) == n:
            break
    return chosen
