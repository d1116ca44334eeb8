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


def test_best_readouts_are_not_all_twins() -> None:
    names = [f"Nuclei_Texture_Entropy_DNA_{i}_00_256" for i in range(9)] + ["Cells_AreaShape_Area"]
    statistics = pl.DataFrame({"feature": names, "robust_z_prime": [0.9] * 9 + [0.1], "z_prime": [0.5] * 10})
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
    assert found.filter(Metadata_Well="A02")["treatment"].to_list() == ["nocodazole 1 µM"] * 2


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
        "C05": "out of focus (DNA; 2 sites); saturated (DNA; 2 sites)",
        "D04": "site 1: truncated TIFF: <page 3>; site 2: truncated TIFF: <page 3>",
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
