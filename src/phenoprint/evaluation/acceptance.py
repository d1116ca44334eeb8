"""Whether plates may be used: one row per plate and check, so that SQL can exclude."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

import numpy as np
import polars as pl

from phenoprint.evaluation.baselines import known_places
from phenoprint.evaluation.plate_check import AcceptanceLimits, Check, judge, unjudged
from phenoprint.evaluation.plate_controls import best_features, separation_checks
from phenoprint.evaluation.plate_patterns import PlateWells, pattern_checks
from phenoprint.evaluation.plate_series import PlateSummary, agreement_checks, control_checks
from phenoprint.evaluation.retrieval import average_precision
from phenoprint.plates import PlateFormat
from phenoprint.profiles import normalize
from phenoprint.tables import (
    BATCH,
    OBJECT_COUNT,
    PERTURBATION,
    WELL_KEY,
    feature_columns,
    feature_matrix,
    frame_of,
    require_columns,
    to_polars,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

__all__ = ["plate_acceptance"]

_CLIPPED = 10.0  # robust standard deviations: a well of debris must not outweigh all others
_LEAST_KNOWN = 0.95  # share of a plate's wells with a value that a feature needs to be compared
_FEWEST_REFERENCE = 3  # wells to normalize to
_MOST_COMPARED = 200  # features in which plates are compared with each other


def plate_acceptance(
    profiles: FrameLike | Iterable[pl.DataFrame],
    *,
    readouts: FrameLike | None = None,
    image_quality: FrameLike | None = None,
    limits: AcceptanceLimits | None = None,
    plate_formats: Mapping[str, int] | None = None,
    order: Sequence[str] | None = None,
    order_name: str = "order of the plates by name",
    seed: int = 0,
) -> pl.DataFrame:
    """Check every plate by itself and beside the others: controls, counts, positions, fields, drift and replicates.

    Each plate is judged by its own wells, normalized to its own negative controls (all its wells where it has fewer
    than three), so that the verdict is known before plates are pooled.

    Parameters
    ----------
    profiles
        Well profiles, measured or normalized, with ``Metadata_Plate``, ``Metadata_Well`` and ``Metadata_pert_type``;
        where there is ``Metadata_Object_Count``, counts are checked. One frame, or one frame per plate, which are read
        one after the other.
    readouts
        One row per well: ``Metadata_Plate``, ``Metadata_Well``, ``Metadata_pert_type``, ``Metadata_compound`` where it
        is known, and one column for each readout whose controls must separate.
    image_quality
        One row per plate, well, site and channel with ``is_flagged``.
    limits
        Where checks warn and fail; None: the limits of `AcceptanceLimits`.
    plate_formats
        Number of wells of each plate; where it is not given, the smallest of 96, 384 and 1536 that holds the wells.
    order, order_name
        The plates in the order in which they were made, and where this order comes from; None: by name.
    seed
        Seed of the permutations.

    Returns
    -------
    polars.DataFrame
        Table ``plate_acceptance`` without ``is_excluded``: one row per plate and ``criterion``; see the comments of its
        columns. Checks: ``negative_controls``, ``cell_count``, ``edge_``, ``row_``, ``column_`` and
        ``gradient_cell_count`` and ``_profile``, ``edge_<readout>``, ``z_prime:``, ``robust_z_prime:`` and
        ``ssmd:<readout>:<positive control>`` (also of ``cell_count`` and ``profile``),
        ``best_z_prime:<positive control>``, ``poscon_retrieval``, ``flagged_fields``, ``control_shift_`` and
        ``control_drift_cell_count`` and ``_profile``, ``replicate_cell_count`` and ``replicate_profile``.

    Raises
    ------
    UnknownNameError
        Where a column that is needed is absent.

    Notes
    -----
    Effects of position need size and significance both, as in spaCR's limits. The rim is that of the plate, whichever
    wells are in use. p values are by permutation of wells. They hold for wells whose treatments were placed at random;
    the layout of treatments can look like an effect of position, so negative controls are used where they can show the
    effect, then wells that look inert; the reason names the wells. The profile of positive controls is scored with
    directions that were found without the scored well.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_Well": [f"A{column:02d}" for column in range(1, 13)], "x": [0.5] * 12})
    >>> about = {"Metadata_Plate": "p", "Metadata_pert_type": "negcon", "Metadata_Object_Count": 200}
    >>> wells = wells.with_columns(pl.lit(value).alias(name) for name, value in about.items())
    >>> checks = plate_acceptance(wells)
    >>> checks.filter(criterion="negative_controls")["verdict"].to_list()
    ['pass']
    """
    limits = limits or AcceptanceLimits()
    read = _table(readouts, [*WELL_KEY, "Metadata_pert_type"])
    fields = _table(image_quality, ["Metadata_Plate", "is_flagged"])
    found: dict[str, list[Check]] = {}
    summaries: list[PlateSummary] = []
    compared: list[str] | None = None
    for wells in _plates(profiles):
        plate = str(wells["Metadata_Plate"][0])
        shape = PlateFormat.of(plate_formats[plate]) if plate_formats and plate in plate_formats else None
        here = pl.col("Metadata_Plate") == plate
        own = None if read is None else read.filter(here)
        values = _own_values(wells)
        rows = [_control_check(wells, limits)]
        rows += _position_checks(wells, values, own, limits, shape=shape, seed=seed)
        rows += separation_checks(wells, values, own, limits)
        rows += best_features(wells)
        rows.append(_retrieval_check(wells, values, limits))
        if fields is not None:
            rows.append(_field_check(fields.filter(here), limits))
        found[plate] = rows
        if compared is None:
            compared = _spaced(values.columns)
        summaries.append(_summary(plate, wells, values, compared))
    if not any(summary.n_controls for summary in summaries):
        reason = "no well with a profile is a negative control on any plate; the plate map names them"
        for rows in found.values():
            rows[0] = unjudged("negative_controls", reason)
    across = control_checks(summaries, sorted(found) if order is None else order, order_name, limits)
    agreement = agreement_checks(summaries, limits)
    return frame_of(
        "plate_acceptance",
        [
            {"Metadata_Plate": plate, **asdict(check)}
            for plate in sorted(found)
            for check in [*found[plate], *across[plate], *agreement[plate]]
        ],
    )


def _table(frame: FrameLike | None, needed: list[str]) -> pl.DataFrame | None:
    if frame is None:
        return None
    table = to_polars(frame)
    require_columns(table, needed, purpose="plate acceptance")
    return table


def _plates(profiles: FrameLike | Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Return the wells of each plate, sorted, plates by name where one frame holds them."""
    needed = [*WELL_KEY, "Metadata_pert_type"]
    if isinstance(profiles, pl.DataFrame | pl.LazyFrame) or hasattr(profiles, "columns"):
        wells = to_polars(cast("FrameLike", profiles))
        require_columns(wells, needed, purpose="plate acceptance")
        yield from wells.sort(WELL_KEY).partition_by("Metadata_Plate", maintain_order=True)
        return
    for frame in profiles:
        require_columns(frame, needed, purpose="plate acceptance")
        if frame.height:
            yield frame.sort(WELL_KEY)


