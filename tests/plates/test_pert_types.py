from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from phenoprint.errors import PlateMapError
from phenoprint.plates import PERT_TYPES, canonical_pert_type, infer_pert_type
from phenoprint.plates.pert_types import is_ambiguous, known_pert_type, own_words

NEGATIVE = [
    *("DMSO", "dmso", "DMSO 0.1%", "DMSO_0.5 %", "0,5 % DMSO", "DMSO (0.1%)", "DMSO_ctrl", "DMSO control", "DMSO only"),
    *("Vehicle", "vehicle control", "Vehikelkontrolle", "Solvent control", "Lösungsmittelkontrolle", "PBS", "Wasser"),
    *("Medium", "culture medium", "Mediumkontrolle", "untreated", "unbehandelt", "non traité", "sin tratar", "no drug"),
    *("NTC", "NTC 3", "scrambled", "Scramble siRNA", "non-targeting", "Nontargeting control #2", "siCtrl", "sgNTC_1"),
    *("neg. ctrl.", "negative control", "Negativkontrolle", "témoin négatif", "control negativo", "(-) control"),
    *("mock", "Mock transfected", "empty vector", "cells only", "JCP2022_033924"),
]
POSITIVE = [
    *("positive control", "pos ctrl", "Positivkontrolle", "Contrôle positif", "control positivo", "Control (+)"),
    *("+ control", "poscon", "Pos. Control 2"),
]
EMPTY = ["empty", "Empty well", "blank", "Blanks", "leer", "Puits vide", "vacío", "no cells", "ohne Zellen", "unused"]
TREATMENT = ["taxol", "DMSO-d6 analogue", "vehiclin", "quinidine", "emptyol", "SCR7", "Control-X", "mediumin"]


@pytest.mark.parametrize("name", NEGATIVE)
def test_vehicles_untreated_and_non_targeting_are_negative_controls(name: str) -> None:
    assert infer_pert_type(name) == "negcon"
    assert canonical_pert_type(name) == "negcon"


@pytest.mark.parametrize("name", POSITIVE)
def test_positive_controls(name: str) -> None:
    assert infer_pert_type(name) == "poscon"
    assert canonical_pert_type(name) == "poscon"


@pytest.mark.parametrize("name", EMPTY)
def test_empty_wells(name: str) -> None:
    assert infer_pert_type(name) == "empty"
    assert canonical_pert_type(name) == "empty"


@pytest.mark.parametrize("name", [None, "", " ", "NA", "nan", "-", "JCP2022_999999"])
def test_blank_wells_are_empty(name: str | None) -> None:
    assert infer_pert_type(name) == "empty"


@pytest.mark.parametrize("name", TREATMENT)
def test_everything_else_is_a_treatment(name: str) -> None:
    assert infer_pert_type(name) == "trt"
    assert known_pert_type(name) is None


@pytest.mark.real
def test_jumps_controls_are_known(real_data: Path) -> None:
    controls = pl.read_csv(real_data / "jump_metadata" / "perturbation_control.csv")
    for name, role in controls.select("Metadata_JCP2022", "Metadata_pert_type").iter_rows():
        assert infer_pert_type(name) == role, name


def test_kinds_have_one_spelling_and_a_hint() -> None:
    for kind in PERT_TYPES:
        assert canonical_pert_type(kind.upper()) == kind
    assert canonical_pert_type("poscon_orf") == "poscon"
    assert [canonical_pert_type(word) for word in ("Substanz", "treated", "Sample 12", "compound")] == ["trt"] * 4
    with pytest.raises(PlateMapError, match="did you mean 'poscon'"):
        canonical_pert_type("poscno")


@pytest.mark.parametrize("word", ["control", "Ctrl", "Kontrolle", "contrôle", "control 2"])
def test_plain_control_is_ambiguous_and_the_kinds_are_listed(word: str) -> None:
    assert is_ambiguous(word)
    with pytest.raises(PlateMapError) as caught:
        canonical_pert_type(word)
    said = str(caught.value)
    assert "may mean several kinds of well, such as negcon or poscon" in said
    assert "did you mean" not in said
    for kind in (
        "trt (a treatment)",
        "negcon (negative control: vehicle",
        "poscon (positive control",
        "empty (no cells",
    ):
        assert kind in said
    assert f'pert_types = {{ "{word}" = "negcon" }}' in said


def test_short_words_are_kinds_in_their_own_column_and_doubtful_as_names() -> None:
    assert canonical_pert_type("NC") == "negcon"
    assert infer_pert_type("NC") == "trt"
    assert is_ambiguous("NC", is_name=True)
    assert is_ambiguous("medium only")
    assert is_ambiguous("none")


def test_a_word_of_ones_own_has_one_of_the_four_kinds() -> None:
    assert own_words({"Médium": "empty"}) == {"medium": "empty"}
    with pytest.raises(PlateMapError, match="unknown pert_type 'nothing'"):
        own_words({"Medium": "nothing"})
