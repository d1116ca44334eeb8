"""Simulated well profiles with known truth, without images: fast, for tests of statistics and for power studies."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import count
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoprint.errors import UnknownNameError
from phenoprint.plates import PlateFormat
from phenoprint.simulation.profile_design import PROFILE_DESIGNS, ProfileDesign
from phenoprint.simulation.profile_library import ProfileLibrary, draw_library
from phenoprint.simulation.seeding import Stream, stream

__all__ = ["SimulatedProfiles", "simulate_profiles"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_WHITE = 0.1  # part of the variance of each feature that it shares with no other
_SCALE_ERROR = 0.1  # standard deviation of the logarithm of a feature's scale per unit of batch or plate shift
_CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")


@dataclass(frozen=True)
class SimulatedProfiles:
    """Simulated profiles and their truth.

    Attributes
    ----------
    wells
        Level 3: one row per well with Metadata_Plate, Metadata_Well, Metadata_Batch, Metadata_pert_type,
        Metadata_compound, Metadata_Concentration, Metadata_Concentration_Unit, Metadata_perturbation, Metadata_moa,
        Metadata_Object_Count, and raw features, Float32, of different scales and offsets.
    truth
        One row per treatment, the controls last: Metadata_perturbation, Metadata_compound, Metadata_Concentration,
        Metadata_Concentration_Unit, Metadata_pert_type, Metadata_moa (as in `wells`), mechanism (null for none,
        ``A|B`` for two), effect (length of the shift of the profile, 1 is that of the noise of a well), ec50_um,
        hill_slope, emax (effect at an infinite dose), survival (fraction of cells that remain), is_active (effect of
        0.1 or more).
    directions
        One row per compound with any effect: Metadata_compound and the unit vector of its effect over the features, in
        standard deviations of the noise.
    """

    wells: pl.DataFrame
    truth: pl.DataFrame
    directions: pl.DataFrame


def simulate_profiles(design: str | ProfileDesign = "null", *, seed: int = 0, **changes: Any) -> SimulatedProfiles:
    """Simulate the well profiles of a screen with known truth.

    Parameters
    ----------
    design
        A `ProfileDesign`, or the name of one: ``"null"``, ``"position"``, ``"batch"``, ``"mechanism"``, ``"dose"``.
    seed
        Seed of all random numbers, 0 or more.
    **changes
        Fields of `ProfileDesign` that differ from the design.

    Returns
    -------
    SimulatedProfiles
        The wells and the truth.

    Raises
    ------
    UnknownNameError
        For an unknown design or field.
    UsageError
        If the design is not possible.

    Examples
    --------
    >>> simulated = simulate_profiles("mechanism", n_features=50, seed=1)
    >>> simulated.wells["Metadata_pert_type"].value_counts(sort=True).rows()
    [('trt', 384), ('negcon', 128), ('poscon', 32)]
    >>> simulated.truth.filter(Metadata_pert_type="trt")["is_active"].mean()
    0.5
    """
    if isinstance(design, str):
        if design not in PROFILE_DESIGNS:
            raise UnknownNameError("design of simulated profiles", design, PROFILE_DESIGNS)
        design = PROFILE_DESIGNS[design]
    known = [entry.name for entry in fields(ProfileDesign)]
    for name in changes:
        if name not in known:
            raise UnknownNameError("field of ProfileDesign", name, known)
    design = replace(design, **changes)
    rng = stream(seed, Stream.PROFILES)
    loadings = _loadings(rng, design)
    library = draw_library(rng, design, loadings)
    placed = _place(rng, design, library.truth)
    wells = _annotate(design, library.truth, placed)
    counts = _counts(rng, design, library, placed)
    values = _values(rng, design, loadings, placed, library.shifts[placed.treatment])
    if design.density_effect:
        direction = _noise(rng, loadings, 1)
        values += design.density_effect * np.log(counts / design.n_cells)[:, None] * direction
    values = _raw(rng, design, loadings, placed, values)
    features = _feature_names(design.n_features)
    holes = rng.uniform(size=values.shape) < design.missing if design.missing else np.zeros(values.shape, bool)
    for well in rng.permutation(len(values))[: design.n_damaged]:
        holes[well, rng.permutation(design.n_features)[: design.n_features // 2]] = True
    measured = pl.from_numpy(np.where(holes, np.nan, values).astype(np.float32), schema=features).fill_nan(None)
    frame = pl.concat(
        [wells.with_columns(Metadata_Object_Count=pl.Series(counts, dtype=pl.Int64)), measured], how="horizontal"
    )
    effects = pl.from_numpy(library.directions, schema=features)
    names = pl.Series("Metadata_compound", library.truth["Metadata_compound"].unique(maintain_order=True))
    directions = effects.select(names, pl.all()).filter(pl.Series(library.directions.any(axis=1)))
    return SimulatedProfiles(frame.sort("Metadata_Plate", "Metadata_Well"), library.truth, directions)


@dataclass(frozen=True)
class _Placed:
    """Plate, position (row by row) and treatment of every well."""

    plate: IntArray
    position: IntArray
    treatment: IntArray


def _loadings(rng: np.random.Generator, design: ProfileDesign) -> FloatArray:
    """Draw the loadings of the noise, (dimensions, features), with the effective dimension of the design."""
    # Variances fall by a constant ratio x: their effective number is (1 + x) / (1 - x).
    ratio = (design.effective_dimension - 1) / (design.effective_dimension + 1)
    n = 1 if ratio == 0 else int(np.ceil(np.log(0.005) / np.log(ratio)))
    drawn = np.sqrt(ratio ** np.arange(n))[:, None] * rng.standard_normal((n, design.n_features))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=0))


def _noise(rng: np.random.Generator, loadings: FloatArray, n: int) -> FloatArray:
    """Draw n profiles of noise, (n, features) of standard deviation 1."""
    shared = rng.standard_normal((n, len(loadings))) @ loadings
    return np.asarray(np.sqrt(1 - _WHITE) * shared + np.sqrt(_WHITE) * rng.standard_normal(shared.shape))


def _place(rng: np.random.Generator, design: ProfileDesign, truth: pl.DataFrame) -> _Placed:
    """Place controls and treatments on the plates."""
    n_treatments = truth.height - 2
    positive, negative = n_treatments, n_treatments + 1
    controls = [negative] * design.n_controls + [positive] * design.n_positive
    set_of = np.arange(n_treatments) // design.n_doses % design.n_sets
    shared = rng.permutation(design.plate_format)
    plates, positions, treatments = [], [], []
    for plate in range(design.n_plates):
        order = shared if design.layout == "same" else rng.permutation(design.plate_format)
        own = np.repeat(np.flatnonzero(set_of == plate // design.n_copies), design.wells_per_plate)
        content = np.concatenate([np.array(controls, np.int64), own])
        plates.append(np.full(len(content), plate))
        positions.append(order[: len(content)])
        treatments.append(content)
    return _Placed(np.concatenate(plates), np.concatenate(positions), np.concatenate(treatments))


def _annotate(design: ProfileDesign, truth: pl.DataFrame, placed: _Placed) -> pl.DataFrame:
    """Return the metadata of every well."""
    names = np.array([str(well) for well in PlateFormat.of(design.plate_format).wells()])
    about = truth[placed.treatment].select(
        "Metadata_pert_type", "Metadata_compound", "Metadata_Concentration", "Metadata_Concentration_Unit",
        "Metadata_perturbation", "Metadata_moa",
    )  # fmt: skip
    keys = pl.DataFrame(
        {
            "Metadata_Plate": [f"SIM-P{plate + 1:02d}" for plate in placed.plate.tolist()],
            "Metadata_Well": names[placed.position].tolist(),
            "Metadata_Batch": [f"batch{batch + 1}" for batch in _batch(design, placed.plate).tolist()],
        }
    )
    return pl.concat([keys, about], how="horizontal")


def _batch(design: ProfileDesign, plate: IntArray) -> IntArray:
    """Return the 0-based batch of 0-based plates."""
    if design.batches == "replicates":
        return plate % design.n_copies * design.n_batches // design.n_copies
    return plate // design.n_copies * design.n_batches // design.n_sets


def _counts(rng: np.random.Generator, design: ProfileDesign, library: ProfileLibrary, placed: _Placed) -> IntArray:
    """Draw the number of cells of every well."""
    spread = design.count_spread * rng.standard_normal(len(placed.plate))
    plates = 0.5 * design.count_spread * rng.standard_normal(design.n_plates)
    mean = design.n_cells * np.exp(spread + plates[placed.plate]) * library.survival[placed.treatment]
    return np.maximum(1, rng.poisson(mean)).astype(np.int64)


def _values(
    rng: np.random.Generator, design: ProfileDesign, loadings: FloatArray, placed: _Placed, shifts: FloatArray
) -> FloatArray:
    """Draw the features of every well, (wells, features), in standard deviations of the noise."""
    values = _noise(rng, loadings, len(shifts))
    if np.isfinite(design.tail_df):
        # Scaled to a standard deviation of 1.
        values *= np.sqrt((design.tail_df - 2) / rng.chisquare(design.tail_df, len(shifts)))[:, None]
    values += shifts
    if design.position_effect:
        values += design.position_effect * _position_effects(rng, design, loadings)[placed.position]
    return values


def _raw(
    rng: np.random.Generator, design: ProfileDesign, loadings: FloatArray, placed: _Placed, values: FloatArray
) -> FloatArray:
    """Add the errors of plates and batches, and give each feature a unit of its own."""
    for size, group, n_groups in (
        (design.plate_error, placed.plate, design.n_plates),
        (design.batch_effect, _batch(design, placed.plate), design.n_batches),
    ):
        if size:
            scales = np.exp(_SCALE_ERROR * size * rng.standard_normal((n_groups, design.n_features)))
            values = values * scales[group] + size * _noise(rng, loadings, n_groups)[group]
    scale = np.exp(2.0 * rng.standard_normal(design.n_features))
    offset = scale * rng.uniform(3.0, 30.0, design.n_features)
    return np.asarray(offset + scale * values)


def _position_effects(rng: np.random.Generator, design: ProfileDesign, loadings: FloatArray) -> FloatArray:
    """Draw the effect of every position, (wells of a plate, features), of standard deviation 1."""
    grid = PlateFormat.of(design.plate_format)
    wells = list(grid.wells())
    trends = np.array([[well.row, well.col, grid.is_edge(well)] for well in wells], float)
    spread = trends.std(axis=0)
    trends = (trends - trends.mean(axis=0)) / np.where(spread > 0, spread, 1.0) / np.sqrt(trends.shape[1])
    smooth = trends @ _noise(rng, loadings, trends.shape[1])
    rough = _noise(rng, loadings, len(wells))
    part = design.position_smoothness
    return np.asarray(np.sqrt(part) * smooth + np.sqrt(1 - part) * rough)


def _feature_names(n: int) -> list[str]:
    """Return n names of features as CellProfiler writes them, spread over compartments, families and channels."""
    names: list[str] = []
    for k in count(1):
        for compartment in ("Nuclei", "Cells", "Cytoplasm"):
            names.append(f"{compartment}_AreaShape_Zernike_{k}_{k % 2}")
            for channel in _CHANNELS:
                first = "MeanIntensity" if k == 1 else f"Percentile{k}"
                names += [
                    f"{compartment}_Intensity_{first}_{channel}",
                    f"{compartment}_Texture_Contrast_{channel}_{k}_00_256",
                    f"{compartment}_RadialDistribution_FracAtD_{channel}_{k}of99",
                    f"{compartment}_Granularity_{k}_{channel}",
                ]
        if len(names) >= n:
            return names[:n]
    raise AssertionError
