from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, is_dataclass
from pathlib import Path
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
    measure_field,
    preset_families,
    presets,
    register_family,
)
from phenoprint.features import family as registry


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


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar

from phenoprint.features import Definition, FeatureFamily


@dataclass(frozen=True)
class Remainder(FeatureFamily):
    name: ClassVar[str] = "remainder"
    definitions: ClassVar = {"Remainder_Area": Definition("area modulo 2", "px^2")}

    def measure(self, objects):
        return {"Remainder_Area": objects.area % 2}

    def measure_image(self, field):
        return {"Remainder_Objects": float(field.n % 2)}
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a package with an entry point of our group where Python finds it."""
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))

    def put(target: str) -> None:
        (tmp_path / "remainder_plugin.py").write_text(PLUGIN)
        about = tmp_path / "remainder_plugin-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: remainder-plugin\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[phenoprint.features]\nremainder = {target}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return put


def test_an_installed_package_adds_its_family(install: Callable[[str], None], labels: dict[str, np.ndarray]) -> None:
    assert "remainder" not in families()
    install("remainder_plugin:Remainder")
    remainder = get_family("remainder")()
    blank = np.zeros((1, 120, 140))
    objects, image = measure_field(blank, labels, channels=["A"], families=[remainder])
    assert objects["Cells_Remainder_Area"].to_list()[5] == 1
    assert image["Image_Remainder_Objects"].item() == 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:Remainder", "entry point 'remainder' of remainder-plugin .* cannot be loaded"),
        ("remainder_plugin:Nothing", "cannot be loaded"),
        ("remainder_plugin:Definition", "must be a subclass of FeatureFamily"),
    ],
)
def test_a_broken_package_is_named(install: Callable[[str], None], target: str, message: str) -> None:
    install(target)
    with pytest.raises(UsageError, match=message):
        families()


def test_presets_are_lists_of_families() -> None:
    for preset, text in presets().items():
        assert text
        assert all(isinstance(family, FeatureFamily) for family in preset_families(preset))
    with pytest.raises(UnknownNameError, match="preset"):
        preset_families("fastest")
