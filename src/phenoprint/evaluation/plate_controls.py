"""Checks of a plate's controls: how many there are, and how far each positive control lies from the negative ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.evaluation.assay import held_out_scores, ssmd, z_prime
from phenoprint.evaluation.controls import UNNAMED, control_statistics, ranked_readouts
from phenoprint.evaluation.plate_check import Check, judge, unjudged
from phenoprint.tables import COMPOUND, MAD_SCALE, PERT_TYPE, feature_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.evaluation.plate_check import AcceptanceLimits

    Vector = NDArray[np.float64]

__all__ = ["best_features", "separation_checks"]

_FEWEST_ROBUST = 5  # wells of a control: a MAD of fewer is no estimate of the spread
_COUNT, _SCORE = "cell_count", "profile"


@dataclass(frozen=True)
class _Pair:
    """Values of one readout in a positive control and in the negative controls."""

    poscon: str
    pos: Vector
    neg: Vector


def separation_checks(
    wells: pl.DataFrame, values: pl.DataFrame, readouts: pl.DataFrame | None, limits: AcceptanceLimits
) -> Iterator[Check]:
    """Compare each positive control with the negative ones, in each readout, in cell count and in its profile.

    For each readout, the positive control that is separated best is judged: a control need not act on every readout.
    The count is not judged, since few controls are meant to change it.

    Parameters
    ----------
    wells
        Wells of one plate, with ``Metadata_pert_type``, and ``Metadata_compound`` and ``Metadata_Object_Count`` where
        they are known.
    values
        Complete features of the same wells, normalized by the plate's own controls.
    readouts
        Wells of the plate with ``Metadata_pert_type`` and one column per readout, or None.
    limits
        Where checks warn and fail.
    """
    if readouts is not None:
        for name in feature_columns(readouts):
            yield from _judged(name, _pairs(readouts, readouts[name].cast(pl.Float64)), limits)
    if "Metadata_Object_Count" in wells.columns and wells["Metadata_Object_Count"].null_count() < wells.height:
        counted = _pairs(wells, wells["Metadata_Object_Count"].cast(pl.Float64))
        reason = "not judged: positive controls need not change the number of cells"
        yield from (replace(check, verdict=None, threshold=None, reason=reason) for check in _rows(_COUNT, counted))
    yield from _profile_rows(wells, values, limits)


def best_features(wells: pl.DataFrame) -> Iterator[Check]:
    """Name the single feature that separates each positive control best; an upper bound, which is not judged.

    Parameters
    ----------
    wells
        Measured profiles of one plate: values that a normalization clipped would look better than they are.
    """
    features = feature_columns(wells)
    ranked = ranked_readouts(control_statistics(wells, features)).filter(pl.col("place") == 1)
    for row in ranked.sort("poscon").iter_rows(named=True):
        reason = f"not judged: the best of {len(features):,} features on these same wells is an upper bound"
        yield Check(
            f"best_z_prime:{row['poscon']}",
            row["z_prime"],
            n=row["n_poscon"],
            reason=reason,
            poscon=row["poscon"],
            readout=row["feature"],
            is_best=True,
            n_compared=len(features),
        )


def _pairs(wells: pl.DataFrame, values: pl.Series) -> list[_Pair]:
    """Return the finite values of each positive control beside those of the negative controls."""
    array = values.fill_null(np.nan).to_numpy()
    kinds = wells[PERT_TYPE].fill_null("")
    names = wells[COMPOUND].cast(pl.String).fill_null(UNNAMED) if COMPOUND in wells.columns else None
    is_pos, is_neg = (kinds == "poscon").to_numpy(), (kinds == "negcon").to_numpy()
    known = np.isfinite(array)
    if names is None:
        return [_Pair(UNNAMED, array[is_pos & known], array[is_neg & known])] if is_pos.any() else []
    found = sorted(set(names.filter(is_pos)))
    return [_Pair(name, array[is_pos & known & (names == name).to_numpy()], array[is_neg & known]) for name in found]


def _judged(readout: str, pairs: list[_Pair], limits: AcceptanceLimits) -> Iterator[Check]:
    """Judge the positive control that a readout separates best."""
    if not pairs:
        yield unjudged(f"z_prime:{readout}", "no positive control on the plate")
    rows = list(_rows(readout, pairs))
    best = next((row.poscon for row in rows if row.is_best), None)
    by_name: Mapping[str, tuple[float, float]] = {
        "z_prime": limits.z_prime,
        "robust_z_prime": limits.z_prime,
        "ssmd": limits.ssmd,
    }
    for row in rows:
        if row.value is None:
            yield row
        elif row.poscon == best:
            size = abs(row.value) if row.criterion.startswith("ssmd") else row.value
            made = judge(row, size, by_name[row.criterion.partition(":")[0]], at_least=True)
            yield replace(made, value=row.value)
        else:
            yield replace(row, reason=f"not judged: {readout} separates {best} better")


def _rows(readout: str, pairs: list[_Pair]) -> Iterator[Check]:
    """Compute Z', robust Z' and SSMD of each positive control, and mark the one with the best Z'."""
    found: list[Check] = []
    for pair in pairs:
        n_pos, n_neg = len(pair.pos), len(pair.neg)
        place = f"{readout}:{pair.poscon}"
        about = Check("", None, n=n_pos + n_neg, poscon=pair.poscon, readout=readout)
        if n_pos < 2 or n_neg < 2:
            reason = f"{n_pos} wells of {pair.poscon} and {n_neg} negative controls have a value, two each needed"
            found.append(replace(about, criterion=f"z_prime:{place}", reason=f"not judged: {reason}"))
            continue
        words = f"{n_pos} wells of {pair.poscon} against {n_neg} negative controls"
        about = replace(about, effect=_difference(pair), reason=words)
        z, spread = z_prime(pair.pos, pair.neg), ssmd(pair.pos, pair.neg)
        found.append(replace(about, criterion=f"z_prime:{place}", value=z if np.isfinite(z) else None))
        found.append(replace(about, criterion=f"ssmd:{place}", value=spread if np.isfinite(spread) else None))
        if min(n_pos, n_neg) >= _FEWEST_ROBUST:
            robust = z_prime(pair.pos, pair.neg, robust=True)
            found.append(
                replace(about, criterion=f"robust_z_prime:{place}", value=robust if np.isfinite(robust) else None)
            )
    known = [row for row in found if row.criterion.startswith("z_prime") and row.value is not None]
    best = max(known, key=lambda row: (row.value or 0.0, row.poscon), default=None)
    for row in found:
        is_best = best is not None and row.poscon == best.poscon
        reason = row.reason if row.value is not None else f"not judged: {row.reason.removeprefix('not judged: ')}"
        yield replace(row, is_best=is_best, n_compared=len(pairs), reason=reason)


