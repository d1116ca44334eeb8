"""Layout of each plate: controls spread over the plate, treatments at random positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import polars as pl

from phenoprint.errors import UnknownNameError
from phenoprint.plates import PlateFormat, Well
from phenoprint.simulation.design import ScreenDesign
from phenoprint.simulation.library import NEGATIVE_CONTROL, Compound, library
from phenoprint.simulation.seeding import Stream, stream

__all__ = ["Spot", "WellContent", "contents", "find_well", "layout"]


@dataclass(frozen=True)
class WellContent:
    """Treatment of a well; `compound` is None for negative controls and empty wells."""

    pert_type: str
    compound: Compound | None = None
    dose_um: float | None = None

    @property
    def effect(self) -> float:
        """Effect of the dose by the Hill curve of the compound."""
        return 0.0 if self.compound is None or self.dose_um is None else self.compound.effect(self.dose_um)

    @property
    def toxicity(self) -> float:
        """Fraction of the full cytotoxicity at the dose."""
        return 0.0 if self.compound is None or self.dose_um is None else self.compound.toxicity(self.dose_um)


@dataclass(frozen=True)
class Spot:
    """A well of a plate, by index."""

    plate_index: int
    well: Well

    @property
    def key(self) -> tuple[int, int, int]:
        """Plate, row and column, 0-based: the key of its random streams."""
        return (self.plate_index, self.well.row, self.well.col)


def find_well(design: ScreenDesign, plate: str, well: str | Well) -> Spot:
    """Find a well of the screen.

    Raises
    ------
    UnknownNameError
        If the screen has no such plate, or its plates have no such well.
    PlateMapError
        If `well` is not the name of a well.
    """
    if plate not in design.plates:
        raise UnknownNameError("plate of the simulated screen", plate, design.plates)
    place, grid = Well.parse(well), PlateFormat.of(design.plate_format)
    if place not in grid:
        last = Well(grid.rows - 1, grid.columns - 1)
        raise UnknownNameError(f"well of a {grid} plate", str(place), ["A01", f"... to {last}"])
    return Spot(design.plates.index(plate), place)


def _spread_positions(
    rng: np.random.Generator, order: np.ndarray[tuple[int], np.dtype[np.int64]], n: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Draw one position from each of n sections of `order`; return them in random order."""
    if n == 0:
        return np.empty(0, np.int64)
    edges = np.linspace(0, len(order), n + 1)
    picks = np.floor(edges[:-1] + rng.uniform(size=n) * np.diff(edges)).astype(np.int64)
    return rng.permutation(order[np.minimum(picks, len(order) - 1)])


@lru_cache(maxsize=64)
def contents(design: ScreenDesign, plate_index: int) -> Mapping[Well, WellContent]:
    """Return the content of every well of a plate, row by row."""
    grid = PlateFormat.of(design.plate_format)
    shelf = plate_index % design.plates_per_library
    rng = stream(design.seed, Stream.LAYOUT, shelf if design.same_layout else plate_index)
    # Down one column and up the next: neighbours in this order are neighbours on the plate.
    serpentine = np.arange(grid.n_wells).reshape(grid.rows, grid.columns).T.copy()
    serpentine[1::2] = serpentine[1::2, ::-1]
    order = serpentine.ravel().astype(np.int64)
    negative = _spread_positions(rng, order, design.negcon_wells)
    order = order[~np.isin(order, negative)]
    positive = _spread_positions(rng, order, design.poscon_wells)
    free = rng.permutation(order[~np.isin(order, positive)])

    compounds = library(design)
    references = [compound for compound in compounds if compound.pert_type == "poscon"]
    tested = [compound for compound in compounds if compound.pert_type == "trt"]
    treatments = [
        WellContent("trt", compound, dose)
        for compound in tested[shelf :: design.plates_per_library]
        for dose in sorted(design.doses_um)
        for _ in range(design.replicates)
    ]
    spare = WellContent("empty") if design.empty_wells else WellContent("negcon")
    placed = dict.fromkeys(free.tolist(), spare)
    placed.update(zip(free.tolist(), treatments, strict=False))
    placed.update(dict.fromkeys(negative.tolist(), WellContent("negcon")))
    for index, position in enumerate(positive.tolist()):
        placed[position] = WellContent("poscon", references[index % len(references)], max(design.doses_um))
    return MappingProxyType({well: placed[index] for index, well in enumerate(grid.wells())})


def layout(design: ScreenDesign) -> pl.DataFrame:
    """Return the plate map of the screen, as a laboratory would write it.

    Parameters
    ----------
    design
        The screen.

    Returns
    -------
    pl.DataFrame
        One row per plate and well, in order: Metadata_Plate, Metadata_Well, Metadata_Row and Metadata_Col
        (1-based), Metadata_Batch, Metadata_pert_type, Metadata_compound, Metadata_Concentration (µM),
        Metadata_Concentration_Unit, Metadata_moa (null for inert compounds, negative control, empty wells).

    Examples
    --------
    >>> from phenoprint.simulation import tiny_design
    >>> layout(tiny_design())["Metadata_pert_type"].value_counts(sort=True).rows()
    [('trt', 18), ('negcon', 4), ('poscon', 2)]
    """
    rows = [
        _map_row(design, plate_index, plate, well, content)
        for plate_index, plate in enumerate(design.plates)
        for well, content in contents(design, plate_index).items()
    ]
    schema = {
        "Metadata_Plate": pl.String,
        "Metadata_Well": pl.String,
        "Metadata_Row": pl.Int32,
        "Metadata_Col": pl.Int32,
        "Metadata_Batch": pl.String,
        "Metadata_pert_type": pl.String,
        "Metadata_compound": pl.String,
        "Metadata_Concentration": pl.Float64,
        "Metadata_Concentration_Unit": pl.String,
        "Metadata_moa": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _map_row(
    design: ScreenDesign, plate_index: int, plate: str, well: Well, content: WellContent
) -> tuple[str | int | float | None, ...]:
    compound = content.compound
    name = NEGATIVE_CONTROL if content.pert_type == "negcon" else None
    return (
        plate,
        str(well),
        well.row + 1,
        well.col + 1,
        design.batch(plate_index),
        content.pert_type,
        name if compound is None else compound.name,
        content.dose_um,
        None if content.dose_um is None else "uM",
        None if compound is None else compound.mechanism,
    )
