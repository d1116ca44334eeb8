"""Check a finished screen: hash its inputs again and replay a sample of its wells."""

from __future__ import annotations

import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from phenoprint.pipeline.config import load_config
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.engine import Engine
from phenoprint.pipeline.executors import SerialExecutor
from phenoprint.pipeline.ingest import image_root, ingest
from phenoprint.pipeline.runner import read_base
from phenoprint.pipeline.steps.base import Unit
from phenoprint.pipeline.steps.pixels import Measure, Segment
from phenoprint.store import Screen, create

__all__ = ["Verification", "verify_screen"]

_TOLERANCE = 1e-5
WELL = ["Metadata_Plate", "Metadata_Well"]


@dataclass(frozen=True)
class Verification:
    """What a verification found; ``holds`` if nothing differs.

    Attributes
    ----------
    files_checked, wells_replayed
        How much was checked.
    changed
        Images that are not those of the run: path and reason.
    differing
        Wells whose replay gave other cells: plate, well and what differs.
    """

    files_checked: int
    changed: pl.DataFrame
    wells_replayed: int
    differing: pl.DataFrame

    @property
    def holds(self) -> bool:
        """Whether every input and every replayed number is as recorded."""
        return self.changed.is_empty() and self.differing.is_empty()


def _changed_files(recorded: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """Compare the image table of the run with the files as they are now."""
    both = recorded.select("path", "hash").join(
        found.select("path", "hash"), on="path", how="full", suffix="_now", coalesce=True
    )
    reason = (
        pl.when(pl.col("hash_now").is_null() & pl.col("hash").is_not_null())
        .then(pl.lit("missing or unreadable now"))
        .when(pl.col("hash").is_null() & pl.col("hash_now").is_not_null())
        .then(pl.lit("not part of the run"))
        .when(pl.col("hash") != pl.col("hash_now"))
        .then(pl.lit("content differs from the run"))
    )
    return both.select("path", reason.alias("reason")).drop_nulls("reason").unique().sort("path")


def _replay(context: Context, wells: list[Unit], folder: Path) -> dict[Unit, pl.DataFrame]:
    """Compute the cells of some wells again, from images and the plate's illumination, in a scratch folder."""
    scratch = create(folder)
    here = pl.struct(WELL).is_in([{"Metadata_Plate": unit.plate, "Metadata_Well": unit.well} for unit in wells])
    for name in ("image", "well"):
        scratch.write(name, context.table(name).filter(here).collect())
    again = Context(folder, context.config, context.image_root, context.channels, context.stamp + 1)
    # The illumination functions and the calibration need the whole plate: they are taken as recorded.
    if (context.path / "illumination").is_dir():
        shutil.copytree(context.path / "illumination", folder / "illumination", dirs_exist_ok=True)
    for unit in {Unit(unit.plate) for unit in wells}:
        recorded = context.table("calibration").filter(pl.col("Metadata_Plate") == unit.plate).collect()
        scratch.write("calibration", recorded, plate=unit.plate)
    with SerialExecutor() as executor:
        Engine(again, executor).run([Segment(), Measure()])
    cells = again.table("cell").collect()
    return {unit: _of_well(cells, unit) for unit in wells}


def _of_well(cells: pl.DataFrame, unit: Unit) -> pl.DataFrame:
    rows = cells.filter((pl.col("Metadata_Plate") == unit.plate) & (pl.col("Metadata_Well") == unit.well))
    return rows.sort("Metadata_Site", "Metadata_ObjectNumber")


def verify_screen(screen: Screen, *, sample: float = 0.01, seed: int = 0) -> Verification:
    """Hash every input image again and replay a share of the wells, from pixels to single-cell features.

    Parameters
    ----------
    screen
        A finished screen.
    sample
        Share of the wells to replay, at least one.
    seed
        Seed of the choice.

    Raises
    ------
    ConfigError
        Where the screen holds imported tables and no images.

    Returns
    -------
    Verification
        What differs. Features are compared to a relative 1e-5.
    """
    config = load_config(screen.path / "screen.toml")
    base = read_base(screen.path)
    recorded = screen.table("image").collect()
    now = ingest(config, base)
    changed = _changed_files(recorded, now.tables["image"])
    context = Context(screen.path, config, image_root(config, base), now.channels)
    measured = screen.table("cell").select(WELL).unique().sort(WELL).collect()
    units = [Unit(plate, well) for plate, well in measured.iter_rows()]
    chosen = sorted(random.Random(seed).sample(units, min(len(units), max(1, round(sample * len(units))))))  # noqa: S311
    differing = []
    if chosen:
        here = pl.struct(WELL).is_in([{"Metadata_Plate": unit.plate, "Metadata_Well": unit.well} for unit in chosen])
        cells = screen.table("cell").filter(here).collect()
        with tempfile.TemporaryDirectory(prefix="phenoprint-verify-") as folder:
            replayed = _replay(context, chosen, Path(folder) / "screen")
        for unit, again in replayed.items():
            try:
                assert_frame_equal(
                    _of_well(cells, unit), again, check_column_order=False, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE
                )
            except AssertionError as error:
                differing.append((unit.plate, unit.well, str(error).splitlines()[0]))
    schema = {"Metadata_Plate": pl.String, "Metadata_Well": pl.String, "difference": pl.String}
    return Verification(recorded.height, changed, len(chosen), pl.DataFrame(differing, schema=schema, orient="row"))
