"""Dose-response curves of every compound and readout, relative to the negative controls of each plate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.analysis.dose_fit import BENCHMARK, LEAST_CONTROLS, LEAST_DOSES, Curve, control_summary, fit_many
from phenoprint.plates import molar_factor
from phenoprint.profiles import Fit, MadRobust
from phenoprint.tables import (
    COMPOUND,
    DOSE,
    DOSE_UNIT,
    PERT_TYPE,
    PLATE,
    WELL_KEY,
    conform,
    frame_of,
    get_table,
    require_columns,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["dose_curves", "dose_points", "dosed_wells", "relative_to_controls"]

READOUT, RESPONSE = "readout", "response"
LEAST_LISTED = 2
_ROLES = (PERT_TYPE, COMPOUND, DOSE, DOSE_UNIT)


def relative_to_controls(values: pl.DataFrame, wells: pl.DataFrame) -> pl.DataFrame:
    """Express readouts relative to the negative controls of the plate, so that plates can be pooled.

    Parameters
    ----------
    values
        ``Metadata_Plate``, ``Metadata_Well``, ``readout``, ``value``.
    wells
        The well table, with ``Metadata_pert_type``.

    Returns
    -------
    polars.DataFrame
        ``Metadata_Plate``, ``Metadata_Well``, ``readout``, ``response``: the value less the median of the plate's
        negative controls, divided by their robust spread. NULL on plates with fewer than three controls with a value,
        or whose controls do not vary.

    Notes
    -----
    The spread is 1.4826 MAD. Its logarithm is drawn to the mean over plates, the more the less the plates differ beyond
    what the numbers of their controls explain: few controls estimate a spread badly, yet plates of raw readouts
    may differ in gain.

    Examples
    --------
    >>> values = pl.DataFrame(
    ...     {
    ...         "Metadata_Plate": "p",
    ...         "Metadata_Well": ["A01", "A02", "A03", "A04"],
    ...         "readout": "ratio",
    ...         "value": [9.0, 10.0, 11.0, 14.4478],
    ...     }
    ... )
    >>> wells = values.select(*WELL_KEY, Metadata_pert_type=pl.Series(["negcon"] * 3 + ["trt"]))
    >>> relative_to_controls(values, wells)["response"].round(3).to_list()
    [-0.674, 0.0, 0.674, 3.0]
    """
    require_columns(values, [*WELL_KEY, READOUT, "value"], purpose="responses")
    names = values[READOUT].unique().sort().to_list()
    long = values.with_columns(pl.col("value").cast(pl.Float64)).filter(pl.col("value").is_not_nan())
    wide = long.pivot(READOUT, index=WELL_KEY, values="value").sort(WELL_KEY)
    names = [name for name in names if name in wide.columns]
    roles = wide.select(WELL_KEY).join(
        wells.select(*WELL_KEY, PERT_TYPE), on=WELL_KEY, how="left", maintain_order="left"
    )
    is_control = (roles[PERT_TYPE] == "negcon").fill_null(value=False).to_numpy()
    matrix = wide.select(names).cast(pl.Float64).fill_null(np.nan).to_numpy().T
    plates = wide[PLATE].to_numpy()
    normalizer = MadRobust(pooling=0)
    fits, here = [], []
    for plate in dict.fromkeys(plates):
        rows = np.flatnonzero(plates == plate)
        if is_control[rows].any():
            fits.append(normalizer.fit(matrix[:, rows[is_control[rows]]]))
            here.append(rows)
    responses = np.full(matrix.shape, np.nan)
    for rows, fit in zip(here, _alike(normalizer.pool(fits)), strict=True):
        scaled = normalizer.apply(matrix[:, rows], fit)
        scaled[fit.n < LEAST_CONTROLS] = np.nan
        responses[:, rows] = scaled
    # A name of a readout may be that of a column of the result.
    frames = [
        wide.select(WELL_KEY).with_columns(
            pl.lit(name).alias(READOUT), pl.Series(RESPONSE, row, nan_to_null=True, dtype=pl.Float64)
        )
        for name, row in zip(names, responses, strict=True)
    ]
    schema = {PLATE: pl.String, WELL_KEY[1]: pl.String, READOUT: pl.String, RESPONSE: pl.Float64}
    return pl.concat([pl.DataFrame(schema=schema), *frames])


def _alike(fits: Sequence[Fit]) -> list[Fit]:
    """Draw the spreads of plates together; see `relative_to_controls`."""
    if not fits:
        return []
    # The MAD of n normal values has about 0.37 of the information on the spread, whose logarithm has variance 1 / 2n.
    error = 1 / (2 * 0.37 * np.maximum(np.stack([fit.n for fit in fits]), 1))
    logs = np.stack([np.log(np.where(fit.scale > 0, fit.scale, np.nan)) for fit in fits])
    n = (~np.isnan(logs)).sum(axis=0)
    middle = np.nansum(logs, axis=0) / np.maximum(n, 1)
    between = np.nansum((logs - middle) ** 2, axis=0) / np.maximum(n - 1, 1) - np.nanmean(error, axis=0)
    between = np.maximum(between, 0)
    drawn = middle + (logs - middle) * between / (between + error)
    return [replace(fit, scale=np.where(fit.scale > 0, np.exp(own), 0)) for fit, own in zip(fits, drawn, strict=True)]


def dosed_wells(wells: pl.DataFrame) -> pl.DataFrame:
    """Return the treated wells with a usable dose, each compound's doses in one unit.

    Parameters
    ----------
    wells
        The well table.

    Returns
    -------
    polars.DataFrame
        The wells of type ``trt`` with a compound and a dose of 0 or above, as numbers: other doses (text, negative,
        infinite) are left out. Molar units of a compound are brought to the one that most of its wells have; a
        compound with doses in units that cannot be brought together has a series for each.

    Examples
    --------
    >>> wells = pl.DataFrame(
    ...     {
    ...         "Metadata_pert_type": "trt",
    ...         "Metadata_compound": "a",
    ...         "Metadata_Concentration": [1.0, 3.0, 500.0, -1.0],
    ...         "Metadata_Concentration_Unit": ["uM", "uM", "nM", "uM"],
    ...     }
    ... )
    >>> dosed_wells(wells).select("Metadata_Concentration", "Metadata_Concentration_Unit").rows()
    [(1.0, 'uM'), (3.0, 'uM'), (0.5, 'uM')]
    """
    require_columns(wells, [PERT_TYPE, COMPOUND, DOSE], purpose="dose-response")
    unit = pl.col(DOSE_UNIT) if DOSE_UNIT in wells.columns else pl.lit(None, pl.String)
    dosed = wells.with_columns(
        pl.col(DOSE).cast(pl.Float64, strict=False), unit.cast(pl.String).alias(DOSE_UNIT)
    ).filter(
        (pl.col(PERT_TYPE) == "trt") & pl.col(COMPOUND).is_not_null() & pl.col(DOSE).is_finite() & (pl.col(DOSE) >= 0)
    )
    sizes = {name: size for name in dosed[DOSE_UNIT].unique().drop_nulls() if (size := molar_factor(name)) is not None}
    if not sizes:
        return dosed
    molar = dosed.filter(pl.col(DOSE_UNIT).is_in(list(sizes)))
    usual = (
        molar.group_by(COMPOUND, pl.col(DOSE_UNIT).alias("_usual"))
        .len()
        .sort([COMPOUND, "len", "_usual"], descending=[False, True, False])
        .unique(COMPOUND, keep="first", maintain_order=True)
        .drop("len")
    )
    joined = dosed.join(usual, on=COMPOUND, how="left", maintain_order="left")
    factor = pl.col(DOSE_UNIT).replace_strict(sizes, default=None, return_dtype=pl.Float64)
    target = pl.col("_usual").replace_strict(sizes, default=None, return_dtype=pl.Float64)
    # A float's last digit must not make two doses of one.
    return joined.with_columns(
        pl.when(factor.is_not_null() & (factor != target))
        .then((pl.col(DOSE) * (factor / target)).round_sig_figs(9))
        .otherwise(pl.col(DOSE))
        .alias(DOSE),
        pl.when(factor.is_not_null()).then(pl.col("_usual")).otherwise(pl.col(DOSE_UNIT)).alias(DOSE_UNIT),
    ).drop("_usual")


def dose_curves(
    responses: pl.DataFrame, wells: pl.DataFrame, *, level: float = 0.95, benchmark: float = BENCHMARK
) -> pl.DataFrame:
    """Fit a curve per compound and readout, through its doses and the negative controls of its plates.

    Parameters
    ----------
    responses
        What `relative_to_controls` returns; a column ``kind`` is kept.
    wells
        The well table; curves are fitted to ``trt`` wells with a dose, of compounds with two doses or more: those
        with fewer than four get the status ``too_few_doses``, and no rows for feature groups.
    level
        Of the intervals.
    benchmark
        Benchmark response in standard deviations of the controls.

    Returns
    -------
    polars.DataFrame
        Table ``dose_response``: one row per compound and readout. Doses in ``Metadata_Concentration_Unit``, responses
        in spreads of the controls of the plate; see `phenoprint.analysis.fit_dose_response`.

    Examples
    --------
    >>> doses = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0]
    >>> names = [f"A{i:02d}" for i in range(1, 13)]
    >>> noise = [0.3, -0.4, 0.1, 0.5, -0.2, -0.3]
    >>> ratio = [9 / (1 + 2 / dose) + e for dose, e in zip(doses, noise)]
    >>> values = pl.DataFrame(
    ...     {"Metadata_Plate": "P", "Metadata_Well": names, "readout": "ratio", "value": ratio + noise}
    ... )
    >>> wells = values.select("Metadata_Plate", "Metadata_Well").with_columns(
    ...     pl.Series("Metadata_pert_type", ["trt"] * 6 + ["negcon"] * 6),
    ...     pl.Series("Metadata_compound", ["a"] * 6 + ["DMSO"] * 6),
    ...     pl.Series("Metadata_Concentration", doses + [None] * 6),
    ...     pl.Series("Metadata_Concentration_Unit", ["uM"] * 6 + [None] * 6),
    ... )
    >>> dose_curves(relative_to_controls(values, wells), wells).select(
    ...     pl.col("ec50").is_between(1, 3), "n_doses", "model", "status"
    ... ).rows()
    [(True, 6, 'hill3', 'ok')]
    """
    listed, series = _series(wells, least=LEAST_LISTED), _series(wells, least=LEAST_DOSES)
    if "kind" not in responses.columns:
        responses = responses.with_columns(pl.lit(None, pl.String).alias("kind"))
    controls = wells.filter(pl.col(PERT_TYPE) == "negcon").select(WELL_KEY)
    rows: list[dict[str, object]] = []
    columns = get_table("dose_response").schema.names()
    for (readout, kind), own in responses.sort(READOUT, "kind", *WELL_KEY).group_by(
        READOUT, "kind", maintain_order=True
    ):
        known = own.drop_nulls(RESPONSE)
        of_controls = _of_controls(known.join(controls, on=WELL_KEY, how="semi"))
        # Of compounds with too few doses, the many groups would all have the same reason.
        of_kind = series if kind == "feature_group" else listed
        treated = of_kind.select(*WELL_KEY, *_ROLES[1:]).join(known, on=WELL_KEY, how="left")
        keys, curves, plates = [], [], []
        for key, group in treated.sort(COMPOUND, DOSE_UNIT, DOSE, *WELL_KEY).group_by(
            COMPOUND, DOSE_UNIT, maintain_order=True
        ):
            there = group.drop_nulls(RESPONSE)
            on = there[PLATE].unique().sort().to_list()
            keys.append(key)
            plates.append((group, on))
            summary = _pooled(of_controls, on)
            curves.append(Curve(there[DOSE].to_numpy(), there[RESPONSE].to_numpy(), summary))
        fits = fit_many(curves, level=level, benchmark=benchmark)
        for (compound, unit), (group, on), fit in zip(keys, plates, fits, strict=True):
            facts = {
                READOUT: readout,
                "kind": kind,
                COMPOUND: compound,
                DOSE_UNIT: unit,
                "n_plates": len(on),
                "lowest_dose": group.filter(pl.col(DOSE) > 0)[DOSE].min(),
                "highest_dose": group[DOSE].max(),
            }
            row = vars(fit) | facts
            if not fit.n_wells:
                row |= {"status": "no_values", "bmd_status": "no_values"}
                row["reason"] = "no well has a value, or no plate has three negative controls that vary"
            row["model"], row["reason"] = row["model"] or None, row["reason"] or None
            rows.append({name: row[name] for name in columns})
    return frame_of("dose_response", rows)


def dose_points(responses: pl.DataFrame, wells: pl.DataFrame) -> pl.DataFrame:
    """List the wells that curves are fitted to.

    Parameters
    ----------
    responses
        What `relative_to_controls` returns; a column ``kind`` is kept.
    wells
        The well table.

    Returns
    -------
    polars.DataFrame
        Table ``dose_point``: one row per well and readout of compounds with four doses or more.
    """
    series = _series(wells, least=LEAST_DOSES).select(*WELL_KEY, COMPOUND, DOSE, DOSE_UNIT)
    points = series.join(responses, on=WELL_KEY, how="inner")
    return conform(points.sort(READOUT, COMPOUND, DOSE_UNIT, DOSE, *WELL_KEY), "dose_point")


def _series(wells: pl.DataFrame, *, least: int) -> pl.DataFrame:
    """Return the treated wells of compounds with enough doses above 0."""
    series = dosed_wells(wells)
    counted = series.filter(pl.col(DOSE) > 0).group_by(COMPOUND, DOSE_UNIT).agg(n=pl.col(DOSE).n_unique())
    listed = counted.filter(pl.col("n") >= least)
    return series.join(listed, on=[COMPOUND, DOSE_UNIT], how="semi", nulls_equal=True)


def _of_controls(known: pl.DataFrame) -> dict[str, Floats]:
    """Return the responses of the controls of each plate."""
    parts: Iterator[tuple[tuple[object, ...], pl.DataFrame]] = known.group_by(PLATE, maintain_order=True)  # type: ignore[assignment]
    return {str(plate): own[RESPONSE].to_numpy() for (plate,), own in parts}


def _pooled(of_controls: dict[str, Floats], plates: Sequence[str]) -> tuple[float, float, int]:
    """Summarise the controls of some plates; their spread is that within plates."""
    there = [of_controls[plate] for plate in plates if plate in of_controls]
    if not there:
        return control_summary([])
    values = np.concatenate(there)
    level, _, n = control_summary(values)
    _, sd, _ = control_summary(np.concatenate([own - own.mean() for own in there]), n_lost=len(there))
    return level, sd, n
