"""CPU seconds and memory of the measurements, compared with cp_measure and CellProfiler on the same field.

Run by hand; nothing is asserted::

    python tests/benchmarks/features.py                     # everything, about five minutes with both peers
    python tests/benchmarks/features.py presets growth      # some parts only
    CELLPROFILER_PYTHON=/opt/cp/bin/python python tests/benchmarks/features.py

The field is ``simulated_5ch`` of ``../shared/reference/cellprofiler`` (or ``--reference``): 1080 x 1080 pixels, 5
channels, 191 cells. Seconds are CPU seconds of one process (``time.process_time``), the median of ``--repeats`` calls,
without compilation. cp_measure 0.3 runs in a process of its own if it is installed (the extra ``benchmark``).
CellProfiler needs an environment of its own, see ``cellprofiler_peer.py``; ``CELLPROFILER_PYTHON`` is its interpreter.
Without it, its seconds on another machine of this kind are printed and marked.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile

CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")
# CPU seconds of CellProfiler 4.2.8.1 on one core, from the README of the reference.
PUBLISHED = {
    "SizeShape": 5.6,
    "Intensity": 3.7,
    "Texture": 11.3,
    "Granularity": 5.9,
    "IntensityDistribution": 21.0,
    "Colocalization": 19.4,
    "Neighbors": 0.2,
}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
LABELS = ("Nuclei", "Cells")
Labels = dict[str, np.ndarray]


def read_field(folder: Path) -> tuple[np.ndarray, Labels]:
    """Read channels (C, Y, X) uint16 and labels of the reference field."""
    pixels = np.stack([tifffile.imread(folder / f"{channel}.tif") for channel in CHANNELS])
    return pixels, {name: tifffile.imread(folder / f"{name.lower()}.tif").astype(np.int32) for name in LABELS}


def cpu_seconds(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return median and largest CPU seconds of some calls, after one that is not counted."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return statistics.median(taken), max(taken)


def peak_mb() -> float:
    """Return the peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def presets(folder: Path, repeats: int) -> dict[str, float]:
    """Print seconds and memory of each preset, each in a fresh process."""
    print("Phenoprint, CPU s per field (median, largest) and peak memory of the process")
    found = {}
    for name in ("cell-painting-full", "cell-painting-fast", "minimal", "full with whole images"):
        result = run_self("one", folder, name, str(repeats))
        found[name] = result["median"]
        print(
            f"  {name:24s} {result['median']:6.2f} {result['largest']:6.2f} s  {result['peak_mb']:5.0f} MB  "
            f"{result['features']} features; kernels ready in {result['ready']:.1f} s"
        )
    return found


def one(folder: Path, name: str, repeats: int) -> dict[str, float]:
    """Measure one preset in this process."""
    from phenoprint.features import measure, measure_field, warm_up

    pixels, labels = read_field(folder)
    whole = name == "full with whole images"
    preset = "cell-painting-full" if whole else name
    ready = warm_up(len(CHANNELS), preset=preset)
    function = measure_field if whole else measure
    width = measure(pixels, labels, channels=CHANNELS, preset=preset).width - 1
    median, largest = cpu_seconds(lambda: function(pixels, labels, channels=CHANNELS, preset=preset), repeats)
    return {"median": median, "largest": largest, "peak_mb": peak_mb(), "features": width, "ready": ready}


