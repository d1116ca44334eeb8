"""Seconds per field and peak memory of the stages of the pipeline, and the next bottleneck.

Run by hand; nothing is asserted::

    python tests/benchmarks/stages.py [--preset cell-painting-full] [--repeats 5] [--field FOLDER]

A field passes through the functions that the steps of the pipeline call, in their order: its files are inspected
(hashed), read, corrected for illumination, checked for quality, segmented, measured, and written as a well's part of
the cell table. The field is ``simulated_5ch`` of ``../shared/reference/cellprofiler`` or any FOLDER with one TIFF per
channel, named after it. It is first written to a temporary folder, uncompressed as by microscopes, so the files are
read from the system's cache; with a slow disk or network, wall time exceeds CPU time. Compilation is not included.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tifffile

from phenoprint.features import measure, object_table, warm_up
from phenoprint.images import (
    READERS,
    Illumination,
    estimate_illumination,
    image_quality,
    inspect_files,
    read_field,
    write_tiff,
)
from phenoprint.pipeline.screen_files import write_masks, write_thumbnail
from phenoprint.pixels import to_unit
from phenoprint.segmentation import segment
from phenoprint.store import compact, write_part

PLATE, WELL, SITE = "BENCH", "A01", "1"


class Stages:
    """Runs stages and stores CPU and wall seconds, the last result, and memory after each."""

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats
        self.rows: list[tuple[str, float, float, float]] = []

    def run(self, name: str, call: Callable[[], Any]) -> Any:
        """Run a stage several times, after one run that is not counted, and return its result."""
        result = call()
        cpu, wall = [], []
        for _ in range(self.repeats):
            start, begun = time.process_time(), time.perf_counter()
            result = call()
            cpu.append(time.process_time() - start)
            wall.append(time.perf_counter() - begun)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.rows.append((name, statistics.median(cpu), statistics.median(wall), peak))
        return result

    def print(self) -> None:
        """Print the table and the bottleneck."""
        total = sum(cpu for _, cpu, _, _ in self.rows)
        print("  stage        CPU s   wall s   share   peak MB so far")
        for name, cpu, wall, peak in self.rows:
            print(f"  {name:12s} {cpu:5.3f}  {wall:7.3f}  {100 * cpu / total:5.0f} %  {peak:8.0f}")
        wall = sum(wall for _, _, wall, _ in self.rows)
        print(f"  {'all':12s} {total:5.3f}  {wall:7.3f}          {self.rows[-1][3]:8.0f}")
        first, second = sorted(self.rows, key=lambda row: -row[1])[:2]
        print(
            f"next bottleneck: {first[0]} ({100 * first[1] / total:.0f} % of the CPU), then {second[0]}. A plate "
            f"of 384 wells with 9 such fields takes {384 * 9 * total / 3600:.1f} CPU hours"
        )


def lay_out(folder: Path, root: Path) -> tuple[list[str], tuple[int, ...]]:
    """Write the channels like a microscope; return their names and the shape of the field."""
    files = sorted(path for path in folder.glob("*.tif") if path.stem not in {"nuclei", "cells"})
    (root / PLATE).mkdir(parents=True)
    shape: tuple[int, ...] = ()
    for path in files:
        pixels = tifffile.imread(path)
        shape = pixels.shape
        write_tiff(root / PLATE / f"{WELL}_s{SITE}_{path.stem}.tif", pixels, compression=None)
    return [path.stem for path in files], shape


def profile(folder: Path, scratch: Path, preset: str, repeats: int) -> None:
    """Take one field through all stages."""
    root, screen = scratch / "images", scratch / "screen"
    channels, shape = lay_out(folder, root)
    ready = warm_up(len(channels), preset=preset)
    stages = Stages(repeats)
    index = READERS.make("pattern", pattern="generic").index(root)
    table = stages.run("inspect", lambda: inspect_files(index, root, workers=1))
    raw = stages.run("read", lambda: read_field(table, root, channels=channels))
    functions = illuminate(raw)
    stages.run("quality", lambda: image_quality(raw, channels=channels))
    unit = stages.run("correct", lambda: correct(raw, functions))
    labels = stages.run("segment", lambda: segment(unit, channels=channels, nucleus_diameter_px=25.0))
    objects = stages.run("objects", lambda: object_table(labels))
    stages.run("masks", lambda: write_masks(screen / "masks" / "A01_1.tif", labels))
    cells = stages.run("measure", lambda: measure(unit, labels, channels=channels, preset=preset))
    keyed = cells.with_columns(Metadata_Site=pl.lit(SITE))
    stages.run("write", lambda: write_part(screen, "cell", keyed, plate=PLATE, well=WELL))
    stages.run("thumbnail", lambda: write_thumbnail(screen / "A01.jpg", unit, channels=channels))
    print(
        f"{len(channels)} channels of {shape[1]} x {shape[0]} pixels, {objects.height} cells, {cells.width - 1} "
        f"features ({preset}); kernels ready in {ready:.1f} s"
    )
    stages.print()
    size = sum(path.stat().st_size for path in screen.rglob("*.parquet"))
    start = time.process_time()
    compact(screen, "cell", PLATE)
    print(
        f"once per plate: compaction {time.process_time() - start:.3f} s for this part of {size / 1e6:.1f} MB; "
        f"illumination {illumination_seconds(unit):.3f} s per field and channel"
    )


def illuminate(raw: np.ndarray) -> list[Illumination]:
    """Estimate one function per channel from the field and its mirror images."""
    return [estimate_illumination(mirrored(plane), min_fields=2) for plane in to_unit(raw)]


def mirrored(plane: np.ndarray) -> list[np.ndarray]:
    return [plane, plane[::-1], plane[:, ::-1], plane[::-1, ::-1], plane]


def illumination_seconds(unit: np.ndarray) -> float:
    """Return the CPU seconds of the estimate per field of one channel."""
    start = time.process_time()
    estimate_illumination(mirrored(unit[0]), min_fields=2)
    return (time.process_time() - start) / 5


def correct(raw: np.ndarray, functions: list[Illumination]) -> np.ndarray:
    """Correct as in the pipeline: scale to [0, 1] and divide by the function of each channel."""
    unit = to_unit(raw)
    for c, function in enumerate(functions):
        unit[c] = function.apply(unit[c])
    return unit


def main() -> None:
    """Print the profile."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "reference" / "cellprofiler" / "simulated_5ch"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--field", type=Path, default=beside)
    parser.add_argument("--preset", default="cell-painting-full")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if not options.field.is_dir():
        parser.error(f"no folder {options.field}")
    if hasattr(os, "getloadavg"):
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    scratch = Path(tempfile.mkdtemp())
    try:
        profile(options.field, scratch, options.preset, options.repeats)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
