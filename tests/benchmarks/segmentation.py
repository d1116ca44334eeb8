"""CPU seconds and accuracy of the classical segmenter; run by hand.

python tests/benchmarks/segmentation.py [--data ../shared/data] [--reference ../shared/reference] [--every 1]
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from phenoprint.segmentation import estimate_nucleus_diameter, segment

Array = np.ndarray[Any, Any]


def cpu_seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Return the smallest CPU time of some calls, after one that may compile."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return min(taken)


def matches(found: Array, truth: Array, least_iou: float) -> tuple[int, int, int]:
    """Count true positives, false positives and false negatives."""
    truth = np.unique(truth, return_inverse=True)[1].reshape(truth.shape)
    n_found, n_true = int(found.max()), int(truth.max())
    pairs = np.bincount((found.astype(np.int64) * (n_true + 1) + truth).ravel(), minlength=(n_found + 1) * (n_true + 1))
    pairs = pairs.reshape(n_found + 1, n_true + 1)
    union = pairs.sum(1)[1:, None] + pairs.sum(0)[None, 1:] - pairs[1:, 1:]
    hits = int(((pairs[1:, 1:] / np.maximum(union, 1)) > least_iou).sum()) if n_found and n_true else 0
    return hits, n_found - hits, n_true - hits


def speed(reference: Path) -> None:
    channels = ["DNA", "ER", "RNA", "AGP", "Mito"]
    root = reference / "cellprofiler" / "simulated_5ch"
    pixels = np.stack([tifffile.imread(root / f"{name}.tif") for name in channels])
    print(f"CPU seconds of one field, 5 x {pixels.shape[1]} x {pixels.shape[2]} uint16, 230 cells")
    cases: dict[str, dict[str, object]] = {
        "propagation on AGP, diameter given": {"nucleus_diameter_px": 25.0},
        "watershed on AGP": {"nucleus_diameter_px": 25.0, "cell_method": "watershed"},
        "propagation on AGP + RNA + ER": {"nucleus_diameter_px": 25.0, "cell_channels": ("AGP", "RNA", "ER")},
        "diameter estimated from the field": {},
    }
    for name, params in cases.items():
        print(f"  {cpu_seconds(lambda p=params: segment(pixels, channels=channels, **p)):6.3f}  {name}")
    print("  by density (the left part of the field tiled to the same size)")
    for share in (1, 2, 4):
        small = pixels[:, ::share, ::share]
        tiled = np.tile(small, (1, share, share))[:, :1080, :1080]
        seconds = cpu_seconds(lambda t=tiled, s=share: segment(t, channels=channels, nucleus_diameter_px=25.0 / s))
        cells = segment(tiled, channels=channels, nucleus_diameter_px=25.0 / share)["Cells"].max()
        print(f"  {seconds:6.3f}  {cells} cells")
    print(f"  peak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def accuracy(data: Path, every: int) -> None:
    from skimage.io import imread

    print("Data Science Bowl 2018, diameter estimated from each image")
    print("  size          images  F1@0.5  F1@0.7  AP@0.5  pooled F1@0.5  CPU s/image")
    rows: dict[str, list[tuple[tuple[int, int, int], tuple[int, int, int], float]]] = {}
    for path in sorted((data / "dsb2018_train" / "images").glob("*.png"))[::every]:
        image, truth = imread(path), imread(data / "dsb2018_train" / "labels" / path.name)
        start = time.process_time()
        found = segment(image[None], channels=["DNA"])["Nuclei"]
        seconds = time.process_time() - start
        size = f"{image.shape[0]}x{image.shape[1]}"
        size = size if size in {"256x256", "360x360", "520x696"} else "other"
        rows.setdefault(size, []).append((matches(found, truth, 0.5), matches(found, truth, 0.7), seconds))
    for size, results in sorted(rows.items()):
        half, seven, seconds = (np.array(part, float) for part in zip(*results, strict=True))

        def f1(counts: Array) -> Array:
            return 2 * counts[..., 0] / np.maximum(2 * counts[..., 0] + counts[..., 1] + counts[..., 2], 1)

        precision = half[:, 0] / np.maximum(half.sum(1), 1)
        print(
            f"  {size:12s} {len(results):7d} {f1(half).mean():7.3f} {f1(seven).mean():7.3f} {precision.mean():7.3f} "
            f"{f1(half.sum(0)):14.3f} {seconds.mean():12.3f}"
        )


def translocation(data: Path) -> None:
    wells = {}
    for path in sorted((data / "bbbc013" / "images").glob("Channel2-*.tif")):
        row, column = path.stem.split("-")[2:]
        gfp = path.with_name(path.name.replace("Channel2", "Channel1"))
        wells[row + column] = np.stack([tifffile.imread(path), tifffile.imread(gfp)])
    diameter = estimate_nucleus_diameter([wells[well][0] for well in list(wells)[::8]])
    median, count = {}, []
    start = time.process_time()
    for well, pixels in wells.items():
        labels = segment(pixels, channels=["DNA", "GFP"], nucleus_diameter_px=diameter)
        nuclei, cells = labels["Nuclei"].ravel(), labels["Cells"].ravel()
        size, rim = int(cells.max()) + 1, np.where(nuclei > 0, 0, cells)
        means = [
            np.bincount(part, pixels[1].ravel(), size)[1:] / np.maximum(np.bincount(part, minlength=size)[1:], 1)
            for part in (nuclei, rim)
        ]
        median[well] = float(np.median(np.log(np.maximum(means[0], 1e-3) / np.maximum(means[1], 1e-3))))
        count.append(size - 1)
    seconds = (time.process_time() - start) / len(wells)
    negative = np.array([median[row + column] for row in "ABCD" for column in ("01", "02")])
    positive = np.array([median[row + "12"] for row in "ABCD"])
    z_prime = 1 - 3 * (negative.std(ddof=1) + positive.std(ddof=1)) / abs(positive.mean() - negative.mean())
    print(f"BBBC013: diameter {diameter:.1f} px, {np.median(count):.0f} cells per well ({min(count)} to {max(count)}),")
    print(f"  {seconds:.3f} CPU s per field, Z' of the log nuclear/cytoplasmic GFP ratio {z_prime:.3f}")


def main() -> None:
    shared = Path(__file__).resolve().parents[3] / "shared"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=shared / "data")
    parser.add_argument("--reference", type=Path, default=shared / "reference")
    parser.add_argument("--every", type=int, default=1, help="take every n-th image of the Data Science Bowl")
    options = parser.parse_args()
    speed(options.reference)
    translocation(options.data)
    accuracy(options.data, options.every)


if __name__ == "__main__":
    main()
