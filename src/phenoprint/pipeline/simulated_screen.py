"""Write a simulated screen to disk: TIFF files, plate map and configuration, and the truth in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from phenoprint.images import write_tiff
from phenoprint.pipeline.executors import make_executor
from phenoprint.simulation import (
    CHANNELS,
    ScreenDesign,
    compound_truth,
    demo_design,
    draw_field,
    field_truth,
    layout,
    well_truth,
)
from phenoprint.store import write_bytes, write_parquet
from phenoprint.tables import WELL_KEY

__all__ = ["SimulatedScreen", "simulate_screen"]

_CONFIG = """\
# A simulated screen: {plates} plate(s) of {wells} wells; the truth is in truth/.

[screen]
name = "{name}"

[images]
root = {root}
reader = "pattern"
pattern = "generic"
pixel_size_um = {pixel_size}

[plate_map]
files = ["platemap.csv"]
format = {wells}

[mechanisms]
coverage = 0.8  # with so few compounds, sets of 0.9 can exclude no mechanism
"""


@dataclass(frozen=True)
class SimulatedScreen:
    """Paths of a simulated screen.

    Attributes
    ----------
    folder
        The folder of the screen.
    config
        A configuration to run.
    images
        Folder of ``<plate>/<well>_s<site>_<channel>.tif``.
    plate_map
        The plate map, a CSV file.
    truth
        Folder of the truth: ``wells``, ``compounds``, ``fields``, ``cells`` (Parquet), and masks on request.
    """

    folder: Path
    config: Path
    images: Path
    plate_map: Path
    truth: Path


def _draw_well(
    design: ScreenDesign, plate: str, well: str, images: Path, masks: Path | None
) -> list[dict[str, object]] | pl.DataFrame:
    """Draw and write the fields of a well; return the truth of its cells."""
    cells = []
    for folder in (images, masks):
        if folder is not None:
            (folder / plate).mkdir(parents=True, exist_ok=True)
    for site in design.sites:
        field = draw_field(design, plate, well, site)
        for channel, pixels in zip(CHANNELS, field.pixels, strict=True):
            write_tiff(images / plate / f"{well}_s{site}_{channel}.tif", pixels, compression=None)
        if masks is not None:
            write_tiff(masks / plate / f"{well}_s{site}.tif", np.stack([field.nuclei, field.cells]).astype(np.uint16))
        keys = {"Metadata_Plate": plate, "Metadata_Well": well, "Metadata_Site": site}
        missing = [pl.lit(value).alias(name) for name, value in keys.items() if name not in field.cells_truth.columns]
        cells.append(field.cells_truth.select(*missing, pl.all()))
    return pl.concat(cells)


def simulate_screen(
    folder: Path,
    *,
    design: ScreenDesign | None = None,
    workers: int | None = None,
    masks: bool = False,
    on_well: Callable[[int, int], None] | None = None,
) -> SimulatedScreen:
    """Draw a screen and write it as TIFF files with a plate map, like a real screen.

    Parameters
    ----------
    folder
        Where to write; created if absent.
    design
        Design of the screen; default: one 384-well plate, as in the demo.
    workers
        Number of processes; the pixels do not depend on it.
    masks
        Whether to write the true masks as well.
    on_well
        Called with the number of finished and of all wells.

    Returns
    -------
    SimulatedScreen
        The paths.
    """
    design = design or demo_design()
    folder.mkdir(parents=True, exist_ok=True)
    screen = SimulatedScreen(
        folder, folder / "simulated.toml", folder / "images", folder / "platemap.csv", folder / "truth"
    )
    wells = layout(design)
    _write_plate_map(wells, screen.plate_map)
    batches = wells.select("Metadata_Plate", "Metadata_Batch").unique().sort("Metadata_Plate")
    config = _CONFIG.format(
        plates=len(design.plates),
        wells=design.plate_format,
        name=folder.name,
        root='"images"',
        pixel_size=design.pixel_size_um,
    )
    config += "".join(
        ["\n[plate_map.batches]\n", *(f'"{plate}" = "{batch}"\n' for plate, batch in batches.iter_rows())]
    )
    write_bytes(screen.config, config.encode())
    write_parquet(well_truth(design), screen.truth / "wells.parquet")
    write_parquet(compound_truth(design), screen.truth / "compounds.parquet")
    write_parquet(field_truth(design), screen.truth / "fields.parquet")
    mask_folder = screen.truth / "masks" if masks else None
    jobs = wells.select(WELL_KEY).rows()
    truths = []
    with make_executor(workers) as executor:
        futures = [executor.submit(_draw_well, design, plate, well, screen.images, mask_folder) for plate, well in jobs]
        for done, future in enumerate(futures, start=1):
            truths.append(future.result())
            if on_well is not None:
                on_well(done, len(jobs))
    write_parquet(pl.concat(truths, how="diagonal_relaxed"), screen.truth / "cells.parquet")
    return screen


def _write_plate_map(wells: pl.DataFrame, path: Path) -> None:
    """Write the plate map with common column names."""
    names = {
        "Metadata_Plate": "plate",
        "Metadata_Well": "well",
        "Metadata_pert_type": "pert_type",
        "Metadata_compound": "compound",
        "Metadata_Concentration": "concentration",
        "Metadata_Concentration_Unit": "unit",
        "Metadata_moa": "moa",
    }
    write_bytes(path, wells.select(pl.col(old).alias(new) for old, new in names.items()).write_csv().encode())
