"""Whether the p values of activity hold on simulated screens without any effect, for all recipes and many layouts.

    python tests/benchmarks/activity_calibration.py [--screens 20] [--recipes phenoprint,...]

One row per layout and recipe, over all treatments of all screens: the share of treatments with p below 0.05 and 0.2
with a standard error over screens, and the share of screens with any false discovery (corrected p < 0.05). ``in
sample`` is the same test with the recipe fitted on all controls, as it is not to be done.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import polars as pl

from phenoprint.errors import PhenoprintError
from phenoprint.evaluation import activity
from phenoprint.profiles import apply_recipe, cross_fit
from phenoprint.simulation import simulate_profiles

LAYOUTS: dict[str, dict[str, object]] = {
    "1 plate, 4 controls, 4 replicates": {"n_plates": 1, "n_controls": 4, "n_replicates": 4},
    "1 plate, 16 controls, 4 replicates": {"n_plates": 1, "n_controls": 16, "n_replicates": 4},
    "1 plate, 32 controls, 3 replicates": {"n_plates": 1, "n_controls": 32, "n_replicates": 3},
    "1 plate, 64 controls, 6 replicates": {"n_plates": 1, "n_controls": 64, "n_replicates": 6},
    "2 plates, 8 controls, 2 replicates": {"n_plates": 2, "n_controls": 8, "n_replicates": 2, "layout": "random"},
    "4 plates, 4 controls, 4 replicates": {"n_plates": 4, "n_controls": 4, "layout": "random"},
    "4 plates, 16 controls, 4 replicates": {"n_plates": 4, "n_controls": 16, "layout": "random"},
    "4 plates, same layout, 16 controls": {"n_plates": 4, "n_controls": 16},
    "4 plates, 5 dimensions": {"n_plates": 4, "n_controls": 16, "layout": "random", "effective_dimension": 5.0},
    "4 plates, heavy tails": {"n_plates": 4, "n_controls": 16, "layout": "random", "tail_df": 3.0},
    "10 plates, 8 controls, 5 replicates": {"n_plates": 10, "n_controls": 8, "n_replicates": 5, "layout": "random"},
    "4 plates, same layout, position effect": {"n_plates": 4, "n_controls": 16, "position_effect": 1.0},
}


def one(recipe: str, layout: dict[str, object], seed: int, *, compounds: int, draws: int) -> dict[str, pl.DataFrame]:
    """Simulate one screen, and judge it cross-fitted and in sample."""
    wells = simulate_profiles(
        "null", seed=seed, n_features=60, n_compounds=compounds, **{"plate_format": 384, **layout}
    ).wells
    whole = apply_recipe(wells, recipe)[-1].frame
    return {
        "cross-fitted": activity(cross_fit(wells, recipe), null_size=draws),
        "in sample": activity([whole], null_size=draws),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screens", type=int, default=20)
    parser.add_argument("--compounds", type=int, default=30)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--recipes", default="phenoprint,phenoprint-sphering,profiling-recipe,jump-production-genetic")
    parser.add_argument("--layouts", default="")
    given = parser.parse_args()
    print(f"{'layout':42} {'recipe':24} {'fit':12} {'p<.05':>14} {'p<.2':>14} {'q<.05 in screens':>16}  status")
    for name, layout in LAYOUTS.items():
        if given.layouts not in name:
            continue
        for recipe in given.recipes.split(","):
            start = time.process_time()
            found: dict[str, list[pl.DataFrame]] = {}
            for seed in range(given.screens):
                try:
                    tables = one(recipe, layout, seed, compounds=given.compounds, draws=given.draws)
                except PhenoprintError as problem:
                    print(f"{name:42} {recipe:24} {problem}", flush=True)
                    break
                for kind, table in tables.items():
                    found.setdefault(kind, []).append(table)
            for kind, every in found.items():
                shares = np.array([[(t["p_value"] < level).mean() or 0.0 for level in (0.05, 0.2)] for t in every])
                errors = shares.std(axis=0, ddof=1) / np.sqrt(len(every))
                any_false = np.mean([bool(t["below_corrected_p"].any()) for t in every])
                status = pl.concat(t.select("status") for t in every)["status"].mode()[0]
                cells = [f"{s:.3f} ± {e:.3f}" for s, e in zip(shares.mean(axis=0), errors, strict=True)]
                cpu = time.process_time() - start
                print(
                    f"{name:42} {recipe:24} {kind:12} {cells[0]:>14} {cells[1]:>14} {any_false:16.2f}  {status}"
                    f" ({cpu:.0f} s)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
