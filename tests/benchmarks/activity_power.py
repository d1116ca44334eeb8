"""Power of activity: how many treatments with an effect are found, beside the test that it replaced.

    python tests/benchmarks/activity_power.py [--screens 6]

Simulated screens in which every second treatment has an effect of one size. ``now``: permutations within plates,
cross-fitted. ``before``: mean average precision against the controls of the own plate, with random orders as null and
the recipe fitted on all controls. Beside p < 0.05, the power at the p value that 5 % of the inert treatments reach:
what a test finds once its own error rate is taken away.
"""

from __future__ import annotations

import argparse

import numpy as np
import polars as pl

from phenoprint.evaluation import activity, average_precision, mean_average_precision
from phenoprint.profiles import apply_recipe, cross_fit
from phenoprint.simulation import simulate_profiles

KEY, PLATE, KIND = "Metadata_perturbation", "Metadata_Plate", "Metadata_pert_type"
DESIGNS: dict[str, dict[str, object]] = {
    "1 plate, 24 controls, 4 replicates": {"n_plates": 1, "n_controls": 24},
    "4 plates, random layouts": {"layout": "random", "n_controls": 16},
    "4 plates, same layout": {"layout": "same", "n_controls": 16},
}
RECIPES = ("phenoprint", "phenoprint-sphering")
SIZES = (0.25, 0.5, 0.75, 1.0, 1.5)


def before(frame: pl.DataFrame) -> pl.DataFrame:
    """Judge treatments as before: positives on any plate, negatives on the own plate, in sample."""
    own = pl.concat_str(pl.lit("control "), pl.col(PLATE), pl.col("Metadata_Well"))
    is_control = pl.col(KIND) == "negcon"
    data = frame.with_columns(
        pl.when(is_control).then(own).otherwise(KEY).alias(KEY), is_control.alias("Metadata_control")
    )
    scored = average_precision(data, [KEY], neg_sameby=[PLATE], neg_diffby=["Metadata_control"])
    treated = scored.filter(~pl.col("Metadata_control") & pl.col("average_precision").is_not_null())
    return mean_average_precision(treated, [KEY], null_size=2000)


def powers(found: pl.DataFrame, truth: pl.DataFrame) -> tuple[float, float, float]:
    """Share of p < 0.05 among inert and active treatments, and of active ones below the 5 % point of the inert."""
    joined = found.join(truth.select(KEY, "is_active"), on=KEY).drop_nulls("p_value")
    inert = joined.filter(~pl.col("is_active"))["p_value"].to_numpy()
    active = joined.filter("is_active")["p_value"].to_numpy()
    return (
        float((inert < 0.05).mean()),
        float((active < 0.05).mean()),
        float((active < np.quantile(inert, 0.05)).mean()),
    )


def main() -> None:
    """Print one row per design, recipe and effect size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screens", type=int, default=6)
    given = parser.parse_args()
    print(f"{'':58} {'inert p<.05':>15} {'active p<.05':>15} {'at equal error':>15}")
    print(f"{'design':36} {'recipe':20} {'':1}" + f"{'now':>8} {'before':>7}" * 3)
    for name, design in DESIGNS.items():
        for recipe in RECIPES:
            for size in SIZES:
                rows = []
                for seed in range(given.screens):
                    simulated = simulate_profiles(
                        "mechanism", seed=seed, n_compounds=60, n_positive=0, n_features=80, effect_size=(size, size),
                        share_two_mechanisms=0.0, **design,
                    )  # fmt: skip
                    now = activity(cross_fit(simulated.wells, recipe), null_size=2000)
                    old = before(apply_recipe(simulated.wells, recipe)[-1].frame)
                    rows.append([powers(now, simulated.truth), powers(old, simulated.truth)])
                mean = np.array(rows).mean(axis=0)
                pairs = "".join(f"{a:8.2f} {b:7.2f}" for a, b in mean.T)
                print(f"{name:36} {recipe:20} {size:<4}{pairs}", flush=True)


if __name__ == "__main__":
    main()
