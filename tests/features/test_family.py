from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, is_dataclass
from typing import ClassVar

import numpy as np
import pytest

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.features import (
    Definition,
    FeatureFamily,
    families,
    feature_dictionary,
    get_family,
    measure,
    preset_families,
    presets,
    register_family,
)


@dataclass(frozen=True)
class Parity(FeatureFamily):
    """A family as a third party would write it."""

    name: ClassVar[str] = "parity"
    definitions: ClassVar[dict[str, Definition]] = {"Parity_Area": Definition("area modulo a number", "px^2")}

    modulus: int = 2

    def measure(self, objects):  # type: ignore[no-untyped-def]
        return {f"Parity_Area_{self.modulus}": objects.area % self.modulus}


def test_registry_knows_the_families_and_offers_the_closest() -> None:
    known = families()
    assert set(known) >= {
        "correlation",
        "granularity",
        "intensity",
        "location",
        "neighbors",
        "radial",
        "shape",
        "texture",
    }
    assert get_family("shape") is known["shape"]
    with pytest.raises(UnknownNameError, match="did you mean 'texture'"):
        get_family("textur")


def test_families_are_frozen_dataclasses_with_a_source() -> None:
    for name, family in families().items():
        assert is_dataclass(family)
        assert family.name == name
        assert "CellProfiler" in family.source
        with pytest.raises(FrozenInstanceError):
            family().anything = 1  # type: ignore[attr-defined]


def test_a_new_family_is_measured_and_described(labels: dict[str, np.ndarray]) -> None:
    frame = measure(np.zeros((1, 120, 140)), labels, channels=["A"], families=[Parity(3)])
    assert frame.columns[1:] == [f"{c}_Parity_Area_3" for c in ("Nuclei", "Cells", "Cytoplasm")]
    assert frame["Cells_Parity_Area_3"][5] == 1  # the cell of one pixel
    assert frame["Cytoplasm_Parity_Area_3"][5] is None
    row = feature_dictionary(["A"], families=[Parity(3)]).row(0, named=True)
    assert (row["measure"], row["parameters"], row["unit"]) == ("Area", "3", "px^2")


def test_a_name_is_taken_once() -> None:
    class Impostor(Parity):
        name: ClassVar[str] = "shape"

    assert register_family(get_family("shape")) is get_family("shape")
    with pytest.raises(UsageError, match="already taken"):
        register_family(Impostor)


def test_presets_are_lists_of_families() -> None:
    for preset, text in presets().items():
        assert text
        assert all(isinstance(family, FeatureFamily) for family in preset_families(preset))
    with pytest.raises(UnknownNameError, match="preset"):
        preset_families("fast")