def _difference(pair: _Pair) -> float | None:
    """Return the difference of the medians in robust standard deviations of the negative controls."""
    middle = float(np.median(pair.neg))
    spread = MAD_SCALE * float(np.median(np.abs(pair.neg - middle)))
    return (float(np.median(pair.pos)) - middle) / spread if spread > 0 else None


def _profile_rows(wells: pl.DataFrame, values: pl.DataFrame, limits: AcceptanceLimits) -> Iterator[Check]:
    """Compare whole profiles by scores of wells that were held out, and judge the SSMD."""
    if not values.width:
        return
    matrix = values.cast(pl.Float64).to_numpy()
    has = np.isfinite(matrix).all(axis=1)  # wells without cells have no profile
    kinds = wells[PERT_TYPE].fill_null("")
    is_neg = (kinds == "negcon").to_numpy() & has
    names = wells[COMPOUND].cast(pl.String).fill_null(UNNAMED) if COMPOUND in wells.columns else kinds
    pairs = []
    for name in sorted(set(names.filter(kinds == "poscon"))):
        is_pos = ((kinds == "poscon") & (names == name)).to_numpy() & has
        label = UNNAMED if COMPOUND not in wells.columns else name
        if is_pos.sum() >= 2 and is_neg.sum() >= 3 and matrix.shape[1]:
            pairs.append(_Pair(label, *held_out_scores(matrix[is_pos], matrix[is_neg])))
    for row in _judged(_SCORE, pairs, limits) if pairs else ():
        if row.criterion.startswith("ssmd") or row.verdict is None:
            yield row
        else:
            reason = "not judged: the profile is judged by SSMD and retrieval; Z' asks for decisions on single wells"
            yield replace(row, verdict=None, threshold=None, reason=reason)
