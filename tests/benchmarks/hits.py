"""Hits: calibration on simulated screens without effects, and time beside scikit-learn.

``python tests/benchmarks/hits.py calibration`` prints the share of treatments with p < 0.05 and p < 0.2 by design and
recipe, ``python tests/benchmarks/hits.py speed`` the CPU time of both distances with 10,000 permutations beside the
same permutations with scikit-learn's covariance and pairwise distances.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from phenoprint.evaluation import find_hits
from phenoprint.evaluation.control_space import ControlSpace
from phenoprint.evaluation.distances import ControlDistance
from phenoprint.profiles import cross_fit
from phenoprint.simulation import simulate_profiles

DESIGNS = (
    {"n_plates": 1, "n_replicates": 2, "n_controls": 16},
    {"n_plates": 1, "n_replicates": 3, "n_controls": 24},
    {"n_plates": 2, "n_replicates": 2, "n_controls": 16},
    {"n_plates": 4, "n_replicates": 4, "n_controls": 4},
    {"n_plates": 4, "n_replicates": 4, "n_controls": 16},
    {"n_plates": 4, "n_replicates": 4, "n_controls": 64},
    {"n_plates": 4, "n_replicates": 4, "n_controls": 32, "tail_df": 4.0},
    {"n_plates": 10, "n_replicates": 5, "n_controls": 16},
    {"n_plates": 1, "n_replicates": 1, "n_controls": 64},
    {"n_plates": 4, "n_replicates": 1, "n_controls": 16},
    {"n_plates": 10, "n_replicates": 1, "n_controls": 32},
)
RECIPES = ("phenoprint", "phenoprint-sphering", "profiling-recipe")
SCREENS = 30
NULL_SIZE = 10_000


def calibration() -> None:
    """Print the calibration of each design and recipe."""
    for recipe in RECIPES:
        for design in DESIGNS:
            shares, false = [], []
            for seed in range(SCREENS):
                options = {"layout": "random", "n_features": 60, "n_compounds": 40, **design}
                found = find_hits(
                    cross_fit(simulate_profiles("null", seed=seed, **options).wells, recipe), null_size=1000
                )
                p = found.select("p_value", "energy_p_value").to_numpy().astype(float)
                shares.append([float((p[:, kind] < level).mean()) for kind in (0, 1) for level in (0.05, 0.2)])
                false.append(bool(found["is_hit"].any()))
            mean, error = np.mean(shares, axis=0), np.std(shares, axis=0) / np.sqrt(SCREENS)
            text = "  ".join(f"{m:.3f} ± {1.96 * e:.3f}" for m, e in zip(mean, error, strict=True))
            print(f"{recipe:<20} {design}  p<.05, p<.2, the same of energy: {text}", end="  ")
            print(f"screens with a hit {np.mean(false):.2f}", flush=True)


def _plain(space: ControlSpace, controls: np.ndarray, wells: np.ndarray, n: int) -> tuple[float, float]:
    """Both p values from the definition, for wells of one plate, with scikit-learn."""
    from sklearn.covariance import LedoitWolf
    from sklearn.metrics import pairwise_distances

    rng = np.random.default_rng(0)
    pool = np.concatenate([wells, controls])
    distance = pairwise_distances(pool)
    scores = []
    for draw in range(n):
        own = np.arange(len(wells)) if draw == 0 else rng.choice(len(pool), len(wells), replace=False)
        rest = np.setdiff1d(np.arange(len(pool)), own)
        fitted = LedoitWolf().fit(pool[rest])
        shift = pool[own].mean(axis=0) - pool[rest].mean(axis=0)
        energy = (
            2 * distance[np.ix_(own, rest)].mean()
            - distance[np.ix_(own, own)].mean()
            - distance[np.ix_(rest, rest)].mean()
        )
        scores.append((shift @ fitted.precision_ @ shift, energy))
    table = np.array(scores)
    p = (table >= table[0]).mean(axis=0)
    return float(p[0]), float(p[1])


def speed() -> None:
    """Print the CPU time of one treatment of four wells beside 32 controls, by number of features."""
    for features in (100, 300, 1000):
        rng = np.random.default_rng(features)
        controls, wells = rng.normal(size=(32, features)), rng.normal(size=(4, features)) + 0.1
        space = ControlSpace.of({"p": controls})
        assert space is not None
        own = {"p": wells - controls.mean(axis=0)}
        ControlDistance.of(space, own, null_size=NULL_SIZE, seed=0)
        begun = time.process_time()
        for seed in range(20):
            ControlDistance.of(space, own, null_size=NULL_SIZE, seed=seed)
        ours = (time.process_time() - begun) / 20
        few = 100 if features < 1000 else 10
        begun = time.process_time()
        _plain(space, controls, wells, few)
        plain = (time.process_time() - begun) * NULL_SIZE / few
        print(
            f"{features} features: {1000 * ours:.1f} ms, scikit-learn {plain:.1f} s, {plain / ours:,.0f} times",
            flush=True,
        )


if __name__ == "__main__":
    {"calibration": calibration, "speed": speed}[sys.argv[1]]()
