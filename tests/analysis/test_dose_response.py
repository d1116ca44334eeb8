"""Curves of compounds: relative to the plate's controls, doses as they come, distances over groups of features."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.analysis import (
    GLOBAL,
    dose_curves,
    dose_points,
    dose_summary,
    dosed_wells,
    feature_groups,
    group_distances,
    relative_to_controls,
)
from phenoprint.simulation import simulate_profiles
from phenoprint.tables import WELL_KEY, feature_columns

DOSES = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0]
NO_NUMBERS = ("ec50", "ec50_low", "ec50_high", "bmd", "bmd_low", "bmd_high", "hit_call", "r2")


def plate_of(plate: str, doses: list[float | None], *, n_controls: int = 12, compound: str = "a") -> pl.DataFrame:
    n = len(doses) + n_controls
    return pl.DataFrame(
        {
            "Metadata_Plate": [plate] * n,
            "Metadata_Well": [f"{'ABCDEFGH'[i // 12]}{i % 12 + 1:02d}" for i in range(n)],
            "Metadata_pert_type": ["trt"] * len(doses) + ["negcon"] * n_controls,
            "Metadata_compound": [compound] * len(doses) + ["DMSO"] * n_controls,
            "Metadata_Concentration": pl.Series([*doses, *[None] * n_controls], dtype=pl.Float64),
            "Metadata_Concentration_Unit": ["uM"] * len(doses) + [None] * n_controls,
        }
    )


def values_of(wells: pl.DataFrame, value: np.ndarray, readout: str = "r") -> pl.DataFrame:
    return wells.select(WELL_KEY).with_columns(readout=pl.lit(readout), value=pl.Series(value))


def response(wells: pl.DataFrame, seed: int = 0, *, top: float = 12.0, ec50: float = 2.0) -> np.ndarray:
    dose = wells["Metadata_Concentration"].fill_null(0).to_numpy()
    return top * dose / (dose + ec50) + np.random.default_rng(seed).normal(size=wells.height)


def test_plates_of_different_gain_and_level_are_pooled_relative_to_their_controls() -> None:
    plates = [plate_of(name, DOSES, n_controls=24) for name in ("p", "q")]
    value = np.concatenate([response(plates[0], 1), 500 + 40 * response(plates[1], 2)])
    wells = pl.concat(plates)
    relative = relative_to_controls(values_of(wells, value), wells)
    curve = dose_curves(relative, wells).row(0, named=True)
    assert (curve["status"], curve["n_plates"], curve["n_wells"], curve["n_controls"]) == ("ok", 2, 12, 48)
    assert curve["ec50_low"] < 2 < (curve["ec50_high"] or np.inf)
    assert curve["r2"] > 0.7
    controls = relative.join(wells.filter(Metadata_pert_type="negcon"), on=WELL_KEY, how="semi")
    assert controls.group_by("Metadata_Plate").agg(pl.col("response").median())["response"].to_list() == pytest.approx(
        [0, 0]
    )
    shuffled = dose_curves(relative.sample(fraction=1, shuffle=True, seed=1), wells.reverse()).row(0, named=True)
    assert shuffled == curve
    points = dose_points(relative, wells)
    assert points.height == 12
    assert points["Metadata_Concentration"].is_sorted()


def test_units_are_brought_together_and_bad_doses_are_left_out() -> None:
    wells = plate_of("p", [*DOSES, -3.0, None, float("nan"), 0.0])
    in_nm = pl.col("Metadata_Concentration") == 30
    mixed = wells.with_columns(
        Metadata_Concentration=pl.when(in_nm).then(30_000.0).otherwise("Metadata_Concentration"),
        Metadata_Concentration_Unit=pl.when(in_nm).then(pl.lit("nM")).otherwise("Metadata_Concentration_Unit"),
    )
    kept = dosed_wells(mixed)
    assert sorted(kept["Metadata_Concentration"]) == [0.0, *DOSES]
    assert set(kept["Metadata_Concentration_Unit"]) == {"uM"}
    as_text = wells.with_columns(
        Metadata_Concentration=pl.when(pl.col("Metadata_Concentration") == 10)
        .then(pl.lit("ten"))
        .otherwise(pl.col("Metadata_Concentration").cast(pl.String))
    )
    assert sorted(dosed_wells(as_text)["Metadata_Concentration"]) == [0.0, *(dose for dose in DOSES if dose != 10)]
    curve = dose_curves(relative_to_controls(values_of(wells, response(wells)), wells), mixed).row(0, named=True)
    assert (curve["n_doses"], curve["n_wells"], curve["lowest_dose"], curve["highest_dose"]) == (6, 7, 0.1, 30.0)


@pytest.mark.parametrize(
    ("doses", "n_controls", "change", "status"),
    [
        (DOSES[:3] * 3, 12, None, "too_few_doses"),
        (DOSES[:2] * 3, 12, None, "too_few_doses"),
        (DOSES, 0, None, "no_values"),
        (DOSES, 2, None, "no_values"),
        (DOSES, 12, "constant", "no_values"),
        (DOSES, 12, "flat", "constant_response"),
        (DOSES, 12, "missing", "no_values"),
    ],
)
def test_data_without_a_curve_have_a_status_and_no_numbers(
    doses: list[float | None], n_controls: int, change: str | None, status: str
) -> None:
    wells = plate_of("p", doses, n_controls=n_controls)
    value = response(wells)
    treated = (wells["Metadata_pert_type"] == "trt").to_numpy()
    if change is not None:
        value[treated if change != "constant" else slice(None)] = np.nan if change == "missing" else 3.0
    relative = relative_to_controls(values_of(wells, value), wells).with_columns(kind=pl.lit("distance"))
    curves = dose_curves(relative, wells)
    row = curves.row(0, named=True)
    assert (row["status"], row["bmd_status"]) == (status, status)
    assert [row[name] for name in NO_NUMBERS] == [None] * len(NO_NUMBERS)  # NULL: NaN is refused by the store
    assert row["reason"]
    summary = dose_summary(curves, wells).row(0, named=True)
    assert (summary["status"], summary["lowest_bmd"], summary["window"]) == (status, None, None)


def test_single_doses_have_a_row_in_the_summary_only() -> None:
    wells = plate_of("p", [1.0, 1.0])
    curves = dose_curves(relative_to_controls(values_of(wells, response(wells)), wells), wells)
    assert curves.is_empty()
    assert dose_summary(curves, wells).select("Metadata_compound", "status").rows() == [("a", "too_few_doses")]


def curve_row(kind: str, readout: str, **changes: object) -> dict[str, object]:
    usual = {"bmd": None, "bmd_low": None, "bmd_high": None, "hit_call": 0.0, "peak": 0.0, "bmd_status": "no_response"}
    key = {"Metadata_compound": "a", "Metadata_Concentration_Unit": "uM", "model": "hill3", "reason": None}
    return {"kind": kind, "readout": readout} | key | usual | changes


@pytest.mark.parametrize(
    ("count", "status", "window", "low", "high"),
    [
        ({"bmd": 10.0, "bmd_low": 5.0, "bmd_high": 20.0, "hit_call": 1.0, "peak": -5.0}, "ok", 10.0, 2.5, 40.0),
        ({"hit_call": 0.2, "peak": -1.0}, "not_cytotoxic", 30.0, 15.0, None),
        (
            {"bmd": 10.0, "hit_call": 1.0, "peak": 5.0},
            "not_cytotoxic",
            30.0,
            15.0,
            None,
        ),  # more cells are not dead cells
        ({"bmd": 0.5, "bmd_high": 0.9, "hit_call": 1.0, "peak": -5.0}, "only_cytotoxic", 0.5, None, 1.8),
    ],
)
def test_window_lies_between_the_lowest_group_and_the_count(
    count: dict[str, object], status: str, window: float, low: float | None, high: float | None
) -> None:
    wells = plate_of("p", DOSES)
    groups = [
        curve_row("feature_group", "g1", bmd=1.0, bmd_low=0.5, bmd_high=2.0, hit_call=1.0, bmd_status="ok"),
        curve_row("feature_group", "g2", bmd=3.0, hit_call=1.0, bmd_status="ok"),
        curve_row("feature_group", "chance", bmd=0.2, hit_call=0.93, bmd_status="ok"),  # one of many
    ]
    of_count = curve_row("count", "cell_count", **({"bmd_status": "ok" if "bmd" in count else "no_response"} | count))
    row = dose_summary(pl.DataFrame([*groups, of_count]), wells).row(0, named=True)
    assert (row["lowest_group"], row["lowest_bmd"], row["n_groups"], row["n_groups_active"]) == ("g1", 1.0, 3, 2)
    assert (row["status"], row["window"], row["window_low"], row["window_high"]) == (status, window, low, high)


def test_groups_hold_every_feature_once() -> None:
    names = [
        *(f"Cells_Texture_{m}_DNA_3_00_256" for m in ("Contrast", "Entropy", "Variance")),
        *(f"Cells_Texture_{m}_ER_3_00_256" for m in ("Contrast", "Entropy")),
        "Cells_Texture_Contrast_RNA_3_00_256",
        *(f"Cells_Intensity_MeanIntensity_{c}" for c in ("DNA", "ER", "RNA")),
        "Nuclei_AreaShape_Area",
    ]
    groups = feature_groups(names)
    assert {name: len(own) for name, own in groups.items()} == {
        "Cells_Intensity": 3,
        "Cells_Texture": 3,
        "Cells_Texture_DNA": 3,
    }
    together = [name for own in groups.values() for name in own]
    assert len(together) == len(set(together))


def test_distances_are_those_of_the_formula() -> None:
    simulated = simulate_profiles("null", n_features=30, seed=2)
    frame = simulated.wells.filter(pl.col("Metadata_Plate") == simulated.wells["Metadata_Plate"][0])
    features = feature_columns(frame)
    own = group_distances(lambda: [frame], {GLOBAL: features, "some": features[:4]}, pooled=False)
    values = frame.select(features).to_numpy().astype(float)
    is_control = (frame["Metadata_pert_type"] == "negcon").to_numpy()
    treated, control = int(np.flatnonzero(~is_control)[0]), int(np.flatnonzero(is_control)[0])
    for row, reference in ((treated, is_control), (control, is_control & (np.arange(frame.height) != control))):
        expected = np.sqrt(((values[row, :4] - np.median(values[reference, :4], axis=0)) ** 2).mean())
        found = own.filter(readout="some").join(frame[row].select(WELL_KEY), on=WELL_KEY, how="semi")["value"]
        assert found.to_list() == pytest.approx([expected], rel=1e-5)
    pooled = group_distances(lambda: [frame], {"some": features[:4]}, pooled=True)
    assert pooled["value"].to_list() == pytest.approx(own.filter(readout="some")["value"].to_list())


def test_simulated_compounds_without_effect_get_no_phenotype() -> None:
    simulated = simulate_profiles("dose", seed=4)
    wells = simulated.wells
    features = feature_columns(wells)
    about = wells.select(pl.col("^Metadata_.*$"))
    frames = wells.partition_by("Metadata_Plate", maintain_order=True)
    distances = group_distances(lambda: frames, {GLOBAL: features}, pooled=False)
    curves = dose_curves(relative_to_controls(distances, about), about)
    truth = simulated.truth.group_by("Metadata_compound").agg(pl.col("is_active").any())
    known = curves.join(truth, on="Metadata_compound", how="inner").drop_nulls("hit_call")
    assert known.height > 10
    inert = known.filter(~pl.col("is_active"))
    assert (inert["hit_call"] >= 0.9).mean() <= 0.12
    assert (known.filter("is_active")["hit_call"] >= 0.9).mean() > 0.5