def _own_values(wells: pl.DataFrame) -> pl.DataFrame:
    """Normalize a plate to its own controls; keep features that are known and vary, complete, without extremes."""
    names = feature_columns(wells)
    has_profile = _has_profile(wells)
    has = wells.filter(has_profile)
    if not names or has.is_empty():
        return wells.select()
    counted = has.select(pl.col(names).is_not_null().mean()).row(0)
    known = [name for name, share in zip(names, counted, strict=True) if share >= _LEAST_KNOWN]
    is_control = pl.col("Metadata_pert_type").fill_null("") == "negcon"
    some = has.select(is_control.sum()).item() >= _FEWEST_REFERENCE
    marked = wells.select(*WELL_KEY, *known, Metadata_Has=has_profile, Metadata_Control=is_control)
    reference = pl.col("Metadata_Has") & (pl.col("Metadata_Control") if some else pl.lit(value=True))
    scaled = normalize(marked, "mad_robust", reference=reference)
    limited = scaled.select(pl.col(known).cast(pl.Float64).fill_nan(None).clip(-_CLIPPED, _CLIPPED))
    kept = [name for name in known if limited[name].null_count() < limited.height]
    # A missing value of a well with a profile counts as that of a typical control; other wells have none.
    return limited.with_columns(marked["Metadata_Has"]).select(
        pl.when("Metadata_Has").then(pl.col(name).fill_null(0.0)).alias(name) for name in kept
    )


