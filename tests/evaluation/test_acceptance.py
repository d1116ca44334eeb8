"""Plate acceptance: plates made good and bad on purpose."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from phenoprint.errors import UnknownNameError
from phenoprint.evaluation import AcceptanceLimits, plate_acceptance
from phenoprint.evaluation.plate_position import PATTERNS, inert_looking, position_effect, position_pattern
from phenoprint.plates import PlateFormat
from phenoprint.tables import get_table


def plate(
    name: str = "p1", *, effect: float = 8.0, edge: float = 0.0, count: float = 200.0, seed: int = 0
) -> pl.DataFrame:
    """A 96-well plate; columns 1 and 12 are split into negative and positive controls."""
    rng = np.random.default_rng(seed)
    wells = [(row, col) for row in range(1, 9) for col in range(1, 13)]
    kinds = ["negcon" if (col + row) % 4 == 0 else "poscon" if (col + row) % 7 == 0 else "trt" for row, col in wells]
    on_edge = np.array([row in (1, 8) or col in (1, 12) for row, col in wells])
    values = rng.normal(size=(96, 6))
    values[[kind == "poscon" for kind in kinds]] += effect
    return pl.DataFrame(
        {
            "Metadata_Plate": [name] * 96,
            "Metadata_Well": [f"{chr(64 + row)}{col:02d}" for row, col in wells],
            "Metadata_pert_type": kinds,
            "Metadata_Object_Count": np.round(count + rng.normal(0, 5, 96) - edge * on_edge).astype(np.int64),
        }
    ).with_columns(pl.Series(f"F{i}", values[:, i]) for i in range(6))


def readouts(wells: pl.DataFrame) -> pl.DataFrame:
    return wells.select("Metadata_Plate", "Metadata_Well", "Metadata_pert_type", ratio=pl.col("F0") / 10)


def verdicts(table: pl.DataFrame, name: str = "p1") -> dict[str, str]:
    return dict(table.filter(Metadata_Plate=name).select("criterion", "verdict").iter_rows())


def fields(share: float, name: str = "p1") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "Metadata_Plate": [name] * 200,
            "Metadata_Well": [f"A{i // 4:02d}" for i in range(200)],
            "Metadata_Site": [str(i // 2 % 2) for i in range(200)],
            "Metadata_Channel": ["DNA", "ER"] * 100,
            "is_flagged": [i % 2 == 1 and i // 2 < share * 100 for i in range(200)],
        }
    )


def test_good_plate_passes_everything() -> None:
    wells = plate(effect=20.0)
    table = plate_acceptance(wells, readouts=readouts(wells), image_quality=fields(0.02))
    assert table.schema == get_table("plate_acceptance").schema
    assert set(verdicts(table).values()) == {"pass", None}, table
    assert {
        "negative_controls",
        "cell_count",
        "edge_cell_count",
        "z_prime:ratio:positive control",
        "poscon_retrieval",
        "flagged_fields",
    } <= set(verdicts(table))
    assert table.filter(criterion="flagged_fields")["value"].item() == pytest.approx(0.02)


def test_each_vice_is_named_and_only_it() -> None:
    wells = pl.concat([plate(effect=20.0), plate("p2", effect=0.0, edge=40.0, count=60.0, seed=1)])
    table = plate_acceptance(wells, readouts=readouts(wells), image_quality=pl.concat([fields(0.0), fields(0.4, "p2")]))
    assert set(verdicts(table).values()) == {"pass", None}
    bad = verdicts(table, "p2")
    assert bad["z_prime:ratio:positive control"] == "fail"
    assert bad["poscon_retrieval"] == "fail"
    assert bad["edge_cell_count"] == "fail"
    assert bad["flagged_fields"] == "fail"
    assert bad["cell_count"] == "pass" or bad["cell_count"] == "warn"
    assert "Cliff's delta -" in table.filter(Metadata_Plate="p2", criterion="edge_cell_count")["reason"].item()


def test_z_prime_value_and_limits() -> None:
    wells = plate(effect=10.0)
    row = (
        plate_acceptance(wells, readouts=readouts(wells))
        .filter(criterion="z_prime:ratio:positive control")
        .to_dicts()[0]
    )
    pos = readouts(wells).filter(Metadata_pert_type="poscon")["ratio"]
    neg = readouts(wells).filter(Metadata_pert_type="negcon")["ratio"]
    expected = 1 - 3 * (pos.std() + neg.std()) / abs(pos.mean() - neg.mean())  # type: ignore[operator, arg-type]
    assert row["value"] == pytest.approx(expected)
    assert (row["threshold"], row["verdict"]) == (0.5, "warn")
    strict = plate_acceptance(wells, readouts=readouts(wells), limits=AcceptanceLimits(z_prime=(0.99, 0.98)))
    assert verdicts(strict)["z_prime:ratio:positive control"] == "fail"


def test_gradient_is_found() -> None:
    wells = plate().with_columns(
        (pl.col("Metadata_Object_Count") + 10 * pl.col("Metadata_Well").str.slice(1).cast(pl.Int64)).alias(
            "Metadata_Object_Count"
        )
    )
    found = verdicts(plate_acceptance(wells))
    assert found["column_cell_count"] == found["gradient_cell_count"] == "fail"
    assert found["row_cell_count"] == "pass"


def test_checks_that_cannot_be_made_have_a_reason() -> None:
    bare = plate().filter(Metadata_pert_type="trt").drop("Metadata_Object_Count")
    table = plate_acceptance(bare, readouts=readouts(plate().filter(Metadata_pert_type="trt")))
    found = verdicts(table)
    assert found["negative_controls"] is None
    assert found["z_prime:ratio"] is None
    assert found["cell_count"] is None
    assert table.filter(criterion="z_prime:ratio")["reason"].item() == "not judged: no positive control on the plate"
    beside = pl.concat([plate(), bare.with_columns(Metadata_Plate=pl.lit("P2"))], how="diagonal")
    one = plate_acceptance(beside).filter(Metadata_Plate="P2", criterion="negative_controls")
    assert one["verdict"].item() == "fail", "the other plate shows that the screen was made with controls"
    unannotated = plate().with_columns(Metadata_pert_type=pl.lit(None, dtype=pl.String))
    assert verdicts(plate_acceptance(unannotated))["poscon_retrieval"] is None
    with pytest.raises(UnknownNameError, match="Metadata_pert_type"):
        plate_acceptance(plate().drop("Metadata_pert_type"))
    assert plate_acceptance(plate().clear()).height == 0


def test_constant_counts_and_missing_features() -> None:
    wells = plate(effect=10.0).with_columns(Metadata_Object_Count=pl.lit(100), F0=pl.lit(None, dtype=pl.Float64))
    found = verdicts(plate_acceptance(wells))
    assert found["edge_cell_count"] == "pass"
    assert found["column_cell_count"] == "pass"
    assert found["poscon_retrieval"] == "pass"


@pytest.mark.parametrize("counted", [True, False])
def test_wells_without_cells_do_not_spoil_the_controls(counted: bool) -> None:
    wells = plate(effect=10.0)
    controls = wells.with_row_index().filter(pl.col("Metadata_pert_type").is_in(["negcon", "poscon"]))["index"]
    lost = pl.int_range(pl.len()).is_in([controls[0], controls[1], controls[5]])
    emptied = wells.with_columns(pl.when(~lost).then(pl.col(f"F{i}")).alias(f"F{i}") for i in range(6)).with_columns(
        pl.when(lost).then(0).otherwise("Metadata_Object_Count").alias("Metadata_Object_Count")
    )
    if not counted:
        emptied = emptied.drop("Metadata_Object_Count")
    row = plate_acceptance(emptied).filter(criterion="poscon_retrieval").row(0, named=True)
    assert row["verdict"] == "pass"
    assert row["reason"].endswith("negative controls, 3 more without cells")
    profile = plate_acceptance(emptied).filter(criterion="ssmd:profile:positive control")
    assert profile["verdict"].item() == "pass"
    uncounted = wells.with_columns(Metadata_Object_Count=pl.lit(None, dtype=pl.Int64))
    assert verdicts(plate_acceptance(uncounted))["poscon_retrieval"] == "pass", "an unknown count is not none"
    untouched = plate_acceptance(wells).filter(criterion="poscon_retrieval")["reason"].item()
    assert "without cells" not in untouched


def test_cells_that_nobody_counted_are_not_judged() -> None:
    wells = plate().with_columns(Metadata_Object_Count=pl.lit(None, dtype=pl.Int64))
    table = plate_acceptance(wells).filter(criterion="cell_count")
    assert table.select("value", "verdict").rows() == [(None, None)]
    assert "the cells were not counted" in table["reason"][0]


def screen(
    n_plates: int = 6, *, odd: int | None = None, drift: float = 0.0, effect: float = 3.0, seed: int = 0
) -> pl.DataFrame:
    """Plates of one layout with replicates of the same treatments; plate `odd` has other treatments in its wells."""
    rng = np.random.default_rng(seed)
    frames = []
    treated = rng.normal(size=(96, 6)) * effect
    for number in range(n_plates):
        wells = plate(f"p{number}", effect=6.0, seed=seed * 100 + number)
        values = wells.select("^F.*$").to_numpy() + drift * number
        own = treated[rng.permutation(96)] if number == odd else treated
        values += own * (wells["Metadata_pert_type"] == "trt").to_numpy()[:, None]
        frames.append(
            wells.with_columns(
                *(pl.Series(f"F{i}", values[:, i]) for i in range(6)),
                pl.Series("Metadata_perturbation", [f"t{i}" for i in range(96)]),
                pl.Series("Metadata_Object_Count", 200 + 20 * own[:, 0] + rng.normal(0, 5, 96)).cast(pl.Int64),
            )
        )
    return pl.concat(frames)


def test_positive_controls_of_opposite_direction_are_not_pooled() -> None:
    """Pooled, their mean is that of the negative controls, and Z' is far below 0."""
    wells = plate(effect=0.0)
    is_pos = pl.col("Metadata_pert_type") == "poscon"
    first = is_pos & (pl.int_range(pl.len()) % 2 == 0)
    name = pl.when(first).then(pl.lit("up")).when(is_pos).then(pl.lit("down")).alias("Metadata_compound")
    value = pl.when(first).then(20.0).when(is_pos).then(-12.0).otherwise(0.0) + pl.col("F0")
    table = plate_acceptance(wells, readouts=wells.select("^Metadata_.*$", name, ratio=value))
    rows = {row["criterion"]: row for row in table.iter_rows(named=True)}
    assert rows["z_prime:ratio:up"]["verdict"] == "pass"
    assert rows["z_prime:ratio:up"]["is_best"]
    assert rows["z_prime:ratio:up"]["n_compared"] == 2
    assert rows["z_prime:ratio:down"]["value"] > 0
    assert rows["z_prime:ratio:down"]["verdict"] is None
    assert "separates up better" in rows["z_prime:ratio:down"]["reason"]
    assert rows["ssmd:ratio:down"]["value"] < -5
    values = wells.select(value.alias("v"))["v"].to_numpy()
    up, neg = values[wells.select(first).to_series().to_numpy()], values[wells["Metadata_pert_type"] == "negcon"]
    expected = (up.mean() - neg.mean()) / np.sqrt(up.var(ddof=1) + neg.var(ddof=1))
    assert rows["ssmd:ratio:up"]["value"] == pytest.approx(expected)
    robust = 1 - 3 * (stats.median_abs_deviation(up, scale="normal") + stats.median_abs_deviation(neg, scale="normal"))
    robust = 1 - (1 - robust) / abs(np.median(up) - np.median(neg))
    assert rows["robust_z_prime:ratio:up"]["value"] == pytest.approx(robust, abs=1e-4)


