from __future__ import annotations

import itertools

import polars as pl
import pytest

from phenoprint.errors import SchemaError
from phenoprint.plates import PROBLEM_KINDS, parse_plate_map, reconcile

WELLS = ("A01", "A02", "A03", "B01")
MAP = "well,compound\nA1,x\nA2,DMSO\nA3,y\nB1,\n"


def plate(**drop: object) -> pl.DataFrame:
    """Four wells, two sites, two channels; every file differs."""
    rows = []
    for number, (well, site, channel) in enumerate(itertools.product(WELLS, "12", ("DNA", "ER"))):
        rows.append(
            {
                "Metadata_Plate": "P",
                "Metadata_Well": well,
                "Metadata_Site": site,
                "Metadata_Channel": channel,
                "Metadata_Z": 0,
                "Metadata_T": 0,
                "path": f"{well}_s{site}_{channel}.tif",
                "page": 0,
                "hash": f"h{number}",
                "pixel_hash": f"p{number}",
                "status": "ok",
                "reason": None,
            }
        )
    return pl.DataFrame(rows, schema_overrides={"reason": pl.String})


def at(well: str, site: str | None = None, channel: str | None = None) -> pl.Expr:
    found = pl.col("Metadata_Well") == well
    if site is not None:
        found &= pl.col("Metadata_Site") == site
    return found if channel is None else found & (pl.col("Metadata_Channel") == channel)


def problems(images: pl.DataFrame, text: str | None = MAP, **options: object) -> list[tuple[str | None, ...]]:
    plate_map = None if text is None else parse_plate_map(text, source="m")
    found = reconcile(images, plate_map, **options)  # type: ignore[arg-type]
    assert set(found.count()) <= set(PROBLEM_KINDS)
    return found.problems.drop("Metadata_Plate", "detail").rows()


def test_a_plate_in_order_has_no_problem() -> None:
    found = reconcile(plate(), parse_plate_map(MAP, source="m"), channels=["DNA", "ER"])
    assert found.problems.height == 0
    assert found.n_matched == 4
    assert found.problems.columns == [
        "kind", "Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Channel", "detail",
    ]  # fmt: skip


def test_wells_on_one_side_only() -> None:
    images = plate().filter(~at("A03") & ~at("B01"))
    text = MAP.replace("A2,DMSO\n", "")
    # B01 is empty by the map: that it was not imaged is no problem
    assert problems(images, text) == [
        ("image_without_annotation", "A02", None, None),
        ("annotation_without_image", "A03", None, None),
    ]


def test_plates_on_one_side_only() -> None:
    text = "plate,well,compound\nQ,A1,x\nQ,A2,y\n"
    found = reconcile(plate(), parse_plate_map(text, source="m"))
    assert found.problems["kind"].to_list() == ["plate_not_imaged", "plate_not_annotated"]
    assert found.problems["Metadata_Plate"].to_list() == ["Q", "P"]
    assert found.wells.height == 6


def test_a_missing_channel_of_one_site() -> None:
    assert problems(plate().filter(~at("A02", "2", "ER"))) == [("missing_channel", "A02", "2", "ER")]


def test_an_unreadable_file_is_a_missing_channel_too() -> None:
    status = pl.when(at("A02", "2", "ER")).then(pl.lit("empty")).otherwise("status").alias("status")
    reason = pl.when(at("A02", "2", "ER")).then(pl.lit("no byte")).alias("reason")
    found = reconcile(plate().with_columns(status, reason), None)
    assert found.problems["kind"].to_list() == ["missing_channel", "unreadable_file"]
    assert found.problems["detail"][1] == "A02_s2_ER.tif: no byte"


def test_a_channel_missing_from_the_whole_plate_is_one_row() -> None:
    found = reconcile(plate(), None, channels=["DNA", "AGP"])
    assert found.problems.rows() == [
        ("missing_channel", "P", None, None, "AGP", "no usable image of AGP on the whole plate; its files have DNA, ER")
    ]


def test_a_missing_site() -> None:
    assert problems(plate().filter(~at("A03", "2"))) == [("missing_site", "A03", "2", None)]
    # a site that one well has more than the others is no loss of theirs
    extra = (
        plate()
        .filter(at("A01", "2"))
        .with_columns(
            pl.lit("3").alias("Metadata_Site"),
            pl.lit(None, dtype=pl.String).alias("hash"),
            pl.lit(None, dtype=pl.String).alias("pixel_hash"),
        )
    )
    assert problems(pl.concat([plate(), extra])) == []


@pytest.mark.parametrize("column", ["hash", "pixel_hash"])
def test_two_channels_with_the_same_pixels(column: str) -> None:
    images = plate().with_columns(pl.when(at("A01", "1")).then(pl.lit("same")).otherwise(column).alias(column))
    if column == "hash":
        images = images.drop("pixel_hash")
    assert problems(images) == [("same_pixels_two_channels", "A01", "1", "DNA, ER")]


def test_one_file_copied_to_another_well() -> None:
    copied = at("A02", "1", "DNA") | at("B01", "2", "DNA")
    images = plate().with_columns(pl.when(copied).then(pl.lit("same")).otherwise("pixel_hash").alias("pixel_hash"))
    found = reconcile(images, None)
    assert found.count() == {"duplicate_file": 1}
    assert found.problems["detail"][0] == "2 identical images, such as A02_s1_DNA.tif, B01_s2_DNA.tif"


def test_a_plane_repeated_over_z_is_in_order_and_over_time_is_not() -> None:
    first = plate().filter(at("A01", "1", "DNA"))
    again = first.with_columns(path=pl.lit("again.tif"))
    z = pl.concat([plate(), again.with_columns(Metadata_Z=pl.lit(1, dtype=pl.Int64))])
    assert problems(z) == []
    t = pl.concat([plate(), again.with_columns(Metadata_T=pl.lit(1, dtype=pl.Int64))])
    assert problems(t) == [("duplicate_file", "A01", "1", "DNA")]


def test_files_that_cannot_be_used_are_no_duplicates() -> None:
    images = plate().with_columns(
        pl.lit(None, dtype=pl.String).alias("pixel_hash"), pl.lit(None, dtype=pl.String).alias("hash")
    )
    assert problems(images) == []


def test_two_files_of_one_plane() -> None:
    copy = (
        plate()
        .filter(at("A01", "1", "DNA"))
        .with_columns(path=pl.lit("copy.tif"), pixel_hash=pl.lit("other"), hash=pl.lit("other"))
    )
    found = reconcile(pl.concat([plate(), copy]), None)
    assert found.count() == {"same_key": 1}
    assert "2 files for one image: A01_s1_DNA.tif, copy.tif" in found.problems["detail"]


def test_an_index_without_hashes_will_do() -> None:
    assert problems(plate().drop("hash", "pixel_hash", "status", "reason")) == []


def test_an_index_without_plates_will_not() -> None:
    with pytest.raises(SchemaError, match="no Metadata_Plate"):
        reconcile(plate().with_columns(pl.lit(None, dtype=pl.String).alias("Metadata_Plate")), None)
