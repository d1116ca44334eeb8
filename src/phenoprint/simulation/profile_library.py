"""Compounds of simulated profiles: mechanisms, directions in feature space, dose curves, and the truth of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoprint.plates import perturbation_id
from phenoprint.simulation.library import NEGATIVE_CONTROL, hill_effect
from phenoprint.simulation.mechanisms import mechanism_names
from phenoprint.simulation.profile_design import ProfileDesign

__all__ = ["POSITIVE_CONTROL", "ProfileLibrary", "draw_library"]

FloatArray = NDArray[np.float64]

POSITIVE_CONTROL = "PHN-REF1"
ACTIVE_FROM = 0.1  # smallest effect, relative to the noise of a well, that counts as active


@dataclass(frozen=True)
class ProfileLibrary:
    """The treatments of a simulated library, negative control last and positive control before it.

    Attributes
    ----------
    truth
        One row per treatment, see `SimulatedProfiles`.
    shifts
        (treatments, features) mean shift, in standard deviations of the noise of a well.
    survival
        (treatments,) fraction of cells that remain.
    directions
        (compounds, features) unit vectors; zeros for inert compounds.
    """

    truth: pl.DataFrame
    shifts: FloatArray
    survival: FloatArray
    directions: FloatArray


def draw_library(rng: np.random.Generator, design: ProfileDesign, loadings: FloatArray) -> ProfileLibrary:
    """Draw the compounds and return all treatments.

    Parameters
    ----------
    rng
        Random generator.
    design
        The design.
    loadings
        (dimensions, features) loadings of the noise; effects lie mostly along them.
    """
    n, n_active = design.compounds, design.compounds - round(design.share_inert * design.compounds)
    names = [f"PHN-{number:04d}" for number in rng.permutation(max(9_999, n))[:n] + 1]
    kinds = _directions(rng, design, loadings)
    first = np.arange(n_active) % design.n_mechanisms
    second = np.full(n_active, -1)
    two = rng.permutation(n_active)[: round(design.share_two_mechanisms * n_active)]
    if design.n_mechanisms > 1:
        second[two] = (first[two] + rng.integers(1, design.n_mechanisms, len(two))) % design.n_mechanisms
    own = _unit(_along(rng, loadings, n_active))
    at = _unit(kinds[first] + np.where(second[:, None] >= 0, kinds[second], 0.0))
    directions = np.zeros((n + 1, design.n_features))
    directions[:n_active] = _unit(design.fidelity * at + np.sqrt(1 - design.fidelity**2) * own)
    directions[n] = kinds[0]

    sizes, ec50, slopes = np.zeros(n + 1), np.full(n + 1, np.nan), np.full(n + 1, np.nan)
    smallest, largest = np.log(design.effect_size)
    sizes[:n_active] = np.exp(rng.uniform(smallest, largest, n_active))
    low, high = design.dose_range_um
    # Half of the effect is reached well within the doses that are tested.
    ec50[:n_active] = np.exp(
        rng.uniform(np.log(low * (high / low) ** 0.25), np.log(low * (high / low) ** 0.9), n_active)
    )
    slopes[:n_active] = rng.uniform(0.8, 2.0, n_active)
    if design.n_doses == 1:
        ec50[:n_active] = 1e-6 * high
    toxic_at = np.full(n + 1, np.inf)
    toxic = rng.permutation(n_active)[: round(design.share_cytotoxic * n_active)]
    toxic_at[toxic] = high * np.exp(rng.uniform(np.log(0.3), np.log(0.8), len(toxic)))
    sizes[n], ec50[n], slopes[n] = design.effect_size[1], 1e-6 * high, 1.0

    doses = np.geomspace(low, high, design.n_doses) if design.n_doses > 1 else np.array([high])
    compound = np.append(np.repeat(np.arange(n), len(doses)), n)
    dose = np.append(np.tile(doses, n), high)
    effect = np.array(
        [
            0.0 if sizes[c] == 0 else hill_effect(d, ec50_um=ec50[c], hill_slope=slopes[c], emax=sizes[c])
            for c, d in zip(compound.tolist(), dose.tolist(), strict=True)
        ]
    )
    killed = 0.85 / (1 + (toxic_at[compound] / dose) ** 3)
    root = np.sqrt(design.n_features)
    shifts = root * (effect[:, None] * directions[compound])
    if len(toxic):
        shifts += root * (2.0 * design.effect_size[1] * killed)[:, None] * _unit(_along(rng, loadings, 1))
    labels = _labels(design.n_mechanisms)
    of_active = [labels[a] + (f"|{labels[b]}" if b >= 0 else "") for a, b in zip(first, second, strict=True)]
    moas = [*of_active, *[None] * (n - n_active), labels[0]]
    hidden = set(rng.permutation(n_active)[: round(design.share_unlabelled * n_active)].tolist())
    truth = pl.DataFrame(
        {
            "Metadata_compound": [names[c] if c < n else POSITIVE_CONTROL for c in compound.tolist()],
            "Metadata_Concentration": dose,
            "Metadata_Concentration_Unit": "uM",
            "Metadata_pert_type": ["trt" if c < n else "poscon" for c in compound.tolist()],
            "Metadata_moa": [None if c in hidden else moas[c] for c in compound.tolist()],
            "mechanism": [moas[c] for c in compound.tolist()],
            "effect": np.linalg.norm(shifts, axis=1) / root,
            "ec50_um": ec50[compound],
            "hill_slope": slopes[compound],
            "emax": sizes[compound],
            "survival": 1 - killed,
        },
        schema_overrides={"Metadata_moa": pl.String, "mechanism": pl.String},
    )
    truth = pl.concat([truth, truth[:1].select(_CONTROL)], how="diagonal_relaxed").with_columns(
        # One dose has the full effect.
        pl.when(pl.lit(design.n_doses > 1) & (pl.col("Metadata_pert_type") == "trt"))
        .then(pl.col("ec50_um", "hill_slope"))
        .fill_nan(None),
        is_active=pl.col("effect") >= ACTIVE_FROM,
    )
    truth = truth.select(perturbation_id(truth), pl.all())
    nothing = np.zeros((1, design.n_features))
    return ProfileLibrary(
        truth, np.vstack([shifts, nothing]), truth["survival"].to_numpy(), np.vstack([directions, nothing])
    )


_CONTROL = (
    pl.lit(NEGATIVE_CONTROL).alias("Metadata_compound"),
    pl.lit(None, pl.Float64).alias("Metadata_Concentration"),
    pl.lit(None, pl.String).alias("Metadata_Concentration_Unit"),
    pl.lit("negcon").alias("Metadata_pert_type"),
    pl.lit(0.0).alias("effect"),
    pl.lit(0.0).alias("emax"),
    pl.lit(1.0).alias("survival"),
)


def _labels(n: int) -> list[str]:
    """Return names of n mechanisms; beyond those with a name they are numbered."""
    known = mechanism_names()
    return [known[index] if index < len(known) else f"mechanism {index + 1}" for index in range(n)]


def _along(rng: np.random.Generator, loadings: FloatArray, n: int) -> FloatArray:
    """Draw n vectors over features that lie more along the strong dimensions of the noise than along the weak ones."""
    lengths = np.linalg.norm(loadings, axis=1, keepdims=True)
    return np.asarray(rng.standard_normal((n, len(loadings))) @ (loadings / np.sqrt(lengths)))


def _directions(rng: np.random.Generator, design: ProfileDesign, loadings: FloatArray) -> FloatArray:
    """Draw the directions of the mechanisms, (mechanisms, features), with the cosines of the design."""
    n = design.n_mechanisms
    drawn = _along(rng, loadings, n) + 0.1 * rng.standard_normal((n, design.n_features))
    orthonormal = np.linalg.qr(drawn.T)[0].T
    gram = np.eye(n)
    if isinstance(design.mechanism_cosine, tuple):
        pairs = np.arange(0, n - 1, 2)
        gram[pairs, pairs + 1] = gram[pairs + 1, pairs] = np.linspace(*design.mechanism_cosine, len(pairs))
    else:
        gram += design.mechanism_cosine * (1 - gram)
    return np.asarray(np.linalg.cholesky(gram) @ orthonormal)


def _unit(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
