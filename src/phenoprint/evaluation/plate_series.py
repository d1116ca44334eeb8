"""Checks of plates against each other: controls that shift or drift, and replicate plates that disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from phenoprint.evaluation.plate_check import AcceptanceLimits, Check, judge, unjudged
from phenoprint.evaluation.plate_position import position_effect

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Matrix = NDArray[np.float64]

__all__ = ["PlateSummary", "agreement_checks", "control_checks"]

_FEWEST_PLATES, _FEWEST_ORDERED = 3, 5
_FEWEST_SHARED = 8  # wells that two plates have in common
_SAME_LAYOUT = 0.8  # share of the wells with the same treatment on both plates
_SOME_AGREEMENT = 0.2  # plates that correlate less have nothing that one of them could lack


@dataclass(frozen=True)
class PlateSummary:
    """What is kept of a plate to compare it with others.

    Attributes
    ----------
    plate, batch
        Names; the batch may be None.
    center, variance
        Mean and variance of the measured features over the negative controls, shape (features,); NaN where unknown.
    control_count
        Median number of cells of the negative controls, NaN where unknown.
    n_controls
        Number of negative controls.
    wells
        By well: the treatment.
    values
        By treated well: profile relative to the plate's controls, shape (features,).
    counts
        By treated well: number of cells.
    """

    plate: str
    batch: str | None
    center: Vector
    variance: Vector
    control_count: float
    n_controls: int
    wells: Mapping[str, str]
    values: Mapping[str, NDArray[np.float32]]
    counts: Mapping[str, float]


def control_checks(
    plates: Sequence[PlateSummary], order: Sequence[str], order_name: str, limits: AcceptanceLimits
) -> dict[str, list[Check]]:
    """Compare each plate's negative controls with those of the others, and look for a drift along their order.

    Parameters
    ----------
    plates
        One summary per plate.
    order
        The plates in the order in which they were made.
    order_name
        Where the order comes from.
    limits
        Where checks warn and fail.

    Returns
    -------
    dict
        Checks by plate. Plates are compared within their batch where it has three plates with controls or more.
    """
    found: dict[str, list[Check]] = {summary.plate: [] for summary in plates}
    usable = [summary for summary in plates if summary.n_controls >= 2]
    batches = [summary.batch for summary in usable]
    place = {plate: number for number, plate in enumerate(order)}
    usable.sort(key=lambda summary: place.get(summary.plate, len(place)))
    for summary in plates:
        own = [
            other for other in usable if batches.count(summary.batch) < _FEWEST_PLATES or other.batch == summary.batch
        ]
        where = "of its batch" if len(own) < len(usable) else "of the screen"
        found[summary.plate] += _shifts(summary, own, where, limits)
    drifts = _drifts(usable, order_name, limits)
    for summary in plates:
        found[summary.plate] += drifts.get(summary.plate) or [
            unjudged(name, f"plates with negative controls: {len(usable)}, and {_FEWEST_ORDERED} are needed")
            for name in ("control_drift_cell_count", "control_drift_profile")
        ]
    return found


def _shifts(summary: PlateSummary, own: Sequence[PlateSummary], where: str, limits: AcceptanceLimits) -> list[Check]:
    """Judge how far the controls of a plate are from those of the others."""
    names = ("control_shift_cell_count", "control_shift_profile")
    others = [other for other in own if other.plate != summary.plate]
    if summary.n_controls < 2 or len(others) < _FEWEST_PLATES - 1:
        reason = f"other plates with negative controls: {len(others)}, and {_FEWEST_PLATES - 1} are needed"
        return [unjudged(name, reason) for name in names]
    checks = []
    n = len(others) + 1
    typical = _median([other.control_count for other in others])
    if typical > 0 and summary.control_count > 0:
        ratio = summary.control_count / typical
        reason = f"{summary.control_count:g} cells in the median control well, {typical:g} on the plates {where}"
        check = Check(names[0], max(ratio, 1 / ratio), effect=ratio, n=n, reason=reason)
        checks.append(judge(check, max(ratio, 1 / ratio), limits.count_shift, at_least=False))
    else:
        checks.append(unjudged(names[0], "the cells of the controls were not counted"))
    distances = {each.plate: _distance(each, own) for each in own}
    usual = _median([distances[other.plate] for other in others])
    mine = distances[summary.plate]
    if np.isfinite(mine) and usual > 0:
        reason = (
            f"controls lie {mine:.2g} standard deviations of a control well from those of the plates {where}, which "
            f"lie {usual:.2g} from each other"
        )
        check = Check(names[1], mine / usual, effect=mine, n=n, reason=reason)
        checks.append(judge(check, mine / usual, limits.control_shift, at_least=False))
    else:
        checks.append(unjudged(names[1], "no feature varies among the controls of these plates"))
    return checks


def _median(values: Sequence[float]) -> float:
    """Return the median of the finite values; NaN without any."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.median(finite)) if finite else float("nan")


