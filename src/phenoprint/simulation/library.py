"""The compounds of a simulated screen: mechanism, potency, and the Hill curve from dose to effect."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoprint.simulation.design import ScreenDesign
from phenoprint.simulation.mechanisms import MECHANISMS, mechanism_names
from phenoprint.simulation.seeding import Stream, stream
from phenoprint.simulation.traits import TRAITS, spread_of

__all__ = ["NEGATIVE_CONTROL", "Compound", "compound_truth", "hill_effect", "library"]

NEGATIVE_CONTROL = "DMSO"
_POSITIVE_CONTROLS = 4  # largest number of different positive control compounds
_OFF_TARGET = 0.25  # size of a compound's own signature, in standard deviations between untreated cells


@dataclass(frozen=True)
class Compound:
    """A compound and its true effect.

    Parameters
    ----------
    name
        Fictitious name, such as ``"PHN-0412"``, unrelated to the mechanism.
    mechanism
        Name of the mechanism; None for an inert compound.
    pert_type
        ``"trt"`` or ``"poscon"``.
    ec50_um, hill_slope, emax
        Parameters of the Hill curve; `emax` is 0 for an inert compound.
    signature
        Off-target shift of each trait at full effect, in the units of `shift_vector`.
    """

    name: str
    mechanism: str | None
    pert_type: str
    ec50_um: float
    hill_slope: float
    emax: float
    signature: tuple[float, ...]

    def effect(self, dose_um: float) -> float:
        """Return the effect at a dose (µM), between 0 and `emax`."""
        return float(hill_effect(dose_um, ec50_um=self.ec50_um, hill_slope=self.hill_slope, emax=self.emax))


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
        slopes, emaxes = own.uniform(0.9, 2.2, per_mechanism), own.uniform(0.85, 1.0, per_mechanism)
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
    nothing = (0.0,) * len(TRAITS)
    for index in range(design.n_inert):
        name = names[len(design.mechanisms) * per_mechanism + index]
        compounds.append(Compound(name, None, "trt", top, 1.0, 0.0, nothing))
    n_controls = min(_POSITIVE_CONTROLS, len(design.mechanisms), design.poscon_wells)
    for index, which in enumerate(np.linspace(0, len(design.mechanisms), n_controls, endpoint=False)):
        mechanism = design.mechanisms[int(which)]
        compounds.append(Compound(f"PHN-REF{index + 1}", mechanism, "poscon", top / 40, 1.6, 1.0, nothing))
    return tuple(compounds)


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
        is_inert, ec50_um, hill_slope, emax, penetrance (fraction of cells that can respond), survival (fraction of
        cells that remain at full effect). mechanism, ec50_um and hill_slope are null for inert compounds.

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
            "penetrance": 0.0 if compound.mechanism is None else MECHANISMS[compound.mechanism].penetrance,
            "survival": 1.0 if compound.mechanism is None else MECHANISMS[compound.mechanism].survival,
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
        "penetrance": pl.Float64,
        "survival": pl.Float64,
    }
    return pl.DataFrame([*rows, control], schema=schema)
