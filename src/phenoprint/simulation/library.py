"""The compounds of a simulated screen: mechanism, potency, and the Hill curve from dose to effect."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoprint.simulation.design import ScreenDesign
from phenoprint.simulation.mechanisms import MECHANISMS, mechanism_names
from phenoprint.simulation.seeding import Stream, stream
from phenoprint.simulation.traits import TRAITS, shift_vector, spread_of

__all__ = [
    "NEGATIVE_CONTROL",
    "TOXIC_SLOPE",
    "Compound",
    "Response",
    "compound_truth",
    "hill_effect",
    "library",
    "response",
]

NEGATIVE_CONTROL = "DMSO"
_POSITIVE_CONTROLS = 4  # largest number of different positive control compounds
_SHARE_OF_TWO = 0.7  # part of each mechanism in a compound with two
TOXIC_SLOPE = 3.0  # Hill slope of cytotoxicity
_OFF_TARGET = 0.25  # size of a compound's own signature, in standard deviations between untreated cells


@dataclass(frozen=True)
class Compound:
    """A compound and its true effect.

    Parameters
    ----------
    name
        Fictitious name, such as ``"PHN-0412"``, unrelated to the mechanism.
    mechanism
        Name of the mechanism, or of two as ``A|B``; None for an inert compound.
    pert_type
        ``"trt"`` or ``"poscon"``.
    ec50_um, hill_slope, emax
        Parameters of the Hill curve; `emax` is 0 for an inert compound.
    signature
        Off-target shift of each trait at full effect, in the units of `shift_vector`.
    toxic_um
        Dose at which half of the cytotoxicity is reached; infinity for none.
    """

    name: str
    mechanism: str | None
    pert_type: str
    ec50_um: float
    hill_slope: float
    emax: float
    signature: tuple[float, ...]
    toxic_um: float = math.inf

    def effect(self, dose_um: float) -> float:
        """Return the effect at a dose (µM), between 0 and `emax`."""
        return float(hill_effect(dose_um, ec50_um=self.ec50_um, hill_slope=self.hill_slope, emax=self.emax))

    def toxicity(self, dose_um: float) -> float:
        """Return the fraction of the full cytotoxicity at a dose (µM)."""
        return float(hill_effect(dose_um, ec50_um=self.toxic_um, hill_slope=TOXIC_SLOPE))


@dataclass(frozen=True)
class Response:
    """What a compound does at full effect.

    Parameters
    ----------
    shift
        (traits,) shift of every trait, in the units of `shift_vector`.
    states
        State to its added probability.
    survival, penetrance
        Fraction of cells that remain, and of those that can respond.
    """

    shift: NDArray[np.float64]
    states: Mapping[str, float]
    survival: float
    penetrance: float


@lru_cache(maxsize=1024)
def response(compound: Compound) -> Response:
    """Return what a compound does at full effect; of two mechanisms, it has a part of each."""
    parts = [] if compound.mechanism is None else [MECHANISMS[name] for name in compound.mechanism.split("|")]
    if not parts:
        return Response(np.zeros(len(TRAITS)), {}, 1.0, 0.0)
    share = 1.0 if len(parts) == 1 else _SHARE_OF_TWO
    states: dict[str, float] = {}
    for part in parts:
        for state, added in part.states.items():
            states[state] = states.get(state, 0.0) + share * added
    return Response(
        share * np.sum([shift_vector(part.changes) for part in parts], axis=0) + np.array(compound.signature),
        states,
        math.prod(1 - share * (1 - part.survival) for part in parts),
        max(part.penetrance for part in parts),
    )


def hill_effect(
    dose_um: float | NDArray[np.float64], *, ec50_um: float, hill_slope: float, emax: float = 1.0
) -> NDArray[np.float64]:
    """Return the effect of a dose by Hill's formula, ``emax * d^h / (ec50^h + d^h)``.

    Parameters
    ----------
    dose_um
        Dose, µM, any shape; 0 gives 0.
    ec50_um
        Dose of half the maximal effect, µM.
    hill_slope
        Slope of the curve.
    emax
        Effect at an infinite dose.

    Returns
    -------
    numpy.ndarray
        float64, the shape of `dose_um`.

    Examples
    --------
    >>> float(hill_effect(2.0, ec50_um=2.0, hill_slope=1.3))
    0.5
    """
    dose = np.asarray(dose_um, float)
    # Logarithms do not overflow for any dose.
    with np.errstate(divide="ignore"):
        log_ratio = hill_slope * (np.log(ec50_um) - np.log(dose))
    return np.where(dose > 0, emax / (1.0 + np.exp(np.minimum(log_ratio, 700.0))), 0.0)


@lru_cache(maxsize=16)
def library(design: ScreenDesign) -> tuple[Compound, ...]:
    """Return all compounds of a screen: the library, then the positive controls.

    Potencies are stratified over the dose series within each mechanism, so that every series has doses with no, half
    and full effect.
    """
    rng = stream(design.seed, Stream.COMPOUNDS)
    names = [
        f"PHN-{number:04d}" for number in rng.permutation(max(9_999, design.n_compounds))[: design.n_compounds] + 1
    ]
    top = max(design.doses_um)
    low, high = np.log(min(*design.doses_um, top / 20)), np.log(top / 4)
    per_mechanism = design.compounds_per_mechanism
    compounds: list[Compound] = []
    for name in design.mechanisms:
        # The potencies of a mechanism do not depend on the other mechanisms of the screen.
        own = stream(design.seed, Stream.COMPOUNDS, 1, mechanism_names().index(name))
        strata = (own.permutation(per_mechanism) + own.uniform(size=per_mechanism)) / max(per_mechanism, 1)
        slopes, emaxes = own.uniform(0.9, 2.2, per_mechanism), own.uniform(*design.efficacy, per_mechanism)
        signatures = _signatures(own, per_mechanism)
        for index in range(per_mechanism):
            ec50 = float(np.exp(low + (high - low) * strata[index]))
            compounds.append(
                Compound(
                    names[len(compounds)],
                    name,
                    "trt",
                    ec50,
                    float(slopes[index]),
                    float(emaxes[index]),
                    signatures[index],
                )
            )
    compounds += _with_two_mechanisms(design, names[design.n_compounds - design.n_two_mechanisms :])
    toxic = stream(design.seed, Stream.COMPOUNDS, 3)
    for index in toxic.permutation(len(compounds))[: design.n_cytotoxic].tolist():
        compounds[index] = replace(compounds[index], toxic_um=top * float(toxic.uniform(0.25, 0.7)))
    nothing = (0.0,) * len(TRAITS)
    for index in range(design.n_inert):
        name = names[len(design.mechanisms) * per_mechanism + index]
        compounds.append(Compound(name, None, "trt", top, 1.0, 0.0, nothing))
    n_controls = min(_POSITIVE_CONTROLS, len(design.mechanisms), design.poscon_wells)
    for index, which in enumerate(np.linspace(0, len(design.mechanisms), n_controls, endpoint=False)):
        mechanism = design.mechanisms[int(which)]
        compounds.append(Compound(f"PHN-REF{index + 1}", mechanism, "poscon", top / 40, 1.6, 1.0, nothing))
    return tuple(compounds)


def _with_two_mechanisms(design: ScreenDesign, names: list[str]) -> list[Compound]:
    """Draw compounds that have two of the mechanisms."""
    rng = stream(design.seed, Stream.COMPOUNDS, 2)
    top, n = max(design.doses_um), len(names)
    signatures = _signatures(rng, n)
    compounds = []
    for name, signature in zip(names, signatures, strict=True):
        first = int(rng.integers(len(design.mechanisms)))
        # Half of the list away, so that it is not the most similar one.
        second = (first + max(1, len(design.mechanisms) // 2)) % len(design.mechanisms)
        label = f"{design.mechanisms[first]}|{design.mechanisms[second]}"
        ec50, slope = top * float(np.exp(rng.uniform(np.log(0.02), np.log(0.15)))), float(rng.uniform(0.9, 2.2))
        compounds.append(Compound(name, label, "trt", ec50, slope, design.efficacy[1], signature))
    return compounds


def _signatures(rng: np.random.Generator, n: int) -> list[tuple[float, ...]]:
    """Draw small shifts of a few traits per compound, so that compounds of one mechanism differ slightly."""
    chosen = rng.uniform(size=(n, len(TRAITS))) < 0.2
    shifts = rng.normal(0, _OFF_TARGET, (n, len(TRAITS))) * spread_of() * chosen
    return [tuple(row.tolist()) for row in shifts]


def compound_truth(design: ScreenDesign) -> pl.DataFrame:
    """Return the true effect of every compound of the screen.

    Parameters
    ----------
    design
        The screen.

    Returns
    -------
    pl.DataFrame
        One row per compound and one for the negative control: Metadata_compound, Metadata_pert_type, mechanism,
        is_inert, ec50_um, hill_slope, emax, toxic_um (dose of half the cytotoxicity, null for compounds that are not
        cytotoxic), penetrance (fraction of cells that can respond), survival (fraction of cells that remain at full
        effect). mechanism, ec50_um and hill_slope are null for inert compounds.

    Examples
    --------
    >>> from phenoprint.simulation import tiny_design
    >>> compound_truth(tiny_design())["is_inert"].sum()
    2
    """
    rows = [
        {
            "Metadata_compound": compound.name,
            "Metadata_pert_type": compound.pert_type,
            "mechanism": compound.mechanism,
            "is_inert": compound.mechanism is None,
            "ec50_um": None if compound.mechanism is None else compound.ec50_um,
            "hill_slope": None if compound.mechanism is None else compound.hill_slope,
            "emax": compound.emax,
            "toxic_um": compound.toxic_um if math.isfinite(compound.toxic_um) else None,
            "penetrance": response(compound).penetrance,
            "survival": response(compound).survival,
        }
        for compound in library(design)
    ]
    control = {
        "Metadata_compound": NEGATIVE_CONTROL,
        "Metadata_pert_type": "negcon",
        "mechanism": None,
        "is_inert": True,
        "ec50_um": None,
        "hill_slope": None,
        "emax": 0.0,
        "toxic_um": None,
        "penetrance": 0.0,
        "survival": 1.0,
    }
    schema = {
        "Metadata_compound": pl.String,
        "Metadata_pert_type": pl.String,
        "mechanism": pl.String,
        "is_inert": pl.Boolean,
        "ec50_um": pl.Float64,
        "hill_slope": pl.Float64,
        "emax": pl.Float64,
        "toxic_um": pl.Float64,
        "penetrance": pl.Float64,
        "survival": pl.Float64,
    }
    return pl.DataFrame([*rows, control], schema=schema)
