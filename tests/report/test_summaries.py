from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprint.errors import DataError
from phenoprint.evaluation import z_prime
from phenoprint.plates import molar_factor
from phenoprint.report.source import Tables
from phenoprint.report.summaries import (
    best_readouts,
    control_statistics,
    ledger_steps,
    ledger_wells,
    replicate_agreement,
    well_annotations,
    well_measures,
)
from phenoprint.report.summaries.controls import ranked_readouts
from phenoprint.report.summaries.doses import AXIS_DOSE, AXIS_UNIT, axis_units, with_axis_doses
from phenoprint.report.summaries.features import features_by_family
from phenoprint.report.summaries.flags import flagged_wells

LEDGER = {
    "Metadata_Plate": pl.String,
    "Metadata_Well": pl.String,
    "step": pl.String,
    "unit_of_count": pl.String,
    "n_in": pl.Int64,
    "n_out": pl.Int64,
    "n_lost": pl.Int64,
    "reason": pl.String,
}


def ledger(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=LEDGER, orient="row")


losses = st.dictionaries(st.sampled_from(["border", "small", "flagged"]), st.integers(1, 50))
wells = st.dictionaries(
    st.sampled_from(["A01", "A02", "B01", "P24"]), st.tuples(st.integers(0, 100), losses), min_size=1
)


@given(wells)
@settings(max_examples=60)
def test_a_balanced_ledger_adds_up(contents: dict[str, tuple[int, dict[str, int]]]) -> None:
    rows: list[tuple[object, ...]] = []
    for well, (kept, lost) in contents.items():
        n_in = kept + sum(lost.values())
        rows += [("P", well, "aggregate", "cells", n_in, kept, n, why) for why, n in lost.items()]
        if not lost:
            rows.append(("P", well, "aggregate", "cells", n_in, kept, 0, None))
    steps = ledger_steps(ledger(rows))
    assert steps["balances"].all()
    assert steps["n_in"].n_unique() == 1
    assert steps["n_in"][0] - steps["n_lost"].sum() == steps["n_out"][0]
    assert ledger_wells(ledger(rows))["n_lost"].sum() == steps["n_lost"].sum()


def test_a_ledger_that_does_not_balance_is_told() -> None:
    rows = [("P", "A01", "s", "cells", 10, 8, 1, "x"), ("P", "A02", "s", "cells", 10, 10, 0, None)]
    assert ledger_steps(ledger(rows))["balances"].to_list() == [False]


def test_steps_follow_the_order_asked_and_then_their_own() -> None:
    rows = [("P", None, step, "wells", 1, 1, 0, None) for step in ("aggregate", "extra", "ingest")]
    assert ledger_steps(ledger(rows), order=["ingest", "aggregate"])["step"].to_list() == [
        "ingest",
        "aggregate",
        "extra",
    ]


def test_a_screen_wide_step_is_kept() -> None:
    rows = [(None, None, "select", "features", 10, 4, 6, "correlated")]
    assert ledger_steps(ledger(rows)).row(0)[2:] == (10, 4, 6, "correlated", True)


def test_wells_with_the_most_loss_come_first_with_reasons() -> None:
    rows = [
        ("P", "A01", "segment", "cells", 100, 90, 10, "small"),
        ("P", "A01", "aggregate", "cells", 90, 60, 10, "border"),
        ("P", "A01", "aggregate", "cells", 90, 60, 20, "flagged"),
        ("P", "A02", "segment", "cells", 0, 0, 0, None),
        ("P", "A03", "segment", "cells", 10, 10, 0, None),
    ]
    found = ledger_wells(ledger(rows))
    assert found["Metadata_Well"].to_list() == ["A01", "A03", "A02"]
    assert found.row(0)[2:] == (100, 40, 40.0, "20 × flagged; 10 × border; 10 × small")
    assert found["lost_percent"].to_list() == [40.0, 0.0, None]


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


