"""Plate maps and tables of treatments for profiles without annotation."""

import gzip

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import PlateMapError, UnknownNameError, UsageError
from phenoprint.exchange import ImportSummary, import_profiles, write_profiles
from phenoprint.exchange.annotation.treatments import read_treatments
from phenoprint.exchange.annotation.wells import annotate_treatments, well_rows
from phenoprint.exchange.findings import Findings


def profiles(plate: str, n: int = 3, **columns) -> pl.DataFrame:
    base = {
        "Metadata_Plate": [plate] * n,
        "Metadata_Well": [f"A{k + 1:02d}" for k in range(n)],
        "Metadata_broad_sample": ["DMSO", *["taxol"] * (n - 1)],
        "Metadata_mmoles_per_liter": [None, *[0.003] * (n - 1)],
        "Metadata_Count_Cells": [100 + k for k in range(n)],
        "Cells_Intensity_MeanIntensity_DNA": np.arange(n, dtype=np.float32),
        "Cells_Texture_Contrast_DNA_3_00_256": np.arange(n, dtype=np.float32) * 2,
    }
    return pl.DataFrame(base | columns)


def stored(summary: ImportSummary, *names: str) -> list[tuple]:
    frame = summary.screen.table("profile_well").collect().sort("Metadata_Plate", "Metadata_Well")
    return frame.select(f"Metadata_{name}" for name in names).rows()


WELLS = (
    "plate,well,compound,concentration,moa\nP1,A1,DMSO,,\nP1,A2,taxol,3 nM,tubulin\nP1,A3,taxol,3 nM,tubulin\n"
    "P2,A1,DMSO,,\nP2,A2,ALLN,1 uM,protease\n"
)


def bare(*plates: str) -> pl.DataFrame:
    whole = pl.concat([profiles(plate) for plate in plates])
    return whole.drop("Metadata_broad_sample", "Metadata_mmoles_per_liter")


def test_a_list_of_what_is_in_all_wells(tmp_path):
    source = write_profiles(bare("P1", "P2"), tmp_path / "all.csv")
    wells = tmp_path / "wells.csv"
    wells.write_text(WELLS)
    summary = import_profiles(source, tmp_path / "screen", plate_map=wells)
    assert stored(summary, "Plate", "Well", "perturbation", "moa", "pert_type") == [
        ("P1", "A01", "DMSO", None, "negcon"),
        ("P1", "A02", "taxol@3 nM", "tubulin", "trt"),
        ("P1", "A03", "taxol@3 nM", "tubulin", "trt"),
        ("P2", "A01", "DMSO", None, "negcon"),
        ("P2", "A02", "ALLN@1 uM", "protease", "trt"),
        ("P2", "A03", None, None, None),
    ]
    assert summary.screen.sql("SELECT count(*) FROM perturbation").item() == 3
    assert summary.screen.sql("SELECT Metadata_Well, kind, reason FROM wells_flagged").rows() == [
        ("A03", "annotation", "imported without annotation")
    ]
    cells = summary.screen.sql("SELECT n_cells FROM well_summary ORDER BY Metadata_Plate, Metadata_Well")
    assert cells["n_cells"].to_list() == [100, 101, 102] * 2
    wells.write_text(WELLS.replace("P1", "Plate 1").replace("P2", "Plate 2"))
    with pytest.raises(PlateMapError, match=r"none of the plates: it has Plate 1, Plate 2, the tables have P1, P2"):
        import_profiles(source, tmp_path / "other", plate_map=wells)
    assert not (tmp_path / "other").exists()


