"""Similarity search beside scikit-learn's: time and memory of the nearest of many profiles.

Run by hand: ``python tests/benchmarks/similarity.py [PROFILES ...]``, such as 100000 1000000; one core each.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402 - after the number of threads
import polars as pl  # noqa: E402
import psutil  # noqa: E402

FEATURES, QUERIES, BLOCK, K = 500, 100, 20_000, 20


def block(number: int, n: int) -> np.ndarray:
    return np.random.default_rng([7, number]).standard_normal((n, FEATURES), dtype=np.float32)


def write(folder: Path, n: int) -> list[Path]:
    """Write the library as Parquet files of 20,000 profiles."""
    paths = []
    for number, start in enumerate(range(0, n, BLOCK)):
        rows = min(BLOCK, n - start)
        names = {"Metadata_perturbation": [f"t{i}" for i in range(start, start + rows)]}
        values = block(number, rows)
        columns = {f"Cells_F{k}": values[:, k] for k in range(FEATURES)}
        paths.append(folder / f"{number:04d}.parquet")
        pl.DataFrame(names | columns).write_parquet(paths[-1], compression="uncompressed")
    return paths


class Files(Sequence[pl.DataFrame]):
    """The files as frames that are read when they are asked for."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> pl.DataFrame:  # type: ignore[override]
        return pl.read_parquet(self.paths[number])


def queries() -> pl.DataFrame:
    values = np.random.default_rng(8).standard_normal((QUERIES, FEATURES), dtype=np.float32)
    values[0] += block(0, 10)[3] * 5
    names = {"Metadata_perturbation": [f"q{i}" for i in range(QUERIES)]}
    return pl.DataFrame(names | {f"Cells_F{k}": values[:, k] for k in range(FEATURES)})


def ours(paths: list[Path]) -> list[str]:
    from phenoprint.analysis import nearest_profiles

    return nearest_profiles(queries(), Files(paths), k=K).table["neighbour"].to_list()


def scikit_learn(paths: list[Path]) -> list[str]:
    from sklearn.neighbors import NearestNeighbors

    library = pl.concat([pl.read_parquet(path) for path in paths])
    values = library.select("^Cells_.*$").to_numpy()
    names = library["Metadata_perturbation"]
    found = NearestNeighbors(n_neighbors=K, metric="cosine", algorithm="brute").fit(values)
    index = found.kneighbors(queries().select("^Cells_.*$").to_numpy(), return_distance=False)
    return names[index.ravel()].to_list()


def measure(function: str, paths: list[Path]) -> tuple[float, float, list[str]]:
    """Return CPU seconds, peak memory (MB) and the result, in a process of its own."""
    start = time.process_time()
    result = globals()[function](paths)
    info = psutil.Process().memory_info()
    peak = getattr(info, "peak_wset", 0)
    if not peak:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return time.process_time() - start, peak / 2**20, result


def main(sizes: Sequence[int]) -> None:
    for n in sizes:
        with tempfile.TemporaryDirectory() as folder:
            paths = write(Path(folder), n)
            results = {}
            for function in ("ours", "scikit_learn"):
                with get_context("spawn").Pool(1) as pool:
                    seconds, memory, results[function] = pool.apply(measure, (function, paths))
                print(f"{n:>9,} x {FEATURES}, {QUERIES} queries  {function:<13} {seconds:6.1f} CPU s {memory:8,.0f} MB")
            same = np.mean([a == b for a, b in zip(results["ours"], results["scikit_learn"], strict=True)])
            print(f"{'':>9}  the same neighbours: {same:.2%}")


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [100_000])