def test_z_prime_is_of_what_was_measured_not_of_clipped_values(
    source_factory: Callable[..., object], tmp_path: Path
) -> None:
    source = source_factory(tmp_path, plates=1, features=30, pictures=False)
    frames = source.frames  # type: ignore[attr-defined]
    names = [name for name in frames["profile_well"].columns if "_AreaShape_" in name or "_Intensity_" in name]
    before = well_measures(Tables(source))[3]  # type: ignore[arg-type]
    clipped = frames["profile_normalized"].with_columns(pl.col(names).clip(-0.5, 0.5))
    frames["profile_normalized"] = clipped
    assert well_measures(Tables(source))[3].equals(before)  # type: ignore[arg-type]
    frames.pop("profile_well")
    assert not well_measures(Tables(source))[3].equals(before)  # type: ignore[arg-type]


def test_best_readouts_are_not_all_twins() -> None:
    names = [f"Nuclei_Texture_Entropy_DNA_{i}_00_256" for i in range(9)] + ["Cells_AreaShape_Area"]
    statistics = pl.DataFrame({"feature": names, "robust_z_prime": [0.9] * 9 + [0.1]}).with_columns(
        poscon=pl.lit("c"), z_prime=pl.lit(0.5), n_poscon=pl.lit(4), difference=pl.lit(5.0)
    )
    assert best_readouts(statistics, n=5) == [*names[:2], "Cells_AreaShape_Area"]


def replicated(effect: float) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    base = np.repeat(rng.normal(size=(20, 30)), 4, axis=0) * effect
    values = base + rng.normal(size=(80, 30))
    frame = pl.DataFrame(values.astype(np.float32), schema=[f"Cells_AreaShape_{i}" for i in range(30)])
    return frame.with_columns(
        treatment=pl.Series([f"t{i // 4}" for i in range(80)]),
        Metadata_Plate=pl.lit("P"),
        Metadata_Well=pl.Series([f"A{i:02d}" for i in range(80)]),
    ).rename({"treatment": "Metadata_treatment"})


def test_replicates_beat_wells_dealt_out_at_random_only_when_there_is_an_effect() -> None:
    strong = replicate_agreement(replicated(2.0), by="Metadata_treatment")
    none = replicate_agreement(replicated(0.0), by="Metadata_treatment")
    assert strong.record.fraction == 1.0
    assert none.record.fraction < 0.3
    assert abs(float(np.median(strong.null))) < 0.15
    assert replicate_agreement(replicated(2.0), by="Metadata_treatment").null == strong.null


def test_agreement_needs_replicates() -> None:
    with pytest.raises(DataError, match="found 0"):
        replicate_agreement(replicated(1.0).unique("Metadata_treatment"), by="Metadata_treatment")


def test_annotations_hold_every_well_any_table_knows(small_source: object) -> None:
    source = small_source
    found = well_annotations(Tables(source))  # type: ignore[arg-type]
    assert found.height == 192
    assert found["Metadata_Well"].to_list()[:3] == ["A01", "A02", "A03"]
    row = found.row(0, named=True)
    assert (row["Metadata_pert_type"], row["treatment"]) == ("negcon", "DMSO")
    assert found.filter(Metadata_Well="A02")["treatment"].to_list() == ["nocodazole 1 uM"] * 2


def test_wells_of_profiles_alone_are_known(source_factory: Callable[..., object], tmp_path: Path) -> None:
    source = source_factory(tmp_path, plates=1, pictures=False)
    source.frames = {"profile_well": source.frames["profile_well"].select("Metadata_Plate", "Metadata_Well")}  # type: ignore[attr-defined]
    assert well_annotations(Tables(source))["treatment"].unique().to_list() == ["–"]  # type: ignore[arg-type]