def _distance(summary: PlateSummary, own: Sequence[PlateSummary]) -> float:
    """Return the distance of the controls from the median of the other plates, in deviations of a control well."""
    others = np.stack([other.center for other in own if other.plate != summary.plate])
    spread = np.sqrt(np.median(np.stack([other.variance for other in own]), axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        away = (summary.center - np.median(others, axis=0)) / spread
    away = away[np.isfinite(away)]
    # The median over features, so that a few that hardly vary within a plate do not decide.
    return float(np.median(np.abs(away))) if len(away) else float("nan")


def _drifts(usable: Sequence[PlateSummary], order_name: str, limits: AcceptanceLimits) -> dict[str, list[Check]]:
    """Judge how much of the differences between plates follows their order."""
    if len(usable) < _FEWEST_ORDERED:
        return {}
    place = np.arange(len(usable), dtype=np.float64)[:, None]
    spread = np.sqrt(np.median(np.stack([summary.variance for summary in usable]), axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        centers = np.stack([summary.center for summary in usable]) / spread
        counts = np.log2([summary.control_count for summary in usable])[:, None]
    found: dict[str, list[Check]] = {summary.plate: [] for summary in usable}
    for name, values, unit in (
        ("control_drift_cell_count", counts, "doublings"),
        ("control_drift_profile", centers[:, np.isfinite(centers).all(axis=0)], "deviations of a control well"),
    ):
        complete = bool(values.shape[1]) and bool(np.isfinite(values).all())
        effect = position_effect(place, values) if complete else None
        if effect is None:
            for summary in usable:
                found[summary.plate].append(unjudged(name, "the controls of the plates do not differ, or are unknown"))
            continue
        along = place[:, 0] - place.mean()
        slope = along @ (values - values.mean(axis=0)) / (along @ along)
        size = float(np.median(np.abs(slope)))
        for number, summary in enumerate(usable):
            departure = abs(float(along[number])) * size
            reason = (
                f"{effect.share:.0%} of the differences between the controls of {effect.n} plates follow the "
                f"{order_name}, p = {effect.p:.2g}; {departure:.2g} {unit} at this plate"
            )
            check = Check(name, effect.share, effect=departure, p=effect.p, n=effect.n, reason=reason)
            made = judge(check, effect.share, limits.drift, at_least=False)
            if effect.p >= limits.significance:
                made = replace(check, threshold=limits.drift[0], verdict="pass")
            found[summary.plate].append(made)
    return found


def agreement_checks(plates: Sequence[PlateSummary], limits: AcceptanceLimits) -> dict[str, list[Check]]:
    """Correlate plates of the same layout well by well, and find the plate that disagrees with the others.

    Parameters
    ----------
    plates
        One summary per plate.
    limits
        Where checks warn and fail.

    Returns
    -------
    dict
        Checks by plate: ``replicate_cell_count`` (rank correlation) and ``replicate_profile`` (correlation over wells
        and features, so that active wells count most). The value is the mean correlation with the other plates.
    """
    found: dict[str, list[Check]] = {summary.plate: [] for summary in plates}
    for group in _layouts(plates):
        for name, blocks in (
            ("replicate_cell_count", [_ranked(summary.counts) for summary in group]),
            ("replicate_profile", [summary.values for summary in group]),
        ):
            pairs, shared = _correlations(blocks)
            for i, summary in enumerate(group):
                found[summary.plate].append(_agreement(name, i, pairs, shared=shared, group=group, limits=limits))
    return found


def _agreement(
    name: str,
    i: int,
    pairs: Matrix,
    *,
    shared: NDArray[np.int64],
    group: Sequence[PlateSummary],
    limits: AcceptanceLimits,
) -> Check:
    others = [j for j in range(len(group)) if j != i]
    if not others:
        return unjudged(name, "no other plate has this layout")
    mine = pairs[i, others]
    if not np.isfinite(mine).any():
        return unjudged(name, "the plates of this layout have too few wells in common that vary")
    value, n = float(np.nanmean(mine)), int(shared[i, others].max())
    among = pairs[np.ix_(others, others)]
    if len(group) < _FEWEST_PLATES or not np.isfinite(among).any():
        partner = group[others[0]].plate
        return unjudged(name, f"an outlier needs three plates of one layout; the other is {partner}", value=value, n=n)
    usual = float(np.nanmean(among))
    reason = f"correlation {value:.2f} with {len(others)} plates of the same layout, {usual:.2f} among these"
    if usual < max(_SOME_AGREEMENT, 3 / np.sqrt(max(n, 1))):  # three standard errors of a correlation of nothing
        return unjudged(name, f"{reason}: too little to name an outlier", value=value, n=n)
    check = Check(name, value, effect=value - usual, n=n, reason=reason)
    made = judge(check, value / usual, limits.replicates, at_least=True)
    return replace(made, threshold=None if made.threshold is None else made.threshold * usual)


def _layouts(plates: Sequence[PlateSummary]) -> list[list[PlateSummary]]:
    """Group plates whose wells hold the same treatments."""
    groups: list[list[PlateSummary]] = []
    for summary in plates:
        for group in groups:
            first = group[0].wells
            common = set(first) & set(summary.wells)
            same = sum(first[well] == summary.wells[well] for well in common)
            if common and same >= _SAME_LAYOUT * max(len(first), len(summary.wells)):
                group.append(summary)
                break
        else:
            groups.append([summary])
    return groups


def _ranked(counts: Mapping[str, float]) -> dict[str, NDArray[np.float32]]:
    from scipy.stats import rankdata

    ranks = rankdata(list(counts.values())).astype(np.float32) if counts else np.empty(0, np.float32)
    return dict(zip(counts, ranks[:, None], strict=True))


def _correlations(blocks: Sequence[Mapping[str, NDArray[np.float32]]]) -> tuple[Matrix, NDArray[np.int64]]:
    """Correlate plates over the wells that two of them share; return the number of these wells, too.

    The mean of a feature over the wells of a plate is subtracted: what all wells share is no agreement of wells.
    """
    wells = {well: row for row, well in enumerate(sorted(set().union(*blocks)))}
    width = max((len(values) for block in blocks for values in block.values()), default=0)
    there = np.zeros((len(blocks), len(wells)))
    stacked = np.zeros((len(blocks), len(wells), width), dtype=np.float32)
    known = np.zeros((len(blocks), len(wells), width), dtype=np.float32)
    for number, block in enumerate(blocks):
        if not block:
            continue
        rows = [wells[well] for well in block]
        values = np.stack(list(block.values()))
        has = np.isfinite(values)
        middle = np.where(has, values, 0).sum(axis=0) / np.maximum(has.sum(axis=0), 1)
        there[number, rows] = has.any(axis=1)
        stacked[number, rows], known[number, rows] = np.where(has, values - middle, 0), has
    flat, mask = stacked.reshape(len(blocks), -1), known.reshape(len(blocks), -1)
    power = (flat**2) @ mask.T
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs = (flat @ flat.T).astype(np.float64) / np.sqrt(power * power.T)
    shared = (there @ there.T).astype(np.int64)
    pairs[(shared < _FEWEST_SHARED) | ~np.isfinite(pairs)] = np.nan
    np.fill_diagonal(pairs, np.nan)
    return pairs, shared
