"""Plate maps: every well once, controls spread over the plate, complete replicates at random positions."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprint.errors import UnknownNameError
from phenoprint.plates import PlateFormat
from phenoprint.simulation import ScreenDesign, demo_design, draw_field, layout, mechanism_names, tiny_design

# plates, plates per copy of the library, batches
DEALS = [(1, 1, 1), (2, 1, 1), (2, 1, 2), (2, 2, 1), (4, 2, 2), (4, 1, 2), (3, 1, 2)]

designs = st.builds(
    lambda deal, **options: ScreenDesign(n_plates=deal[0], plates_per_library=deal[1], n_batches=deal[2], **options),
    st.sampled_from(DEALS),
    plate_format=st.sampled_from([96, 384]),
    mechanisms=st.lists(st.sampled_from(mechanism_names()), min_size=1, max_size=5, unique=True).map(tuple),
    compounds_per_mechanism=st.integers(1, 3),
    n_inert=st.integers(0, 3),
    doses_um=st.sampled_from([(1.0,), (0.5, 5.0), (0.1, 1.0, 10.0)]),
    n_negcon=st.just(8),
    n_poscon=st.just(4),
    empty_wells=st.booleans(),
    seed=st.integers(0, 2**32),
)


@settings(max_examples=25, deadline=None)
@given(designs)
def test_layout_invariants(design: ScreenDesign) -> None:
    frame = layout(design)
    grid = PlateFormat.of(design.plate_format)
    for plate in design.plates:
        here = frame.filter(pl.col("Metadata_Plate") == plate)
        assert here["Metadata_Well"].to_list() == [str(well) for well in grid.wells()]
        kinds = here["Metadata_pert_type"].value_counts()
        counts = dict(kinds.iter_rows())
        assert counts["negcon"] >= design.negcon_wells
        assert counts["poscon"] == design.poscon_wells
        assert (counts.get("empty", 0) == 0) or design.empty_wells
        assert here["Metadata_Batch"].n_unique() == 1
    assert frame["Metadata_Batch"].n_unique() == design.n_batches
    treated = frame.filter(pl.col("Metadata_pert_type") == "trt")
    per_treatment = treated.group_by("Metadata_compound", "Metadata_Concentration").len()
    assert per_treatment.height == design.n_treatments
    copies = design.n_plates // design.plates_per_library
    assert set(per_treatment["len"]) == {copies * design.replicates}


def test_positions_differ_between_plates_and_seeds() -> None:
    design = demo_design(n_plates=2, seed=4)
    first, second = (frame for _, frame in layout(design).group_by("Metadata_Plate", maintain_order=True))
    same = (first["Metadata_compound"] == second["Metadata_compound"]).mean()
    assert same is not None
    assert same < 0.2
    assert not layout(replace(design, seed=5)).equals(layout(design))
    assert layout(demo_design(n_plates=2, seed=4)).equals(layout(design))


def test_negative_controls_are_spread_over_the_plate() -> None:
    frame = layout(demo_design()).filter(pl.col("Metadata_pert_type") == "negcon")
    assert frame["Metadata_Col"].n_unique() >= 18
    assert frame["Metadata_Row"].n_unique() >= 12


def test_columns_follow_the_plate_map_record() -> None:
    frame = layout(tiny_design())
    assert frame.schema["Metadata_Row"] == pl.Int32
    assert frame.schema["Metadata_Concentration"] == pl.Float64
    untreated = frame.filter(pl.col("Metadata_pert_type") == "negcon")
    assert set(untreated["Metadata_compound"]) == {"DMSO"}
    assert untreated["Metadata_Concentration"].null_count() == untreated.height
    assert set(frame["Metadata_Concentration_Unit"].drop_nulls()) == {"uM"}


def test_unknown_plates_and_wells_are_errors() -> None:
    design = tiny_design()
    with pytest.raises(UnknownNameError, match="SIM-P01"):
        draw_field(design, "SIM-P1", "A01")
    with pytest.raises(UnknownNameError, match="H12"):
        draw_field(design, "SIM-P01", "H12")
    with pytest.raises(UnknownNameError, match="site"):
        draw_field(design, "SIM-P01", "A01", 2)
