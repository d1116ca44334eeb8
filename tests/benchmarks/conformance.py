"""Agreement of feature values with those of CellProfiler 4.2.8 for the same masks.

Run by hand::

    python tests/benchmarks/conformance.py [REFERENCE] [--worst 5]

REFERENCE is the folder with one folder per field (images, masks, ``Nuclei.parquet``, ...); by default
``../shared/reference/cellprofiler`` beside the project. Objects and whole images are compared. A value agrees where the
relative difference is at most 1e-3 or the absolute one at most 1e-6; missing values agree only with missing values.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import process_time

import numpy as np
import polars as pl
import tifffile

from phenoprint.features import measure, measure_field, warm_up

RELATIVE = 1e-3
ABSOLUTE = 1e-6
FIELDS = {"simulated_5ch": ("DNA", "ER", "RNA", "AGP", "Mito"), "nf1_D6_3ch": ("DNA", "ER", "AGP")}
COMPARTMENTS = ("Nuclei", "Cells", "Cytoplasm", "Image")
# CPU seconds on one core for the simulated field, 191 cells, from the README of the reference.
CELLPROFILER_SECONDS = 67.0


def read_field(folder: Path, channels: tuple[str, ...]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Read channels (C, Y, X) and labels of one field of the reference."""
    pixels = np.stack([tifffile.imread(folder / f"{channel}.tif") for channel in channels])
    labels = {name: tifffile.imread(folder / f"{name.lower()}.tif").astype(np.int32) for name in ("Nuclei", "Cells")}
    return pixels, labels


def compare(ours: pl.DataFrame, reference: pl.DataFrame, compartment: str) -> pl.DataFrame:
    """Return one row per feature: fraction of agreeing values, Pearson r, largest relative difference."""
    names = [column for column in reference.columns if column not in {"ImageNumber", "ObjectNumber"}]
    if "ObjectNumber" in reference.columns:
        reference = reference.sort("ObjectNumber")
    theirs = reference.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()
    present = np.array([f"{compartment}_{name}" in ours.columns for name in names])
    values = np.full_like(theirs, np.nan)
    known = [f"{compartment}_{name}" for name, here in zip(names, present, strict=True) if here]
    values[:, present] = ours.select(pl.col(known).cast(pl.Float64).fill_null(np.nan)).to_numpy()
    both = np.isfinite(values) & np.isfinite(theirs)
    missing = ~np.isfinite(values) & ~np.isfinite(theirs)
    gap = np.where(both, np.abs(values - theirs), 0.0)
    size = np.where(both, np.abs(theirs), 0.0)
    agree = missing & present | (both & ((gap <= ABSOLUTE) | (gap <= RELATIVE * size)))
    worst = np.where(gap > ABSOLUTE, gap / np.maximum(size, ABSOLUTE), 0.0).max(axis=0)
    return pl.DataFrame(
        {
            "feature": [f"{compartment}_{name}" for name in names],
            "family": [name.partition("_")[0] for name in names],
            "present": present,
            "share": agree.mean(axis=0),
            "r": pl.Series(_correlations(values, theirs, both), nan_to_null=True),
            "worst_relative": worst,
        }
    )


def _correlations(a: np.ndarray, b: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Return Pearson r of each column over the cells with both values; NaN for nearly constant columns."""
    count = np.maximum(both.sum(axis=0), 1)
    a, b = (np.where(both, x, 0.0) for x in (a, b))
    a, b = (np.where(both, x - x.sum(axis=0) / count, 0.0) for x in (a, b))
    spread_a, spread_b = (np.sqrt((x * x).sum(axis=0) / count) for x in (a, b))
    varies = (np.minimum(spread_a, spread_b) > ABSOLUTE) & (count > 2)
    scale = np.where(varies, spread_a * spread_b * count, np.nan)
    return (a * b).sum(axis=0) / scale


def conformance(root: Path) -> pl.DataFrame:
    """Compare every feature of every field and compartment of the reference."""
    parts = []
    for field, channels in FIELDS.items():
        pixels, labels = read_field(root / field, channels)
        objects, image = measure_field(pixels, labels, channels=list(channels))
        objects = objects.sort("Metadata_ObjectNumber")
        for compartment in COMPARTMENTS:
            reference = pl.read_parquet(root / field / f"{compartment}.parquet")
            part = compare(image if compartment == "Image" else objects, reference, compartment)
            parts.append(part.select(pl.lit(field).alias("field"), pl.lit(compartment).alias("compartment"), pl.all()))
    return pl.concat(parts)


def summary(table: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Summarize by family: features that agree for every cell, values that agree, smallest r."""
    return (
        table.sort("share", "worst_relative", descending=[False, True], nulls_last=True)
        .group_by(by, maintain_order=True)
        .agg(
            pl.len().alias("features"),
            (~pl.col("present")).sum().alias("missing"),
            (pl.col("share") == 1).mean().alias("features_equal"),
            pl.col("share").mean().alias("values_equal"),
            pl.col("r").min().alias("min_r"),
            pl.col("worst_relative").max().alias("largest_relative"),
            pl.col("feature").first().alias("worst_feature"),
        )
        .sort(by)
    )


def main() -> None:
    """Print the report."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "reference" / "cellprofiler"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", nargs="?", type=Path, default=beside)
    parser.add_argument("--worst", type=int, default=5, help="number of worst features to list")
    options = parser.parse_args()
    if not options.reference.is_dir():
        parser.error(f"no folder {options.reference}: give the folder that holds {', '.join(FIELDS)}")
    print(f"kernels ready in {warm_up(5):.1f} s")
    table = conformance(options.reference)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, fmt_str_lengths=60, tbl_width_chars=200, tbl_hide_dataframe_shape=True):
        print(summary(table, ["field", "family"]))
        objects = pl.col("compartment") != "Image"
        for title, part in (("objects", table.filter(objects)), ("whole images", table.filter(~objects))):
            print(f"{title}: {part.height} features")
            print(summary(part, ["family"]))
        print(table.sort("share", "worst_relative", descending=[False, True], nulls_last=True).head(options.worst))
    for field, channels in FIELDS.items():
        pixels, labels = read_field(options.reference / field, channels)
        start = process_time()
        frame = measure(pixels, labels, channels=list(channels))
        seconds = process_time() - start
        peer = f"; CellProfiler {CELLPROFILER_SECONDS:.0f} s" if field == "simulated_5ch" else ""
        print(f"{field}: {frame.height} cells, {frame.width - 1} features, {seconds:.2f} s of CPU{peer}")


if __name__ == "__main__":
    main()
