"""Small frames and screens for the tests of the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from phenoprint.store import Screen, create

ODD_PLATES = ["000123", "plate é/1", "a=b", "1053597806", "100%", "CON", "..", "a b,c;d", "x'y\"z", "[1]*?"]


def make_cells(
    plate: str, well: str, *, n: int = 5, site: str = "1", features: int = 3, offset: float = 0.0
) -> pl.DataFrame:
    """Cells of a well: feature k of cell i is offset + i + k / 10."""
    numbers = np.arange(1, n + 1)
    return pl.DataFrame(
        {
            "Metadata_Plate": [plate] * n,
            "Metadata_Well": [well] * n,
            "Metadata_Site": [site] * n,
            "Metadata_ObjectNumber": numbers.astype(np.int32),
            **{f"Cells_F{k}": (offset + numbers + k / 10).astype(np.float32) for k in range(features)},
        },
        schema_overrides=dict.fromkeys(("Metadata_Plate", "Metadata_Well", "Metadata_Site"), pl.String),
    )


def make_wells(plate: str, wells: list[str], **columns: list[object]) -> pl.DataFrame:
    """Rows of table well."""
    n = len(wells)
    return pl.DataFrame(
        {"Metadata_Plate": [plate] * n, "Metadata_Well": wells, "has_images": [True] * n, "is_annotated": [True] * n}
        | columns
    )


@pytest.fixture
def screen(tmp_path: Path) -> Screen:
    """An empty screen."""
    return create(tmp_path / "my screen")


@pytest.fixture
def filled(screen: Screen) -> Screen:
    """A screen of one plate with four wells, two of which have cells."""
    return fill(screen)


def fill(screen: Screen) -> Screen:
    """Write a plate of four wells, two of which have cells."""
    screen.write("plate", pl.DataFrame({"Metadata_Plate": ["000123"], "plate_format": [96]}))
    wells = make_wells(
        "000123",
        ["A01", "A02", "B01", "B02"],
        Metadata_pert_type=["negcon", "trt", "trt", None],
        Metadata_compound=["DMSO", "Wortmannin", "Größe µ", None],
        has_images=[True, True, False, True],
        is_annotated=[True, True, True, False],
    )
    screen.write("well", wells)
    sites = pl.DataFrame(
        {
            "Metadata_Plate": ["000123"] * 3,
            "Metadata_Well": ["A01", "A02", "B02"],
            "Metadata_Site": ["1"] * 3,
            "status": ["ok", "ok", "failed"],
            "reason": [None, None, "truncated file"],
        }
    )
    screen.write("site", sites)
    screen.write("cell", pl.concat([make_cells("000123", "A01", n=4), make_cells("000123", "A02", n=6)]))
    return screen
