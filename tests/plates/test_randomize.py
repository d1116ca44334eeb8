"""Randomized layouts: where controls and treatments go, and that the plate map is read back."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from phenoprint.errors import PlateMapError, UsageError
from phenoprint.plates import (
    LayoutPlan,
    layout_quality,
    parse_plate_map,
    plate_map_text,
    randomized_layout,
    with_doses,
)


def compounds(n: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"Metadata_compound": [f"c{i}" for i in range(n)], "Metadata_moa": [f"m{i % 4}" for i in range(n)]}
    )


def lay_out(treatments: pl.DataFrame, **options: Any) -> pl.DataFrame:
    return randomized_layout(treatments, LayoutPlan(**{"positive": 0, **options}))


@pytest.mark.parametrize(
    ("plate_format", "controls", "n", "edges"),
    [(96, 12, 40, "empty"), (96, 12, 80, "treatments"), (384, 32, 270, "empty"), (1536, 96, 500, "empty")],
)
def test_controls_are_off_the_edge_and_even_and_no_treatment_keeps_its_position(
    plate_format: int, controls: int, n: int, edges: str
) -> None:
    layout = lay_out(compounds(n), plate_format=plate_format, replicates=3, controls=controls, edges=edges)
    quality = layout_quality(layout, plate_format)
    assert (quality.n_plates, quality.n_same_position, quality.n_edge_controls) == (3, 0, 0)
    assert quality.controls_per_quadrant[1] - quality.controls_per_quadrant[0] <= 1
    assert quality.controls_per_row[1] - quality.controls_per_row[0] <= 2
    counts = layout.group_by("Metadata_Plate").agg(
        n=pl.len(),
        controls=(pl.col("Metadata_pert_type") == "negcon").sum(),
        treated=(pl.col("Metadata_pert_type") == "trt").sum(),
    )
    assert counts.drop("Metadata_Plate").unique().rows() == [(plate_format, controls, n)]
    assert layout.select("Metadata_Plate", "Metadata_Well").is_unique().all()
    edge = layout.filter((pl.col("Metadata_Row") == 1) | (pl.col("Metadata_Col") == 1))
    assert ("trt" in set(edge["Metadata_pert_type"])) == (edges == "treatments")


def test_plates_differ_and_the_seed_decides() -> None:
    one, again, other = (
        lay_out(compounds(30), plate_format=96, controls=8, replicates=2, seed=seed) for seed in (0, 0, 1)
    )
    assert one.equals(again)
    assert not one.equals(other)
    places = (
        one.filter(Metadata_pert_type="negcon").group_by("Metadata_Plate", maintain_order=True).agg("Metadata_Well")
    )
    assert places["Metadata_Well"][0].to_list() != places["Metadata_Well"][1].to_list()


def test_a_library_of_many_plates_keeps_the_doses_of_a_compound_together() -> None:
    dosed = with_doses(compounds(50), [0.1, 1, 10, 30], "uM")
    layout = lay_out(dosed, plate_format=96, replicates=2, controls=10)
    treated = layout.filter(Metadata_pert_type="trt")
    assert treated.group_by("Metadata_compound", "Metadata_Concentration").len()["len"].unique().to_list() == [2]
    plates_of = treated.group_by("Metadata_compound").agg(pl.col("Metadata_Plate").n_unique())
    assert (plates_of["Metadata_Plate"] == 2).mean() > 0.9
    assert layout["Metadata_Plate"].n_unique() == 8


def test_several_wells_on_one_plate() -> None:
    layout = lay_out(compounds(20), plate_format=96, replicates=3, per_plate=3, controls=0)
    assert layout["Metadata_Plate"].n_unique() == 1
    assert layout.filter(Metadata_compound="c3").height == 3


@pytest.mark.parametrize("spare", ["empty", "controls"])
def test_the_written_plate_map_is_read_back(spare: str) -> None:
    listed = pl.concat(
        [
            with_doses(compounds(12).with_columns(Metadata_SMILES=pl.lit("CC")), [0.5, 5], "µM"),
            pl.DataFrame(
                {"Metadata_compound": ["nocodazole", "0.1% DMSO"], "Metadata_pert_type": ["poscon", "negcon"]}
            ),
        ],
        how="diagonal",
    )
    layout = lay_out(listed, plate_format=96, replicates=2, controls=10, positive=3, spare=spare)
    read = parse_plate_map(plate_map_text(layout), source="map.csv", plate_format=96)
    columns = [name for name in layout.columns if name in read.columns]
    assert read.sort("Metadata_Plate", "Metadata_Row", "Metadata_Col").select(columns).equals(layout.select(columns))
    kinds = dict(read.group_by("Metadata_pert_type").len().iter_rows())
    assert kinds["poscon"] == 6
    assert kinds["negcon"] == (20 if spare == "empty" else 2 * (60 - 24 - 3))
    assert read.filter(Metadata_pert_type="negcon")["Metadata_compound"].unique().to_list() == ["0.1% DMSO"]
    assert read.filter(Metadata_pert_type="trt")["Metadata_SMILES"].unique().to_list() == ["CC"]


def test_names_decide_what_is_a_control() -> None:
    layout = lay_out(pl.DataFrame({"Metadata_compound": ["a", "DMSO"]}), plate_format=96, replicates=1, controls=4)
    assert set(layout.filter(Metadata_compound="DMSO")["Metadata_pert_type"]) == {"negcon"}


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (
            200,
            {"plate_format": 96, "max_plates": 4, "controls": 10},
            "need 16 plates of 96 wells, 50 of each for treatments; there are 4",
        ),
        (
            5,
            {"plate_format": 96, "controls": 60},
            "60 wells off the edge: 60 negative and 0 x 0 positive controls leave 0",
        ),
        (5, {"plate_format": 6, "controls": 0}, "has 0 wells off the edge"),
    ],
)
def test_too_few_wells_are_named(n: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PlateMapError, match=message):
        lay_out(compounds(n), **options)


def test_lists_that_cannot_be_laid_out_are_named() -> None:
    with pytest.raises(PlateMapError, match="the treatment c1 is in the list more than once"):
        lay_out(pl.concat([compounds(2), compounds(2).tail(1)]))
    with pytest.raises(PlateMapError, match="expected a list of treatments"):
        lay_out(compounds(0))
    with pytest.raises(PlateMapError, match="doses of its own"):
        with_doses(with_doses(compounds(2), [1], "uM"), [2], "uM")
    with pytest.raises(PlateMapError, match="expected doses above 0"):
        with_doses(compounds(2), [0, 1], "uM")


def test_wrong_plans_are_named() -> None:
    with pytest.raises(UsageError, match="3 replicates cannot be divided"):
        LayoutPlan(replicates=3, per_plate=2)
    with pytest.raises(UsageError, match="edges must be"):
        LayoutPlan(edges="controls")
    with pytest.raises(UsageError, match="controls must be 0 or more"):
        LayoutPlan(controls=-1)
