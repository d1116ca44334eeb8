"""CPU time and memory of average precision with p values, beside copairs in the same run.

    python tests/benchmarks/retrieval_speed.py [wells] [--among all] [--only ours]

8 replicates per compound in 8 plates of random layouts, 1,000 features, 16 controls per plate of 384 wells. Ours is
`activity` (permutations within plates, exact or 10,000 draws); beside it `average_precision` and
`mean_average_precision` with the pairs that copairs is given: negatives are the controls of the plate, or (``--among
all``) all wells of other treatments. Each tool runs in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import polars as pl

KEY, PLATE = "Metadata_perturbation", "Metadata_Plate"


def screen(n: int) -> pl.DataFrame:
    """Make wells of noise, n of them, 16 controls on each plate of 384."""
    rng = np.random.default_rng(0)
    n_plates = max(1, round(n / 384))
    plates = np.arange(n) % n_plates
    order = np.argsort(plates, kind="stable")
    place = np.empty(n, np.int64)
    place[order] = np.arange(n) - np.searchsorted(plates[order], plates[order])
    is_control = place < 16
    names = np.full(n, "DMSO", dtype=object)
    treated = np.flatnonzero(~is_control)
    names[treated] = [f"c{i % max(1, len(treated) // 8):05d}" for i in range(len(treated))]
    return pl.DataFrame(
        {
            PLATE: [f"P{p:03d}" for p in plates],
            "Metadata_Well": [f"{chr(65 + w // 24)}{w % 24 + 1:02d}" for w in rng.permutation(n) % 384],
            KEY: names.tolist(),
            "Metadata_pert_type": np.where(is_control, "negcon", "trt").tolist(),
            "Metadata_control": is_control.tolist(),
        }
    ).hstack(pl.DataFrame(rng.normal(size=(n, 1000)).astype(np.float32), schema=[f"F{i}" for i in range(1000)]))


def ours(wells: pl.DataFrame, among: str) -> int:
    """Judge activity."""
    if among == "all":
        return 0
    from phenoprint.evaluation import activity

    return activity([wells]).height


def _pairs(wells: pl.DataFrame, among: str) -> tuple[pl.DataFrame, list[str], list[str]]:
    """Return wells and rules of negatives: the controls of the plate, or all wells of other treatments."""
    if among == "all":
        return wells, [], [KEY]
    own = pl.concat_str(pl.lit("control "), pl.int_range(pl.len()).cast(pl.String))
    named = wells.with_columns(pl.when("Metadata_control").then(own).otherwise(KEY).alias(KEY))
    return named, [PLATE], ["Metadata_control"]


def plain(wells: pl.DataFrame, among: str) -> int:
    """Score with the pairs of copairs."""
    from phenoprint.evaluation import average_precision, mean_average_precision

    named, same, different = _pairs(wells, among)
    scored = average_precision(named, [KEY], neg_sameby=same, neg_diffby=different)
    return mean_average_precision(scored.filter(~pl.col("Metadata_control")), [KEY]).height


def copairs(wells: pl.DataFrame, among: str) -> int:
    """Score with copairs."""
    from copairs import map as peer

    named, same, different = _pairs(wells, among)
    frame = named.to_pandas()
    about = frame[[c for c in frame if c.startswith("Metadata_")]]
    features = frame[[c for c in frame if not c.startswith("Metadata_")]].to_numpy()
    scored = peer.average_precision(about, features, [KEY], [], same, different, progress_bar=False)
    scored = scored[~scored["Metadata_control"] & scored["average_precision"].notna()]
    with tempfile.TemporaryDirectory() as cache:  # it keeps null distributions, which would make a second run faster
        options = {"null_size": 10_000, "threshold": 0.05, "seed": 0, "max_workers": 1, "progress_bar": False}
        return len(peer.mean_average_precision(scored, [KEY], cache_dir=cache, **options))


TOOLS = {"ours": ours, "plain": plain, "copairs": copairs}


def main() -> None:
    """Run every tool in a process of its own, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wells", type=int, nargs="?", default=8000)
    parser.add_argument("--only", default="")
    parser.add_argument("--run", default="")
    parser.add_argument("--among", choices=["controls", "all"], default="controls")
    given = parser.parse_args()
    if given.run:
        TOOLS[given.run](screen(400), given.among)  # compiles and loads
        wells = screen(given.wells)
        most, start, wall = _most(), _cpu(), time.perf_counter()
        n = TOOLS[given.run](wells, given.among)
        cpu, wall = _cpu() - start, time.perf_counter() - wall
        about = f"{given.run:10} {given.among:8} {given.wells:8} wells {n:6} treatments"
        print(f"{about} {cpu:8.1f} s CPU {wall:8.1f} s, {(_most() - most) / 2**20:.2f} GiB more")
        return
    for tool in [name for name in TOOLS if given.only in name]:
        call = [sys.executable, __file__, str(given.wells), "--run", tool, "--among", given.among]
        subprocess.run(call, check=True)


def _most() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
