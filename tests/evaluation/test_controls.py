"""Separation of the controls on many plates."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.evaluation import best_readouts, control_statistics, ranked_readouts, z_prime


def controls() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    kinds = ["negcon"] * 8 + ["poscon"] * 6 + ["trt"] * 3
    frame = pl.DataFrame({"Metadata_Plate": ["P1"] * 17 + ["P2"] * 17, "Metadata_pert_type": kinds * 2})
    shift = np.where(np.array(kinds * 2) == "poscon", 10.0, 0.0)
    return frame.with_columns(
        Nuclei_Intensity_Mean_DNA=pl.Series(rng.normal(size=34) + shift),
        Nuclei_Texture_Contrast_ER=pl.Series(rng.normal(size=34) + shift / 5),
        Cells_AreaShape_Area=pl.Series(np.ones(34)),
    ).with_columns(Cells_AreaShape_Gone=pl.lit(None, dtype=pl.Float32))


def test_z_prime_agrees_with_the_evaluation() -> None:
    frame = controls()
    features = [name for name in frame.columns if not name.startswith("Metadata_")]
    found = control_statistics(frame, features)
    assert found.height == 8
    for row in found.filter(pl.col("feature").str.contains("DNA|ER")).iter_rows(named=True):
        part = frame.filter(pl.col("Metadata_Plate") == row["Metadata_Plate"])
        sides = [
            part.filter(pl.col("Metadata_pert_type") == k)[row["feature"]].to_numpy() for k in ("poscon", "negcon")
        ]
        assert row["z_prime"] == pytest.approx(z_prime(*sides))
        assert row["robust_z_prime"] == pytest.approx(z_prime(*sides, robust=True))
        assert (row["n_poscon"], row["n_negcon"]) == (6, 8)
    flat = found.filter(pl.col("feature").str.starts_with("Cells"))
    assert flat["z_prime"].null_count() == flat["robust_z_prime"].null_count() == flat.height
    assert best_readouts(found) == ["Nuclei_Intensity_Mean_DNA", "Nuclei_Texture_Contrast_ER"]


def test_a_plate_without_a_kind_of_control_has_no_z_prime() -> None:
    frame = controls().filter((pl.col("Metadata_Plate") == "P1") | (pl.col("Metadata_pert_type") != "poscon"))
    assert control_statistics(frame, ["Nuclei_Intensity_Mean_DNA"])["Metadata_Plate"].to_list() == ["P1"]
    assert control_statistics(frame.filter(Metadata_pert_type="trt"), ["Nuclei_Intensity_Mean_DNA"]).is_empty()


def test_positive_controls_of_several_compounds_are_never_pooled() -> None:
    rng = np.random.default_rng(0)
    kinds = ["negcon"] * 10 + ["poscon"] * 8
    compounds = ["DMSO"] * 10 + ["up"] * 4 + ["down"] * 4
    shift = np.array([0.0] * 10 + [20.0] * 4 + [-20.0] * 4)
    frame = pl.DataFrame({"Metadata_Plate": "P", "Metadata_pert_type": kinds, "Metadata_compound": compounds})
    frame = frame.with_columns(Cells_AreaShape_Area=pl.Series(rng.normal(size=18) + shift))
    found = control_statistics(frame, ["Cells_AreaShape_Area"])
    assert found["poscon"].to_list() == ["down", "up"]
    assert found["n_poscon"].to_list() == [4, 4]
    assert found["robust_z_prime"].min() > 0.5  # type: ignore[operator]
    pooled = control_statistics(frame.drop("Metadata_compound"), ["Cells_AreaShape_Area"])
    assert pooled["poscon"].to_list() == ["positive control"]
    assert pooled["z_prime"][0] < 0


def test_each_positive_control_chooses_a_readout_in_turn() -> None:
    rows = [("a", f"F_x{i}_m_C{i}", 0.9 - i / 100) for i in range(6)] + [("b", "G_y_m_D", 0.3), ("b", "G_z_m_D", 0.2)]
    statistics = pl.DataFrame(rows, schema=["poscon", "feature", "robust_z_prime"], orient="row").with_columns(
        z_prime=pl.lit(0.95), n_poscon=pl.lit(4), difference=pl.lit(5.0)
    )
    assert best_readouts(statistics, n=4) == ["F_x0_m_C0", "G_y_m_D", "F_x1_m_C1", "G_z_m_D"]


def test_constants_and_controls_in_two_heaps_are_no_best_readout() -> None:
    rng = np.random.default_rng(1)
    kinds = ["negcon"] * 20 + ["poscon"] * 6
    heaps = [0.0] * 11 + [1.0] * 9 + [0.5] * 6
    frame = pl.DataFrame({"Metadata_Plate": "P", "Metadata_pert_type": kinds}).with_columns(
        Cells_AreaShape_Constant=pl.Series([1.57] * 20 + [-1.57] * 6),
        Cells_Correlation_Heaps_DNA=pl.Series(np.array(heaps) + rng.normal(size=26) / 1000),
        Nuclei_Texture_Honest_ER=pl.Series(rng.normal(size=26) + 9.0 * (np.arange(26) >= 20)),
    )
    found = control_statistics(frame, [name for name in frame.columns if "_pert" not in name and "Plate" not in name])
    robust = dict(found.select("feature", "robust_z_prime").iter_rows())
    assert robust["Cells_AreaShape_Constant"] is None
    assert robust["Cells_Correlation_Heaps_DNA"] > robust["Nuclei_Texture_Honest_ER"], "the trap must be there"
    assert best_readouts(found, n=1) == ["Nuclei_Texture_Honest_ER"]
    assert "Cells_AreaShape_Constant" not in ranked_readouts(found)["feature"].to_list()


def test_best_readouts_are_not_all_twins() -> None:
    names = [f"Nuclei_Texture_Entropy_DNA_{i}_00_256" for i in range(9)] + ["Cells_AreaShape_Area"]
    statistics = pl.DataFrame({"feature": names, "robust_z_prime": [0.9] * 9 + [0.1]}).with_columns(
        poscon=pl.lit("c"), z_prime=pl.lit(0.5), n_poscon=pl.lit(4), difference=pl.lit(5.0)
    )
    assert best_readouts(statistics, n=5) == [*names[:2], "Cells_AreaShape_Area"]
