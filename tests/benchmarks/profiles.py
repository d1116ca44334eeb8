"""CPU seconds and peak memory of the profile statistics, with pycytominer and plain floors in the same run.

Run by hand, one task a process so that peaks do not mix::

    python tests/benchmarks/profiles.py                      # every task, small enough for a laptop
    python tests/benchmarks/profiles.py normalize --plates 100
    python tests/benchmarks/profiles.py stream --plates 2000 --features 3600

Peak memory is that of the whole process, its data included; ``data`` is what it was before the work began.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl

WELLS = 384
CONTROLS = 64


@cache
def _mixing(factors: int, features: int, seed: int) -> np.ndarray:
    own = np.random.default_rng(seed).normal(size=(factors, -(-features // 4)))
    return np.repeat(own, 4, axis=1)[:, :features].astype(np.float32)


def plate(number: int, features: int, *, wells: int = WELLS, layouts: int = 10, seed: int = 0) -> pl.DataFrame:
    """One generated plate of one of several layouts: features in near copies of four, and a plate effect."""
    rng = np.random.default_rng([seed, number])
    factors = max(4, features // 12)
    mixing = _mixing(factors, features, seed)
    treatment = np.arange(wells) + (number % max(1, layouts)) * wells
    hidden = rng.standard_normal((wells, factors), dtype=np.float32)
    values = hidden @ mixing / np.float32(np.sqrt(factors))
    values += 0.2 * rng.standard_normal((wells, features), dtype=np.float32)
    values += rng.standard_normal(features, dtype=np.float32)
    is_control = np.arange(wells) % 6 == 0
    compound = np.where(is_control, "DMSO", np.char.add("c", treatment.astype(str)))
    return pl.DataFrame(
        {
            "Metadata_Plate": pl.Series([f"p{number:05d}"] * wells),
            "Metadata_Well": [f"{'ABCDEFGHIJKLMNOP'[i // 24 % 16]}{i % 24 + 1:02d}" for i in range(wells)],
            "Metadata_compound": compound,
            "Metadata_pert_type": np.where(is_control, "negcon", "trt"),
        }
    ).hstack(pl.DataFrame(values, schema=[f"Cells_F{i}" for i in range(features)]))


def screen(plates: int, features: int) -> pl.DataFrame:
    """Several plates in one frame, in memory once."""
    return pl.concat([plate(i, features) for i in range(plates)], rechunk=True)


def peak_gib() -> float:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measured(work: Callable[[], object]) -> dict[str, float]:
    """CPU and wall seconds and the process's peak after the work."""
    base = peak_gib()
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return {
        "cpu_s": round(time.process_time() - cpu, 2),
        "wall_s": round(time.perf_counter() - wall, 2),
        "data_gib": round(base, 2),
        "peak_gib": round(peak_gib(), 2),
    }


NEGCON = pl.col("Metadata_pert_type") == "negcon"


def normalize_ours(plates: int, features: int) -> dict[str, float]:
    from phenoprint.profiles import normalize

    data = screen(plates, features)
    return measured(lambda: normalize(data, pooling=0, floor=0))


def normalize_default(plates: int, features: int) -> dict[str, float]:
    from phenoprint.profiles import normalize

    data = screen(plates, features)
    return measured(lambda: normalize(data, reference=NEGCON))


def normalize_pycytominer(plates: int, features: int) -> dict[str, float]:
    import pycytominer

    tables = [plate(i, features).to_pandas() for i in range(plates)]
    names = [f"Cells_F{i}" for i in range(features)]

    def work() -> None:
        for table in tables:
            pycytominer.normalize(table, features=names, method="mad_robustize", mad_robustize_epsilon=0)

    return measured(work)


def normalize_floor(plates: int, features: int) -> dict[str, float]:
    values = np.stack([plate(i, features).select(pl.selectors.starts_with("Cells")).to_numpy() for i in range(plates)])

    def work() -> None:
        out = np.empty_like(values)
        for i, block in enumerate(values):
            middle = np.median(block, axis=0)
            out[i] = (block - middle) / (1.4826 * np.median(np.abs(block - middle), axis=0))

    return measured(work)


def correlation_ours(plates: int, features: int) -> dict[str, float]:
    from phenoprint.profiles import select_features

    data = screen(plates, features)
    return measured(lambda: select_features(data, ["correlation_threshold"]))


