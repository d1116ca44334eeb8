from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprint.errors import LostRowsError, PlateMapError, SchemaError
from phenoprint.plates import PLATE_MAP_SCHEMA, Well, parse_plate_map, perturbation_id, perturbation_table, well_table


def images(*wells: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(
        {"Metadata_Plate": [plate for plate, _ in wells], "Metadata_Well": [well for _, well in wells]},
        schema={"Metadata_Plate": pl.String, "Metadata_Well": pl.String},
    )


def test_no_well_is_lost() -> None:
    plate_map = parse_plate_map("well,compound,clone\nA1,x,7\nB1,DMSO,8\n", source="m")
    wells = well_table(images(("P2", "A01"), ("P1", "A01"), ("P1", "C03"), ("P1", "A01")), plate_map)
    assert wells.select("Metadata_Plate", "Metadata_Well", "has_images", "is_annotated").rows() == [
        ("P1", "A01", True, True),
        ("P1", "B01", False, True),
        ("P1", "C03", True, False),
        ("P2", "A01", True, True),
        ("P2", "B01", False, True),
    ]
    assert wells["Metadata_pert_type"].to_list() == ["trt", "negcon", None, "trt", "negcon"]
    assert wells["Metadata_clone"].to_list() == ["7", "8", None, "7", "8"]
    assert wells["Metadata_Row"].to_list() == [1, 2, 3, 1, 2]
    assert wells["Metadata_Col"].to_list() == [1, 1, 3, 1, 1]
    assert {name: wells.schema[name] for name in PLATE_MAP_SCHEMA} == PLATE_MAP_SCHEMA
    assert wells.columns[-2:] == ["has_images", "is_annotated"]


@given(st.sets(st.tuples(st.sampled_from("PQ"), st.integers(0, 40))), st.sets(st.integers(0, 40)))
def test_the_table_is_the_union_of_files_and_map(imaged: set[tuple[str, int]], mapped: set[int]) -> None:
    name = [str(Well(number // 7, number % 7)) for number in range(41)]
    plate_map = parse_plate_map("well,compound\n" + "".join(f"{name[n]},x\n" for n in mapped), source="m")
    wells = well_table(images(*((plate, name[n]) for plate, n in imaged)), plate_map)
    plates = {plate for plate, _ in imaged}
    expected = {(plate, name[n]) for plate, n in imaged} | {(plate, name[n]) for plate in plates for n in mapped}
    found = wells.select("Metadata_Plate", "Metadata_Well").rows()
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert wells.filter("has_images").height == len(imaged)
    assert wells.filter("is_annotated").height == len(plates) * len(mapped)


def test_without_a_map_every_imaged_well_is_kept() -> None:
    wells = well_table(images(("P", "A01")), None, batches={"P": "week1"})
    assert wells["Metadata_Batch"].to_list() == ["week1"]
    assert wells["is_annotated"].to_list() == [False]
    assert wells["Metadata_pert_type"].to_list() == [None]


def test_the_callers_batches_outrank_the_map() -> None:
    plate_map = parse_plate_map("plate,well,batch\nP,A1,b1\nQ,A1,b2\n", source="m")
    wells = well_table(images(("P", "A01"), ("Q", "A01")), plate_map, batches={"Q": "mine"})
    assert wells["Metadata_Batch"].to_list() == ["b1", "mine"]


def test_a_well_twice_in_the_map_is_an_error_not_two_rows() -> None:
    plate_map = parse_plate_map("well,compound\nA1,x\n", source="m")
    with pytest.raises(LostRowsError, match="the map has two rows of a well"):
        well_table(images(("P", "A01")), pl.concat([plate_map, plate_map]))


def test_images_without_a_plate_are_refused() -> None:
    unplaced = pl.DataFrame(
        {"Metadata_Plate": [None], "Metadata_Well": ["A01"]}, schema_overrides={"Metadata_Plate": pl.String}
    )
    with pytest.raises(SchemaError, match="1 of 1 rows have no Metadata_Plate"):
        well_table(unplaced, None)
    with pytest.raises(SchemaError, match="no column Metadata_Well"):
        well_table(pl.DataFrame({"Metadata_Plate": ["P"]}), None)


def test_treatments_are_compounds_at_doses() -> None:
    text = "well,compound,dose,moa\nA1,x,0.3 uM,kinase\nA2,x,300 nM,\n"
    text += "A3,x,0.30000000000000004 uM,kinase\nA4,DMSO,,\nA5,,,\nA6,x,,\n"
    wells = well_table(images(("P", "A01")), parse_plate_map(text, source="m"))
    table = perturbation_table(wells)
    assert table.select("Metadata_perturbation", "Metadata_pert_type", "Metadata_moa", "n_wells").rows() == [
        ("DMSO", "negcon", None, 1),
        ("x", "trt", None, 1),
        ("x@0.3 uM", "trt", "kinase", 3),
    ]
    ids = perturbation_id(wells)
    assert ids.to_list() == ["x@0.3 uM", "x@0.3 uM", "x@0.3 uM", "DMSO", None, "x"]
    assert table["n_wells"].sum() == ids.drop_nulls().len()


def test_a_treatment_with_two_mechanisms_is_refused() -> None:
    wells = parse_plate_map("well,compound,moa\nA1,x,kinase\nA2,x,tubulin\n", source="m")
    with pytest.raises(PlateMapError, match=r"such as x: 'kinase' and 'tubulin'"):
        perturbation_table(wells)


def test_a_control_without_a_compound_goes_by_its_role() -> None:
    wells = parse_plate_map("well,pert_type\nA1,negcon\nA2,poscon\nA3,empty\n", source="m")
    assert perturbation_table(wells)["Metadata_perturbation"].to_list() == ["negcon", "poscon"]


def test_no_annotation_gives_an_empty_table() -> None:
    assert perturbation_table(well_table(images(("P", "A01")), None)).height == 0
