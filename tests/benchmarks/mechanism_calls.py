"""Calls of mechanisms: coverage of the sets, accuracy and novel mechanisms, where labels are hidden.

    python tests/benchmarks/mechanism_calls.py [--seeds 100] [--data FOLDER]

Simulated screens: a quarter of the compounds and one whole mechanism are hidden. With the folder of public data sets,
BBBC021: each compound is hidden in turn (which the calls of labelled treatments do), then each mechanism.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from phenoprint.evaluation import cluster_interval, moa_calls
from phenoprint.profiles import RECIPES, apply_recipe, consensus, normalize
from phenoprint.simulation import simulate_profiles

sys.path.insert(0, str(Path(__file__).parents[2]))
HARD = {"fidelity": 0.7, "effect_size": (0.3, 2.0), "n_features": 150, "layout": "random"}
DESIGNS: dict[str, dict[str, Any]] = {
    "12 mechanisms, cosine 0.3 to 0.9": {**HARD, "n_compounds": 200},
    "24 mechanisms, cosine 0.3 to 0.9": {**HARD, "n_compounds": 300, "n_mechanisms": 24, "share_inert": 0.3},
    "three doses": {**HARD, "n_compounds": 110, "n_doses": 3, "share_inert": 0.2},
    "strong effects": {**HARD, "n_compounds": 300, "share_inert": 0.3, "fidelity": 0.95, "effect_size": (0.5, 3.0)},
    "12 mechanisms, cosine 0.2": {**HARD, "n_compounds": 300, "share_inert": 0.3, "mechanism_cosine": 0.2},
}
FIRST_SEED = 1000  # methods were chosen on seeds below 100
TRUTH = pl.col("Metadata_truth").str.split("|")
NOT_CALLED = ["inactive", "too few references", "not tested", "no profile"]


def hidden(seed: int, design: dict[str, Any], coverage: float) -> pl.DataFrame:
    """Call the mechanisms of one screen where some labels are hidden."""
    simulated = simulate_profiles("mechanism", seed=seed, share_two_mechanisms=0.1, **design)
    wells = normalize(simulated.wells, "mad_robust", reference=pl.col("Metadata_pert_type") == "negcon")
    truth = simulated.truth.select("Metadata_perturbation", "effect", Metadata_truth="mechanism")
    profiles = consensus(wells, ["Metadata_perturbation"]).filter(Metadata_pert_type="trt")
    profiles = profiles.join(truth, on="Metadata_perturbation")
    rng = np.random.default_rng(seed)
    compounds = profiles["Metadata_compound"].unique().sort().to_list()
    chosen = [name for name in compounds if rng.random() < 0.25]
    names = profiles["Metadata_truth"].drop_nulls().str.split("|").explode().unique().sort()
    is_left = TRUTH.list.contains(names[seed % len(names)]).fill_null(value=False)
    is_hidden = pl.col("Metadata_compound").is_in(chosen)
    masked = profiles.with_columns(Metadata_moa=pl.when(is_hidden | is_left).then(None).otherwise("Metadata_truth"))
    known = masked["Metadata_moa"].drop_nulls().str.split("|").explode().unique().to_list()
    active = profiles.select("Metadata_perturbation", below_corrected_p=pl.col("effect") > 0.4)
    calls = moa_calls(masked.drop("Metadata_truth", "effect"), active, coverage=coverage)
    about = profiles.select("Metadata_perturbation", "Metadata_truth", is_left=is_left)
    found = calls.join(about, on="Metadata_perturbation").filter(~pl.col("status").is_in(NOT_CALLED))
    sets = pl.col("prediction_set").fill_null("").str.split("|")
    return found.with_columns(
        holds=TRUTH.list.set_intersection(sets).list.len() > 0,
        is_right=TRUTH.list.contains(pl.col("predicted")),
        has_reference=TRUTH.list.set_intersection(known).list.len() > 0,
        screen=pl.lit(seed),
    )


def share(rows: pl.DataFrame, column: str) -> str:
    """Share of true rows with the interval over compounds."""
    if rows.is_empty():
        return "-"
    units = rows.select(pl.struct("screen", "Metadata_compound").rank("dense"))["screen"].to_numpy().astype(np.intp)
    mean, low, high = cluster_interval(rows[column].cast(pl.Float64).to_numpy(), units)
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def simulated(seeds: int, coverage: float) -> None:
    print(f"simulated, {seeds} screens each, sets made for {coverage:.2f}; 95 % intervals over compounds")
    for name, design in DESIGNS.items():
        start = time.process_time()
        rows = pl.concat([hidden(FIRST_SEED + number, design, coverage) for number in range(seeds)])
        asked = rows.filter("has_reference", ~pl.col("is_left"), pl.col("Metadata_moa").is_null())
        single = asked.filter(status="called")
        novel = rows.filter("is_left", ~pl.col("has_reference")).with_columns(found=pl.col("status") == "novel")
        print(
            f"  {name}: n {asked.height}, coverage {share(asked, 'holds')}, mean size {asked['set_size'].mean():.2f}, "
            f"called {single.height / asked.height:.2f}, of these right {share(single, 'is_right')} "
            f"(mean probability {single['probability'].mean():.3f}), false novel "
            f"{(asked['status'] == 'novel').mean():.3f}; left out: n {novel.height}, novel {share(novel, 'found')}; "
            f"{time.process_time() - start:.0f} s"
        )


def bbbc021(root: Path) -> None:
    from tests.evaluation.test_mechanisms import bbbc021 as read

    control = pl.col("Metadata_compound") == "DMSO"
    wells = read(root).with_columns(
        Metadata_pert_type=pl.when(control).then(pl.lit("negcon")).otherwise(pl.lit("trt")),
        Metadata_Batch=pl.col("Metadata_Plate").str.split("_").list.first(),
        Metadata_perturbation=pl.format("{}@{}", "Metadata_compound", "Metadata_Concentration"),
    )
    made = apply_recipe(wells, RECIPES["phenoprint"])[-1].frame
    treated = made.filter(~control & pl.col("Metadata_moa").is_not_null())
    profiles = consensus(treated, ["Metadata_perturbation", "Metadata_compound", "Metadata_moa"])
    profiles = profiles.with_columns(Metadata_pert_type=pl.lit("trt"))
    active = profiles.select("Metadata_perturbation", below_corrected_p=pl.lit(value=True))
    for coverage in (0.9, 0.8):
        calls = moa_calls(profiles, active, coverage=coverage).with_columns(screen=pl.lit(0))
        single = calls.filter(status="called").with_columns(is_right=pl.col("predicted") == pl.col("Metadata_moa"))
        print(
            f"BBBC021, sets made for {coverage:.2f}: n {calls.height}, coverage {share(calls, 'is_label_in_set')}, "
            f"mean size {calls['set_size'].mean():.2f}, called {single.height}, of these right "
            f"{share(single, 'is_right')} (mean probability {single['probability'].mean():.3f})"
        )
    found = []
    for name in profiles["Metadata_moa"].unique().sort():
        left = pl.col("Metadata_moa") == name
        calls = moa_calls(profiles.with_columns(Metadata_moa=pl.when(~left).then("Metadata_moa")), active)
        own = calls.filter(pl.col("Metadata_moa").is_null())
        found.append(own.select("Metadata_compound", screen=pl.lit(0), found=pl.col("status") == "novel"))
        print(f"  {name} left out: {found[-1]['found'].sum()} of {own.height} novel")
    print(f"  all: novel {share(pl.concat(found), 'found')}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2].parent / "shared" / "data")
    chosen = parser.parse_args()
    for coverage in (0.9, 0.8):
        simulated(chosen.seeds, coverage)
    if (chosen.data / "bbbc021_profiles").is_dir():
        bbbc021(chosen.data)


if __name__ == "__main__":
    main()
