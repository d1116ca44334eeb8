"""The design of a simulated screen: plates, treatments, imaging and plate artefacts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.plates import PlateFormat
from phenoprint.simulation.mechanisms import MECHANISMS, mechanism_names
from phenoprint.simulation.plate_artefacts import PlateArtefacts

__all__ = ["CHANNELS", "DemoKind", "ScreenDesign", "demo_design", "tiny_design"]

CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")


@dataclass(frozen=True, kw_only=True)
class ScreenDesign:
    """The complete design of a simulated Cell Painting screen; the same design gives the same pixels everywhere.

    A library of compounds (`mechanisms` x `compounds_per_mechanism` and `n_two_mechanisms` active ones, and `n_inert`
    inert ones) is tested at every dose, with `replicates` wells per treatment. One copy of the library takes
    `plates_per_library` plates, with all doses of a compound on one plate. The `n_plates` plates hold several copies,
    divided among `n_batches` batches.

    Parameters
    ----------
    plate_format
        Wells per plate: 6, 12, 24, 48, 96, 384 or 1536.
    n_plates, plates_per_library, n_batches, n_sites
        Numbers of plates, plates per copy of the library, batches and sites per well; `n_plates` is a multiple of
        `plates_per_library`.
    field_shape
        (Y, X) of a field, px.
    pixel_size_um
        Size of a pixel, µm.
    cells_per_field
        Mean number of cells with a visible nucleus in an untreated field.
    mechanisms
        Names from `mechanism_names`.
    compounds_per_mechanism, n_two_mechanisms, n_inert
        Active compounds per mechanism, compounds that have two of the mechanisms, and inert compounds.
    n_cytotoxic
        Active compounds that kill cells near their highest dose.
    efficacy
        Smallest and largest effect of an active compound at an infinite dose, as a fraction of the full effect.
    doses_um
        Dose series of every compound, µM.
    replicates
        Wells per treatment on its plate.
    n_negcon, n_poscon
        Control wells per plate; by default a twelfth and a twenty-fourth of the plate.
    same_layout
        Whether all copies of the library have one layout; otherwise each plate has its own.
    empty_wells
        Whether the remaining wells are empty (True) or negative controls (False).
    plate_names
        Names of the plates; by default ``SIM-P01``, ``SIM-P02``, ...
    artefacts
        Strengths of the plate artefacts; `PlateArtefacts.off()` gives perfect images.
    seed
        Seed of all random numbers, 0 or more.

    Raises
    ------
    UsageError
        If a number is out of range, or the treatments do not fit on the plates.
    UnknownNameError
        For an unknown plate format or mechanism.

    Examples
    --------
    >>> design = ScreenDesign(plate_format=384, seed=7)
    >>> design.plates, design.n_treatments
    (('SIM-P01', 'SIM-P02'), 336)
    """

    plate_format: int = 384
    n_plates: int = 2
    plates_per_library: int = 1
    n_batches: int = 1
    n_sites: int = 1
    field_shape: tuple[int, int] = (360, 360)
    pixel_size_um: float = 0.8
    cells_per_field: float = 40.0
    mechanisms: tuple[str, ...] = field(default_factory=mechanism_names)
    compounds_per_mechanism: int = 3
    n_two_mechanisms: int = 0
    n_inert: int = 8
    n_cytotoxic: int = 0
    efficacy: tuple[float, float] = (0.85, 1.0)
    doses_um: tuple[float, ...] = (0.1, 0.3, 0.9, 2.7, 8.1, 24.3)
    replicates: int = 1
    n_negcon: int | None = None
    n_poscon: int | None = None
    same_layout: bool = False
    empty_wells: bool = False
    plate_names: tuple[str, ...] | None = None
    artefacts: PlateArtefacts = field(default_factory=PlateArtefacts)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check all values."""
        PlateFormat.of(self.plate_format)
        for name in self.mechanisms:
            if name not in MECHANISMS:
                raise UnknownNameError("mechanism", name, MECHANISMS)
        self._check_numbers()
        self._check_plates()

    def _check_numbers(self) -> None:
        least = {
            "n_plates": 1,
            "plates_per_library": 1,
            "n_batches": 1,
            "n_sites": 1,
            "compounds_per_mechanism": 0,
            "n_two_mechanisms": 0,
            "n_inert": 0,
            "n_cytotoxic": 0,
            "replicates": 1,
            "seed": 0,
        }
        for name, minimum in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < minimum:
                raise UsageError(f"{name} must be a whole number of {minimum} or more, got {value!r}")
        if len(self.field_shape) != 2 or min(self.field_shape) < 16:
            raise UsageError(f"field_shape must be (Y, X) of 16 px or more each, got {self.field_shape!r}")
        if not 0.05 <= self.pixel_size_um <= 5:
            raise UsageError(f"pixel_size_um must lie between 0.05 and 5 µm, got {self.pixel_size_um!r}")
        if not 0 <= self.cells_per_field < math.inf:
            raise UsageError(f"cells_per_field must be 0 or more, got {self.cells_per_field!r}")
        if not 0 < self.efficacy[0] <= self.efficacy[1] <= 1:
            raise UsageError(f"efficacy must be a pair above 0 and up to 1, the smaller first, got {self.efficacy!r}")
        if self.n_two_mechanisms and len(self.mechanisms) < 2:
            raise UsageError("n_two_mechanisms needs at least two mechanisms")
        if self.n_cytotoxic > self.n_active:
            raise UsageError(f"n_cytotoxic ({self.n_cytotoxic}) cannot exceed the {self.n_active} active compounds")
        if not self.doses_um or not all(0 < dose < math.inf for dose in self.doses_um):
            raise UsageError(f"doses_um must hold at least one dose above 0 µM, got {self.doses_um!r}")
        if len(set(self.doses_um)) != len(self.doses_um) or len(set(self.mechanisms)) != len(self.mechanisms):
            raise UsageError("doses_um and mechanisms must not repeat a value: use `replicates` for more wells")

    def _check_plates(self) -> None:
        if self.n_plates % self.plates_per_library:
            raise UsageError(
                f"n_plates ({self.n_plates}) must be a multiple of plates_per_library ({self.plates_per_library})"
            )
        copies = self.n_plates // self.plates_per_library
        if self.n_batches > copies:
            raise UsageError(f"n_batches ({self.n_batches}) cannot exceed the {copies} copies of the library")
        if self.plate_names is not None and len(set(self.plate_names)) != self.n_plates:
            raise UsageError(f"plate_names must hold {self.n_plates} different names, got {self.plate_names!r}")
        needed = self.wells_needed
        if needed > self.plate_format:
            raise UsageError(
                f"the fullest plate needs {needed} wells ({self.negcon_wells} negative and "
                f"{self.poscon_wells} positive controls included) but a plate has {self.plate_format}; "
                f"use fewer doses, compounds or replicates, or raise plates_per_library"
            )

    @property
    def n_compounds(self) -> int:
        """Number of compounds of the library, with inert ones and without controls."""
        return self.n_active + self.n_inert

    @property
    def n_active(self) -> int:
        """Number of compounds with an effect, without controls."""
        return len(self.mechanisms) * self.compounds_per_mechanism + self.n_two_mechanisms

    @property
    def n_treatments(self) -> int:
        """Number of treatments: compounds times doses."""
        return self.n_compounds * len(self.doses_um)

    @property
    def negcon_wells(self) -> int:
        """Number of negative control wells per plate, without the remaining wells that are filled with it."""
        return max(1, self.plate_format // 12) if self.n_negcon is None else self.n_negcon

    @property
    def poscon_wells(self) -> int:
        """Number of positive control wells per plate."""
        if not self.mechanisms:
            return 0
        return max(1, self.plate_format // 24) if self.n_poscon is None else self.n_poscon

    @property
    def wells_needed(self) -> int:
        """Number of wells in use on the fullest plate."""
        compounds = math.ceil(self.n_compounds / self.plates_per_library)
        return compounds * len(self.doses_um) * self.replicates + self.negcon_wells + self.poscon_wells

    @property
    def plates(self) -> tuple[str, ...]:
        """Names of the plates, in order."""
        return self.plate_names or tuple(f"SIM-P{index + 1:02d}" for index in range(self.n_plates))

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites of a well, in order."""
        return tuple(str(site + 1) for site in range(self.n_sites))

    def batch_index(self, plate_index: int) -> int:
        """Return the 0-based batch of a 0-based plate; the plates of one copy of the library are in one batch."""
        copies = self.n_plates // self.plates_per_library
        return (plate_index // self.plates_per_library) * self.n_batches // copies

    def batch(self, plate_index: int) -> str:
        """Return the name of the batch of a 0-based plate."""
        return f"batch{self.batch_index(plate_index) + 1}"


# Two pairs that resemble each other, as mechanisms in one pathway do.
_DEMO_MECHANISMS = (
    "tubulin polymerization inhibitor",
    "kinesin Eg5 inhibitor",
    "actin polymerization inhibitor",
    "ROCK inhibitor",
)

DemoKind = Literal["mechanisms", "null", "position", "batch"]


def demo_design(*, n_plates: int = 1, kind: DemoKind = "mechanisms", seed: int = 0) -> ScreenDesign:
    """Design full 384-well plates: 18 compounds, half of them inert, at 6 doses in 3 wells per treatment.

    Of the 9 active compounds, 8 have one of four mechanisms that overlap in pairs, and 1 has two. Their efficacy is
    between a quarter and the whole of the full effect, 3 are cytotoxic at the highest doses, and the position of a well
    changes cells as much as a weak phenotype does. Three replicates are enough for a treatment to reach significance
    on one plate.

    Parameters
    ----------
    n_plates
        Copies of the plate; two or more are divided between two batches.
    kind
        ``"mechanisms"``: as above, with a layout of its own for each plate. In the others all 18 compounds are inert:
        ``"null"``: no effects of positions or batches on cells; ``"position"``: strong effects of the position, and one
        layout for all plates; ``"batch"``: strong effects of the batch.
    seed
        Seed of all random numbers, 0 or more.

    Raises
    ------
    UsageError
        For ``"batch"`` with a single plate.

    Examples
    --------
    >>> design = demo_design()
    >>> design.wells_needed, design.n_active, design.n_inert
    (384, 9, 9)
    """
    if kind == "batch" and n_plates < 2:
        raise UsageError("the batch design compares batches and needs at least two plates, got n_plates=1")
    design = ScreenDesign(
        plate_format=384,
        n_plates=n_plates,
        n_batches=min(n_plates, 2),
        mechanisms=_DEMO_MECHANISMS,
        compounds_per_mechanism=2,
        n_two_mechanisms=1,
        n_inert=9,
        n_cytotoxic=3,
        efficacy=(0.25, 1.0),
        replicates=3,
        n_negcon=48,
        n_poscon=12,
        artefacts=PlateArtefacts(position_effect=0.2),
        seed=seed,
    )
    if kind == "mechanisms":
        return design
    artefacts = {
        "null": PlateArtefacts(),
        "position": PlateArtefacts(position_effect=0.4),
        "batch": PlateArtefacts(batch_effect=0.6, batch_gain=0.25),
    }
    return replace(
        design,
        compounds_per_mechanism=0,
        n_two_mechanisms=0,
        n_inert=design.n_compounds,
        n_cytotoxic=0,
        artefacts=artefacts[kind],
        same_layout=kind == "position",
    )


def tiny_design(*, seed: int = 0) -> ScreenDesign:
    """Design one 24-well plate of small fields for tests: 4 mechanisms, 2 doses.

    Examples
    --------
    >>> tiny_design().plate_format
    24
    """
    return ScreenDesign(
        plate_format=24,
        n_plates=1,
        field_shape=(160, 160),
        cells_per_field=9.0,
        mechanisms=(
            "topoisomerase inhibitor",
            "actin polymerization inhibitor",
            "mitochondrial uncoupler",
            "SERCA inhibitor",
        ),
        compounds_per_mechanism=2,
        n_inert=1,
        doses_um=(2.0, 20.0),
        n_negcon=4,
        n_poscon=2,
        seed=seed,
    )
