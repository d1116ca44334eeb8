"""Recipes on BBBC021: mechanisms found again, with intervals, and what controls and replicates alone would choose.

Run by hand; nothing is asserted::

    python tests/benchmarks/recipes.py [DATA]       # the folder with bbbc021_profiles, by default ../shared/data

632 wells, 55 plates in 10 weekly batches, 6 DMSO wells per plate, 103 treatments of 12 mechanisms. NSC: share of the
treatments whose nearest neighbour of another compound has their mechanism (cosine, median over wells); NSCB: of another
compound and other batches, without the two mechanisms of one batch only. The drop is NSC minus NSCB on the treatments
of NSCB, the gain is the NSCB minus that of the default. Intervals are bootstraps of whole compounds. Published with R
on the same file: NSC 0.82. The file has no cell counts; the number of neighbours of a nucleus stands for them.

The choice uses no mechanism. Controls are held out of the fit (`cross_fit`); `mixing` is how well the held-out controls
of different batches mix, at most 1, and `replicates` is the mean average precision with which a well finds its
replicates on other plates among the wells of other compounds in its batch. Their mean ranks the recipes.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from phenoprint.evaluation import MoaAccuracy, average_precision, baseline_profiles, batch_mixing, moa_accuracy
from phenoprint.evaluation.scores import cluster_interval
from phenoprint.exchange import import_profiles
from phenoprint.profiles import RECIPES, Recipe, apply_recipe, consensus, cross_fit
from phenoprint.tables import Groups, feature_columns

TREATMENT = ["Metadata_compound", "Metadata_Concentration"]
ONE_BATCH = ["Cholesterol-lowering", "Kinase inhibitors"]
IS_CONTROL = pl.col("Metadata_pert_type") == "negcon"
WITHOUT = "jump-production-genetic"  # it needs a layout that is repeated over plates


def read(folder: Path) -> pl.DataFrame:
    """Import the wells with compound, dose, mechanism and batch, as `phenoprint import --help` shows it."""
    with tempfile.TemporaryDirectory() as scratch:
        summary = import_profiles(
            folder / "ljosa_jbiomolscreen_2013_per_well_mean.csv.gz",
            Path(scratch) / "screen",
            plate_map=folder / "BBBC021_v1_image.csv.gz",
            map_columns={"Plate": "Image_Metadata_Plate_DAPI", "Well": "Image_Metadata_Well_DAPI"},
            treatments=folder / "BBBC021_v1_moa.csv",
            extract={"Plate": r"(?P<Batch>Week\d+)_"},
        )
        return summary.screen.table("profile_well").collect()


def _mad(reference: str, **parameters: Any) -> dict[str, Any]:
    return {"operation": "normalize", "method": "mad_robust", "reference": reference, **parameters}


def _sphering(**parameters: Any) -> dict[str, Any]:
    named = {"operation": "normalize", "name": "sphering", "method": "sphering", "by": [], "reference": "negcon"}
    return {**named, **parameters}


_LIMIT: dict[str, Any] = {"operation": "limit", "limit": 20.0}
_SELECT: dict[str, Any] = {"operation": "select"}
_OURS = [_mad("negcon"), _LIMIT, _SELECT]
_TVN = {"operation": "normalize", "name": "tvn", "method": "tvn", "by": ["Metadata_Batch"], "reference": "negcon"}

# All that were tried beside the shipped recipes, before any of them was chosen.
VARIANTS: dict[str, Sequence[dict[str, Any]]] = {
    "limit after selection": [_mad("negcon"), _SELECT, _LIMIT],
    "limit after selection, sphering": [_mad("negcon"), _SELECT, _LIMIT, _sphering()],
    "limit of 10, sphering": [_mad("negcon"), {**_LIMIT, "limit": 10.0}, _SELECT, _sphering()],
    "no selection": [_mad("negcon"), _LIMIT],
    "no selection, sphering": [_mad("negcon"), _LIMIT, _sphering()],
    "no selection, sphering by held-out plates": [_mad("negcon"), _LIMIT, _sphering(regularization="plates")],
    "sphering by held-out plates": [*_OURS, _sphering(regularization="plates")],
    "sphering, shrinkage of 0.01": [*_OURS, _sphering(regularization=0.01)],
    "sphering, shrinkage of 0.1": [*_OURS, _sphering(regularization=0.1)],
    "sphering, shrinkage of 0.3": [*_OURS, _sphering(regularization=0.3)],
    "sphering, ZCA": [*_OURS, _sphering(kind="ZCA")],
    "sphering of each batch": [*_OURS, _sphering(by=["Metadata_Batch"])],
    "TVN": [*_OURS, _TVN],
    "mean and SD": [{**_mad("negcon"), "method": "standardize"}, _LIMIT, _SELECT],
    "mean and SD, sphering": [{**_mad("negcon"), "method": "standardize"}, _LIMIT, _SELECT, _sphering()],
    "inverse normal, sphering": [
        _mad("negcon"),
        {"operation": "normalize", "name": "inverse_normal", "method": "rank", "by": [], "reference": "all"},
        _SELECT,
        _sphering(),
    ],
}


def with_reference(recipe: Recipe, reference: str) -> Recipe:
    """Return the recipe with the spreads of each plate taken from other wells."""
    steps = [
        {**step, "reference": reference} if step.get("method") == "mad_robust" else step for step in recipe.to_list()
    ]
    return Recipe.of(recipe.name, steps)


def predicted(profiles: pl.DataFrame) -> tuple[MoaAccuracy, MoaAccuracy]:
    """Return NSC and NSCB with their predictions."""
    treated = profiles.filter(~IS_CONTROL & pl.col("Metadata_moa").is_not_null())
    batches = treated.group_by(TREATMENT).agg(pl.col("Metadata_Batch").unique().sort().str.join(","))
    level5 = consensus(treated.drop("Metadata_Batch"), TREATMENT).join(batches, on=TREATMENT)
    some = level5.filter(~pl.col("Metadata_moa").is_in(ONE_BATCH))
    other = ["Metadata_compound", "Metadata_Batch"]
    return moa_accuracy(level5, n_shuffles=0), moa_accuracy(some, not_same=other, n_shuffles=0)


def outcomes(profiles: pl.DataFrame) -> pl.DataFrame:
    """Return one row per treatment: whether NSC and NSCB call its mechanism; null without NSCB."""
    found, between = (
        made.predictions.select(*TREATMENT, pl.col("is_correct").fill_null(value=False).alias(name))
        for name, made in zip(("nsc", "nscb"), predicted(profiles), strict=True)
    )
    return found.join(between, on=TREATMENT, how="left").sort(TREATMENT)


def line(calls: pl.DataFrame, default: pl.DataFrame) -> str:
    """Write NSC, NSCB, the drop and the gain over the default with their intervals."""
    compounds = Groups.of(calls, ["Metadata_compound"]).codes
    nsc, nscb = (calls[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("nsc", "nscb"))
    gain = nscb - default["nscb"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    parts = []
    share, change = (0.0, 1.0), (-1.0, 1.0)
    for values, bounds in ((nsc, share), (nscb, share), (nsc - nscb, change), (gain, change)):
        mean, low, high = cluster_interval(values, compounds, bounds=bounds)
        parts.append(f"{mean:6.3f} [{low:5.2f}, {high:5.2f}]")
    return "  ".join(parts)


def free_of_labels(wells: pl.DataFrame, recipe: Recipe) -> tuple[float, float]:
    """Return mixing of held-out controls and retrieval of replicates, means over folds."""
    rows = []
    for fold in cross_fit(wells, recipe):
        mixing = batch_mixing(fold.filter(IS_CONTROL), "Metadata_Batch").mixing
        found = average_precision(
            fold.filter(~IS_CONTROL),
            pos_sameby=["Metadata_perturbation"],
            pos_diffby=["Metadata_Plate"],
            neg_sameby=["Metadata_Batch"],
            neg_diffby=["Metadata_compound"],
        )
        rows.append((min(mixing, 1.0), float(found["average_precision"].drop_nulls().to_numpy().mean())))
    mixing, replicates = np.mean(rows, axis=0)
    return float(mixing), float(replicates)


def main() -> None:
    """Print one line per recipe and reference, per baseline, and per variant."""
    warnings.simplefilter("ignore")
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[3] / "shared" / "data"
    wells = read(data / "bbbc021_profiles")
    named = f"{'recipe':<46}{'reference':<10}{'features':>9}"
    scores = f"{'NSC':<22}{'NSCB':<22}{'drop':<22}{'gain in NSCB':<20}"
    print(f"{named}  {scores}{'mixing':>8}{'replicates':>12}{'mean':>7}{'CPU s':>7}")
    default = None
    rows = [
        (name, reference, with_reference(recipe, reference))
        for name, recipe in RECIPES.items()
        if name != WITHOUT
        for reference in ("negcon", "all")
    ]
    rows += [(name, "negcon", Recipe.of(name, steps)) for name, steps in VARIANTS.items()]
    for name, reference, recipe in rows:
        start = time.process_time()
        profiles = apply_recipe(wells, recipe)[-1].frame
        seconds = time.process_time() - start
        n = len(feature_columns(profiles))
        calls = outcomes(profiles)
        default = calls if default is None else default
        mixing, replicates = free_of_labels(wells, recipe)
        print(
            f"{name:<46}{reference:<10}{n:>9}  {line(calls, default)}{mixing:>8.3f}{replicates:>12.3f}"
            f"{(mixing + replicates) / 2:>7.3f}{seconds:>7.1f}",
            flush=True,
        )
    counted = wells.with_columns(Metadata_Object_Count=pl.col("Nuclei_Neighbors_NumberOfNeighbors_20"))
    for name, profiles in baseline_profiles(counted).items():
        # Treatments that are equally near to several mechanisms count in part.
        nsc, nscb = predicted(profiles)
        print(f"{name:<46}{'':<10}{len(feature_columns(profiles)):>9}  {nsc.accuracy:<22.3f}{nscb.accuracy:.3f}")


if __name__ == "__main__":
    main()
