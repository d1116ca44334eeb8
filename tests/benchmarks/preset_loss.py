"""Loss by the features that ``cell-painting-fast`` omits; run by hand.

    python tests/benchmarks/preset_loss.py [--data ../shared/data] [--seed 11]

On a real plate (VarChAMP PPL8, 286 wells of gene variants, CellProfiler's own values, texture scales 5, 10 and 20) and
on a simulated one (384 wells, measured here with the full preset, two minutes). For each set of omitted features: the
largest ``|r|`` over wells of each of them with any other feature (median, and percentage of 0.9 and more); the mean
average precision of replicates among all other wells (real) or among the negative controls (simulated); and, for the
simulated plate, the fraction of treatments whose nearest neighbour of another compound has the same mechanism. Features
are centred and scaled by median and MAD, and one feature of each pair with ``|r|`` > 0.9 is removed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

Names = np.ndarray
LEFT_OUT: dict[str, Callable[[str], bool]] = {
    "nothing": lambda _: False,
    "all texture scales but 10": lambda name: "_Texture_" in name and name.split("_")[-3] != "10",
    "Costes": lambda name: "_Costes_" in name,
    "RWC": lambda name: "_RWC_" in name,
    "granularity 9 to 16": lambda name: "_Granularity_" in name and int(name.split("_")[2]) > 8,
    "all four": lambda name: any(LEFT_OUT[part](name) for part in list(LEFT_OUT)[1:5]),
}
PLACES = ("Location", "BoundingBoxM", "Center_", "ObjectNumber", "Number_", "Parent", "Children")


def scaled(frame: pl.DataFrame, reference: np.ndarray) -> tuple[np.ndarray, Names]:
    """Return usable features in robust deviations of the reference wells, limited to 15, and their names."""
    names = np.array([n for n in frame.columns if n.startswith(("Nuclei_", "Cells_", "Cytoplasm_"))])
    names = np.array([name for name in names if not any(place in name for place in PLACES)])
    values = frame.select(pl.col(list(names)).cast(pl.Float64).fill_null(np.nan)).to_numpy()
    kept = np.isfinite(values).all(axis=0)
    values, names = values[:, kept], names[kept]
    middle = np.median(values[reference], axis=0)
    spread = 1.4826 * np.median(np.abs(values[reference] - middle), axis=0)
    usable = spread > 1e-9
    return np.clip((values[:, usable] - middle[usable]) / spread[usable], -15, 15), names[usable]


def uncorrelated(r: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Choose columns of which no two have ``|r|`` > 0.9, the least correlated first."""
    part = r[np.ix_(columns, columns)]
    alive, kept = np.ones(len(columns), bool), []
    for i in np.argsort(part.sum(axis=0)):
        if alive[i]:
            kept.append(i)
            alive &= part[i] <= 0.9
    return columns[kept]


def cosine(values: np.ndarray) -> np.ndarray:
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    return unit @ unit.T


def average_precision(similarity: np.ndarray, positive: np.ndarray) -> float:
    hits = positive[np.argsort(-similarity)]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / hits.sum())


def replicates(values: np.ndarray, groups: np.ndarray, others: np.ndarray | None) -> float:
    """Return the mean average precision of wells of a group among other groups, or among ``others`` only."""
    similarity, found = cosine(values), []
    for i in np.flatnonzero(groups != ""):
        same = (groups == groups[i]) & (np.arange(len(groups)) != i)
        if same.any():
            rivals = ~same if others is None else others
            rivals = rivals & (np.arange(len(groups)) != i)
            among = np.flatnonzero(same | rivals)
            found.append(average_precision(similarity[i, among], same[among]))
    return float(np.mean(found))


def mechanisms(values: np.ndarray, groups: np.ndarray, compounds: np.ndarray, moa: np.ndarray) -> float:
    """Return the fraction of treatments (well medians) whose nearest other compound has the same mechanism."""
    treatments = [group for group in np.unique(groups) if group]
    first = np.array([np.flatnonzero(groups == group)[0] for group in treatments])
    known = moa[first] != ""
    medians = np.array([np.median(values[groups == group], axis=0) for group in treatments])[known]
    compounds, moa = compounds[first][known], moa[first][known]
    similarity = cosine(medians)
    similarity[compounds[:, None] == compounds[None, :]] = -2
    return float((moa[similarity.argmax(axis=1)] == moa).mean())


def report(title: str, values: np.ndarray, names: Names, score: Callable[[np.ndarray], list[float]]) -> None:
    """Print one line per set of omitted features."""
    print(f"{title}: {len(values)} wells, {len(names)} usable features")
    r = np.abs(np.corrcoef(values.T))
    for name, leaves_out in LEFT_OUT.items():
        out = np.array([leaves_out(feature) for feature in names])
        kept = np.flatnonzero(~out)
        best = r[np.ix_(out, ~out)].max(axis=1) if out.any() else np.ones(1)
        scores = "  ".join(f"{value:.3f}" for value in score(values[:, uncorrelated(r, kept)]))
        print(
            f"  {name:26s} {out.sum():5d} out  |r| {np.median(best):.2f}, {100 * (best >= 0.9).mean():3.0f} %  {scores}"
        )


def real(data: Path) -> None:
    """Evaluate the plate of gene variants."""
    path = data / "varchamp_golden" / "2022_08_08_PPL8_100-800_augmented.csv.gz"
    frame = pl.read_csv(path, infer_schema_length=5000)
    values, names = scaled(frame, np.ones(frame.height, bool))
    groups = frame["Metadata_allele"].fill_null("").to_numpy().astype(str)
    report("VarChAMP, scores: replicates", values, names, lambda v: [replicates(v, groups, None)])


def simulated(seed: int) -> None:
    """Evaluate a simulated plate, measured with the full preset on its true masks."""
    from phenoprint.features import measure
    from phenoprint.simulation import CHANNELS, demo_design, draw_field, layout

    design = demo_design(seed=seed)
    wells = layout(design)
    rows = []
    for plate, well in wells.select("Metadata_Plate", "Metadata_Well").rows():
        drawn = draw_field(design, plate, well, "1")
        labels = {"Nuclei": drawn.nuclei, "Cells": drawn.cells}
        rows.append(measure(drawn.pixels, labels, channels=CHANNELS).select(pl.all().exclude("^Metadata.*$").median()))
    frame = pl.concat(rows)
    text = {name: wells[name].cast(pl.String).fill_null("").to_numpy().astype(str) for name in wells.columns}
    control = text["Metadata_pert_type"] == "negcon"
    treated = text["Metadata_pert_type"] == "trt"
    dose = np.char.add("|", text["Metadata_Concentration"])
    groups = np.where(treated, np.char.add(text["Metadata_compound"], dose), "")
    values, names = scaled(frame, control)
    report(
        "Simulated, scores: replicates, mechanisms",
        values,
        names,
        lambda v: [
            replicates(v, groups, control),
            mechanisms(v, groups, text["Metadata_compound"], text["Metadata_moa"]),
        ],
    )


def main() -> None:
    """Print both tables."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=beside)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    real(options.data)
    simulated(options.seed)


if __name__ == "__main__":
    main()