def test_measures_are_counts_losses_quality_and_a_handful_of_features(small_source: object) -> None:
    measures, raw, normalized, statistics = well_measures(Tables(small_source), most_features=20)  # type: ignore[arg-type]
    keys = [m.key for m in measures]
    assert keys[:3] == ["cells", "cells lost", "log ratio"]
    assert "focus_slope DNA" in keys
    assert len(keys) == len(set(keys))
    features = [m for m in measures if m.normalized]
    assert 10 <= len(features) <= 20
    assert {tuple(m.key.split("_")[:2]) for m in features} >= {("Nuclei", "AreaShape"), ("Cytoplasm", "Granularity")}
    assert raw.height == normalized.height == 192
    assert set(keys) <= set(raw.columns)
    assert statistics["feature"].n_unique() > 100


def test_flags_name_every_reason_with_channel_and_site(small_source: object) -> None:
    flags = flagged_wells(Tables(small_source))  # type: ignore[arg-type]
    plate = flags.filter(Metadata_Plate="SIM-01")
    assert dict(zip(plate["Metadata_Well"], plate["reasons"], strict=True)) == {
        "B02": "in the plate map but without images",
        "C05": "out of focus (DNA; 2 sites)\nsaturated (DNA; 2 sites)",
        "D04": "site 1: truncated TIFF: <page 3>\nsite 2: truncated TIFF: <page 3>",
        "E06": "excluded: fibre <in> the field",
    }


def test_features_are_counted_by_family_with_pairs_together() -> None:
    names = ["Cells_AreaShape_Area", "Cells_Correlation_K_DNA_ER", "Cells_Correlation_K_DNA_AGP"]
    dictionary = pl.DataFrame(
        {
            "feature": names,
            "family": ["AreaShape", "Correlation", "Correlation"],
            "channel": [None, "DNA,ER", "DNA,AGP"],
        }
    )
    found = features_by_family(names, {names[1]}, dictionary).sort("family")
    assert found.rows() == [("AreaShape", "–", 1, 0), ("Correlation", "pairs", 2, 1)]
    assert features_by_family(names, set(), None)["family"].unique().sort().to_list() == ["AreaShape", "Correlation"]


def test_units_of_amount_are_read_however_they_are_written() -> None:
    assert [molar_factor(unit) for unit in ("µM", "μM", "uM", "UM", "umol/L", "micromolar", "µmol / l")] == [1e-6] * 7
    assert [molar_factor(unit) for unit in ("nM", "pM", "mM", "M", "fM")] == [1e-9, 1e-12, 1e-3, 1.0, 1e-15]
    assert [molar_factor(unit) for unit in ("ng/mL", "%", "m", "", None, "MOI", "min")] == [None] * 7


def test_doses_of_two_molar_units_share_an_axis_and_others_do_not() -> None:
    frame = pl.DataFrame(
        {
            "Metadata_Concentration": [10.0, 10.0, 10_000.0, 3.0, 1.0],
            "Metadata_Concentration_Unit": ["uM", "nM", "nM", "mg/mL", None],
        }
    )
    found = with_axis_doses(frame, axis_units(frame["Metadata_Concentration_Unit"].to_list()))
    assert found[AXIS_DOSE].to_list() == [10.0, 0.01, 10.0, 3.0, 1.0]
    assert found[AXIS_UNIT].to_list() == ["µM", "µM", "µM", "mg/mL", ""]
    assert axis_units(["nM"]) == {"nM": ("nM", 1.0)}, "one unit stays as it was written"
    alone = with_axis_doses(frame.drop("Metadata_Concentration_Unit"), {})
    assert alone[AXIS_DOSE].to_list() == frame["Metadata_Concentration"].to_list()


@given(st.sampled_from(["M", "mM", "uM", "nM", "pM"]), st.sampled_from(["M", "mM", "uM", "nM"]), st.floats(0.01, 999))
def test_the_same_amount_lands_in_the_same_place(one: str, other: str, dose: float) -> None:
    same = dose * molar_factor(one) / molar_factor(other)  # type: ignore[operator]
    frame = pl.DataFrame({"Metadata_Concentration": [dose, same], "Metadata_Concentration_Unit": [one, other]})
    left, right = with_axis_doses(frame, axis_units([one, other]))[AXIS_DOSE]
    assert left == pytest.approx(right, rel=1e-7)
