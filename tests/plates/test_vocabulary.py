from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from phenoprint.errors import PlateMapError
from phenoprint.plates import PERT_TYPES, canonical_pert_type, infer_pert_type
from phenoprint.plates.vocabulary import match_columns


@pytest.mark.parametrize(
    "name", ["DMSO", "dmso", "DMSO 0.1%", "DMSO_0.5 %", "Vehicle", "JCP2022_033924", "untreated", "no drug"]
)
def test_vehicles_are_negative_controls(name: str) -> None:
    assert infer_pert_type(name) == "negcon"


@pytest.mark.parametrize("name", [None, "", " ", "empty", "Empty", "JCP2022_999999"])
def test_blank_wells_are_empty(name: str | None) -> None:
    assert infer_pert_type(name) == "empty"


@pytest.mark.parametrize("name", ["taxol", "DMSO-d6 analogue", "vehiclin", "quinidine", "emptyol"])
def test_everything_else_is_a_treatment(name: str) -> None:
    assert infer_pert_type(name) == "trt"


@pytest.mark.real
def test_jumps_controls_are_known(real_data: Path) -> None:
    controls = pl.read_csv(real_data / "jump_metadata" / "perturbation_control.csv")
    for name, role in controls.select("Metadata_JCP2022", "Metadata_pert_type").iter_rows():
        assert infer_pert_type(name) == role, name


def test_roles_have_one_spelling_and_a_hint() -> None:
    for role in PERT_TYPES:
        assert canonical_pert_type(role.upper()) == role
    assert canonical_pert_type("poscon_orf") == "poscon"
    assert canonical_pert_type("Negative control") == "negcon"
    with pytest.raises(PlateMapError, match="did you mean 'poscon'"):
        canonical_pert_type("poscno")


def test_the_first_of_several_names_takes_the_role() -> None:
    roles = match_columns(
        ["broad_sample", "Metadata_Compound", "Metadata_Well", "pert_type", "control_type", "conc_uM"]
    )
    assert roles == {
        "well": "Metadata_Well",
        "pert_type": "pert_type",
        "compound": "Metadata_Compound",
        "concentration": "conc_uM",
    }
