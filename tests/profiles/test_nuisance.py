"""Columns that are not phenotypes are not features of a profile, unless the user keeps them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UsageError
from phenoprint.evaluation import moa_accuracy, replicate_reproducibility
from phenoprint.profiles import (
    RECIPES,
    apply_recipe,
    consensus,
    nuisance_features,
    select_features,
    select_features_with_status,
    select_plates,
)
from phenoprint.tables import feature_columns

NOT = [
    "Image_Threshold_FinalThreshold_Cells",
    "Image_Granularity_1_DNA",
    "ImageQuality_FocusScore_DNA",
    "ImageNumber",
    "ExecutionTime_01LoadData",
    "Execution time",
    "Count_Cells",
    "Cells_Location_Center_X",
    "Cells_Location_CenterMassIntensity_Z_RNA",
    "Nuclei_Location_MaxIntensity_Y_DNA",
    "Location_Center_Y",
    "Cells_AreaShape_Center_X",
    "Nuclei_AreaShape_BoundingBoxMaximum_Y",
    "Nuclei_AreaShape_BoundingBoxMinimum_X",
    "Nuclei_Position_X",
    "centroid-0",
    "bbox_3",
    "Primary Target Cg X wv1",
    "Cells_Number_Object_Number",
    "Number_Object_Number",
    "Cytoplasm_Parent_Cells",
    "Parent_Nuclei",
    "Cells_Neighbors_FirstClosestObjectNumber_Adjacent",
    "Nuclei_Neighbors_SecondClosestObjectNumber_10",
    "ObjectNumber",
]
FEATURES = [
    "Cells_AreaShape_Area",
    "Cells_AreaShape_BoundingBoxArea",
    "Cells_AreaShape_EulerNumber",
    "Cells_Neighbors_NumberOfNeighbors_10",
    "Cells_Neighbors_FirstClosestDistance_10",
    "Cells_Children_Spots_Count",
    "Cells_RadialDistribution_FracAtD_DNA_1of4",
    "Nuclei_Texture_InfoMeas1_DNA_3_02_256",
    "Cells_Embedding_model_3",
    "Nuclei_Intensity_MassDisplacement_DNA",
    "Primary_Target_Area_wv1",
    "actin.m.cx",
    "X_1",
    "efficientnet_17",
    "Mean_Cells_AreaShape_Area",
]


def test_the_rule_by_name() -> None:
    found = nuisance_features([*NOT, *FEATURES])
    assert list(found) == NOT
    assert nuisance_features(NOT[:2], keep=["Image_Gran*"]).keys() == {NOT[0]}
    with pytest.raises(UsageError, match=r"'Imagee_\*' matches none of the 2 features"):
        nuisance_features(NOT[:2], keep=["Imagee_*"])
    with pytest.raises(UsageError, match="must be a list"):
        nuisance_features(NOT, keep="Image_*")


def wells(*, with_images: bool) -> pl.DataFrame:
    """Four plates of controls and twelve treatments of four mechanisms; columns of images agree on every plate."""
    rng = np.random.default_rng(0)
    plates, places = 4, [f"{row}{column:02d}" for row in "ABCD" for column in range(1, 7)]
    compounds = [f"c{k}" for k in range(12)] + ["DMSO"] * 12
    frames = []
    for plate in range(plates):
        frame = pl.DataFrame(
            {
                "Metadata_Plate": [f"P{plate}"] * 24,
                "Metadata_Well": places,
                "Metadata_compound": compounds,
                "Metadata_moa": [f"m{k % 4}" for k in range(12)] + [None] * 12,
                "Metadata_pert_type": ["trt"] * 12 + ["negcon"] * 12,
            }
        )
        effect = np.array([k % 4 for k in range(12)] + [0] * 12)
        for k in range(20):
            values = rng.normal(size=24) + 1.5 * (effect == k % 4) * (effect > 0)
            frame = frame.with_columns(pl.Series(f"Cells_Texture_F{k}", values))
        if with_images:
            of_images = np.random.default_rng(1)  # what the images of two neighbouring wells share on every plate
            for k in range(30):
                values = np.repeat(of_images.normal(size=12), 2) * 3 + np.repeat([4.0 * (k % 7), 0], 12)
                frame = frame.with_columns(pl.Series(f"Image_Quality_F{k}", values))
        frames.append(frame)
    return pl.concat(frames)


def scores(frame: pl.DataFrame) -> tuple[float, float]:
    treated = frame.filter(pl.col("Metadata_pert_type") == "trt")
    accuracy = moa_accuracy(consensus(treated, ["Metadata_compound"]), n_shuffles=0).accuracy
    return accuracy, replicate_reproducibility(treated, ["Metadata_compound"]).fraction


def test_columns_of_images_change_no_score() -> None:
    clean = apply_recipe(wells(with_images=False))[-1].frame
    made = apply_recipe(wells(with_images=True))
    assert scores(made[-1].frame) == scores(clean)
    assert feature_columns(made[-1].frame) == feature_columns(clean)
    assert "Image_Quality_F0" in made[0].frame.columns  # level 4a keeps it, to be looked at
    status = made[-1].status.filter(status="nuisance")
    assert status.height == 30
    assert set(status["reason"]) == {"not a phenotype: measured on whole images, not on cells"}
    # said to be features, they rule the profiles
    steps = [{"operation": "normalize"}, {"operation": "select", "keep": ["Image_Quality_*"]}]
    kept = apply_recipe(wells(with_images=True), steps)[-1].frame
    assert any(name.startswith("Image_") for name in kept.columns)
    accuracy, reproducibility = scores(kept)
    assert accuracy < scores(clean)[0] - 0.2
    assert reproducibility > scores(clean)[1] + 0.1


def test_plates_one_by_one_and_published_recipes() -> None:
    frame = wells(with_images=True)
    plates = frame.partition_by("Metadata_Plate")
    chosen = select_plates(plates)
    assert sorted(chosen.kept) == sorted(feature_columns(select_features(frame)))
    assert chosen.status.sort("feature").equals(select_features_with_status(frame).status.sort("feature"))
    kept = select_plates(plates, keep=["Image_Quality_F1"])
    assert [name for name in kept.kept if name.startswith("Image_")] == ["Image_Quality_F1"]
    for name in ("profiling-recipe", "jump-production"):  # as they were published: they name their operations
        for step in RECIPES[name].steps:
            assert "drop_nuisance" not in step.parameters.get(
                "operations", ["drop_nuisance"] * (step.operation == "select")
            )
