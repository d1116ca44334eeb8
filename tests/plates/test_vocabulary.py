from __future__ import annotations

import pytest

from phenoprint.plates.vocabulary import COLUMNS, MAYBE_PERT_TYPE, match_columns, name_key


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


@pytest.mark.parametrize(
    "names",
    [
        ["Well Position", "Plate ID", "Cmpd", "Conc uM", "Conc-Unit"],
        ["Position", "Platte", "Substanz", "Konzentration (µM)", "Einheit"],
        ["KAVITÄT", "Platten-Nr", "Wirkstoff", "Konz. [nM]", "Konzentrationseinheit"],
        ["Puits", "Plaque", "Composé", "Concentration finale", "Unité"],
        ["Pocillo", "placa", "Compuesto", "Concentración (uM)", "unidad"],
        ["wellPosition", "PlateBarcode", "TreatmentName", "final_conc", "doseUnit"],
    ],
)
def test_columns_in_four_languages(names: list[str]) -> None:
    roles = match_columns(names)
    assert [roles.get(role) for role in ("well", "plate", "compound", "concentration", "unit")] == names


def test_every_name_has_one_role_and_is_written_as_it_is_compared() -> None:
    seen: dict[str, str] = {}
    for role, names in COLUMNS.items():
        for name in names:
            key = name_key(name)
            assert key == name.replace("_", ""), name
            assert seen.setdefault(key, role) == role, name
    assert all(name_key(name) == name.replace("_", "") for name in MAYBE_PERT_TYPE)
