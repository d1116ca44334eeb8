"""Check a finished screen: hash its outputs and inputs, check its receipts, and measure a sample of its wells again."""

from __future__ import annotations

import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from phenoprint.errors import ConfigError, PhenoprintError
from phenoprint.pipeline.config import ScreenConfig, parse_config
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.engine import Engine
from phenoprint.pipeline.executors import SerialExecutor
from phenoprint.pipeline.imported import GIVEN
from phenoprint.pipeline.ingest import Ingested, image_root, ingest
from phenoprint.pipeline.plan import look_ahead
from phenoprint.pipeline.prepare import read_base
from phenoprint.pipeline.steps.base import Unit
from phenoprint.pipeline.steps.measurement import Measure
from phenoprint.pipeline.steps.segmentation import Segment
from phenoprint.store import (
    TABLE,
    Screen,
    Scrutiny,
    check_outputs,
    create,
    damaged_tables,
    load_receipts,
    read_run,
    receipt_steps,
    table_files,
    tables_on_disk,
)
from phenoprint.tables import WELL_KEY

__all__ = ["Verification", "check_files", "verify_screen"]

_TOLERANCE = 1e-5
_DIFFERING = {"Metadata_Plate": pl.String, "Metadata_Well": pl.String, "difference": pl.String}
_FILES = {"path": pl.String, "reason": pl.String}


@dataclass(frozen=True)
class Verification:
    """The result of a verification: ``holds`` if nothing is wrong, ``is_whole`` if in addition nothing failed.

    Attributes
    ----------
    incomplete
        Why tables may be inconsistent (`phenoprint.store.incomplete`); None if they are consistent.
    files_checked, outputs_checked, wells_replayed
        How many image files and outputs were hashed and how many wells were measured again.
    unchecked
        Why the images could not be checked, such as a missing folder; None if they were, or there are none.
    changed
        Images that differ from those of the run: ``path`` and ``reason``.
    damaged
        Outputs that differ from what was written: ``path`` and ``reason``.
    stale
        Units whose results are out of date with the configuration of the run or with their inputs: ``step``,
        ``Metadata_Plate``, ``unit``, ``state`` and ``reason``.
    failed
        Units without results because they or a step that they need failed: ``step``, ``Metadata_Plate``,
        ``unit`` and ``reason``.
    differing
        Wells whose cells differ when measured again: plate, well and the difference.
    notes
        What has changed since the run, such as ``screen.toml``, and what could not be checked.
    """

    incomplete: str | None
    unchecked: str | None
    files_checked: int
    changed: pl.DataFrame
    outputs_checked: int
    damaged: pl.DataFrame
    stale: pl.DataFrame
    failed: pl.DataFrame
    wells_replayed: int
    differing: pl.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the run ended, and every input, output and repeated measurement is as recorded."""
        found = (self.changed, self.damaged, self.stale, self.differing)
        return self.incomplete is None and self.unchecked is None and all(frame.is_empty() for frame in found)

    @property
    def is_whole(self) -> bool:
        """Whether it holds, and no unit failed."""
        return self.holds and self.failed.is_empty()


def _of_files(images: pl.DataFrame) -> pl.DataFrame:
    """Reduce an image table to one row per file, with its hash."""
    return images.group_by("path").agg(pl.col("hash").drop_nulls().first(), pl.lit(True).alias("is_known"))


def _changed_files(recorded: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """Compare the files of the run with the present ones, both as returned by `_of_files`."""
    both = recorded.join(found, on="path", how="full", suffix="_now", coalesce=True, validate="1:1")
    reason = (
        pl.when(pl.col("is_known").is_null())
        .then(pl.lit("not part of the run"))
        .when(pl.col("is_known_now").is_null() | (pl.col("hash_now").is_null() & pl.col("hash").is_not_null()))
        .then(pl.lit("missing or unreadable now"))
        .when(pl.col("hash").is_null() & pl.col("hash_now").is_not_null())
        .then(pl.lit("could not be read by the run, and can be now"))
        .when(pl.col("hash") != pl.col("hash_now"))
        .then(pl.lit("content differs from the run"))
    )
    return both.select("path", reason.alias("reason")).drop_nulls("reason").sort("path")


def _replay(context: Context, wells: list[Unit], folder: Path) -> dict[Unit, pl.DataFrame]:
    """Compute the cells of some wells again, from images and the plate's illumination, in a scratch folder."""
    scratch = create(folder)
    here = pl.struct(WELL_KEY).is_in([{"Metadata_Plate": unit.plate, "Metadata_Well": unit.well} for unit in wells])
    for name in ("image", "well"):
        scratch.write(name, context.table(name).filter(here).collect())
    # The illumination functions and the size of nuclei need the whole plate: they are taken as recorded.
    given = GIVEN | {"illumination", "nucleus_size"}
    again = Context(folder, context.config, context.image_root, context.channels, context.stamp + 1, given)
    if (context.path / "illumination").is_dir():
        shutil.copytree(context.path / "illumination", folder / "illumination", dirs_exist_ok=True)
    for unit in {Unit(unit.plate) for unit in wells}:
        recorded = context.table("nucleus_size").filter(pl.col("Metadata_Plate") == unit.plate).collect()
        scratch.write("nucleus_size", recorded, plate=unit.plate)
    with SerialExecutor() as executor:
        Engine(again, executor).run([Segment(), Measure()])
    cells = again.table("cell").collect()
    return {unit: _of_well(cells, unit) for unit in wells}


