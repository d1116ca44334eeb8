"""Which aspects of distributions respond to which change of the cells, and how often without any; simulated cells.

``python tests/benchmarks/heterogeneity.py [--plates 40]``; wells differ by chance in location and scale; 4 to 64
control wells, 50 to 300 cells in a well.
"""

from __future__ import annotations

import argparse

import numpy as np
import polars as pl

from phenoprint.profiles import ASPECTS, ControlDistributions

FEATURES, TREATED = 30, 40


def plate(kind: str, controls: int, seed: int) -> pl.DataFrame:
    """Cells of the control wells and of treated wells, half of whose features change."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(6, FEATURES)) / np.sqrt(6)
    half, frames = slice(0, FEATURES // 2), []
    for number in range(controls + TREATED):
        n = int(rng.integers(50, 300))
        cells = 0.8 * rng.normal(size=(n, 6)) @ loadings + 0.6 * rng.normal(size=(n, FEATURES))
        if number >= controls:
            if kind == "shift":
                cells[:, half] += 0.5
            elif kind == "spread":
                cells[:, half] *= 1.5
            elif kind == "responders":
                cells[rng.random(n) < 0.2, half] += 3
        cells *= np.exp(rng.normal(0, 0.1, FEATURES))
        cells += 0.15 * rng.normal(size=6) @ loadings + rng.normal(0, 0.07, FEATURES)
        frame = pl.DataFrame(cells.astype(np.float32), schema=[f"F{place:02d}" for place in range(FEATURES)])
        frames.append(frame.with_columns(Metadata_Plate=pl.lit("P"), Metadata_Well=pl.lit(f"W{number:03d}")))
    return pl.concat(frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plates", type=int, default=40)
    plates = parser.parse_args().plates
    print("change, controls: share of treated wells with p < 0.05 by aspect (and p < 0.2)")
    cases = [("none", controls, plates) for controls in (4, 8, 16, 32, 64)]
    for kind, controls, n in [*cases, *((kind, 16, 4) for kind in ("shift", "spread", "responders"))]:
        found: dict[str, list[float]] = {name: [] for name in ASPECTS}
        for seed in range(n):
            cells = plate(kind, controls, seed)
            names = [name for name in cells.columns if name.startswith("F")]
            is_control = pl.col("Metadata_Well") < f"W{controls:03d}"
            fitted = ControlDistributions.of(cells.filter(is_control), names)
            for _, own in cells.filter(~is_control).group_by("Metadata_Well"):
                made = fitted.compare(np.ascontiguousarray(own.select(names).to_numpy().T))
                for name, (_, p) in fitted.size(made, own.height).items():
                    found[name].append(p)
        shares = {name: [float(np.mean(np.array(p) < level)) for level in (0.05, 0.2)] for name, p in found.items()}
        print(kind, controls, {name: f"{a:.3f} ({b:.2f})" for name, (a, b) in shares.items()}, flush=True)


if __name__ == "__main__":
    main()
