from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UsageError
from phenoprint.features import FAMILIES, feature_dictionary, measure, measure_field, presets
from phenoprint.features.texture import Texture

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


UNITS = {"1", "%", "bit", "count", "degree", "intensity", "level", "level^2", "px", "px^2", "px^(2 + powers)", "rad"}


@pytest.mark.parametrize("preset", sorted(presets()))
@pytest.mark.parametrize("image", [False, True])
def test_no_entry_is_empty_or_long(preset: str, image: bool) -> None:
    found = feature_dictionary(CHANNELS, preset=preset, image=image)
    for column in ("description", "source", "difference"):
        text = found[column].drop_nulls()
        assert text.str.contains(r"^\S.*\S$").all(), column  # one line, no space around it
        assert text.str.len_chars().min() >= 8
    assert found["description"].str.len_chars().max() <= 120
    assert found["source"].str.contains("CellProfiler 4.2.8").all()
    assert found["difference"].drop_nulls().str.contains("CellProfiler|in both").all()
    assert set(found["unit"]) <= UNITS


def test_documented_missing_values_are_missing() -> None:
    cells = np.zeros((24, 40), np.int32)
    cells[4:20, 4:20] = 1
    cells[10, 30] = 2
    planes = np.stack([np.random.default_rng(0).random((24, 40)), np.zeros((24, 40)), np.full((24, 40), 0.5)])
    both = {"Nuclei": cells, "Cells": cells}
    objects, image = measure_field(planes, both, channels=["A", "Black", "Flat"])
    dictionary = pl.concat([feature_dictionary(["A", "Black", "Flat"], image=kind) for kind in (False, True)])
    reasons = dict(dictionary.select("feature", "difference").iter_rows())
    big, pixel = objects.rows(named=True)
    row = image.row(0, named=True)
    for where, name in (
        (big, "Cells_Correlation_Correlation_A_Flat"),
        (big, "Cells_Correlation_K_A_Black"),
        (big, "Cells_Correlation_Costes_A_Flat"),
        (pixel, "Cells_AreaShape_FormFactor"),
        (pixel, "Cells_Texture_Contrast_A_3_00_256"),
        (big, "Cells_Neighbors_SecondClosestDistance_Adjacent"),
        (big, "Cells_Neighbors_AngleBetweenNeighbors_Adjacent"),
        (row, "Image_Correlation_Slope_Black_Flat"),
        (row, "Image_Correlation_Correlation_A_Black"),
        (row, "Image_Correlation_Costes_A_Black"),
    ):
        assert where[name] is None, name
        assert "NULL" in str(reasons[name]), name
    # Without such a note, a cell of ordinary size in an ordinary channel has every value.
    undocumented = [name for name, reason in reasons.items() if reason is None and name.startswith("Cells_")]
    texts = dict(dictionary.select("feature", "description").iter_rows())
    for name in undocumented:
        if "Black" not in name and "Flat" not in name and "NULL" not in str(texts[name]):
            assert big[name] is not None, name


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
def test_names_are_split_into_their_parts(table: pl.DataFrame, name: str, parts: tuple[str | None, ...]) -> None:
    found = entry(table, name)
    assert tuple(found[column] for column in ("family", "measure", "channel", "parameters")) == parts
    assert found["compartment"] == name.split("_", maxsplit=1)[0]


def test_differences_are_documented(table: pl.DataFrame) -> None:
    assert "CellProfiler" in str(entry(table, "Cells_AreaShape_FormFactor")["difference"])
    assert entry(table, "Cells_AreaShape_Area")["difference"] is None


def test_every_definition_is_used(table: pl.DataFrame) -> None:
    image = feature_dictionary(CHANNELS, image=True)
    for attribute, entries in (("definitions", table), ("image_definitions", image)):
        names = entries["feature"].str.replace("^[A-Za-z]+_", "").to_list()
        for family in map(FAMILIES.get, FAMILIES.names()):
            for key in getattr(family, attribute):
                assert any(name == key or name.startswith(f"{key}_") for name in names), key


def test_image_features_are_described(table: pl.DataFrame) -> None:
    image = feature_dictionary(CHANNELS, image=True)
    slope = entry(image, "Image_Correlation_Slope_DNA_ER_2")
    assert (slope["family"], slope["measure"], slope["channel"]) == ("Correlation", "Slope", "DNA,ER_2")
    assert "image" in str(entry(image, "Image_Granularity_3_ER")["description"])
    assert entry(image, "Image_Count_Cells")["unit"] == "count"
    assert set(image["feature"]).isdisjoint(table["feature"])


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("Cells_Texture_Contrast_ER_2_10_01_256", "Cells_Texture_Contrast_ER_2_10_01"),
        ("Nuclei_AreaShape_Center_X", "Nuclei_Location_Center_X"),
        ("Nuclei_Location_Center_Y", "Nuclei_AreaShape_Center_Y"),
        ("Nuclei_Location_CenterMassIntensity_Y_DNA", None),
        ("Cells_AreaShape_Area", None),
    ],
)
def test_names_of_other_versions(table: pl.DataFrame, name: str, alias: str | None) -> None:
    assert entry(table, name)["alias"] == alias


def test_other_grey_levels_have_no_older_name() -> None:
    few = feature_dictionary(["DNA"], families=[Texture(levels=64)])
    assert few["alias"].null_count() == few.height


def test_full_preset_has_cellprofilers_count() -> None:
    five = feature_dictionary(["DNA", "ER", "RNA", "AGP", "Mito"])
    counts = dict(five.group_by("compartment").len().iter_rows())
    assert counts == {"Nuclei": 1537, "Cells": 1544, "Cytoplasm": 1538}


def test_minimal_is_a_part_of_full(table: pl.DataFrame) -> None:
    small = feature_dictionary(CHANNELS, preset="minimal")
    assert set(small["feature"]) < set(table["feature"])
    assert sorted(presets()) == ["cell-painting-fast", "cell-painting-full", "minimal"]


def test_fast_measures_the_same_values(pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str]) -> None:
    full = measure(pixels, labels, channels=channels)
    fast = measure(pixels, labels, channels=channels, preset="cell-painting-fast")
    # Of equally bright or deep pixels the first is used, not CellProfiler's choice.
    ties = ("MaxIntensity_X", "MaxIntensity_Y", "FracAtD", "MeanFrac", "RadialCV")
    names = [name for name in fast.columns if not any(tie in name for tie in ties)]
    assert fast.select(names).equals(full.select(names))


def test_fast_is_a_part_of_full_with_every_family(table: pl.DataFrame) -> None:
    fast = feature_dictionary(CHANNELS, preset="cell-painting-fast")
    assert set(fast["feature"]) < set(table["feature"])
    assert set(fast["family"]) == set(table["family"])
    assert 0.5 < fast.height / table.height < 0.7


def test_channels_are_needed() -> None:
    with pytest.raises(UsageError, match="at least one channel"):
        feature_dictionary([])
