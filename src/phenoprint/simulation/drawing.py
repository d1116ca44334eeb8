"""Drawing of one field: pixels, masks and the truth of every cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoprint.errors import UnknownNameError
from phenoprint.pixels import touching_border
from phenoprint.plates import Well
from phenoprint.simulation.conditions import Conditions, conditions
from phenoprint.simulation.design import CHANNELS, ScreenDesign
from phenoprint.simulation.mechanisms import STATES
from phenoprint.simulation.organelles import Spots, draw_debris, draw_organelles
from phenoprint.simulation.platelayout import WellContent, contents, find_well
from phenoprint.simulation.population import Population, draw_population
from phenoprint.simulation.seeding import Stream, stream
from phenoprint.simulation.textures import texture_bank
from phenoprint.simulation.traits import TRAITS

__all__ = ["SimulatedField", "draw_field"]

FloatImage = NDArray[np.float32]
Labels = NDArray[np.int32]

_FULL_EXPOSURE = 30_000.0  # counts of a signal of 1
_CAMERA_OFFSET = 100.0  # counts in the dark
_OPTICS_UM = 0.30  # blur in perfect focus, µm
_RESPONDS = 0.1  # smallest effect at which a cell counts as responding
_MIN_NUCLEUS_UM2 = 10.0  # smallest visible area of the nucleus of a labelled cell


@dataclass(frozen=True)
class SimulatedField:
    """A field with its truth.

    Parameters
    ----------
    pixels
        uint16 (5, Y, X), channels as in `CHANNELS`.
    nuclei, cells
        int32 (Y, X), 0 is background, 1 to n are the cells; all nuclei or fragments of a cell have its number.
        Cells whose nucleus lies outside the frame are drawn but not labelled.
    cells_truth
        One row per label: Metadata_Plate, Metadata_Well, Metadata_Site, Metadata_ObjectNumber, state
        ("interphase", "mitotic", "apoptotic", "multinucleate"), is_responding, effect (0 to 1, on this cell),
        n_nuclei, center_y and center_x (of the cell's mask, px), nucleus_center_y and nucleus_center_x,
        cell_area_px, nucleus_area_px, touches_border (of the nucleus), then the traits of the cell, with their unit at
        the end of the name.
    """

    pixels: NDArray[np.uint16]
    nuclei: Labels
    cells: Labels
    cells_truth: pl.DataFrame


@dataclass(frozen=True)
class _Maps:
    """Cell and nuclear body of each pixel (-1 for none), and the relative radius in them (0 centre, 1 edge)."""

    owner: Labels
    depth: FloatImage
    rival: FloatImage
    body: Labels
    body_depth: FloatImage


def draw_field(design: ScreenDesign, plate: str, well: str | Well, site: str | int = "1") -> SimulatedField:
    """Draw one field; the same arguments give the same pixels in any process and in any order.

    Parameters
    ----------
    design
        The screen.
    plate
        One of `design.plates`.
    well
        Well in any spelling.
    site
        One of `design.sites`.

    Returns
    -------
    SimulatedField
        Pixels, masks and the truth of every cell.

    Raises
    ------
    UnknownNameError
        If the screen has no such plate, well or site.
    PlateMapError
        If `well` is not the name of a well.

    Examples
    --------
    >>> from phenoprint.simulation import tiny_design
    >>> field = draw_field(tiny_design(), "SIM-P01", "B02")
    >>> field.pixels.shape, int(field.nuclei.max()) == field.cells_truth.height
    ((5, 160, 160), True)
    """
    spot = find_well(design, plate, well)
    if str(site) not in design.sites:
        raise UnknownNameError("site of the simulated screen", str(site), design.sites)
    site_index = design.sites.index(str(site))
    content = contents(design, spot.plate_index)[spot.well]
    here = conditions(design, spot, site_index)
    rng = stream(design.seed, Stream.CELLS, *spot.key, site_index)
    population = draw_population(rng, design, content, here=here)
    maps = _rasterise(population, design.field_shape)
    spots = draw_organelles(rng, population, pixel_size_um=design.pixel_size_um)
    debris = draw_debris(rng, here.n_debris, field_shape=design.field_shape, pixel_size_um=design.pixel_size_um)
    signal = _stain(population, maps, [spots, debris], design.pixel_size_um)
    camera = stream(design.seed, Stream.CAMERA, *spot.key, site_index)
    pixels = _photograph(camera, signal, design, here)
    nuclei, cells, shown = _label(population, maps, design.pixel_size_um)
    names = (plate, str(spot.well), str(site))
    truth = _cell_rows(population, nuclei, cells, shown=shown, names=names, content=content)
    return SimulatedField(pixels, nuclei, cells, truth)


def _rasterise(population: Population, shape: tuple[int, int]) -> _Maps:
    from phenoprint.simulation.rendering import raster_bodies, raster_cells

    maps = _Maps(
        owner=np.full(shape, -1, np.int32),
        depth=np.ones(shape, np.float32),
        rival=np.ones(shape, np.float32),
        body=np.full(shape, -1, np.int32),
        body_depth=np.ones(shape, np.float32),
    )
    raster_cells(maps.owner, maps.depth, maps.rival, population.centres, population.tables)
    bodies = population.bodies
    raster_bodies(maps.owner, maps.body, maps.body_depth, bodies.centres, bodies.tables, bodies.cells)
    return maps


def _stain(population: Population, maps: _Maps, spots: list[Spots], pixel_size_um: float) -> FloatImage:
    """Return the light of every channel before the optics, float32 (5, Y, X)."""
    from phenoprint.simulation.rendering import shade, splash

    signal = np.zeros((len(CHANNELS), *maps.owner.shape), np.float32)
    bodies = population.bodies
    shade(
        signal,
        (maps.owner, maps.depth, maps.rival, maps.body, maps.body_depth),
        (population.centres, population.tables),
        (bodies.centres, bodies.tables, bodies.first),
        population.looks,
        population.poses,
        texture_bank(pixel_size_um),
        pixel_size_um,
    )
    for group in spots:
        splash(
            signal,
            maps.owner,
            maps.body,
            group.centres,
            group.radii,
            group.cells,
            group.regions,
            group.add,
            group.multiply,
        )
    return signal


def _photograph(
    rng: np.random.Generator, signal: FloatImage, design: ScreenDesign, here: Conditions
) -> NDArray[np.uint16]:
    """Apply optics and camera: blur, uneven illumination, background, noise, counts."""
    from scipy.ndimage import gaussian_filter

    from phenoprint.simulation.rendering import expose

    # The sum of the blur by the pixel (0.45 px), the optics and the focus.
    sigma = np.hypot(np.hypot(_OPTICS_UM, here.focus_blur_um) / design.pixel_size_um, 0.45)
    blurred = np.stack([gaussian_filter(channel, sigma, mode="nearest", truncate=3.0) for channel in signal])
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    out = np.empty(signal.shape, np.uint16)
    camera = (_FULL_EXPOSURE, _CAMERA_OFFSET, design.artefacts.shot_noise, design.artefacts.read_noise)
    expose(blurred, noise, here.gain, here.background, here.vignette, here.light_centre, camera, out)
    return out


def _label(population: Population, maps: _Maps, pixel_size_um: float) -> tuple[Labels, Labels, NDArray[np.int64]]:
    """Return both masks, numbered by the cells with a visible nucleus, and the indices of these cells."""
    n, bodies = len(population.looks), population.bodies
    main = np.append(np.where(bodies.is_main, bodies.cells, -1), -1)  # the last entry is for body -1
    nucleus_of = main[maps.body]
    areas = np.bincount(nucleus_of.ravel() + 1, minlength=n + 1)[1:]
    shown = np.flatnonzero(areas >= max(_MIN_NUCLEUS_UM2 / pixel_size_um**2, 5.0))
    number = np.zeros(n + 1, np.int32)  # the last entry is for owner -1
    number[shown] = np.arange(1, len(shown) + 1)
    return number[nucleus_of], number[maps.owner], shown


def _cell_rows(
    population: Population,
    nuclei: Labels,
    cells: Labels,
    *,
    shown: NDArray[np.int64],
    names: tuple[str, str, str],
    content: WellContent,
) -> pl.DataFrame:
    n = len(shown)
    cell_area, cell_y, cell_x = _moments(cells, n)
    nucleus_area, nucleus_y, nucleus_x = _moments(nuclei, n)
    effects = population.effects[shown]
    can = content.compound is not None and content.compound.mechanism is not None
    plate, well, site = names
    frame = pl.DataFrame(
        {
            "Metadata_ObjectNumber": pl.Series(np.arange(1, n + 1, dtype=np.int32)),
            "state": pl.Series([STATES[state] for state in population.states[shown]], dtype=pl.String),
            "is_responding": pl.Series((effects >= _RESPONDS) & can),
            "effect": pl.Series(effects),
            "n_nuclei": pl.Series(population.n_nuclei[shown].astype(np.int32)),
            "center_y": cell_y,
            "center_x": cell_x,
            "nucleus_center_y": nucleus_y,
            "nucleus_center_x": nucleus_x,
            "cell_area_px": cell_area.astype(np.int32),
            "nucleus_area_px": nucleus_area.astype(np.int32),
            "touches_border": np.isin(np.arange(1, n + 1), touching_border(nuclei)),
            **{trait.name: population.looks[trait.name][shown] for trait in TRAITS},
        }
    )
    keys = [
        pl.lit(plate).alias("Metadata_Plate"),
        pl.lit(well).alias("Metadata_Well"),
        pl.lit(site).alias("Metadata_Site"),
    ]
    return frame.select(*keys, pl.all())


def _moments(labels: Labels, n: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return area (px) and centre (y, x) of the labels 1 to n."""
    ys, xs = np.nonzero(labels)
    of = labels[ys, xs]
    area = np.bincount(of, minlength=n + 1)[1:]
    per = np.maximum(area, 1)
    centre_y = np.bincount(of, ys, minlength=n + 1)[1:] / per
    centre_x = np.bincount(of, xs, minlength=n + 1)[1:] / per
    return area, centre_y, centre_x
