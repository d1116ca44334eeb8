"""BBBC021, six controls per plate: the MAD is pooled over plates by default, and batch corrections keep biology."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from phenoprint.evaluation import compare, moa_accuracy
from phenoprint.evaluation.mixing import batch_mixing
from phenoprint.profiles import NORMALIZERS, apply_recipe, consensus, correct_batch_with_status, normalize
from phenoprint.tables import feature_columns

pytestmark = pytest.mark.real
CONTROL = pl.col("Metadata_pert_type") == "negcon"
TREATMENT = ["Metadata_compound", "Metadata_Concentration"]


@pytest.fixture(scope="module")
def wells(real_data: Path) -> pl.DataFrame:
    folder = real_data / "bbbc021_profiles"
    place = {"Metadata_Plate": "Image_Metadata_Plate_DAPI", "Metadata_Well": "Image_Metadata_Well_DAPI"}
    dose = {"Metadata_compound": "Image_Metadata_Compound", "Metadata_Concentration": "Image_Metadata_Concentration"}
    images = pl.read_csv(folder / "BBBC021_v1_image.csv.gz", infer_schema_length=None).select(**place, **dose).unique()
    moa = pl.read_csv(folder / "BBBC021_v1_moa.csv").select(
        Metadata_compound="compound", Metadata_Concentration="concentration", Metadata_moa="moa"
    )
    wells = pl.read_csv(folder / "ljosa_jbiomolscreen_2013_per_well_mean.csv.gz", infer_schema_length=None)
    wells = wells.rename({"Image_Metadata_Plate": "Metadata_Plate", "Image_Metadata_Well": "Metadata_Well"})
    joined = wells.join(images, on=list(place), how="left").join(moa, on=list(dose), how="left")
    return joined.with_columns(
        Metadata_pert_type=pl.when(Metadata_compound="DMSO").then(pl.lit("negcon")).otherwise(pl.lit("trt")),
        Metadata_Batch=pl.col("Metadata_Plate").str.split("_").list.first(),
    )


def complete(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(name for name in frame.columns if name[:9] == "Metadata_" or not frame[name].null_count())


def nsc(frame: pl.DataFrame, statistic: str = "median") -> float:
    treated = frame.filter(~CONTROL & pl.col("Metadata_moa").is_not_null())
    result = moa_accuracy(consensus(treated, TREATMENT, statistic), n_shuffles=0)
    assert result.n == 103
    return result.accuracy


def nscb(frame: pl.DataFrame) -> float:
    """Not the same compound nor the same batches; two mechanisms of one batch only are left out."""
    treated = frame.filter(~CONTROL & pl.col("Metadata_moa").is_not_null())
    batches = treated.group_by(TREATMENT).agg(pl.col("Metadata_Batch").unique().sort().str.join(","))
    profiles = consensus(treated.drop("Metadata_Batch"), TREATMENT).join(batches, on=TREATMENT)
    profiles = profiles.filter(~pl.col("Metadata_moa").is_in(["Cholesterol-lowering", "Kinase inhibitors"]))
    result = moa_accuracy(profiles, not_same=["Metadata_compound", "Metadata_Batch"], n_shuffles=0)
    assert result.n == 92
    return result.accuracy


def test_the_default_recipe(wells: pl.DataFrame) -> None:
    profiles = apply_recipe(wells)[-1].frame
    assert nsc(profiles) > 0.85
    assert nsc(profiles, "mean") > 0.8
    assert nscb(profiles) > 0.7


@pytest.mark.parametrize("method", sorted(set(NORMALIZERS.names()) - {"inverse_normal", "sphering"}))
def test_no_default_falls_into_the_hole(wells: pl.DataFrame, method: str) -> None:
    """Raw MADs with their epsilon gave 0.39: the worst default must stay far above."""
    profiles = complete(normalize(wells, method, reference=CONTROL))
    assert len(feature_columns(profiles)) > 500
    assert nsc(profiles) > 0.75
    assert nsc(profiles, "mean") > 0.6  # the least is robust, whose interquartile range of six wells nothing holds up
    assert nscb(profiles) > 0.6


@pytest.mark.real
def test_harmony_keeps_biology_on_bbbc021(wells: pl.DataFrame) -> None:
    """Batches that hold different mechanisms: they mix better, and most of the mechanisms survive our settings."""
    pytest.importorskip("harmonypy")
    before = apply_recipe(wells)[-1].frame
    before = before.select(name for name in before.columns if name[:9] == "Metadata_" or not before[name].null_count())

    harmony = correct_batch_with_status(before)
    for part in (before, before.filter(CONTROL)):
        chosen = harmony.frame.filter(CONTROL) if part.height < before.height else harmony.frame
        assert batch_mixing(chosen).mixing > batch_mixing(part).mixing + 0.03
    assert nsc(before) > 0.85
    assert nsc(harmony.frame) > 0.78
    assert harmony.effects["effect_after"].mean() < harmony.effects["effect_before"].mean()  # type: ignore[operator]
    combat = correct_batch_with_status(before, "combat", reference=CONTROL)
    assert nsc(combat.frame) > 0.88
    assert set(combat.status["status"]) == {"ok"}


def test_recipes_compared_on_batches_left_out(wells: pl.DataFrame) -> None:
    """Which recipe is best by mechanisms on held-out batches, and what finding replicates alone would choose."""
    names = ["phenoprint", "profiling-recipe"]
    found = compare(wells, names, treatment=TREATMENT, leave_out="Metadata_Batch", folds=2, criterion="moa_consistency")
    assert found.scores["error"].null_count() == found.scores.height == 8
    assert sorted(found.held_out["Metadata_Batch"]) == sorted(wells["Metadata_Batch"].unique())
    assert sorted(found.held_out["fold"].unique()) == [0, 1]
    assert found.scores.filter(recipe="phenoprint").group_by("fold").agg(pl.col("n_plates").sum())[
        "n_plates"
    ].to_list() == [55, 55]
    assert found.summary["recipe"].to_list() == names
    ours, theirs = found.summary.to_dicts()
    assert ours["moa_consistency"] > theirs["moa_consistency"] + 0.05
    assert ours["batch_mixing"] > theirs["batch_mixing"] + 0.2
    assert found.choices["recipe"].to_list() == ["phenoprint"] * 2
