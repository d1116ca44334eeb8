"""Randomized layouts: controls off the edge and spread over the plate, each treatment elsewhere on each plate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

from phenoprint.errors import PlateMapError, UsageError
from phenoprint.plates.doses import canonical_unit
from phenoprint.plates.pert_types import infer_pert_type
from phenoprint.plates.platemap import PLATE_MAP_SCHEMA
from phenoprint.plates.spread import apart, spread
from phenoprint.plates.well import PlateFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LayoutPlan", "plate_map_text", "randomized_layout", "with_doses"]

DOSE: Final = "Metadata_Concentration"
_PLAIN: Final = {
    "Metadata_Plate": "plate",
    "Metadata_Well": "well",
    "Metadata_Batch": "batch",
    DOSE: "concentration",
    f"{DOSE}_Unit": "unit",
}
_PLACES: Final = ("Metadata_Row", "Metadata_Col")
_ALWAYS: Final = ("Metadata_Plate", "Metadata_Well", "Metadata_pert_type", "Metadata_compound")
_KEEP: Final = [name for name in PLATE_MAP_SCHEMA if name not in (
    "Metadata_Plate", "Metadata_Well", "Metadata_Row", "Metadata_Col", "Metadata_Batch"
)]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LayoutPlan:
    """What to place on how many plates.

    Attributes
    ----------
    plate_format
        Wells per plate: 6, 12, 24, 48, 96, 384 or 1536.
    replicates
        Wells per treatment, over all plates.
    per_plate
        Wells of a treatment on each plate that holds it; `replicates` is a multiple of it.
    controls, positive
        Negative control wells per plate, and wells per plate of each positive control.
    edges
        What the outer ring of wells holds: ``"empty"``, or ``"treatments"``; never a control.
    spare
        What wells hold that are left over off the edge: ``"empty"`` or ``"controls"``.
    max_plates
        Plates that there are; None for as many as needed.
    prefix
        Plates are named by it and a number.
    control
        Name of the negative control.
    seed
        Seed of the layout.

    Raises
    ------
    UsageError
        If a number is out of range.
    """

    plate_format: int = 384
    replicates: int = 4
    per_plate: int = 1
    controls: int = 32
    positive: int = 8
    edges: Literal["empty", "treatments"] = "empty"
    spare: Literal["empty", "controls"] = "empty"
    max_plates: int | None = None
    prefix: str = "P"
    control: str = "DMSO"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check all values."""
        PlateFormat.of(self.plate_format)
        for name, least in (("replicates", 1), ("per_plate", 1), ("controls", 0), ("positive", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be {least} or more; found {getattr(self, name)}")
        if self.replicates % self.per_plate:
            raise UsageError(
                f"{self.replicates} replicates cannot be divided into plates with {self.per_plate} wells each; give a "
                f"multiple of {self.per_plate}"
            )
        if self.edges not in ("empty", "treatments") or self.spare not in ("empty", "controls"):
            raise UsageError(
                "edges must be 'empty' or 'treatments', and spare 'empty' or 'controls'; found "
                f"{self.edges!r} and {self.spare!r}"
            )


def randomized_layout(treatments: pl.DataFrame, plan: LayoutPlan) -> pl.DataFrame:
    """Place treatments and controls at random, differently on each plate.

    Controls are off the edge, spread evenly over quadrants, rows and columns and far from each other. A treatment is in
    another position on each of its plates, so that its effect cannot be confused with that of the position. All doses
    of a compound are on one plate where they fit.

    Parameters
    ----------
    treatments
        One row per treatment: ``Metadata_compound``, and where known ``Metadata_Concentration``,
        ``Metadata_Concentration_Unit``, ``Metadata_moa`` and ``Metadata_pert_type``; other columns are kept. Rows of
        kind ``poscon`` are positive controls, on every plate; rows of kind ``negcon`` name the negative control.
    plan
        How many of each on which plates.

    Returns
    -------
    polars.DataFrame
        One row per well of each plate, with the columns of a plate map; sorted by plate, row and column.

    Raises
    ------
    PlateMapError
        If there is no treatment, one is named twice, or there are not enough wells.

    Examples
    --------
    >>> compounds = pl.DataFrame({"Metadata_compound": [f"c{i}" for i in range(40)]})
    >>> plan = LayoutPlan(plate_format=96, replicates=3, controls=12, positive=0)
    >>> layout = randomized_layout(compounds, plan)
    >>> layout.filter(Metadata_compound="c0").select("Metadata_Plate", "Metadata_Well").rows()
    [('P01', 'D06'), ('P02', 'B02'), ('P03', 'E11')]
    """
    listed, positive, control = _sorted_out(treatments, plan)
    grid = PlateFormat.of(plan.plate_format)
    wells = grid.wells()
    is_edge = np.array([grid.is_edge(well) for well in wells])
    free = _room(plan, len(positive), is_edge)
    sets = _divided(listed, free // plan.per_plate, np.random.default_rng([plan.seed, 0]))
    copies = plan.replicates // plan.per_plate
    _check_plates(plan, len(sets) * copies, listed.height, free)
    width = max(2, len(str(len(sets) * copies)))
    plates = []
    for number, members in enumerate(sets):
        taken = np.zeros((members.height, len(wells)), dtype=bool)
        for copy in range(copies):
            index = number * copies + copy + 1
            name = f"{plan.prefix}{index:0{width}d}"
            rng = np.random.default_rng([plan.seed, index])
            plates.append(_plate(plan, rng, name, (members, positive, control), taken))
    return pl.concat(plates).sort("Metadata_Plate", "Metadata_Row", "Metadata_Col")


def with_doses(treatments: pl.DataFrame, doses: Sequence[float], unit: str) -> pl.DataFrame:
    """Repeat each compound at each dose; positive and negative controls stay as they are.

    Parameters
    ----------
    treatments
        As in `randomized_layout`, without doses of treatments.
    doses
        Doses above 0.
    unit
        Their unit.

    Raises
    ------
    PlateMapError
        If a treatment has a dose, a dose is not above 0, or the unit is not known.

    Examples
    --------
    >>> with_doses(pl.DataFrame({"Metadata_compound": ["a"]}), [1, 10], "µM").rows()
    [('a', 1.0, 'uM'), ('a', 10.0, 'uM')]
    """
    known = canonical_unit(unit)
    if known is None or not doses or min(doses) <= 0:
        raise PlateMapError(f"expected doses above 0 in a unit such as uM or mg/ml; found {list(doses)} {unit!r}")
    kinds = _kinds(treatments)
    listed = treatments.filter(kinds == "trt")
    if DOSE in listed.columns and listed[DOSE].count():
        raise PlateMapError("the list has doses of its own; leave out either these or the doses to add")
    every = pl.DataFrame({DOSE: [float(dose) for dose in doses]}).with_columns(pl.lit(known).alias(f"{DOSE}_Unit"))
    crossed = listed.drop(DOSE, f"{DOSE}_Unit", strict=False).join(every, how="cross", maintain_order="left_right")
    return pl.concat([crossed, treatments.filter(kinds != "trt")], how="diagonal_relaxed")


def plate_map_text(layout: pl.DataFrame) -> str:
    r"""Write a layout as the text of a plate map that `parse_plate_map` reads back: CSV, one line per well.

    Examples
    --------
    >>> plate_map_text(pl.DataFrame({"Metadata_Plate": ["P01"], "Metadata_Well": ["A01"], "Metadata_Row": [1]}))
    'plate,well\nP01,A01\n'
    """
    names = {name: _PLAIN.get(name, name.removeprefix("Metadata_")) for name in layout.columns if name not in _PLACES}
    filled = [old for old in names if layout[old].count() or old in _ALWAYS]
    return layout.select(pl.col(old).alias(names[old]) for old in filled).write_csv()


def _kinds(treatments: pl.DataFrame) -> pl.Series:
    """Return the kind of each treatment, as given or by the name of the compound."""
    names = treatments["Metadata_compound"].to_list()
    given = (
        treatments["Metadata_pert_type"].to_list()
        if "Metadata_pert_type" in treatments.columns
        else [None] * len(names)
    )
    found = [kind or infer_pert_type(name) for kind, name in zip(given, names, strict=True)]
    return pl.Series("Metadata_pert_type", found, dtype=pl.String)


def _sorted_out(treatments: pl.DataFrame, plan: LayoutPlan) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return treatments, positive controls and the negative control, with all columns of a plate map."""
    absent = [name for name in _KEEP if name not in treatments.columns]
    full = treatments.with_columns(pl.lit(None, dtype=PLATE_MAP_SCHEMA[name]).alias(name) for name in absent)
    own = [name for name in full.columns if name.startswith("Metadata_") and name not in PLATE_MAP_SCHEMA]
    full = full.select(*(pl.col(name).cast(PLATE_MAP_SCHEMA[name]) for name in _KEEP), *own)
    kind = pl.col("Metadata_pert_type")
    full = full.with_columns(_kinds(full)).filter(kind != "empty")
    names = ["Metadata_compound", "Metadata_Concentration", "Metadata_Concentration_Unit"]
    listed = full.filter(kind == "trt")
    twice = listed.filter(listed.select(names).is_duplicated())
    if twice.height:
        text = " ".join(str(part) for part in twice.select(names).row(0) if part is not None)
        raise PlateMapError(
            f"the treatment {text} is in the list more than once; list each once, and give the number of wells as "
            "replicates"
        )
    if not listed.height or listed["Metadata_compound"].null_count():
        raise PlateMapError(
            f"expected a list of treatments with a compound each; found {listed.height}, "
            f"{listed['Metadata_compound'].null_count()} of them without a compound"
        )
    control = full.filter(kind == "negcon").head(1)
    if control.is_empty():
        control = full.clear(1).with_columns(
            pl.lit(plan.control).alias("Metadata_compound"), pl.lit("negcon").alias("Metadata_pert_type")
        )
    return listed, full.filter(kind == "poscon"), control


def _room(plan: LayoutPlan, n_positive: int, is_edge: NDArray[np.bool_]) -> int:
    """Return the wells of a plate that treatments can have."""
    inner = int((~is_edge).sum())
    fixed = plan.controls + plan.positive * n_positive
    free = inner - fixed + (int(is_edge.sum()) if plan.edges == "treatments" else 0)
    if fixed > inner or free < plan.per_plate:
        raise PlateMapError(
            f"a {plan.plate_format}-well plate has {inner} wells off the edge: {plan.controls} negative and "
            f"{plan.positive} x {n_positive} positive controls leave {max(inner - fixed, 0)} of them"
            f"{' and the edge' if plan.edges == 'treatments' else ''} for treatments. Take fewer controls, a larger "
            "plate" + ("" if plan.edges == "treatments" else ", or fill the edge with treatments")
        )
    return free


def _check_plates(plan: LayoutPlan, n_plates: int, n_treatments: int, free: int) -> None:
    if plan.max_plates is not None and n_plates > plan.max_plates:
        raise PlateMapError(
            f"{n_treatments} treatments in {plan.replicates} wells each need {n_plates} plates of {plan.plate_format} "
            f"wells, {free} of each for treatments; there are {plan.max_plates}. Take fewer treatments, replicates or "
            "controls, or larger plates"
        )


def _divided(listed: pl.DataFrame, room: int, rng: np.random.Generator) -> list[pl.DataFrame]:
    """Divide treatments into as few sets as they need, the doses of a compound together where there is room."""
    sizes = dict(listed.group_by("Metadata_compound").len().sort("Metadata_compound").iter_rows())
    left = np.full(-(-listed.height // room), room)
    place: dict[str, list[int]] = {}
    order = rng.permutation(len(sizes))
    names = sorted(zip(sizes, order.tolist(), strict=True), key=lambda pair: (-sizes[pair[0]], pair[1]))
    for name, _ in names:
        slots: list[int] = []
        while len(slots) < sizes[name]:
            roomy = int(np.argmax(left))
            n = min(int(left[roomy]), sizes[name] - len(slots))
            slots += [roomy] * n
            left[roomy] -= n
        place[name] = slots
    numbered = listed.with_columns(_turn=pl.int_range(pl.len()).over("Metadata_compound"))
    owner = [place[name][turn] for name, turn in numbered.select("Metadata_compound", "_turn").iter_rows()]
    return [listed.filter(pl.Series([at == one for at in owner])) for one in range(len(left))]


def _plate(
    plan: LayoutPlan,
    rng: np.random.Generator,
    name: str,
    contents: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame],
    taken: NDArray[np.bool_],
) -> pl.DataFrame:
    """Lay out one plate; `taken` says which treatment was in which well of other plates, and is updated."""
    members, positive, control = contents
    grid = PlateFormat.of(plan.plate_format)
    wells = grid.wells()
    at = np.array([(well.row, well.col) for well in wells])
    is_edge = np.array([grid.is_edge(well) for well in wells])
    inner = np.flatnonzero(~is_edge)
    negative = spread(rng, at, inner, plan.controls)
    rest = np.setdiff1d(inner, negative)
    references = spread(rng, at, rest, plan.positive * positive.height)
    rest = np.setdiff1d(rest, references)
    open_wells = np.concatenate([rest, np.flatnonzero(is_edge)]) if plan.edges == "treatments" else rest
    who = np.repeat(np.arange(members.height), plan.per_plate)
    placed = apart(rng, who, rng.permutation(open_wells), taken)
    taken[who, placed] = True
    idle = np.setdiff1d(np.arange(len(wells)), np.concatenate([negative, references, placed]))
    more = idle[~is_edge[idle]] if plan.spare == "controls" else idle[:0]
    empty = control.clear(len(idle) - len(more)).with_columns(Metadata_pert_type=pl.lit("empty"))
    kinds = (
        (control[np.zeros(len(negative) + len(more), dtype=np.intp)], np.concatenate([negative, more])),
        (positive[np.repeat(np.arange(positive.height), plan.positive)], rng.permutation(references)),
        (members[who], placed),
        (empty, np.setdiff1d(idle, more)),
    )
    frames = [
        rows.with_columns(
            pl.lit(name).alias("Metadata_Plate"),
            pl.Series("Metadata_Well", [str(wells[i]) for i in places.tolist()], dtype=pl.String),
            pl.Series("Metadata_Row", at[places, 0] + 1, dtype=pl.Int32),
            pl.Series("Metadata_Col", at[places, 1] + 1, dtype=pl.Int32),
            pl.lit(None, pl.String).alias("Metadata_Batch"),
        )
        for rows, places in kinds
    ]
    return pl.concat(frames).select(*PLATE_MAP_SCHEMA, pl.exclude(*PLATE_MAP_SCHEMA))