def families(folder: Path, repeats: int) -> None:
    """Print the cost of families, and of parts of them, in addition to the rest of the full preset."""
    from phenoprint.features import chosen_families, measure
    from phenoprint.features.correlation import Correlation
    from phenoprint.features.granularity import Granularity
    from phenoprint.features.intensity import Intensity
    from phenoprint.features.radial import RadialDistribution
    from phenoprint.features.texture import Texture

    pixels, labels = read_field(folder)
    full = {family.name: family for family in chosen_families("cell-painting-full")}
    measures = Correlation().measures
    others = {
        "texture scales 3 and 5": {"texture": Texture(scales=(10,))},
        "Costes": {"correlation": Correlation(measures=tuple(m for m in measures if m != "Costes"))},
        "RWC": {"correlation": Correlation(measures=tuple(m for m in measures if m != "RWC"))},
        "granularity 9 to 16": {"granularity": Granularity(length=8)},
        "ties as CellProfiler": {
            "radial": RadialDistribution(exact_ties=False),
            "intensity": Intensity(exact_ties=False),
        },
    }
    variants = {name: {key: value for key, value in full.items() if key != name} for name in full}
    variants |= {name: full | change for name, change in others.items()}
    print("Cost of parts of the full preset in addition to the rest, CPU s (median difference of alternating calls)")
    for name, chosen in variants.items():
        if name == "image_quality":
            continue  # does not measure objects
        whole, saved = [], []
        for _ in range(repeats + 1):
            took = []
            for each in (full, chosen):
                start = time.process_time()
                measure(pixels, labels, channels=CHANNELS, families=list(each.values()))
                took.append(time.process_time() - start)
            whole.append(took[0])
            saved.append(took[0] - took[1])
        cost, total = statistics.median(saved[1:]), statistics.median(whole[1:])
        print(f"  {name:24s} {cost:6.3f} of {total:.2f} s  {100 * cost / total:4.0f} %")


def growth(folder: Path, repeats: int) -> None:
    """Print seconds for more cells on more pixels, and for more cells on the same pixels."""
    from phenoprint.features import measure

    pixels, labels = read_field(folder)
    half = {name: each[:540, :540] for name, each in labels.items()}
    cases = {
        "a quarter of the field": (pixels[:, :540, :540], half),
        "the field": (pixels, labels),
        "four fields in one": (np.tile(pixels, (1, 2, 2)), {name: tiled(each, 2) for name, each in labels.items()}),
        "the field, a quarter of its cells": (pixels, {name: kept(each, 4) for name, each in labels.items()}),
        "four fields at half the size": (
            np.tile(pixels[:, ::2, ::2], (1, 2, 2)),
            {name: tiled(each[::2, ::2], 2) for name, each in labels.items()},
        ),
    }
    print("Growth of the full preset, CPU s")
    print("  megapixels  cells  CPU s  ms/cell  s/megapixel ")
    for name, (image, masks) in cases.items():
        median, _ = cpu_seconds(lambda i=image, m=masks: measure(i, m, channels=CHANNELS), repeats)
        cells, size = len(np.unique(masks["Cells"])) - 1, image[0].size / 1e6
        print(f"  {size:10.2f} {cells:6d} {median:6.2f} {1000 * median / cells:10.1f} {median / size:14.2f}  {name}")


def tiled(labels: np.ndarray, times: int) -> np.ndarray:
    """Repeat the label image in both directions, every copy with numbers of its own."""
    top = int(labels.max())
    shifts = np.arange(times * times).reshape(times, times) * top
    blocks = [[np.where(labels > 0, labels + shift, 0) for shift in row] for row in shifts]
    return np.block(blocks).astype(np.int32)


def kept(labels: np.ndarray, share: int) -> np.ndarray:
    """Keep every n-th object."""
    return np.where(labels % share == 0, labels, 0).astype(np.int32)


def cp_measure(folder: Path) -> dict[str, float]:
    """Return the CPU seconds of cp_measure's functions over all compartments, channels and pairs of the field."""
    from itertools import combinations

    import cp_measure as package
    from cp_measure.bulk import get_core_measurements, get_correlation_measurements

    package.set_accelerator("numba")
    pixels, labels = read_field(folder)
    planes = pixels.astype(np.float64) / 65535
    kinds = [*labels.values(), np.where(labels["Nuclei"] > 0, 0, labels["Cells"])]
    core, pairs = get_core_measurements(legacy=True), get_correlation_measurements()
    small = {"masks": labels["Cells"][:200, :200], "pixels": planes[0, :200, :200]}
    seconds: dict[str, float] = {}
    for name, function in core.items():
        scales = (3, 5, 10) if name == "texture" else (None,)
        channels = planes[:1] if name in {"sizeshape", "zernike", "feret"} else planes
        if name in {"intensity", "texture", "feret"}:
            function(*small.values())  # compiles
        start = time.process_time()
        for mask in kinds:
            for plane in channels:
                for scale in scales:
                    function(mask, plane, **({} if scale is None else {"scale": scale}))
        seconds[name] = time.process_time() - start
    for name, function in pairs.items():
        start = time.process_time()
        for mask in kinds:
            for a, b in combinations(range(len(planes)), 2):
                function(planes[a], planes[b], mask, **({"scale_max": 65535} if name == "costes" else {}))
        seconds[name] = time.process_time() - start
    return seconds | {"peak_mb": peak_mb()}


