"""How often sound plates have p below 0.05, warn and fail in the checks of position, on simulated plates.

``python tests/benchmarks/plate_acceptance.py [--screens 60]``; two designs of four plates: no treatment acts, or a
third of them does.
"""

from __future__ import annotations

import argparse

import polars as pl

from phenoprint.evaluation import plate_acceptance
from phenoprint.simulation import simulate_profiles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screens", type=int, default=60)
    found = []
    for design in ("null", "mechanism"):
        for seed in range(parser.parse_args().screens):
            wells = simulate_profiles(design, seed=seed, n_features=60).wells
            found.append(plate_acceptance(wells, seed=seed).with_columns(design=pl.lit(design)))
    checks = pl.concat(found).filter(pl.col("criterion").str.contains("^(edge|row|column|gradient)_"))
    table = checks.group_by("design", "criterion").agg(
        pl.len().alias("plates"),
        *((pl.col("p") < level).mean().alias(f"p < {level}") for level in (0.05, 0.2)),
        (pl.col("verdict") == "warn").mean().alias("warn"),
        (pl.col("verdict") == "fail").mean().alias("fail"),
    )
    with pl.Config(tbl_rows=-1):
        print(table.sort("design", "criterion"))


if __name__ == "__main__":
    main()