def test_a_list_of_images_and_a_table_of_treatments(tmp_path):
    source = write_profiles(bare("Week1_1", "Week2_1"), tmp_path / "all.csv")
    images = pl.DataFrame(
        {
            "Image_FileName": [f"{k}.tif" for k in range(8)],
            "Image_Metadata_Plate_DAPI": ["Week1_1"] * 6 + ["Week2_1"] * 2,
            "Image_Metadata_Well_DAPI": ["A01", "A01", "A02", "A02", "A03", "A03", "A02", "A02"],
            "Image_Metadata_Compound": ["DMSO", "DMSO", "taxol", "taxol", "taxol", "taxol", "new", "new"],
            "Image_Metadata_Concentration": [0.0, 0.0, 0.3, 0.3, 0.1 + 0.2, 0.1 + 0.2, 1.0, 1.0],
        }
    )
    images.write_csv(tmp_path / "images.csv")
    (tmp_path / "images.csv.gz").write_bytes(gzip.compress((tmp_path / "images.csv").read_bytes()))
    known = tmp_path / "moa.csv"
    known.write_text("compound,concentration,moa,target\ntaxol,0.3,tubulin,TUBB\ntaxol,3,tubulin,TUBB\nDMSO,0,DMSO,\n")
    given = {
        "plate_map": tmp_path / "images.csv.gz",
        "map_columns": {"Plate": "Image_Metadata_Plate_DAPI", "Metadata_Well": "Image_Metadata_Well_DAPI"},
        "extract": {"Plate": r"(?P<Batch>Week\d)_"},
    }
    summary = import_profiles(source, tmp_path / "screen", treatments=known, **given)
    assert stored(summary, "Batch", "perturbation", "moa", "target") == [
        ("Week1", "DMSO@0", "DMSO", None),
        ("Week1", "taxol@0.3", "tubulin", "TUBB"),
        ("Week1", "taxol@0.3", "tubulin", "TUBB"),
        ("Week2", None, None, None),
        ("Week2", "new@1", None, None),
        ("Week2", None, None, None),
    ]
    notes = {kind: (n, detail) for kind, n, detail in summary.notes.select("kind", "n", "detail").iter_rows()}
    assert notes["treatments_joined"][0] == 3
    assert notes["treatment_unknown"][0] == 1
    assert "such as 'new'" in notes["treatment_unknown"][1]
    assert summary.screen.sql("SELECT Metadata_Batch FROM plate ORDER BY 1").to_series().to_list() == ["Week1", "Week2"]
    for text, what in (
        ("compound,concentration,moa\ntaxol,0.3,a\ntaxol,0.30,b\n", r"two different rows of taxol at 0.3"),
        ("compound,moa\nother,a\n", r"names none of the treatments.*such as 'DMSO'"),
        ("gene,moa\n", r"no column of compounds|is empty|no treatment|no column of wells"),
        ("note,moa\nx,a\n", r"no column of compounds"),
    ):
        known.write_text(text)
        with pytest.raises(PlateMapError, match=what):
            import_profiles(source, tmp_path / "screen", treatments=known, **given)
    assert summary.screen.sql("SELECT count(Metadata_moa) FROM well").item() == 3  # as it was
    with pytest.raises(PlateMapError, match=r"no column 'Plate_X'"):
        import_profiles(source, tmp_path / "screen", plate_map=given["plate_map"], map_columns={"Plate": "Plate_X"})


def test_treatments_are_joined_by_the_name_that_fits(tmp_path):
    wells = well_rows(
        profiles("P1"),
        None,
        findings := Findings(),
        source="x",
        treatments=read_treatments(
            pl.DataFrame({"broad_sample": ["taxol", "x"], "pert_iname": ["paclitaxel", "y"], "moa": ["tubulin", "z"]})
        ),
    )
    assert wells.select("Metadata_compound", "Metadata_pert_iname", "Metadata_moa").rows() == [
        ("DMSO", None, None),
        ("taxol", "paclitaxel", "tubulin"),
        ("taxol", "paclitaxel", "tubulin"),
    ]
    assert findings.notes().filter(kind="treatments_joined")["column"].to_list() == ["Metadata_broad_sample"]
    consensus = pl.DataFrame({"Metadata_compound": ["a", "b"], "Cells_A": [1.0, 2.0]})
    known = read_treatments(pl.DataFrame({"compound": ["b"], "moa": ["m"], "target": ["T"]}))
    named = annotate_treatments(consensus, Findings(), source="x", treatments=known)
    assert named.select("Metadata_perturbation", "Metadata_moa", "Metadata_target").rows() == [
        ("a", None, None),
        ("b", "m", "T"),
    ]


def test_values_that_do_not_match_an_expression_are_noted(tmp_path):
    source = write_profiles(profiles("P1"), tmp_path / "P1.csv")
    summary = import_profiles(source, tmp_path / "a", extract={"Plate": r"Week(?P<Batch>\d+)"})
    assert summary.notes.filter(kind="not_extracted")["n"].to_list() == [3]
    for pattern, what in (("(", "no regular expression"), ("(.)", "names no group"), ("x", "names no group")):
        with pytest.raises(UsageError, match=what):
            import_profiles(source, tmp_path / "b", extract={"Plate": pattern})
    with pytest.raises(UnknownNameError, match="Metadata_Plat"):
        import_profiles(source, tmp_path / "b", extract={"Plat": "(?P<x>.)"})


