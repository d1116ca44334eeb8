from __future__ import annotations

import polars as pl
import pytest

from phenoprint.errors import UsageError
from phenoprint.features import families, feature_dictionary, presets

CHANNELS = ["DNA", "ER_2", "ER"]


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return feature_dictionary(CHANNELS)


def entry(table: pl.DataFrame, name: str) -> dict[str, str | None]:
    return table.row(by_predicate=pl.col("feature") == name, named=True)


def test_every_feature_is_described_once(table: pl.DataFrame) -> None:
    assert table["feature"].is_unique().all()
    for column in ("compartment", "family", "measure", "unit", "version", "description", "source"):
        assert table[column].null_count() == 0, column
    assert table["description"].str.contains("\n").sum() == 0
    assert set(table.dtypes) == {pl.String}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Nuclei_AreaShape_Zernike_9_1", ("AreaShape", "Zernike", None, "9_1")),
        ("Cells_AreaShape_BoundingBoxMaximum_X", ("AreaShape", "BoundingBoxMaximum", None, "X")),
        ("Cells_Texture_InfoMeas1_ER_2_3_02_256", ("Texture", "InfoMeas1", "ER_2", "3_02_256")),
        ("Cytoplasm_Correlation_RWC_ER_ER_2", ("Correlation", "RWC", "ER,ER_2", None)),
        ("Cells_Granularity_10_DNA", ("Granularity", "Granularity", "DNA", "10")),
        ("Cells_RadialDistribution_FracAtD_ER_3of4", ("RadialDistribution", "FracAtD", "ER", "3of4")),
        ("Cells_RadialDistribution_ZernikePhase_DNA_9_9", ("RadialDistribution", "ZernikePhase", "DNA", "9_9")),
        ("Cells_Neighbors_PercentTouching_Adjacent", ("Neighbors", "PercentTouching", None, "Adjacent")),
        ("Nuclei_Location_MaxIntensity_X_DNA", ("Location", "MaxIntensity_X", "DNA", None)),
        ("Nuclei_Children_Cytoplasm_Count", ("Children", "Cytoplasm_Count", None, None)),
    ],
)
def test_names_are_taken_apart(table: pl.DataFrame, name: str, parts: tuple[str | None, ...]) -> None:
    found = entry(table, name)
    assert tuple(found[column] for column in ("family", "measure", "channel", "parameters")) == parts
    assert found["compartment"] == name.split("_", maxsplit=1)[0]


def test_differences_are_told(table: pl.DataFrame) -> None:
    assert "CellProfiler" in str(entry(table, "Cells_AreaShape_FormFactor")["difference"])
    assert entry(table, "Cells_AreaShape_Area")["difference"] is None


def test_every_definition_is_used(table: pl.DataFrame) -> None:
    names = table["feature"].str.replace("^[A-Za-z]+_", "").to_list()
    for family in families().values():
        for key in family.definitions:
            assert any(name == key or name.startswith(f"{key}_") for name in names), key


def test_full_preset_has_cellprofilers_count() -> None:
    five = feature_dictionary(["DNA", "ER", "RNA", "AGP", "Mito"])
    counts = dict(five.group_by("compartment").len().iter_rows())
    assert counts == {"Nuclei": 1537, "Cells": 1544, "Cytoplasm": 1538}


def test_minimal_is_a_part_of_full(table: pl.DataFrame) -> None:
    small = feature_dictionary(CHANNELS, preset="minimal")
    assert set(small["feature"]) < set(table["feature"])
    assert sorted(presets()) == ["cell-painting-full", "minimal"]


def test_channels_are_needed() -> None:
    with pytest.raises(UsageError, match="at least one channel"):
        feature_dictionary([])
