"""Doses on one scale: molar units are one unit at different sizes, anything else stays by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from phenoprint.plates import molar_factor
from phenoprint.tables import DOSE, DOSE_UNIT

__all__ = ["AXIS_DOSE", "AXIS_UNIT", "axis_units", "with_axis_doses"]

AXIS_DOSE, AXIS_UNIT = "Metadata_axis_dose", "Metadata_axis_unit"


def axis_units(units: Iterable[str | None]) -> dict[str, tuple[str, float]]:
    """Choose the unit that doses in each unit are drawn in, with the factor that brings them there.

    Parameters
    ----------
    units
        Units that occur; NULL, written as an empty text in the result, is a unit of its own.

    Returns
    -------
    dict
        Molar units all lead to one: the one given where there is one size only, else µM. Others lead to themselves.

    Examples
    --------
    >>> axis_units(["uM", "nM", "mg/mL", None])
    {'': ('', 1.0), 'mg/mL': ('mg/mL', 1.0), 'nM': ('µM', 0.001), 'uM': ('µM', 1.0)}
    >>> axis_units(["nM"])
    {'nM': ('nM', 1.0)}
    """
    known = sorted({unit or "" for unit in units})
    sizes = {unit: size for unit in known if (size := molar_factor(unit)) is not None}
    target, base = "µM", 1e-6
    if len(set(sizes.values())) == 1:
        target, base = next(iter(sizes.items()))
    return {unit: (target, _clean(sizes[unit] / base)) if unit in sizes else (unit, 1.0) for unit in known}


def _clean(factor: float) -> float:
    """Drop the last digit's error of a ratio of powers of ten."""
    return float(f"{factor:.12g}")


def with_axis_doses(
    frame: pl.DataFrame, units: Mapping[str, tuple[str, float]], *, doses: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """Add the unit of the axis, and doses in it.

    Parameters
    ----------
    frame
        Rows with doses; without a column of units all are taken to share one.
    units
        What `axis_units` returned.
    doses
        Columns of doses by the name to write them under; by default Metadata_Concentration as `AXIS_DOSE`.

    Returns
    -------
    pl.DataFrame
        `frame` with `AXIS_UNIT` (empty where no unit is given) and the columns of `doses`, Float64.
    """
    chosen = {AXIS_DOSE: DOSE} if doses is None else dict(doses)
    alone = next(iter(units)) if len(units) == 1 else ""
    unit = pl.col(DOSE_UNIT).cast(pl.String).fill_null("") if DOSE_UNIT in frame.columns else pl.lit(alone)
    size = unit.replace_strict({name: f for name, (_, f) in units.items()}, default=1.0, return_dtype=pl.Float64)
    target = unit.replace_strict({name: t for name, (t, _) in units.items()}, default=unit, return_dtype=pl.String)
    # a float's last digit must not make two doses of one
    scaled = {new: (pl.col(old).cast(pl.Float64) * size).round_sig_figs(9) for new, old in chosen.items()}
    return frame.with_columns(target.alias(AXIS_UNIT), **scaled)