def test_the_best_feature_is_marked_as_the_best_of_many_and_the_profile_is_scored_on_held_out_wells() -> None:
    table = plate_acceptance(plate(effect=0.0))
    best = table.filter(criterion="best_z_prime:positive control").row(0, named=True)
    assert (best["is_best"], best["n_compared"], best["verdict"]) == (True, 6, None)
    inert = [
        plate_acceptance(plate(effect=0.0, seed=seed)).filter(criterion="ssmd:profile:positive control")["value"].item()
        for seed in range(12)
    ]
    assert np.mean(inert) < 0.3
    assert max(inert) < 2
    strong = plate_acceptance(plate(effect=5.0)).filter(criterion="ssmd:profile:positive control")
    assert strong["verdict"].item() == "pass"


def test_the_rim_is_that_of_the_plate() -> None:
    """Wells inside the plate are no edge, however few rows are in use."""
    inner = plate(edge=40.0).filter(
        ~pl.col("Metadata_Well").str.slice(0, 1).is_in(["A", "H"]),
        ~pl.col("Metadata_Well").str.slice(1).is_in(["01", "12"]),
    )
    shifted = inner.with_columns(
        Metadata_Object_Count=pl.when(pl.col("Metadata_Well").str.starts_with("B")).then(100).otherwise(200)
    )
    row = plate_acceptance(shifted).filter(criterion="edge_cell_count").row(0, named=True)
    assert row["verdict"] is None
    assert "no well lies in the outermost rows and columns of the 96-well plate" in row["reason"]
    small = plate_acceptance(plate(edge=40.0), plate_formats={"p1": 384}).filter(criterion="edge_cell_count")
    assert "384-well" in small["reason"].item() or small["verdict"].item() is not None