def peers(folder: Path, ours: dict[str, float]) -> None:
    """Run both peers on the field and print their seconds and ours."""
    objects, both = ours["cell-painting-full"], ours["full with whole images"]
    if importlib.util.find_spec("cp_measure") is None:
        print("cp_measure is not installed: pip install -c constraints.txt -e '.[benchmark]'")
    else:
        seconds = run_self("cp_measure", folder)
        show("cp_measure 0.3, run here, objects", seconds, seconds.pop("peak_mb"), objects)
    python = os.environ.get("CELLPROFILER_PYTHON")
    if not python:
        title = "CellProfiler 4.2.8.1, PUBLISHED SECONDS, not run here (set CELLPROFILER_PYTHON), objects and images"
        show(title, PUBLISHED, None, both)
        return
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result.json"
        script = Path(__file__).with_name("cellprofiler_peer.py")
        command = [python, "-W", "ignore", str(script), str(folder), str(result), *CHANNELS]
        subprocess.run(command, check=True, env=os.environ | ONE_THREAD, capture_output=True)
        found = json.loads(result.read_text())
    show(f"CellProfiler {found['version']}, run here, objects and images", found["seconds"], found["peak_mb"], both)


def show(title: str, seconds: dict[str, float], peak: float | None, ours: float) -> None:
    """Print the seconds of one peer, in total and by part, and their ratio to ours."""
    total = sum(seconds.values())
    memory = "" if peak is None else f", {peak:.0f} MB"
    print(f"{title}: {total:.1f} s of CPU{memory}; {total / ours:.0f} times ours ({ours:.2f} s)")
    print("  " + ", ".join(f"{name} {value:.1f}" for name, value in sorted(seconds.items(), key=lambda x: -x[1])))


def run_self(part: str, *arguments: object) -> dict[str, float]:
    """Run a part of this script in a fresh process on one thread, and return its result."""
    command = [sys.executable, __file__, "--inside", part, *map(str, arguments)]
    done = subprocess.run(command, check=True, env=os.environ | ONE_THREAD, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Print the tables."""
    if sys.argv[1:2] == ["--inside"]:
        part, folder, *rest = sys.argv[2:]
        found = cp_measure(Path(folder)) if part == "cp_measure" else one(Path(folder), rest[0], int(rest[1]))
        print(json.dumps(found))
        return
    beside = Path(__file__).resolve().parents[3] / "shared" / "reference"
    parts = ("presets", "families", "growth", "peers")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=parts, metavar="PART", help=", ".join(parts))
    parser.add_argument("--reference", type=Path, default=beside)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    folder = options.reference / "cellprofiler" / "simulated_5ch"
    if not folder.is_dir() or not set(options.parts) <= set(parts):
        parser.error(f"expected some of {', '.join(parts)} and a folder {folder}")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{os.cpu_count()} cores, load {load:.1f} at the start; other processes on the cores increase CPU seconds")
    ours = None
    if {"presets", "peers"} & set(options.parts):
        ours = presets(folder, options.repeats)
    if "families" in options.parts:
        families(folder, options.repeats)
    if "growth" in options.parts:
        growth(folder, options.repeats)
    if "peers" in options.parts and ours is not None:
        peers(folder, ours)


if __name__ == "__main__":
    main()