def correlation_pycytominer(plates: int, features: int) -> dict[str, float]:
    from pycytominer import feature_select

    table = screen(plates, features).to_pandas()
    names = [f"Cells_F{i}" for i in range(features)]
    return measured(lambda: feature_select(table, features=names, operation="correlation_threshold"))


def correlation_floor(plates: int, features: int) -> dict[str, float]:
    """Compute float32 correlations alone, all pairs, in BLAS's half product."""
    names = [f"Cells_F{i}" for i in range(features)]
    values = np.ascontiguousarray(screen(plates, features).select(names).to_numpy().T)

    def work() -> None:
        standard = values - values.mean(axis=1, keepdims=True)
        standard /= standard.std(axis=1, keepdims=True)
        above = np.abs(standard @ standard.T / values.shape[1]) > 0.9
        above.sum()

    return measured(work)


def _controls(plates: int, features: int) -> pl.DataFrame:
    return screen(plates, features).filter(NEGCON)


def sphering_ours(plates: int, features: int) -> dict[str, float]:
    from phenoprint.profiles.whitening import fit_whitening

    rows = _controls(plates, features).select(pl.selectors.starts_with("Cells")).to_numpy().astype(np.float64)
    return measured(lambda: fit_whitening(rows, "ZCA-cor", share=0).apply(rows))


def sphering_normalize(plates: int, features: int) -> dict[str, float]:
    from phenoprint.profiles import normalize

    data = _controls(plates, features)
    return measured(lambda: normalize(data, "sphering", by=[]))


def sphering_pycytominer(plates: int, features: int) -> dict[str, float]:
    from pycytominer.operations.transform import Spherize

    table = _controls(plates, features).select(pl.selectors.starts_with("Cells")).to_pandas().astype(float)
    return measured(lambda: Spherize(epsilon=0, method="ZCA-cor").fit(table).transform(table))


def modz_ours(plates: int, features: int) -> dict[str, float]:
    from phenoprint.profiles import consensus
    from phenoprint.profiles.modz import row_ranks

    row_ranks(np.zeros((1, 4), dtype=np.float32))  # compiled once, kept on disk
    data = screen(plates, features).filter(~NEGCON)
    return measured(lambda: consensus(data, statistic="modz"))


def modz_pycytominer(plates: int, features: int) -> dict[str, float]:
    import pycytominer

    table = screen(plates, features).filter(~NEGCON).to_pandas()
    names = [f"Cells_F{i}" for i in range(features)]
    how = {"replicate_columns": ["Metadata_compound"], "features": names}
    return measured(lambda: pycytominer.consensus(table, operation="modz", **how))


def median_ours(plates: int, features: int) -> dict[str, float]:
    from phenoprint.profiles import consensus

    data = screen(plates, features).filter(~NEGCON)
    return measured(lambda: consensus(data))


def median_pycytominer(plates: int, features: int) -> dict[str, float]:
    import pycytominer

    table = screen(plates, features).filter(~NEGCON).to_pandas()
    names = [f"Cells_F{i}" for i in range(features)]
    how = {"replicate_columns": ["Metadata_compound"], "features": names}
    return measured(lambda: pycytominer.consensus(table, operation="median", **how))


def _cells(features: int, per_well: int = 500) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    n = WELLS * per_well
    wells = np.repeat([f"{'ABCDEFGHIJKLMNOP'[i // 24]}{i % 24 + 1:02d}" for i in range(WELLS)], per_well)
    columns = [pl.Series(f"Cells_F{i}", rng.standard_normal(n, dtype=np.float32)) for i in range(features)]
    return pl.DataFrame([pl.Series("Metadata_Plate", ["p"] * n), pl.Series("Metadata_Well", wells), *columns])


def aggregate_ours(plates: int, features: int) -> dict[str, float]:
    from phenoprint.profiles import aggregate

    del plates
    data = _cells(features)
    return measured(lambda: aggregate(data))


def aggregate_pycytominer(plates: int, features: int) -> dict[str, float]:
    import pycytominer

    del plates
    table = _cells(features).to_pandas()
    return measured(lambda: pycytominer.aggregate(table, features=[f"Cells_F{i}" for i in range(features)]))


@dataclass(frozen=True)
class Made(Sequence[pl.DataFrame]):
    """Plates that are made when they are asked for."""

    n: int
    make: Callable[[int], pl.DataFrame]

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, number: Any) -> Any:
        if number >= self.n:
            raise IndexError(number)
        return self.make(number)


