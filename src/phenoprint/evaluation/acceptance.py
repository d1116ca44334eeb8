"""Whether plates may be used: one row per plate and check, so that SQL can exclude."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.evaluation.assay import cliffs_delta, z_prime
from phenoprint.evaluation.baselines import known_places
from phenoprint.evaluation.retrieval import average_precision
from phenoprint.tables import WELL_KEY, feature_columns, frame_of, require_columns, to_polars

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

__all__ = ["AcceptanceLimits", "plate_acceptance"]

_SIGNIFICANT = 0.01  # with several position checks per plate, 0.05 would warn of one sound plate in five


@dataclass(frozen=True)
class AcceptanceLimits:
    """Limits at which each check warns and fails.

    Attributes
    ----------
    controls
        Negative control wells, at least.
    cells
        Median cells per well, at least.
    z_prime
        Z' of a readout, at least.
    retrieval
        Mean normalized average precision of positive controls among the negative, at least.
    edge
        Absolute Cliff's delta between edge and inner wells, at most (with p below 0.01).
    gradient
        Absolute rank correlation with row or column, at most (with p below 0.01).
    flagged_fields
        Share of fields with a quality flag, at most.
    """

    controls: tuple[float, float] = (4, 2)
    cells: tuple[float, float] = (50, 10)
    z_prime: tuple[float, float] = (0.5, 0.0)
    retrieval: tuple[float, float] = (0.5, 0.2)
    edge: tuple[float, float] = (0.2, 0.6)
    gradient: tuple[float, float] = (0.3, 0.6)
    flagged_fields: tuple[float, float] = (0.1, 0.3)


@dataclass(frozen=True)
class _Row:
    check: str
    value: float | None
    threshold: float | None
    verdict: str | None
    reason: str


def plate_acceptance(
    profiles: FrameLike,
    *,
    readouts: FrameLike | None = None,
    image_quality: FrameLike | None = None,
    limits: AcceptanceLimits = AcceptanceLimits(),
    has_controls: bool | None = None,
) -> pl.DataFrame:
    """Check every plate: controls, cell counts, separation, position effects, flagged fields.

    Parameters
    ----------
    profiles
        Normalized well profiles with ``Metadata_Plate``, ``Metadata_Well`` and ``Metadata_pert_type``; where
        there is ``Metadata_Object_Count``, counts are checked.
    readouts
        One row per well: ``Metadata_Plate``, ``Metadata_Well``, ``Metadata_pert_type`` and a column for each
        readout whose controls must separate (``z_prime:<readout>``).
    image_quality
        One row per plate, well, site and channel with ``is_flagged``.
    limits
        Where checks warn and fail.
    has_controls
        Whether some plate of the screen has negative controls, where `profiles` holds some of its plates only; None:
        whether `profiles` has some.

    Returns
    -------
    polars.DataFrame
        Table ``plate_acceptance``: ``Metadata_Plate``, ``criterion``, ``value``, ``threshold`` (the limit that was
        broken, else the one that warns), ``verdict`` (``pass``, ``warn`` or ``fail``; NULL where the plate lacks what
        the check needs, or no plate has negative controls to count), ``reason``. Checks: ``negative_controls``,
        ``cell_count``, ``edge_cell_count``, ``row_cell_count``, ``column_cell_count``, ``z_prime:<readout>``,
        ``edge:<readout>``, ``poscon_retrieval``, ``flagged_fields``.

    Raises
    ------
    UnknownNameError
        Where a column that is needed is absent.

    Notes
    -----
    Edge effects need size and significance both (Cliff's delta, Mann-Whitney), as in spaCR's limits; they are
    looked for among the negative controls where at least three are on the edge and three inside, else among all
    wells, where the layout of the treatments can look like an edge effect; the reason names it.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_Well": [f"A{column:02d}" for column in range(1, 13)], "x": [0.5] * 12})
    >>> about = {"Metadata_Plate": "p", "Metadata_pert_type": "negcon", "Metadata_Object_Count": 200}
    >>> wells = wells.with_columns(pl.lit(value).alias(name) for name, value in about.items())
    >>> checks = plate_acceptance(wells)
    >>> checks.filter(criterion="negative_controls")["verdict"].to_list()
    ['pass']
    """
    wells = to_polars(profiles)
    needed = [*WELL_KEY, "Metadata_pert_type"]
    require_columns(wells, needed, purpose="plate acceptance")
    read = None if readouts is None else to_polars(readouts)
    if read is not None:
        require_columns(read, needed, purpose="plate acceptance")
    fields = None if image_quality is None else to_polars(image_quality)
    if fields is not None:
        require_columns(fields, ["Metadata_Plate", "is_flagged"], purpose="plate acceptance")
    if has_controls is None:
        has_controls = bool(_is(wells, "negcon").any())
    found: list[tuple[str, _Row]] = []
    for plate in wells.get_column("Metadata_Plate").unique().sort().to_list():
        here = pl.col("Metadata_Plate") == plate
        rows = [_control_check(wells.filter(here), limits, has_controls=has_controls)]
        rows += _count_checks(wells.filter(here), limits)
        if read is not None:
            rows += _readout_checks(read.filter(here), limits)
        rows.append(_retrieval_check(wells.filter(here), limits))
        if fields is not None:
            rows.append(_field_check(fields.filter(here), limits))
        found += [(plate, row) for row in rows]
    return frame_of(
        "plate_acceptance",
        [(plate, row.check, row.value, row.threshold, row.verdict, row.reason) for plate, row in found],
    )


def _judge(check: str, value: float, limits: tuple[float, float], reason: str, *, at_least: bool) -> _Row:
    """Compare with the limits that warn and fail."""
    warn, fail = limits

    def broken(limit: float) -> bool:
        return value < limit if at_least else value > limit

    if broken(fail):
        return _Row(check, value, fail, "fail", reason)
    return _Row(check, value, warn, "warn" if broken(warn) else "pass", reason)


def _unjudged(check: str, reason: str) -> _Row:
    return _Row(check, None, None, None, f"not judged: {reason}")


def _is(wells: pl.DataFrame, kind: str) -> NDArray[np.bool_]:
    return (wells.get_column("Metadata_pert_type") == kind).fill_null(value=False).to_numpy()


def _control_check(wells: pl.DataFrame, limits: AcceptanceLimits, *, has_controls: bool) -> _Row:
    """Judge how many controls a plate has, if the screen has any."""
    check = "negative_controls"
    if not has_controls:
        return _unjudged(check, "no well with a profile is a negative control on any plate; the plate map names them")
    controls = int(_is(wells, "negcon").sum())
    return _judge(check, controls, limits.controls, f"{controls} negative control wells", at_least=True)


def _count_checks(wells: pl.DataFrame, limits: AcceptanceLimits) -> Iterator[_Row]:
    name = "Metadata_Object_Count"
    if name not in wells.columns:
        yield _unjudged("cell_count", f"no {name}")
        return
    if wells.get_column(name).null_count() == wells.height:
        yield _unjudged("cell_count", "the cells were not counted")
        return
    counts = wells.get_column(name).fill_null(0).cast(pl.Float64).to_numpy()
    middle = float(np.median(counts))
    reason = f"median of {middle:g} cells per well over {len(counts)} wells, lowest {counts.min():g}"
    yield _judge("cell_count", middle, limits.cells, reason, at_least=True)
    yield from _position_checks(wells, counts, "cell_count", limits)


def _readout_checks(wells: pl.DataFrame, limits: AcceptanceLimits) -> Iterator[_Row]:
    for name in feature_columns(wells):
        values = wells.get_column(name).cast(pl.Float64).to_numpy()
        there = np.isfinite(values)
        pos, neg = values[_is(wells, "poscon") & there], values[_is(wells, "negcon") & there]
        if len(pos) < 2 or len(neg) < 2:
            reason = f"{len(pos)} positive and {len(neg)} negative controls have a value, two each needed"
            yield _unjudged(f"z_prime:{name}", reason)
        else:
            reason = f"Z' of {len(pos)} positive against {len(neg)} negative controls"
            yield _judge(f"z_prime:{name}", z_prime(pos, neg), limits.z_prime, reason, at_least=True)
        yield next(iter(_position_checks(wells, values, name, limits)))


def _position_checks(
    wells: pl.DataFrame, values: NDArray[np.float64], name: str, limits: AcceptanceLimits
) -> Iterator[_Row]:
    """Edge, row and column effects of one value per well."""
    from scipy import stats

    prefix = "edge_cell_count" if name == "cell_count" else f"edge:{name}"
    positions = known_places(wells)
    there = np.isfinite(values)
    if positions is None:
        yield _unjudged(prefix, "wells without row and column")
        return
    edge = ((positions == positions.min(axis=0)) | (positions == positions.max(axis=0))).any(axis=1)
    among, chosen = "negative controls", _is(wells, "negcon") & there
    if min((edge & chosen).sum(), (~edge & chosen).sum()) < 3:
        among, chosen = "all wells (the layout of the treatments may be the cause)", there
    outer, inner = values[edge & chosen], values[~edge & chosen]
    if min(len(outer), len(inner)) < 3:
        yield _unjudged(prefix, f"{len(outer)} wells on the edge and {len(inner)} inside, three each needed")
    else:
        delta = cliffs_delta(outer, inner)
        p = float(stats.mannwhitneyu(outer, inner).pvalue)
        reason = f"Cliff's delta {delta:+.2f}, p = {p:.2g}, {len(outer)} edge and {len(inner)} inner of {among}"
        size = abs(delta)
        row = _judge(prefix, size, limits.edge, reason, at_least=False)
        yield row if p < _SIGNIFICANT else _Row(prefix, size, limits.edge[0], "pass", reason)
    for axis, word in enumerate(("row", "column")):
        check = f"{word}_{name}"
        place, value = positions[chosen, axis], values[chosen]
        if len(value) < 6 or np.ptp(place) == 0 or np.ptp(value) == 0:
            yield _unjudged(check, f"{len(value)} wells that vary too little")
            continue
        test = stats.spearmanr(place, value)
        reason = f"rank correlation {test.statistic:+.2f} with the {word}, p = {test.pvalue:.2g}, over {among}"
        row = _judge(check, abs(float(test.statistic)), limits.gradient, reason, at_least=False)
        yield row if test.pvalue < _SIGNIFICANT else _Row(check, row.value, limits.gradient[0], "pass", reason)


def _retrieval_check(wells: pl.DataFrame, limits: AcceptanceLimits) -> _Row:
    """Judge whether positive controls rank each other before the negative ones."""
    check = "poscon_retrieval"
    controls = wells.filter(pl.col("Metadata_pert_type").is_in(["negcon", "poscon"]))
    every = controls.height
    controls = controls.filter(_has_profile(controls))
    empty = f", {every - controls.height} more without cells" if controls.height < every else ""
    named = next(
        (
            name
            for name in ("Metadata_perturbation", "Metadata_compound")
            if name in controls.columns
            and not controls.filter(pl.col("Metadata_pert_type") == "poscon").get_column(name).null_count()
        ),
        "Metadata_pert_type",
    )
    n_pos, n_neg = int(_is(controls, "poscon").sum()), int(_is(controls, "negcon").sum())
    features = [name for name in feature_columns(controls) if not controls.get_column(name).null_count()]
    repeated = controls.filter(pl.col("Metadata_pert_type") == "poscon").select(pl.col(named).is_duplicated().any())
    if n_neg < 1 or n_pos < 2 or not repeated.item() or not features:
        return _unjudged(
            check, f"{n_pos} positive and {n_neg} negative controls with {len(features)} complete features{empty}"
        )
    scored = average_precision(
        controls.select("Metadata_pert_type", *({named} - {"Metadata_pert_type"}), *features),
        pos_sameby=list({"Metadata_pert_type", named}),
        neg_diffby=["Metadata_pert_type"],
    ).filter((pl.col("Metadata_pert_type") == "poscon") & (pl.col("n_pos_pairs") > 0))
    value = float(scored.get_column("normalized_average_precision").to_numpy().mean())
    reason = f"mean normalized average precision of {scored.height} positive among {n_neg} negative controls{empty}"
    return _judge(check, value, limits.retrieval, reason, at_least=True)


def _has_profile(wells: pl.DataFrame) -> pl.Expr:
    """Whether a well has cells and any feature: an empty well would leave no feature complete."""
    names = feature_columns(wells)
    known = pl.any_horizontal(pl.col(names).is_not_null()) if names else pl.lit(value=True)
    count = "Metadata_Object_Count"
    return known & (pl.col(count).fill_null(1) > 0) if count in wells.columns else known


def _field_check(fields: pl.DataFrame, limits: AcceptanceLimits) -> _Row:
    place = [name for name in ("Metadata_Well", "Metadata_Site") if name in fields.columns]
    if not fields.height:
        return _unjudged("flagged_fields", "no field has a quality row")
    by_field = fields.group_by(place).agg(pl.col("is_flagged").fill_null(value=False).any()) if place else fields
    flagged, n = int(by_field.get_column("is_flagged").sum()), by_field.height
    reason = f"{flagged} of {n} fields have a quality flag"
    return _judge("flagged_fields", flagged / n, limits.flagged_fields, reason, at_least=False)
