"""Whether p values hold in a screen: negative controls taken as if they were treatments, through the whole recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from phenoprint.errors import DataError, UsageError
from phenoprint.evaluation.activity import compare_treatments, judged, prepare
from phenoprint.evaluation.fold_profiles import treated_wells
from phenoprint.evaluation.positions import control_positions
from phenoprint.profiles import apply_recipe, cross_fit_with_status
from phenoprint.tables import PERT_TYPE, PERTURBATION, PLATE, WELL, WELL_KEY, frame_of

if TYPE_CHECKING:
    from phenoprint.profiles import RecipeLike

__all__ = ["CALIBRATION_VARIANTS", "calibration", "calibration_plates", "typical_pattern"]

CALIBRATION_VARIANTS: Final = {
    "random": "controls in different positions, as many on each plate as a treatment has",
    "same position": "controls in one position of several plates, as the replicates of a treatment are",
    "in sample": "random groups, with a recipe that was fitted on the controls that are the negatives: what p values "
    "would be without cross-fitting",
}
"""Variants of table ``calibration`` and what their groups are."""

_LEVELS: Final = (0.05, 0.2)
_PARTS: Final = 3
_MOST_PLATES: Final = 8
_OTHERS: Final = 100  # treatments that the correlation of folds is estimated from
_FEWEST: Final = 4  # controls on a plate: fewer leave none to compare with


def calibration(
    plates: Sequence[pl.DataFrame],
    recipe: RecipeLike = "phenoprint",
    *,
    n_folds: int = 2,
    null_size: int = 1_000,
    seed: int = 0,
) -> pl.DataFrame:
    """Test whether p values of activity hold: they do if a twentieth of groups of controls has p < 0.05.

    A third of the controls is annotated as treatments before the recipe is fitted, in groups with as many wells of as
    many plates as the treatments of the screen have. They take the way of a treatment: the recipe is cross-fitted to
    the other controls, and the groups are tested against these. Each third has its turn.

    Parameters
    ----------
    plates
        Well profiles (level 3), one frame per plate; see `calibration_plates`.
    recipe, n_folds, seed
        As in `phenoprint.profiles.cross_fit`.
    null_size
        As in `activity`.

    Returns
    -------
    polars.DataFrame
        Table ``calibration``: one row per variant (`CALIBRATION_VARIANTS`). Intervals are those of Clopper and Pearson
        for independent groups; since groups share their negatives, they are somewhat too narrow. Status ``off`` where
        an interval does not hold its level; ``too few controls`` where no group could be tested.

    Examples
    --------
    >>> from phenoprint.simulation import simulate_profiles
    >>> design = {"n_plates": 2, "n_replicates": 2, "n_controls": 12, "n_features": 30}
    >>> wells = simulate_profiles("null", n_compounds=20, **design).wells
    >>> rows = calibration(wells.partition_by("Metadata_Plate"), null_size=200)
    >>> rows.select("variant", "n", "status").rows()
    [('random', 12, 'ok'), ('same position', 12, 'ok'), ('in sample', 12, 'ok')]
    """
    wells = pl.concat([plate.select(pl.col("^Metadata_.*$")) for plate in plates], how="diagonal_relaxed")
    pattern = typical_pattern(wells)
    if pattern is None:
        return frame_of("calibration", [_untested("random", 0, 0, "no replicates", "No treatment has replicates.")])
    n_replicates, sets = pattern
    found: dict[str, list[float]] = {"random": [], "same position": [], "in sample": []}
    position_p: list[float] = []
    shares: list[float] = []
    reason = "No plate has enough negative controls to take some as treatments."
    for turn in range(_PARTS):
        for variant in ("random", "same position"):
            groups = _groups(wells, sets, n_replicates, turn, seed, in_one_place=variant == "same position")
            if groups.is_empty():
                continue
            marked = [_marked(plate, groups) for plate in plates]
            try:
                folds = cross_fit_with_status(marked, recipe, n_folds, seed)
                own, position, share = _tested(folds.folds, groups, null_size, seed)
                if folds.status["cross_fitted"].all():
                    found[variant] += own
                    position_p += [] if position is None else [position]
                    shares += [] if share is None else [share]
                else:
                    reason = str(folds.status["reason"].drop_nulls().first())
                if variant == "random":
                    whole = apply_recipe(pl.concat(marked, how="diagonal_relaxed"), recipe)[-1].frame
                    found["in sample"] += _tested([whole], groups, null_size, seed)[0]
            except (DataError, UsageError) as error:
                reason = f"The recipe cannot be fitted without a third of the controls: {error}"
    n_plates = len(sets[0])
    rows = [
        _row(variant, own, n_replicates, n_plates, cross_fitted=variant != "in sample")
        if own
        else _untested(variant, n_replicates, n_plates, "too few controls", reason)
        for variant, own in found.items()
        if own or (variant == "random")
    ]
    p = float(np.median(position_p)) if position_p else None
    share = float(np.median(shares)) if shares else None
    return frame_of("calibration", [row | {"position_p_value": p, "position_share": share} for row in rows])


def typical_pattern(wells: pl.DataFrame) -> tuple[int, list[tuple[str, ...]]] | None:
    """Return how many replicates most treatments have, and the sets of plates that these lie on.

    Parameters
    ----------
    wells
        Metadata of all wells.

    Returns
    -------
    tuple or None
        Number of replicates, a multiple of the number of plates; sets of plates, the most frequent first. None where no
        treatment has two wells, as many on each of its plates.
    """
    counted = treated_wells(wells).filter(pl.col(PERT_TYPE) == "trt").group_by(PERTURBATION, PLATE).len()
    of_treatment = counted.group_by(PERTURBATION).agg(
        pl.col(PLATE).sort().alias("plates"), pl.col("len").sum().alias("n"), pl.col("len").n_unique().alias("kinds")
    )
    usable = of_treatment.filter((pl.col("n") > 1) & (pl.col("kinds") == 1))
    if usable.is_empty():
        return None
    usable = usable.with_columns(pl.col("plates").list.len().alias("n_plates"))
    kinds = usable.group_by("n", "n_plates").len().sort("len", "n", "n_plates", descending=[True, False, False])
    n, n_plates = kinds.row(0)[:2]
    own = usable.filter((pl.col("n") == n) & (pl.col("n_plates") == n_plates))
    sets = own.group_by("plates").len().sort("len", "plates", descending=[True, False])["plates"].to_list()
    return int(n), [tuple(names) for names in sets]


def calibration_plates(wells: pl.DataFrame) -> list[str]:
    """Choose the plates to calibrate on: those of the treatments that many plates share, 8 at most."""
    pattern = typical_pattern(wells)
    chosen: list[str] = []
    for names in pattern[1] if pattern else []:
        new = [name for name in names if name not in chosen]
        if len(chosen) + len(new) <= _MOST_PLATES:
            chosen += new
    return sorted(chosen)


def _groups(
    wells: pl.DataFrame, sets: Sequence[tuple[str, ...]], n_replicates: int, turn: int, seed: int, *, in_one_place: bool
) -> pl.DataFrame:
    """Draw groups of controls with the pattern of the treatments: plate, well and the name of the group."""
    rng = np.random.default_rng([seed, turn, in_one_place])
    controls = wells.filter(pl.col(PERT_TYPE) == "negcon").select(WELL_KEY).unique().sort(WELL_KEY)
    every = controls[WELL].unique().sort()
    order = every.gather(np.random.default_rng(seed).permutation(len(every)))
    own_turn = order.gather_every(_PARTS, turn)
    free: dict[str, list[str]] = {}
    for (name,), own in controls.group_by(PLATE, maintain_order=True):
        if own.height >= _FEWEST:
            drawn = own.filter(pl.col(WELL).is_in(own_turn.implode()))[WELL].to_list()
            free[str(name)] = [drawn[i] for i in rng.permutation(len(drawn))]
    rows: list[tuple[str, str, str]] = []
    for names in sets:
        each = n_replicates // len(names)
        for wanted in _choices([free.get(name, []) for name in names], each, in_one_place=in_one_place):
            group = f"controls {turn} {len(rows)}"
            rows += [(plate, well, group) for plate, chosen in zip(names, wanted, strict=True) for well in chosen]
            for plate, chosen in zip(names, wanted, strict=True):
                free[plate] = [well for well in free[plate] if well not in chosen]
    return pl.DataFrame(rows, schema=[PLATE, WELL, "_group"], orient="row", schema_overrides={"_group": pl.String})


def _choices(free: list[list[str]], each: int, *, in_one_place: bool) -> Iterator[list[list[str]]]:
    """Divide the free wells of some plates into groups with `each` wells of each plate."""
    if not in_one_place:
        n = min(len(own) for own in free) // each
        yield from ([own[i * each : (i + 1) * each] for own in free] for i in range(n))
    elif len(free) > 1 and each == 1:
        shared = set.intersection(*(set(own) for own in free))
        yield from ([[well] for _ in free] for well in free[0] if well in shared)


def _marked(plate: pl.DataFrame, groups: pl.DataFrame) -> pl.DataFrame:
    """Annotate the wells of the groups as treatments."""
    joined = plate.join(groups, on=WELL_KEY, how="left", maintain_order="left")
    is_own = pl.col("_group").is_not_null()
    return joined.with_columns(
        pl.when(is_own).then(pl.lit("trt")).otherwise(PERT_TYPE).alias(PERT_TYPE),
        pl.coalesce("_group", PERTURBATION).alias(PERTURBATION),
    ).drop("_group")


def _tested(
    folds: Sequence[pl.DataFrame], groups: pl.DataFrame, null_size: int, seed: int
) -> tuple[list[float], float | None, float | None]:
    """P values of the groups and of the test whether position matters; the share of position in other treatments."""
    prepared = prepare(folds)
    named = groups["_group"].unique().sort().to_list()
    others = sorted({name for fold in prepared for name in fold.treatments} - set(named))
    some = np.random.default_rng(seed).permutation(others)[:_OTHERS].tolist()
    found = compare_treatments(prepared, null_size=null_size, seed=seed, names=[*named, *some])
    positions = control_positions(prepared, seed=seed)
    p_values = {own.name: verdict.p_value for own, verdict in zip(found, judged(found, positions), strict=True)}
    share = positions.share([own.rows for own in found if own.name not in set(named)])
    return [p for name in named if (p := p_values[name]) is not None], positions.p_value, share


def _row(
    variant: str, p_values: list[float], n_replicates: int, n_plates: int, *, cross_fitted: bool
) -> dict[str, object]:
    from scipy.stats import binomtest

    row: dict[str, object] = {
        "variant": variant,
        "n_replicates": n_replicates,
        "n_plates": n_plates,
        "n": len(p_values),
        "cross_fitted": cross_fitted,
    }
    off = []
    for level, name in zip(_LEVELS, ("below_05", "below_20"), strict=True):
        result = binomtest(sum(p < level for p in p_values), len(p_values), level)
        interval = result.proportion_ci(0.95, method="exact")
        row |= {name: result.statistic, f"{name}_low": interval.low, f"{name}_high": interval.high}
        if not interval.low <= level <= interval.high:
            off.append(
                f"{result.statistic:.0%} of the groups have p < {level} ({interval.low:.0%} to {interval.high:.0%})"
            )
    return row | {"status": "off" if off else "ok", "reason": "; ".join(off) or None}


def _untested(variant: str, n_replicates: int, n_plates: int, status: str, reason: str) -> dict[str, object]:
    return {
        "variant": variant,
        "n_replicates": n_replicates,
        "n_plates": n_plates,
        "n": 0,
        "cross_fitted": False,
        "status": status,
        "reason": reason,
    }