def test_a_position_effect_on_profiles_is_found_and_the_wells_are_named() -> None:
    wells = plate()
    rim = pl.col("Metadata_Well").str.slice(0, 1).is_in(["A", "H"]) | pl.col("Metadata_Well").str.slice(1).is_in(
        ["01", "12"]
    )
    moved = wells.with_columns(pl.col(f"F{i}") + pl.when(rim).then(3.0).otherwise(0.0) for i in range(6))
    row = plate_acceptance(moved).filter(criterion="edge_profile").row(0, named=True)
    assert row["verdict"] in ("warn", "fail")
    assert row["p"] < 0.01
    assert row["effect"] > 0.3
    assert "over negative controls" in row["reason"]
    none = moved.with_columns(Metadata_pert_type=pl.col("Metadata_pert_type").replace("negcon", "trt"))
    other = plate_acceptance(none).filter(criterion="edge_profile").row(0, named=True)
    assert other["verdict"] in ("warn", "fail")
    assert "wells that look inert" in other["reason"]


@pytest.mark.parametrize("kind", ["normal", "heavy", "active"])
def test_p_of_positions_holds_without_an_effect(kind: str) -> None:
    shape = PlateFormat.of(96)
    places = np.array([[row, column] for row in range(8) for column in range(12)], dtype=float)
    found: dict[str, list[float]] = {pattern: [] for pattern in PATTERNS}
    for seed in range(250):
        rng = np.random.default_rng(seed)
        values = rng.standard_t(3, size=96) if kind == "heavy" else rng.normal(size=96)
        values -= 5 * rng.random(96) * (rng.random(96) < 0.2) * (kind == "active")
        looks = inert_looking(values)
        for pattern in PATTERNS:
            design = position_pattern(places[looks], shape, pattern)
            assert not isinstance(design, str)
            effect = position_effect(design, stats.rankdata(values[looks])[:, None], seed=seed)
            assert effect is not None
            found[pattern].append(effect.p)
    for pattern, p in found.items():
        assert 0.025 <= np.mean(np.array(p) < 0.05) <= 0.08, pattern
        assert 0.14 <= np.mean(np.array(p) < 0.2) <= 0.26, pattern


