"""Every named recipe on BBBC021: mechanisms found again, batches mixed.

Run by hand; nothing is asserted::

    python tests/benchmarks/recipes.py [DATA]       # the folder with bbbc021_profiles, by default ../shared/data

632 wells, 55 plates in 10 weekly batches, 6 DMSO wells per plate, 103 treatments of 12 mechanisms. NSC: share of the
treatments whose nearest neighbour of another compound has their mechanism (cosine, median over wells); NSCB: of another
compound and other batches, without the two mechanisms of one batch only. Published with R on the same file: NSC 0.82.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from phenoprint.evaluation import batch_mixing, moa_accuracy
from phenoprint.exchange import import_profiles
from phenoprint.profiles import RECIPES, apply_recipe, consensus
from phenoprint.tables import feature_columns

TREATMENT = ["Metadata_compound", "Metadata_Concentration"]
ONE_BATCH = ["Cholesterol-lowering", "Kinase inhibitors"]


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


def scores(profiles: pl.DataFrame) -> tuple[float, float, float]:
    """Return NSC, NSCB and how well batches mix among the controls."""
    is_control = pl.col("Metadata_pert_type") == "negcon"
    treated = profiles.filter(~is_control & pl.col("Metadata_moa").is_not_null())
    nsc = moa_accuracy(consensus(treated.drop("Metadata_Batch"), TREATMENT), n_shuffles=0).accuracy
    batches = treated.group_by(TREATMENT).agg(pl.col("Metadata_Batch").unique().sort().str.join(","))
    level5 = consensus(treated.drop("Metadata_Batch"), TREATMENT).join(batches, on=TREATMENT)
    other = level5.filter(~pl.col("Metadata_moa").is_in(ONE_BATCH))
    nscb = moa_accuracy(other, not_same=["Metadata_compound", "Metadata_Batch"], n_shuffles=0).accuracy
    return nsc, nscb, batch_mixing(profiles.filter(is_control), "Metadata_Batch").mixing


def main() -> None:
    """Print one line per recipe."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[3] / "shared" / "data"
    wells = read(data / "bbbc021_profiles")
    print(f"{'recipe':<34}{'features':>9}{'NSC':>7}{'NSCB':>7}{'mixing':>8}{'CPU s':>7}")
    variants = {name: recipe for name, recipe in RECIPES.items() if name != "jump-production-genetic"}
    variants["jump-production, no harmony"] = variants["jump-production"].without("harmony")
    for name, recipe in variants.items():
        start = time.process_time()
        profiles = apply_recipe(wells, recipe)[-1].frame
        seconds = time.process_time() - start
        nsc, nscb, mixing = scores(profiles)
        n = len(feature_columns(profiles))
        print(f"{name:<34}{n:>9}{nsc:>7.3f}{nscb:>7.3f}{mixing:>8.2f}{seconds:>7.1f}")


if __name__ == "__main__":
    main()
