"""What a table is: raw, normalized, principal components, treatments or nothing that can be used."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import SchemaError
from phenoprint.exchange import import_profiles, load_profiles
from phenoprint.exchange.sources.recognise import (
    Doubt,
    Evidence,
    evidence_of,
    object_number_impostors,
    revealing_features,
    weigh,
)

WELLS = [f"{row}{column:02d}" for row in "ABCD" for column in range(1, 7)]
KEYS = pl.DataFrame({"Metadata_Plate": ["P1"] * 24, "Metadata_Well": WELLS})
MEASURES = [
    "Cells_AreaShape_Area",
    "Nuclei_Neighbors_NumberOfNeighbors_5",
    "Cells_Intensity_MeanIntensity_DNA",
    "Cells_Texture_Contrast_DNA_3",
]


def table(names: list[str], *, raw: bool) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(24, len(names)))
    return KEYS.hstack(pl.from_numpy(values + 400 * raw, schema=names))


COMPONENTS = [f"PC{k}" for k in range(1, 9)]
RAW, NORMALIZED = table(MEASURES, raw=True), table(MEASURES, raw=False)


@pytest.mark.parametrize(
    ("name", "frame", "level"),
    [
        ("BR1.csv", RAW, "3"),
        ("BR1_augmented.csv.gz", RAW, "3_augmented"),
        ("BR1_unnormalized.csv", RAW, "3"),
        ("BR1_normalized_negcon_pc.csv", table(COMPONENTS, raw=False), "4b_negcon"),
        ("BR1_normalised_pca50.csv", table([f"x_{k}" for k in range(9)], raw=False), "4b"),
        ("BR1_normalized_negcon_pc.csv", NORMALIZED, "4a_negcon"),
        ("BR1-zscored.csv", NORMALIZED, "4a"),
        ("mine_normalized_v2_feature_select.csv", NORMALIZED, "4b"),
        ("BR1.parquet", table([f"efficientnet_{k}" for k in range(9)], raw=True), "3"),
    ],
)
def test_levels_that_are_recognised(tmp_path, name, frame, level):
    path = tmp_path / name.removesuffix(".gz")
    frame.write_parquet(path) if name.endswith("parquet") else frame.write_csv(path)
    path = path.rename(tmp_path / name)
    summary = import_profiles(path, tmp_path / "screen")
    assert summary.levels == (level,)
    recognised = summary.notes.filter(kind="level_recognised")
    assert recognised.height == (level[0] == "4")


@pytest.mark.parametrize(
    ("name", "frame", "choices", "why"),
    [
        ("BR1.csv", NORMALIZED, ("4a", "3"), "3 of 3 features that cannot be negative"),
        ("BR1_augmented.csv", NORMALIZED, ("4a", "3"), "have negative values"),
        ("BR1_v2_normalized_x.csv", RAW, ("4a", "3"), "has 'normalized'; none of 3 features .* has a negative value"),
        ("BR1.csv", table(COMPONENTS, raw=False), ("4b", "3"), "8 of 8 features are named as principal components"),
        ("BR1_pca.csv", table([f"f{k}" for k in range(9)], raw=False), ("4b", "3"), "its name has 'pca'"),
        ("BR1.csv", table([f"f{k}" for k in range(5)], raw=False), ("4a", "3"), "5 of 5 features lie around 0"),
        ("BR1.parquet", NORMALIZED, ("4a", "3"), "Cells_AreaShape_Area: -"),
    ],
)
def test_levels_in_doubt_are_asked_for(tmp_path, name, frame, choices, why):
    path = tmp_path / name
    frame.write_parquet(path) if name.endswith("parquet") else frame.write_csv(path)
    with pytest.raises(SchemaError, match=rf"{why}.*Choose: --level {choices[0]} or --level {choices[1]}"):
        import_profiles(path, tmp_path / "screen")
    for level in choices:  # the user's level is used, in a folder, too
        for source in (path, tmp_path / "folder"):
            (tmp_path / "folder").mkdir(exist_ok=True)
            (tmp_path / "folder" / name).write_bytes(path.read_bytes())
            if source == path or set(MEASURES) < set(frame.columns):  # other tables are given by their name
                summary = import_profiles(source, tmp_path / f"screen {level} {source.name}", level=level)
                assert summary.levels == (level,)
    loaded = load_profiles(path)  # a frame is no screen: nothing will be normalized without a word
    assert loaded.notes.filter(kind="level_in_doubt").height == 1


@pytest.mark.parametrize(("name", "level"), [("BR1_normalized", "4a"), ("BR1_normalized_feature_select", "4b")])
def test_raw_values_under_a_name_of_the_gallery_are_asked_about(tmp_path, name, level):
    path = tmp_path / f"{name}.csv"
    RAW.write_csv(path)
    why = "none of 3 features .* has a negative value"
    with pytest.raises(SchemaError, match=rf"has 'normalized'; {why}.*Choose: --level {level} or --level 3"):
        import_profiles(path, tmp_path / "screen")
    for said in (level, "3"):
        assert import_profiles(path, tmp_path / f"screen {said}", level=said).levels == (said,)


def test_what_has_neither_wells_nor_treatments_is_refused(tmp_path):
    for frame in (RAW.drop("Metadata_Plate", "Metadata_Well"), RAW.drop("Metadata_Well")):
        frame.write_csv(tmp_path / "rows.csv")
        with pytest.raises(SchemaError, match=r"neither plate and well nor a treatment.*--column Plate=.*compound="):
            import_profiles(tmp_path / "rows.csv", tmp_path / "screen")
    named = RAW.drop("Metadata_Plate", "Metadata_Well").with_columns(
        Metadata_gene=pl.Series([f"g{k}" for k in range(24)])
    )
    named.write_csv(tmp_path / "rows.csv")
    assert import_profiles(tmp_path / "rows.csv", tmp_path / "screen").rows == {"profile_consensus": 24}
    placed = RAW.rename({"Metadata_Well": "Metadata_place"})
    placed.write_csv(tmp_path / "placed.csv")
    summary = import_profiles(tmp_path / "placed.csv", tmp_path / "placed", columns={"Well": "Metadata_place"})
    assert summary.levels == ("3",)


@pytest.mark.parametrize("values", [["A549"] * 24, [549] * 24, [1.5] * 24, list(range(24))])
def test_a_cell_line_is_no_object(tmp_path, values):
    RAW.with_columns(pl.Series("Metadata_cell_id", values)).write_csv(tmp_path / "BR1.csv")
    summary = import_profiles(tmp_path / "BR1.csv", tmp_path / "screen")
    assert summary.levels == ("3",)
    assert summary.notes["kind"].to_list().count("not_an_object_number") == 1
    assert "Metadata_cell_id" in summary.screen.table("profile_well").collect_schema()


def test_numbers_of_cells_that_differ_within_an_image_are_objects(tmp_path):
    cells = pl.DataFrame(
        {"plate": ["P"] * 6, "well": ["A01"] * 6, "field": [1] * 3 + [2] * 3, "cell_id": [1, 2, 3] * 2}
    )
    assert not object_number_impostors(cells)
    assert object_number_impostors(cells.with_columns(cell_id=pl.lit(7))) == {"cell_id"}
    assert not object_number_impostors(cells.with_columns(cell_id=pl.lit(7)), {"Metadata_ObjectNumber"})
    lines = cells.with_columns(pl.lit("HeLa").alias("cell_id"), pl.Series("ObjectNumber", [1, 2, 3] * 2))
    lines.with_columns(Cells_A=pl.lit(1.0)).write_csv(tmp_path / "cells.csv")
    loaded = load_profiles(tmp_path / "cells.csv")
    assert loaded.level == "2"
    assert loaded.frame["Metadata_cell_id"].unique().to_list() == ["HeLa"]
    assert loaded.frame["Metadata_ObjectNumber"].to_list() == [1, 2, 3] * 2


def test_evidence_by_hand():
    assert evidence_of("BR1.csv", RAW.head(0)) == Evidence(
        {}, is_raw="none of 3 features such as Cells_AreaShape_Area has a negative value"
    )
    assert evidence_of("BR1.csv", KEYS) == Evidence({})
    assert weigh("3", "BR1.csv", Evidence({})) == "3"
    assert weigh("3_augmented", "x", Evidence({}, of_columns="c")) == Doubt(("4b", "3_augmented"), ("c",))
    assert revealing_features(["b", "Cells_AreaShape_Area", "a", "PC1"], 3) == ["b", "Cells_AreaShape_Area", "PC1"]