def _of_well(cells: pl.DataFrame, unit: Unit) -> pl.DataFrame:
    rows = cells.filter((pl.col("Metadata_Plate") == unit.plate) & (pl.col("Metadata_Well") == unit.well))
    return rows.sort("Metadata_Site", "Metadata_ObjectNumber")


def verify_screen(screen: Screen, *, sample: float = 0.01, seed: int = 0) -> Verification:
    """Hash the outputs and inputs of a screen, check its receipts, and measure a share of its wells again.

    The screen is judged by the configuration of its last run, not by the present ``screen.toml``. If its images
    cannot be read, such as without their disk, only the outputs are checked.

    Parameters
    ----------
    screen
        A screen that was run. With imported tables there are no images to hash and no wells to measure.
    sample
        Share of the wells to measure again, from pixels to features; at least one well.
    seed
        Seed of the choice.

    Returns
    -------
    Verification
        What was found. Features that were measured again are compared with a relative tolerance of 1e-5.

    Raises
    ------
    ConfigError
        If the screen was never run, or the configuration of its run cannot be used now, as without a package that it
        names.
    """
    record = read_run(screen.path)
    outlook = look_ahead(screen, record, scrutiny=Scrutiny.SIZE)
    n_outputs, wrong = check_files(screen)
    damaged = pl.DataFrame(list(wrong.items()), schema=_FILES, orient="row")
    notes = [f"changed since the run: {what}" for what in outlook.changed]
    config = outlook.ran
    if config is None and record is not None:  # raises: look_ahead could not parse it either
        config = parse_config(record.configuration, source="the configuration of the last run")
    if config is None or (record is None and screen.incomplete is None):
        raise ConfigError(f"{screen.path} was never run: 'phenoprint run {screen.path}' does")
    unchecked = None
    changed, n_images = pl.DataFrame(schema=_FILES), 0
    differing, n_replayed = pl.DataFrame(schema=_DIFFERING), 0
    # Damaged tables are no reference.
    if config.images is not None and damaged.is_empty():
        try:
            root, now = _look_again(screen, config)
        except PhenoprintError as error:
            unchecked = f"images could not be checked, and no well was replayed: {error}"
        else:
            recorded = _of_files(screen.table("image").collect())
            changed, n_images = _changed_files(recorded, _of_files(now.tables["image"])), recorded.height
            context = Context(screen.path, config, root, now.channels)
            differing, n_replayed = _compare_replay(screen, context, sample=sample, seed=seed)
    elif config.images is not None:
        notes.append("images were not hashed and no well was replayed, because files of the screen are damaged")
    return Verification(
        incomplete=screen.incomplete,
        unchecked=unchecked,
        files_checked=n_images,
        changed=changed,
        outputs_checked=n_outputs,
        damaged=damaged,
        stale=outlook.wrong,
        failed=outlook.failed,
        wells_replayed=n_replayed,
        differing=differing,
        notes=tuple(notes),
    )


def _look_again(screen: Screen, config: ScreenConfig) -> tuple[Path, Ingested]:
    """Find the images and hash them all.

    Raises
    ------
    PhenoprintError
        If the folder, a plate map, or the record of the configuration is missing.
    """
    base = read_base(screen.path)
    return image_root(config, base), ingest(config, base)


def check_files(screen: Screen) -> tuple[int, dict[str, str]]:
    """Hash every file with a receipt; list those that differ from it, and the files of tables without a receipt.

    Parameters
    ----------
    screen
        The screen.

    Returns
    -------
    tuple
        How many files were hashed, and what is wrong with files by path relative to the screen.
    """
    wrong: dict[str, str] = {}
    recorded: set[str] = set()
    for step in (*receipt_steps(screen.path), TABLE):
        for receipt in load_receipts(screen.path, step).values():
            recorded |= set(receipt.outputs)
            wrong |= check_outputs(screen.path, receipt.outputs, Scrutiny.HASH).wrong
    for table in tables_on_disk(screen.path):
        for file in table_files(screen.path, table):
            name = file.relative_to(screen.path).as_posix()
            if name not in recorded:
                wrong[name] = "was written by no run: it has no receipt"
    for path, reason in damaged_tables(screen.path).select("path", "reason").iter_rows():
        wrong.setdefault(path, reason)
    return len(recorded), dict(sorted(wrong.items()))


def _compare_replay(screen: Screen, context: Context, *, sample: float, seed: int) -> tuple[pl.DataFrame, int]:
    """Measure a sample of the wells again; return those that differ, and how many were measured."""
    receipts = load_receipts(screen.path, Measure.name)
    units = sorted(Unit(plate or "", well) for (plate, well), r in receipts.items() if r.status == "done")
    chosen = sorted(random.Random(seed).sample(units, min(len(units), max(1, round(sample * len(units))))))  # noqa: S311
    differing = []
    if chosen:
        here = pl.struct(WELL_KEY).is_in(
            [{"Metadata_Plate": unit.plate, "Metadata_Well": unit.well} for unit in chosen]
        )
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
    return pl.DataFrame(differing, schema=_DIFFERING, orient="row"), len(chosen)
