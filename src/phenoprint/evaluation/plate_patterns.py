"""Checks of a plate for effects of position: on cell counts, readouts and whole profiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from phenoprint.evaluation.assay import cliffs_delta
from phenoprint.evaluation.plate_check import AcceptanceLimits, Check, judge, unjudged
from phenoprint.evaluation.plate_position import (
    PATTERNS,
    inert_looking,
    on_rim,
    position_effect,
    position_pattern,
    shared_by,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.plates import PlateFormat

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]

__all__ = ["PlateWells", "pattern_checks"]

_CONTROLS = "negative controls"
_INERT = "negative controls and wells that look inert"
_EVERY = "all wells but the positive controls (the layout of the treatments may be the cause)"


@dataclass(frozen=True)
class PlateWells:
    """The wells of a plate as the checks of position use them.

    Attributes
    ----------
    places
        Row and column of each well, from 0, shape (wells, 2).
    shape
        The plate.
    is_control
        Whether each well is a negative control, shape (wells,).
    is_treated
        Whether each well is neither a control nor empty, shape (wells,).
    activity
        Size of each well's profile, shape (wells,); NaN where it has none.
    seed
        Seed of the permutations.
    """

    places: Matrix
    shape: PlateFormat
    is_control: Mask
    is_treated: Mask
    activity: Matrix
    seed: int = 0


def pattern_checks(
    plate: PlateWells, values: Matrix, name: str, limits: AcceptanceLimits, *, patterns: tuple[str, ...] = PATTERNS
) -> Iterator[Check]:
    """Test whether values follow the rim, the rows, the columns or a gradient of the plate.

    The wells of a test are the negative controls where these can show the pattern. If they cannot, wells that look
    inert are added: neither their value nor their profile is far from those of the plate's other wells. If these cannot
    show it either, all wells but the positive controls are used. The reason names them. Only the negative controls can
    fail a plate: among other wells, the layout of the treatments can look like an effect of position.

    Parameters
    ----------
    plate
        The wells.
    values
        One value per well, shape (wells,), or a complete profile per well, shape (wells, features); rows with NaN are
        left out.
    name
        What the values are, for the criterion.
    limits
        Where checks warn and fail.
    patterns
        The patterns to look for.
    """
    is_profile = values.ndim == 2
    rows = values if is_profile else values[:, None]
    known: Mask = np.asarray(np.isfinite(rows).all(axis=1) & bool(rows.shape[1]))
    sets = _sets(plate, values, known)
    points: dict[str, Matrix] = {}
    for pattern in patterns:
        criterion = f"{pattern}_{name}"
        why = "no well has a value"
        for among, chosen in sets.items():
            if not chosen.any():
                continue
            design = position_pattern(plate.places[chosen], plate.shape, pattern)
            if isinstance(design, str):
                why = f"{design} (of {among})"
                continue
            if among not in points:
                points[among] = shared_by(rows[chosen]) if is_profile else _ranks(values[chosen])
            if not np.ptp(points[among], axis=0).any():
                n = int(chosen.sum())
                made = Check(criterion, 0.0, effect=0.0, n=n, reason=f"all {n} wells are equal, over {among}")
                yield judge(made, 0.0, limits.pattern, at_least=False)
                break
            effect = position_effect(design, points[among], seed=plate.seed)
            if effect is None:
                why = f"the wells vary too little (of {among})"
                continue
            reason = f"{effect.share:.0%} of the variance between {effect.n} wells, p = {effect.p:.2g}, over {among}"
            check = Check(criterion, effect.share, effect=effect.share, p=effect.p, n=effect.n, reason=reason)
            if pattern == "edge" and not is_profile:
                rim = on_rim(plate.places[chosen], plate.shape)
                made = _edge(check, values[chosen][rim], values[chosen][~rim], name, among=among, limits=limits)
            else:
                made = judge(check, effect.share, limits.pattern, at_least=False)
            warn = limits.edge[0] if made.value != effect.share else limits.pattern[0]
            if effect.p >= limits.significance:
                made = replace(made, verdict="pass", threshold=warn)
            elif made.verdict == "fail" and among != _CONTROLS:
                made = replace(made, verdict="warn", threshold=warn)
            yield made
            break
        else:
            yield unjudged(criterion, why)


def _edge(check: Check, outer: Matrix, inner: Matrix, name: str, *, among: str, limits: AcceptanceLimits) -> Check:
    """Judge an edge effect by Cliff's delta and, for counts, by the difference relative to the inside."""
    delta = cliffs_delta(outer, inner)
    middle = float(np.median(inner))
    difference = float(np.median(outer)) - middle
    words = f"Cliff's delta {delta:+.2f}, p = {check.p:.2g}, {len(outer)} wells on the rim and {len(inner)} inside"
    found = replace(check, value=abs(delta), effect=difference, reason=f"{words}, over {among}")
    verdict = judge(found, abs(delta), limits.edge, at_least=False).verdict
    if name == "cell_count" and middle > 0:
        share = difference / middle
        reason = f"{words} ({share:+.0%} cells on the rim), over {among}"
        found = replace(found, effect=share, reason=reason)
        by_share = judge(found, abs(share), limits.count_difference, at_least=False).verdict
        verdict = min(str(verdict), str(by_share), key=("pass", "warn", "fail").index)
    return replace(found, verdict=verdict, threshold=limits.edge[verdict == "fail"])


def _sets(plate: PlateWells, values: Matrix, known: Mask) -> dict[str, Mask]:
    """Return the sets of wells to test among, the most trusted first."""
    own = known & plate.is_control
    usual = known & (plate.is_control | plate.is_treated)
    looks = inert_looking(np.where(usual, np.log1p(plate.activity), np.nan)) | ~np.isfinite(plate.activity)
    if values.ndim == 1:
        looks &= inert_looking(np.where(usual, values, np.nan))
    return {_CONTROLS: own, _INERT: usual & looks, _EVERY: usual}


def _ranks(values: Matrix) -> Matrix:
    from scipy.stats import rankdata

    ranks: Matrix = rankdata(values)[:, None].astype(np.float64)
    return ranks