def test_the_test_by_rows_is_that_of_kruskal_and_wallis() -> None:
    rng = np.random.default_rng(3)
    places = np.array([[row, column] for row in range(8) for column in range(12)], dtype=float)
    values = rng.normal(size=96) + 0.25 * places[:, 0]
    design = position_pattern(places, PlateFormat.of(96), "row")
    assert not isinstance(design, str)
    found = position_effect(design, stats.rankdata(values)[:, None])
    theirs = stats.kruskal(*(values[places[:, 0] == row] for row in range(8)))
    assert found is not None
    assert found.p == pytest.approx(theirs.pvalue, abs=0.01)
    unadjusted = theirs.statistic / 95
    assert found.share == pytest.approx(1 - (1 - unadjusted) * 95 / 88)


def test_a_plate_whose_controls_shift_is_named() -> None:
    wells = screen()
    moved = pl.col("Metadata_Plate") == "p3"
    wells = wells.with_columns(
        *(pl.when(moved).then(pl.col(f"F{i}") + 30).otherwise(f"F{i}") for i in range(6)),
        Metadata_Object_Count=pl.when(moved)
        .then(pl.col("Metadata_Object_Count") // 4)
        .otherwise("Metadata_Object_Count"),
    )
    table = plate_acceptance(wells)
    for check in ("control_shift_profile", "control_shift_cell_count"):
        by_plate = dict(table.filter(criterion=check).select("Metadata_Plate", "verdict").iter_rows())
        assert by_plate.pop("p3") == "fail"
        assert set(by_plate.values()) == {"pass"}
    assert plate_acceptance(screen(2)).filter(criterion="control_shift_profile")["verdict"].to_list() == [None, None]


def test_a_drift_along_the_order_of_the_plates_is_found() -> None:
    wells = screen(8, drift=1.0)
    names = [f"p{i}" for i in range(8)]
    found = plate_acceptance(wells, order=names, order_name="order of file times").filter(
        criterion="control_drift_profile"
    )
    assert set(found["verdict"]) == {"warn"}
    assert found["effect"][0] > found["effect"][3]
    assert "order of file times" in found["reason"][0]
    mixed = plate_acceptance(wells, order=[names[i] for i in (3, 0, 6, 1, 7, 4, 2, 5)]).filter(
        criterion="control_drift_profile"
    )
    assert set(mixed["verdict"]) == {"pass"}


def test_the_plate_that_disagrees_with_its_replicates_is_named() -> None:
    table = plate_acceptance(screen(5, odd=2))
    for check in ("replicate_profile", "replicate_cell_count"):
        by_plate = dict(table.filter(criterion=check).select("Metadata_Plate", "verdict").iter_rows())
        assert by_plate.pop("p2") == "fail", check
        assert set(by_plate.values()) == {"pass"}
    inert = plate_acceptance(screen(4, effect=0.0)).filter(pl.col("criterion").str.starts_with("replicate"))
    assert inert["verdict"].unique().to_list() == [None]
    assert all("too little to name an outlier" in reason for reason in inert["reason"])
    among = inert["reason"].str.extract(r"(-?\d\.\d+) among these").cast(pl.Float64)
    assert among.abs().max() < 0.2  # type: ignore[operator]
    single = plate_acceptance(screen(1)).filter(criterion="replicate_profile")
    assert single["reason"].item() == "not judged: no other plate has this layout"


def test_plates_may_be_read_one_after_the_other() -> None:
    wells = screen(3)
    parts = wells.partition_by("Metadata_Plate")
    assert plate_acceptance(iter(parts)).equals(plate_acceptance(wells.sample(fraction=1.0, shuffle=True, seed=1)))
