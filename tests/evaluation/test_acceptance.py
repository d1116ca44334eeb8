"""Plate acceptance: plates made good and bad on purpose."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UnknownNameError
from phenoprint.evaluation import AcceptanceLimits, plate_acceptance
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
    assert set(verdicts(table).values()) == {"pass"}, table
    assert {
        "negative_controls",
        "cell_count",
        "edge_cell_count",
        "z_prime:ratio",
        "poscon_retrieval",
        "flagged_fields",
    } <= set(verdicts(table))
    assert table.filter(criterion="flagged_fields")["value"].item() == pytest.approx(0.02)


def test_each_vice_is_named_and_only_it() -> None:
    wells = pl.concat([plate(effect=20.0), plate("p2", effect=0.0, edge=40.0, count=60.0, seed=1)])
    table = plate_acceptance(wells, readouts=readouts(wells), image_quality=pl.concat([fields(0.0), fields(0.4, "p2")]))
    assert set(verdicts(table).values()) == {"pass"}
    bad = verdicts(table, "p2")
    assert bad["z_prime:ratio"] == "fail"
    assert bad["poscon_retrieval"] == "fail"
    assert bad["edge_cell_count"] == "fail"
    assert bad["flagged_fields"] == "fail"
    assert bad["cell_count"] == "pass" or bad["cell_count"] == "warn"
    assert "Cliff's delta -" in table.filter(Metadata_Plate="p2", criterion="edge_cell_count")["reason"].item()


def test_z_prime_value_and_limits() -> None:
    wells = plate(effect=10.0)
    row = plate_acceptance(wells, readouts=readouts(wells)).filter(criterion="z_prime:ratio").to_dicts()[0]
    pos = readouts(wells).filter(Metadata_pert_type="poscon")["ratio"]
    neg = readouts(wells).filter(Metadata_pert_type="negcon")["ratio"]
    expected = 1 - 3 * (pos.std() + neg.std()) / abs(pos.mean() - neg.mean())  # type: ignore[operator, arg-type]
    assert row["value"] == pytest.approx(expected)
    assert (row["threshold"], row["verdict"]) == (0.5, "warn")
    strict = plate_acceptance(wells, readouts=readouts(wells), limits=AcceptanceLimits(z_prime=(0.99, 0.98)))
    assert verdicts(strict)["z_prime:ratio"] == "fail"


def test_gradient_is_found() -> None:
    wells = plate().with_columns(
        (pl.col("Metadata_Object_Count") + 10 * pl.col("Metadata_Well").str.slice(1).cast(pl.Int64)).alias(
            "Metadata_Object_Count"
        )
    )
    found = verdicts(plate_acceptance(wells))
    assert found["column_cell_count"] == "fail"
    assert found["row_cell_count"] == "pass"


def test_checks_that_cannot_be_made_have_a_reason() -> None:
    bare = plate().filter(Metadata_pert_type="trt").drop("Metadata_Object_Count")
    table = plate_acceptance(bare, readouts=readouts(plate().filter(Metadata_pert_type="trt")))
    found = verdicts(table)
    assert found["negative_controls"] is None
    assert found["z_prime:ratio"] is None
    assert found["cell_count"] is None
    assert table.filter(criterion="z_prime:ratio")["reason"].item().startswith("not judged: 0 positive and 0 negative")
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
    assert found["column_cell_count"] is None
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
    uncounted = wells.with_columns(Metadata_Object_Count=pl.lit(None, dtype=pl.Int64))
    assert verdicts(plate_acceptance(uncounted))["poscon_retrieval"] == "pass", "an unknown count is not none"
    untouched = plate_acceptance(wells).filter(criterion="poscon_retrieval")["reason"].item()
    assert "without cells" not in untouched


def test_cells_that_nobody_counted_are_not_judged() -> None:
    wells = plate().with_columns(Metadata_Object_Count=pl.lit(None, dtype=pl.Int64))
    table = plate_acceptance(wells).filter(criterion="cell_count")
    assert table.select("value", "verdict").rows() == [(None, None)]
    assert "the cells were not counted" in table["reason"][0]
