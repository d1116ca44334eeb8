from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, is_dataclass
from typing import ClassVar

import numpy as np
import pytest

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.features import (
    FAMILIES,
    Definition,
    FeatureFamily,
    chosen_families,
    feature_dictionary,
    measure,
    presets,
)


@dataclass(frozen=True)
class Parity(FeatureFamily):
    """A family of a third party."""

    name: ClassVar[str] = "parity"
    definitions: ClassVar[dict[str, Definition]] = {"Parity_Area": Definition("area modulo a number", "px^2")}

    modulus: int = 2

    def measure(self, objects):  # type: ignore[no-untyped-def]
        return {f"Parity_Area_{self.modulus}": objects.area % self.modulus}


def test_families_are_frozen_dataclasses_with_a_source() -> None:
    for name in FAMILIES.names():
        family = FAMILIES.get(name)
        assert is_dataclass(family)
        assert family.name == name
        assert family.source
        with pytest.raises(FrozenInstanceError):
            family().anything = 1  # type: ignore[attr-defined]


def test_a_new_family_is_measured_and_described(labels: dict[str, np.ndarray]) -> None:
    frame = measure(np.zeros((1, 120, 140)), labels, channels=["A"], families=[Parity(3)])
    assert frame.columns[1:] == [f"{c}_Parity_Area_3" for c in ("Nuclei", "Cells", "Cytoplasm")]
    assert frame["Cells_Parity_Area_3"][5] == 1  # the cell of one pixel
    assert frame["Cytoplasm_Parity_Area_3"][5] is None
    row = feature_dictionary(["A"], families=[Parity(3)]).row(0, named=True)
    assert (row["measure"], row["parameters"], row["unit"]) == ("Area", "3", "px^2")


def test_presets_are_lists_of_families() -> None:
    for preset, text in presets().items():
        assert text
        for family in chosen_families(preset):
            assert isinstance(family, FeatureFamily)
            assert "CellProfiler" in family.source
    with pytest.raises(UnknownNameError, match="preset"):
        chosen_families("fastest")


def test_families_beyond_a_preset_follow_it_and_replace_its_own() -> None:
    minimal = chosen_families("minimal")
    assert chosen_families("minimal", ["texture"]) == (*minimal, FAMILIES.make("texture"))
    wide = {"family": "neighbors", "distance": 5}
    assert chosen_families("minimal", [wide])[-1] == FAMILIES.make("neighbors", distance=5)
    assert len(chosen_families("minimal", [wide, "neighbors"])) == len(minimal) + 1
    with pytest.raises(UnknownNameError, match="did you mean 'texture'"):
        chosen_families("minimal", ["textur"])
    with pytest.raises(UnknownNameError, match="parameter of feature family 'texture' 'scale'"):
        chosen_families("minimal", [{"family": "texture", "scale": 3}])
    with pytest.raises(UsageError, match="family = NAME"):
        chosen_families("minimal", [{"scales": [3]}])