def stream_ours(plates: int, features: int) -> dict[str, float]:
    """Normalize, select and make consensus profiles of a screen that never is in memory as a whole.

    Every treatment is on four plates a quarter of the screen apart, which are read together for its consensus.
    """
    from phenoprint.profiles import consensus_blocks, fit_plates, select_plates
    from phenoprint.tables import feature_columns

    shown: dict[str, float] = {}
    cpu = time.process_time()
    generating = 0.0

    def read(numbers: Iterable[int] = range(plates)) -> Iterator[pl.DataFrame]:
        nonlocal generating
        for number in numbers:
            start = time.process_time()
            frame = plate(number, features, layouts=plates // 4)
            generating += time.process_time() - start
            yield frame

    def note(name: str) -> None:
        shown[f"{name}_at_s"] = round(time.perf_counter() - wall, 1)
        shown[f"{name}_peak_gib"] = round(peak_gib(), 2)

    wall = time.perf_counter()
    fitted = fit_plates(read(), reference=NEGCON)
    note("fitted")
    choice = select_plates(Made(plates, lambda number: fitted.apply(next(read([number])))))
    note("selected")

    def replicate_plates() -> Iterator[pl.DataFrame]:
        layouts = max(1, plates // 4)
        for layout in range(layouts):
            numbers = range(layout, plates, layouts)
            yield pl.concat([choice.apply(fitted.apply(frame)).filter(~NEGCON) for frame in read(numbers)])

    profiles = consensus_blocks(replicate_plates(), ["Metadata_compound"])
    note("consensus")
    total = time.process_time() - cpu
    gib = plates * WELLS * features * 4 / 2**30
    return shown | {
        "plates": plates,
        "features": features,
        "kept": len(feature_columns(profiles)),
        "treatments": profiles.height,
        "data_gib": round(gib, 2),
        "cpu_s": round(total, 1),
        "of_it_generating_s": round(generating, 1),
        "wells_per_cpu_s": round(plates * WELLS / (total - generating)),
        "peak_gib": round(peak_gib(), 2),
    }


TASKS: dict[str, tuple[dict[str, Callable[[int, int], dict[str, float]]], int, int]] = {
    "normalize": (
        {
            "ours": normalize_ours,
            "ours, our defaults": normalize_default,
            "pycytominer": normalize_pycytominer,
            "numpy": normalize_floor,
        },
        20,
        3000,
    ),
    "correlation": (
        {"ours": correlation_ours, "pycytominer": correlation_pycytominer, "numpy": correlation_floor},
        20,
        3000,
    ),
    "sphering": (
        {
            "ours": sphering_ours,
            "ours, shrunk, held-out check": sphering_normalize,
            "pycytominer": sphering_pycytominer,
        },
        100,
        1500,
    ),
    "modz": ({"ours": modz_ours, "pycytominer": modz_pycytominer}, 40, 3000),
    "median": ({"ours": median_ours, "pycytominer": median_pycytominer}, 40, 3000),
    "aggregate": ({"ours": aggregate_ours, "pycytominer": aggregate_pycytominer}, 1, 1500),
    "stream": ({"ours": stream_ours}, 100, 3600),
}


def tasks(names: list[str]) -> Iterator[tuple[str, str]]:
    """Return every task and peer asked for."""
    for name in names or list(TASKS):
        for peer in TASKS[name][0]:
            yield name, peer


def main() -> None:
    """Run tasks in processes of their own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", choices=[[], *TASKS], help="default: all")
    parser.add_argument("--plates", type=int)
    parser.add_argument("--features", type=int)
    parser.add_argument("--only", help="one peer")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, peer = options.child
        peers, plates, features = TASKS[name]
        print(json.dumps(peers[peer](options.plates or plates, options.features or features)))
        return
    print(f"{os.cpu_count()} cores, numpy {np.__version__}, polars {pl.__version__}")
    for name, peer in tasks(options.tasks):
        if options.only and peer != options.only:
            continue
        size = [f"--{key}={value}" for key in ("plates", "features") if (value := getattr(options, key))]
        command = [sys.executable, __file__, "--child", name, peer, *size]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = done.stdout.strip().splitlines()
        print(f"{name:12} {peer:30} {lines[-1] if done.returncode == 0 and lines else done.stderr.strip()[-300:]}")


if __name__ == "__main__":
    main()
