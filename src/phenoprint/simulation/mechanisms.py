"""Mechanisms of action: their effects on the traits and states of cells and on the cell count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["CYTOTOXICITY", "MECHANISMS", "STATES", "STATE_CHANGES", "STATE_FREQUENCIES", "Mechanism", "mechanism_names"]

STATES = ("interphase", "mitotic", "apoptotic", "multinucleate")

# Probability of each state of an untreated cell other than interphase.
STATE_FREQUENCIES: Mapping[str, float] = MappingProxyType(
    {"mitotic": 0.025, "apoptotic": 0.008, "multinucleate": 0.015}
)

# Changes of traits by the state of a cell, in addition to those by the mechanism.
STATE_CHANGES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "interphase": {},
        "mitotic": {
            "nucleus_area_um2": 0.42,
            "nucleus_axis_ratio": 1.7,
            "nucleus_irregularity": 0.09,
            "dna_intensity": 2.3,
            "chromatin_contrast": 0.15,
            "nucleolus_count": 0.02,
            "cell_radius_um": 0.62,
            "cell_axis_ratio": 0.78,
            "cell_irregularity": -0.06,
            "polarity": -0.2,
            "roundedness": 0.75,
            "actin_fibres": 0.05,
            "membrane_rim": 1.7,
            "golgi_dispersal": 0.8,
            "er_reticulum": -0.35,
            "rna_intensity": 1.35,
        },
        "apoptotic": {
            "nucleus_area_um2": 0.5,
            "nucleus_irregularity": 0.02,
            "dna_intensity": 2.6,
            "nucleolus_count": 0.02,
            "cell_radius_um": 0.52,
            "cell_axis_ratio": 0.8,
            "cell_irregularity": 0.09,
            "roundedness": 0.65,
            "rna_intensity": 1.25,
            "er_intensity": 1.3,
            "agp_intensity": 1.8,
            "actin_fibres": 0.05,
            "mito_intensity": 0.45,
            "mito_fragmentation": 0.8,
            "golgi_dispersal": 0.9,
        },
        "multinucleate": {"nucleus_area_um2": 0.95, "cell_radius_um": 1.22, "polarity": -0.15},
    }
)


@dataclass(frozen=True)
class Mechanism:
    """One mechanism of action at full effect.

    Parameters
    ----------
    name
        Value of ``Metadata_moa``.
    changes
        Trait to its factor or addend (`phenoprint.simulation.traits`).
    states
        State to its added probability.
    survival
        Fraction of cells that remain; 1 does not change the count.
    penetrance
        Fraction of cells that can respond; the others look untreated at any dose.
    """

    name: str
    changes: Mapping[str, float]
    states: Mapping[str, float] = field(default_factory=dict)
    survival: float = 1.0
    penetrance: float = 0.95


_ALL = (
    Mechanism(
        "topoisomerase inhibitor",
        {
            "nucleus_area_um2": 1.9,
            "dna_intensity": 0.86,
            "chromatin_contrast": 0.10,
            "nucleolus_count": 0.65,
            "nucleolus_radius_um": 1.45,
            "cell_radius_um": 1.22,
            "actin_fibres": 1.3,
            "micronuclei": 4.0,
        },
        survival=0.72,
    ),
    Mechanism(
        "BCL-2 inhibitor",
        {"mito_intensity": 0.72, "mito_fragmentation": 0.35, "cell_radius_um": 0.93},
        {"apoptotic": 0.45},
        survival=0.58,
    ),
    Mechanism(
        "Aurora kinase inhibitor",
        {"cell_radius_um": 1.12, "nucleus_irregularity": 0.03, "chromatin_contrast": 0.05},
        {"multinucleate": 0.75},
    ),
    Mechanism(
        "tubulin polymerization inhibitor",
        {
            "cell_radius_um": 0.80,
            "cell_axis_ratio": 0.8,
            "cell_irregularity": -0.03,
            "roundedness": 0.4,
            "mito_reach_um": 0.38,
            "mito_intensity": 1.2,
            "er_reach_um": 0.6,
            "golgi_dispersal": 0.7,
            "nucleus_irregularity": 0.09,
            "micronuclei": 20.0,
        },
        {"mitotic": 0.14, "multinucleate": 0.08},
    ),
    Mechanism(
        "kinesin Eg5 inhibitor",
        {"micronuclei": 6.0, "nucleus_irregularity": 0.02},
        {"mitotic": 0.55},
    ),
    Mechanism(
        "actin polymerization inhibitor",
        {
            "actin_fibres": 0.05,
            "actin_clumps": 16.0,
            "membrane_rim": 0.35,
            "cell_irregularity": 0.17,
            "cell_radius_um": 0.9,
            "nucleus_area_um2": 0.9,
        },
    ),
    Mechanism(
        "ROCK inhibitor",
        {
            "cell_axis_ratio": 2.1,
            "actin_fibres": 0.35,
            "membrane_rim": 1.25,
            "nucleus_axis_ratio": 1.3,
            "polarity": 0.25,
            "cell_irregularity": 0.05,
        },
    ),
    Mechanism(
        "mitochondrial uncoupler",
        {"mito_fragmentation": 0.75, "mito_intensity": 0.62, "mito_reach_um": 0.75, "er_intensity": 1.08},
    ),
    Mechanism(
        "SERCA inhibitor",
        {
            "er_intensity": 1.8,
            "er_reach_um": 0.55,
            "er_reticulum": -0.3,
            "rna_intensity": 0.85,
            "vacuole_count": 6.0,
            "vacuole_radius_um": 0.75,
        },
    ),
    Mechanism(
        "RNA polymerase I inhibitor",
        {
            "nucleolus_count": 0.36,
            "nucleolus_radius_um": 0.72,
            "nucleolus_intensity": 1.25,
            "rna_intensity": 0.62,
            "chromatin_contrast": -0.06,
        },
    ),
    Mechanism(
        "mTOR inhibitor",
        {
            "cell_radius_um": 0.76,
            "nucleus_area_um2": 0.74,
            "nucleolus_radius_um": 0.78,
            "rna_intensity": 0.80,
            "mito_reach_um": 0.85,
        },
    ),
    Mechanism(
        "Na+/K+-ATPase inhibitor",
        {
            "nucleus_area_um2": 0.58,
            "dna_intensity": 1.55,
            "nucleolus_count": 0.55,
            "cell_radius_um": 0.70,
            "roundedness": 0.3,
            "rna_intensity": 0.72,
            "mito_intensity": 0.55,
            "actin_fibres": 0.5,
        },
        {"apoptotic": 0.12},
        survival=0.35,
    ),
    Mechanism(
        "ARF1 GEF inhibitor",
        {"golgi_dispersal": 0.85, "golgi_intensity": 0.75, "er_intensity": 1.18, "er_reticulum": 0.1},
    ),
    Mechanism(
        "proteasome inhibitor",
        {
            "aggresomes": 60.0,
            "nucleolus_intensity": 1.25,
            "nucleus_irregularity": 0.05,
            "polarity": 0.2,
            "rna_intensity": 1.22,
            "mito_reach_um": 0.8,
        },
        survival=0.85,
    ),
    Mechanism(
        "HDAC inhibitor",
        {
            "nucleus_area_um2": 1.32,
            "chromatin_contrast": -0.12,
            "dna_intensity": 0.80,
            "nucleolus_count": 0.75,
            "cell_axis_ratio": 1.35,
            "agp_intensity": 1.35,
            "actin_fibres": 1.7,
            "cell_radius_um": 1.12,
        },
    ),
    Mechanism(
        "PPAR agonist",
        {
            "vacuole_count": 30.0,
            "vacuole_radius_um": 1.35,
            "cell_axis_ratio": 0.85,
            "actin_fibres": 0.5,
            "golgi_intensity": 0.8,
        },
        penetrance=0.3,  # only a subpopulation differentiates, which the mean of the well hides
    ),
)

# What dying cells have in common, whatever killed them.
CYTOTOXICITY = Mechanism(
    "cytotoxicity",
    {
        "cell_radius_um": 0.72,
        "nucleus_area_um2": 0.75,
        "dna_intensity": 1.35,
        "roundedness": 0.3,
        "mito_intensity": 0.6,
        "mito_fragmentation": 0.4,
        "actin_fibres": 0.4,
        "er_intensity": 1.15,
    },
    {"apoptotic": 0.25},
    survival=0.2,
    penetrance=1.0,
)

MECHANISMS: Mapping[str, Mechanism] = MappingProxyType({mechanism.name: mechanism for mechanism in _ALL})


def mechanism_names() -> tuple[str, ...]:
    """Return the names of all mechanisms that can be simulated.

    Examples
    --------
    >>> len(mechanism_names()) >= 12
    True
    """
    return tuple(MECHANISMS)