def _spaced(names: Sequence[str]) -> list[str]:
    """Return evenly spaced ones of many features."""
    return list(names[:: max(1, -(-len(names) // _MOST_COMPARED))])


def _summary(plate: str, wells: pl.DataFrame, values: pl.DataFrame, names: Sequence[str]) -> PlateSummary:
    """Keep what other plates are compared with."""
    control = _is(wells, "negcon")
    measured = feature_matrix(wells, [name for name in names if name in wells.columns]).T[control].astype(np.float64)
    counts, titles = _counts(wells), wells["Metadata_Well"].to_list()
    relative = np.full((wells.height, len(names)), np.nan, dtype=np.float32)
    for place, name in enumerate(names):
        if name in values.columns:
            relative[:, place] = values[name].fill_null(np.nan).to_numpy()
    about = PERTURBATION if PERTURBATION in wells.columns else "Metadata_pert_type"
    named = wells[about].cast(pl.String).fill_null("")
    # Controls agree on plates whose treatments do not.
    treated = ~(control | _is(wells, "poscon") | _is(wells, "empty"))
    batch = wells[BATCH][0] if BATCH in wells.columns else None
    center, variance = np.full(len(names), np.nan), np.full(len(names), np.nan)
    there = [place for place, name in enumerate(names) if name in wells.columns]
    if control.sum() >= 2:
        center[there], variance[there] = measured.mean(axis=0), measured.var(axis=0, ddof=1)
    own = counts[control & np.isfinite(counts)]
    return PlateSummary(
        plate,
        None if batch is None else str(batch),
        center,
        variance,
        float(np.median(own)) if len(own) else float("nan"),
        int(control.sum()),
        dict(zip(titles, named, strict=True)),
        {well: row for well, row, own in zip(titles, relative, treated, strict=True) if own and np.isfinite(row).any()},
        {well: n for well, n, own in zip(titles, counts.tolist(), treated, strict=True) if own and np.isfinite(n)},
    )


def _counts(wells: pl.DataFrame) -> NDArray[np.float64]:
    """Return the cells of each well; NaN where they were not counted."""
    if OBJECT_COUNT not in wells.columns or wells[OBJECT_COUNT].null_count() == wells.height:
        return np.full(wells.height, np.nan)
    return wells[OBJECT_COUNT].fill_null(0).cast(pl.Float64).to_numpy()


def _is(wells: pl.DataFrame, kind: str) -> NDArray[np.bool_]:
    return (wells.get_column("Metadata_pert_type") == kind).fill_null(value=False).to_numpy()


def _control_check(wells: pl.DataFrame, limits: AcceptanceLimits) -> Check:
    """Judge how many controls a plate has."""
    controls = int(_is(wells, "negcon").sum())
    check = Check("negative_controls", controls, n=controls, reason=f"{controls} negative control wells")
    return judge(check, controls, limits.controls, at_least=True)


def _position_checks(
    wells: pl.DataFrame,
    values: pl.DataFrame,
    readouts: pl.DataFrame | None,
    limits: AcceptanceLimits,
    *,
    shape: PlateFormat | None,
    seed: int,
) -> Iterator[Check]:
    """Judge the counts, and effects of position on counts, readouts and profiles."""
    counts = _counts(wells)
    if np.isfinite(counts).any():
        middle = float(np.median(counts))
        reason = f"median of {middle:g} cells per well over {len(counts)} wells, lowest {counts.min():g}"
        check = Check("cell_count", middle, n=len(counts), reason=reason)
        yield judge(check, middle, limits.cells, at_least=True)
    else:
        why = "the cells were not counted" if OBJECT_COUNT in wells.columns else f"no {OBJECT_COUNT}"
        yield unjudged("cell_count", why)
    places = known_places(wells)
    if places is None:
        yield unjudged("edge_profile", "wells without row and column")
        return
    matrix = values.to_numpy() if values.width else np.empty((wells.height, 0))
    activity = np.sqrt((matrix**2).mean(axis=1)) if values.width else np.full(wells.height, np.nan)
    controls = _is(wells, "negcon")
    plate = PlateWells(
        places,
        shape or PlateFormat.infer(wells["Metadata_Well"].to_list()),
        controls,
        ~controls & ~_is(wells, "poscon") & ~_is(wells, "empty"),
        activity,
        seed,
    )
    if np.isfinite(counts).any():
        yield from pattern_checks(plate, counts, "cell_count", limits)
    yield from pattern_checks(plate, matrix, "profile", limits)
    if readouts is None:
        return
    beside = wells.select(WELL_KEY).join(readouts, on=WELL_KEY, how="left", maintain_order="left")
    for name in feature_columns(readouts):
        measured = beside[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        yield from pattern_checks(plate, measured, name, limits, patterns=("edge",))


def _retrieval_check(wells: pl.DataFrame, values: pl.DataFrame, limits: AcceptanceLimits) -> Check:
    """Judge whether positive controls rank each other before negative ones that the normalization was not fitted on."""
    check = "poscon_retrieval"
    is_control = pl.col("Metadata_pert_type").is_in(["negcon", "poscon"])
    every = wells.filter(is_control)
    controls = every.filter(_has_profile(every)).select(pl.col("^Metadata_.*$"), *values.columns)
    empty = f", {every.height - controls.height} more without cells" if controls.height < every.height else ""
    named = next(
        (
            name
            for name in (PERTURBATION, "Metadata_compound")
            if name in controls.columns
            and not controls.filter(pl.col("Metadata_pert_type") == "poscon").get_column(name).null_count()
        ),
        "Metadata_pert_type",
    )
    n_pos, n_neg = int(_is(controls, "poscon").sum()), int(_is(controls, "negcon").sum())
    repeated = controls.filter(pl.col("Metadata_pert_type") == "poscon").select(pl.col(named).is_duplicated().any())
    if n_neg < 1 or n_pos < 2 or not repeated.item() or not values.width:
        reason = f"{n_pos} positive and {n_neg} negative controls with {values.width} features{empty}"
        return unjudged(check, reason)
    found = []
    for held, reference in _halves(controls):
        scaled = normalize(held, "mad_robust", reference=reference)
        own = scaled.filter(~reference) if n_neg >= 2 * _FEWEST_REFERENCE else scaled
        complete = own.select(pl.col(values.columns).cast(pl.Float64).fill_nan(None).clip(-_CLIPPED, _CLIPPED))
        kept = [name for name in values.columns if complete[name].null_count() < own.height]
        scored = average_precision(
            own.select("Metadata_pert_type", *({named} - {"Metadata_pert_type"})).hstack(
                complete.select(pl.col(kept).fill_null(0.0))
            ),
            pos_sameby=list({"Metadata_pert_type", named}),
            neg_diffby=["Metadata_pert_type"],
        ).filter((pl.col("Metadata_pert_type") == "poscon") & (pl.col("n_pos_pairs") > 0))
        found.append(scored.get_column("normalized_average_precision").to_numpy())
    value = float(np.concatenate(found).mean())
    reason = f"mean normalized average precision of {len(found[0])} positive among {n_neg} negative controls{empty}"
    return judge(Check(check, value, n=n_pos + n_neg, reason=reason), value, limits.retrieval, at_least=True)


def _halves(controls: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, pl.Expr]]:
    """Return the controls with the half of the negative ones to normalize to, for each half; all where they are few."""
    is_neg = (pl.col("Metadata_pert_type") == "negcon").fill_null(value=False)
    numbered = controls.with_columns((is_neg.cum_sum() % 2).alias("Metadata_Half"))
    if controls.select(is_neg.sum()).item() < 2 * _FEWEST_REFERENCE:
        yield numbered, pl.lit(value=True)
        return
    for half in (0, 1):
        yield numbered, is_neg & (pl.col("Metadata_Half") == half)


def _has_profile(wells: pl.DataFrame) -> pl.Expr:
    """Whether a well has cells and any feature: an empty well would leave no feature complete."""
    names = feature_columns(wells)
    known = pl.any_horizontal(pl.col(names).is_not_null()) if names else pl.lit(value=True)
    count = "Metadata_Object_Count"
    return known & (pl.col(count).fill_null(1) > 0) if count in wells.columns else known


def _field_check(fields: pl.DataFrame, limits: AcceptanceLimits) -> Check:
    place = [name for name in ("Metadata_Well", "Metadata_Site") if name in fields.columns]
    if not fields.height:
        return unjudged("flagged_fields", "no field has a quality row")
    by_field = fields.group_by(place).agg(pl.col("is_flagged").fill_null(value=False).any()) if place else fields
    flagged, n = int(by_field.get_column("is_flagged").sum()), by_field.height
    check = Check("flagged_fields", flagged / n, n=n, reason=f"{flagged} of {n} fields have a quality flag")
    return judge(check, flagged / n, limits.flagged_fields, at_least=False)