def test_wells_that_nobody_annotated_are_not_empty_wells(tmp_path):
    frame = profiles("P1", Metadata_pert_type=["negcon", None, None], Metadata_broad_sample=["DMSO", None, "taxol"])
    frame = frame.with_columns(Metadata_mmoles_per_liter=pl.lit(None, pl.Float64))
    summary = import_profiles(write_profiles(frame, tmp_path / "P1.csv"), tmp_path / "screen")
    rows = summary.screen.sql("SELECT Metadata_pert_type, is_annotated FROM well ORDER BY Metadata_Well").rows()
    assert rows == [("negcon", True), (None, False), ("trt", True)]


def test_words_for_kinds_of_wells_are_noted(tmp_path):
    frame = profiles("P1", 4, Metadata_control_type=["NC", "TC", None, "poscon"])
    summary = import_profiles(write_profiles(frame, tmp_path / "P1.csv"), tmp_path / "screen")
    detail = summary.notes.filter(kind="derived_column", column="Metadata_pert_type")["detail"].item()
    assert detail == (
        "from Metadata_control_type (NC is negcon, TC is poscon), from the compound where it is blank: "
        "1 negcon, 1 trt, 2 poscon"
    )
    assert stored(summary, "pert_type") == [("negcon",), ("poscon",), ("trt",), ("poscon",)]


@pytest.mark.real
def test_bbbc021_with_its_image_list_and_mechanisms(real_data, tmp_path):
    folder = real_data / "bbbc021_profiles"
    summary = import_profiles(
        folder / "ljosa_jbiomolscreen_2013_per_well_mean.csv.gz",
        tmp_path / "bbbc021",
        plate_map=folder / "BBBC021_v1_image.csv.gz",
        map_columns={"Plate": "Image_Metadata_Plate_DAPI", "Well": "Image_Metadata_Well_DAPI"},
        treatments=folder / "BBBC021_v1_moa.csv",
        extract={"Plate": r"(?P<Batch>Week\d+)_"},
    )
    names = ["Metadata_perturbation", "Metadata_compound", "Metadata_moa", "Metadata_Batch"]
    wells = summary.screen.table("profile_well")
    counts = wells.group_by("Metadata_pert_type").agg(pl.len(), pl.col(names).n_unique()).collect()
    rows = counts.sort("Metadata_pert_type").select(pl.exclude("Metadata_pert_type")).rows()
    assert rows == [(330, 1, 1, 1, 10), (302, 103, 38, 12, 10)]
    assert summary.screen.sql("SELECT count(*) FROM profile_well WHERE Metadata_moa IS NULL").item() == 0


def test_cells_get_the_annotation_of_a_plate_map(tmp_path):
    rows = [(p, w, "1", k) for p in ("P1", "P2") for w in ("A01", "A02") for k in (1, 2)]
    cells = pl.DataFrame(
        rows, schema=["Metadata_Plate", "Metadata_Well", "Metadata_Site", "ObjectNumber"], orient="row"
    )
    cells.with_columns(Cells_A=pl.lit(1.0)).write_csv(tmp_path / "cells.csv")
    (tmp_path / "wells.csv").write_text(WELLS)
    known = pl.DataFrame({"drug": ["taxol"], "target": ["TUBB"]})
    summary = import_profiles(
        tmp_path / "cells.csv", tmp_path / "screen", plate_map=tmp_path / "wells.csv", treatments=known
    )
    names = ["Metadata_Well", "Metadata_compound", "Metadata_moa", "Metadata_target"]
    found = summary.screen.table("cells_annotated").collect().filter(Metadata_Plate="P1").select(names).unique()
    assert sorted(found.rows()) == [("A01", "DMSO", None, None), ("A02", "taxol", "tubulin", "TUBB")]
    wells = summary.screen.sql("SELECT count(*) FROM well WHERE Metadata_Plate = 'P1'").item()
    assert wells == 3  # the one that only the map names is there, too
    (tmp_path / "wells.csv").write_text(WELLS.replace("P1", "X1").replace("P2", "X2"))
    before = summary.screen.table("well").collect()
    with pytest.raises(PlateMapError, match=r"none of the plates: it has X1, X2"):
        import_profiles(tmp_path / "cells.csv", tmp_path / "other", plate_map=tmp_path / "wells.csv")
    assert not (tmp_path / "other").exists()
    assert summary.screen.table("well").collect().equals(before)
