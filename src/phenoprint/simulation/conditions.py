"""Imaging conditions of each field, drawn from the seed and the position, and tables of the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoprint.plates import PlateFormat, Well
from phenoprint.simulation.design import CHANNELS, ScreenDesign
from phenoprint.simulation.library import NEGATIVE_CONTROL
from phenoprint.simulation.platelayout import Spot, contents
from phenoprint.simulation.seeding import Stream, stream
from phenoprint.simulation.traits import TRAITS, spread_of

__all__ = ["Conditions", "conditions", "field_truth", "well_truth"]

FloatArray = NDArray[np.float64]

_N = len(CHANNELS)
_FOCUS_UM = (2.6, 5.0)  # blur of an out-of-focus field, µm
_SMOOTH = 0.9  # length of the part of the position effect that follows rows, columns and the edge
_OVEREXPOSURE = (9.0, 16.0)  # gain of the channel that saturates


@dataclass(frozen=True)
class Conditions:
    """The imaging conditions of one field.

    Parameters
    ----------
    gain, background
        (5,) staining (1 is typical) and fluorescence of the medium (fraction of full exposure) of each channel.
    vignette
        Fraction of the light lost in the corners.
    light_centre
        (5, 2) brightest point of each channel, (y, x) as fractions of the field.
    density
        Factor on the number of seeded cells, 1 is typical.
    sensitivity
        Factor on the effective dose in the well.
    shift
        (traits,) shift of the traits of all cells by position and batch, in the units of `shift_vector`.
    focus_blur_um
        Additional blur, µm; 0 in focus.
    saturated_channel
        Index of the overexposed channel; -1 for none.
    n_debris
        Number of pieces of debris.
    """

    gain: FloatArray
    background: FloatArray
    vignette: float
    light_centre: FloatArray
    density: float
    sensitivity: float
    shift: FloatArray
    focus_blur_um: float
    saturated_channel: int
    n_debris: int


def conditions(design: ScreenDesign, spot: Spot, site_index: int) -> Conditions:
    """Draw the imaging conditions of one field (`site_index` 0-based)."""
    artefacts, grid = design.artefacts, PlateFormat.of(design.plate_format)
    batch = stream(design.seed, Stream.BATCH, design.batch_index(spot.plate_index))
    plate = stream(design.seed, Stream.PLATE, spot.plate_index)
    well = stream(design.seed, Stream.WELL, *spot.key)
    here = stream(design.seed, Stream.FIELD, *spot.key, site_index)

    log_gain = artefacts.batch_gain * batch.standard_normal(_N)
    background = artefacts.background * np.exp(0.25 * batch.standard_normal(_N) * (artefacts.batch_gain > 0))
    log_gain += artefacts.plate_gain * plate.standard_normal(_N)
    row_sign, column_sign = np.sign(plate.uniform(-1, 1, (2, 1))) * plate.uniform(0.5, 1.3, (2, _N))
    light_centre = 0.5 + plate.uniform(-0.12, 0.12, (_N, 2))
    log_gain += artefacts.well_gain * well.standard_normal(_N)

    # -0.5 at the first row or column, 0.5 at the last
    row = spot.well.row / max(grid.rows - 1, 1) - 0.5
    column = spot.well.col / max(grid.columns - 1, 1) - 0.5
    log_gain += artefacts.row_gradient * row * row_sign + artefacts.column_gradient * column * column_sign
    is_edge = grid.is_edge(spot.well)
    log_gain += 0.5 * artefacts.edge_effect * is_edge
    density = float(np.exp(artefacts.density_spread * well.standard_normal())) * (1 - artefacts.edge_effect * is_edge)

    draws = here.uniform(size=3) < (artefacts.out_of_focus_rate, artefacts.saturated_rate, artefacts.debris_rate)
    blur, over = here.uniform(*_FOCUS_UM), here.uniform(*_OVEREXPOSURE)
    channel, pieces = int(here.integers(_N)), int(here.integers(1, 4))
    gain = np.exp(log_gain)
    if draws[1]:
        gain[channel] *= over
    return Conditions(
        gain=gain,
        background=background,
        vignette=artefacts.vignette,
        light_centre=light_centre,
        density=density,
        shift=spread_of() * (_position_shift(design, grid, spot.well) + artefacts.batch_effect * _traits(batch)),
        sensitivity=float(np.exp(0.12 * well.standard_normal())),
        focus_blur_um=float(blur) if draws[0] else 0.0,
        saturated_channel=channel if draws[1] else -1,
        n_debris=pieces if draws[2] else 0,
    )


def _traits(rng: np.random.Generator) -> FloatArray:
    return rng.standard_normal(len(TRAITS))


def _position_shift(design: ScreenDesign, grid: PlateFormat, well: Well) -> FloatArray:
    """Return the shift of every trait at a position, in standard deviations between cells."""
    size = design.artefacts.position_effect
    if size == 0:
        return np.zeros(len(TRAITS))
    trends = [stream(design.seed, Stream.POSITION, index).standard_normal(len(TRAITS)) for index in range(3)]
    # Rows and columns run from -1.7 to 1.7: a standard deviation of 1 over the plate.
    row = 3.4 * (well.row / max(grid.rows - 1, 1) - 0.5)
    column = 3.4 * (well.col / max(grid.columns - 1, 1) - 0.5)
    edge = 2.0 * grid.is_edge(well) - 0.4
    smooth = (row * trends[0] + column * trends[1] + edge * trends[2]) / np.sqrt(3)
    rough = _traits(stream(design.seed, Stream.POSITION, 3, well.row, well.col))
    return np.asarray(size * (_SMOOTH * smooth + np.sqrt(1 - _SMOOTH**2) * rough))


def field_truth(design: ScreenDesign) -> pl.DataFrame:
    """Return the imaging conditions of every field of the screen.

    Parameters
    ----------
    design
        The screen.

    Returns
    -------
    pl.DataFrame
        One row per plate, well and site: Metadata_Plate, Metadata_Well, Metadata_Site, is_edge,
        is_out_of_focus, focus_blur_um, is_saturated, saturated_channel (null for none), has_debris,
        n_debris, density (factor on the number of seeded cells), vignette (fraction of light lost in the corners),
        gain_<channel> (factor on the staining) and background_<channel> (fraction of full exposure).

    Examples
    --------
    >>> from phenoprint.simulation import tiny_design
    >>> field_truth(tiny_design()).height
    24
    """
    grid = PlateFormat.of(design.plate_format)
    rows = []
    for plate_index, plate in enumerate(design.plates):
        for well in grid.wells():
            for site_index, site in enumerate(design.sites):
                here = conditions(design, Spot(plate_index, well), site_index)
                names = {"Metadata_Plate": plate, "Metadata_Well": str(well), "Metadata_Site": site}
                rows.append(names | {"is_edge": grid.is_edge(well)} | _columns(here))
    return pl.DataFrame(rows, schema_overrides={"saturated_channel": pl.String, "n_debris": pl.Int32})


def _columns(here: Conditions) -> dict[str, object]:
    saturated = here.saturated_channel
    return {
        "is_out_of_focus": here.focus_blur_um > 0,
        "focus_blur_um": here.focus_blur_um,
        "is_saturated": saturated >= 0,
        "saturated_channel": CHANNELS[saturated] if saturated >= 0 else None,
        "has_debris": here.n_debris > 0,
        "n_debris": here.n_debris,
        "density": here.density,
        "vignette": here.vignette,
        **{f"gain_{name}": float(value) for name, value in zip(CHANNELS, here.gain, strict=True)},
        **{f"background_{name}": float(value) for name, value in zip(CHANNELS, here.background, strict=True)},
    }


def well_truth(design: ScreenDesign) -> pl.DataFrame:
    """Return the true effect in every well.

    Parameters
    ----------
    design
        The screen.

    Returns
    -------
    pl.DataFrame
        One row per plate and well: Metadata_Plate, Metadata_Well, Metadata_compound, Metadata_Concentration
        (µM), mechanism (null for none, ``A|B`` for two), effect (0 to 1 by the Hill curve), toxicity (0 to 1,
        likewise), density (factor on the number of seeded cells), sensitivity (factor on the effective dose).

    Examples
    --------
    >>> from phenoprint.simulation import tiny_design
    >>> well_truth(tiny_design())["mechanism"].n_unique()
    5
    """
    rows = []
    for plate_index, plate in enumerate(design.plates):
        for well, content in contents(design, plate_index).items():
            here = conditions(design, Spot(plate_index, well), 0)
            compound = content.compound
            name = NEGATIVE_CONTROL if content.pert_type == "negcon" else None
            rows.append(
                (
                    plate,
                    str(well),
                    compound.name if compound else name,
                    content.dose_um,
                    compound.mechanism if compound else None,
                    content.effect,
                    content.toxicity,
                    here.density,
                    here.sensitivity,
                )
            )
    schema = {
        "Metadata_Plate": pl.String,
        "Metadata_Well": pl.String,
        "Metadata_compound": pl.String,
        "Metadata_Concentration": pl.Float64,
        "mechanism": pl.String,
        "effect": pl.Float64,
        "toxicity": pl.Float64,
        "density": pl.Float64,
        "sensitivity": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")
