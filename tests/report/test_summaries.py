from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprint.plates import molar_factor
from phenoprint.report.source import Tables
from phenoprint.report.summaries.doses import AXIS_DOSE, AXIS_UNIT, axis_units, with_axis_doses
from phenoprint.report.summaries.features import features_by_family
from phenoprint.report.summaries.flags import flagged_wells
from phenoprint.report.summaries.ledger import ledger_steps, ledger_wells
from phenoprint.report.summaries.wells import well_annotations, well_measures

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


def test_a_ledger_that_does_not_balance_is_marked() -> None:
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


def test_annotations_hold_every_well_of_any_table(small_source: object) -> None:
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
