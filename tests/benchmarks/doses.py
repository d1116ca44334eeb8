"""Coverage of the intervals of EC50 and benchmark dose, hit calls and time, on simulated curves of known shape.

Run by hand: ``python tests/benchmarks/doses.py [curves]``. Each curve has a random EC50, height (about 8 standard
deviations of the controls, with either sign) and slope, normal errors with the standard deviation of the controls, and
32 controls. ``one bad well`` moves one treated well by 12 standard deviations.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

from phenoprint.analysis import BENCHMARK, HIT_CALL
from phenoprint.analysis.dose_fit import Curve, control_summary, fit_many

DESIGNS = {
    "8 doses, 2 wells": (10.0 ** np.linspace(-2, 2, 8), 2, False),
    "8 doses, 1 well": (10.0 ** np.linspace(-2, 2, 8), 1, False),
    "6 doses, 3 wells": (10.0 ** np.linspace(-2, 2, 6), 3, False),
    "8 doses, 2 wells, one bad well": (10.0 ** np.linspace(-2, 2, 8), 2, True),
}
KINDS = ("step", "hill", "bell", "flat")
N_CONTROLS = 32
Shape = Callable[[np.ndarray], np.ndarray]


def shape_of(kind: str, rng: np.random.Generator, low: float, high: float) -> Shape:
    """Draw a curve over log dose."""
    height = 8 * np.exp(rng.normal(0, 0.3)) * rng.choice([-1, 1])
    width = high - low
    middle = rng.uniform(low + 0.2 * width, low + 0.7 * width)
    if kind == "flat":
        return lambda x: 0 * x
    if kind == "step":
        return lambda x: height * (x >= middle)
    slope = rng.uniform(0.8, 2.5)
    if kind == "hill":
        return lambda x: height / (1 + np.exp(-slope * (x - middle)))
    middle = rng.uniform(low + 0.15 * width, low + 0.4 * width)
    loss, fall = middle + rng.uniform(0.35, 0.5) * width, rng.uniform(1, 4)
    return lambda x: height / (1 + np.exp(-slope * (x - middle))) / (1 + np.exp(fall * (x - loss)))


def truth_of(shape: Shape, low: float, high: float) -> tuple[float, float]:
    """Return EC50 and benchmark dose of a curve, from a fine grid."""
    grid = np.linspace(low - 6, high + 6, 24_001)
    size = np.abs(shape(grid))
    peak = int(np.argmax(size))
    rising, size = grid[: peak + 1], size[: peak + 1]
    return tuple(float(np.exp(rising[size < level][-1])) for level in (0.5 * size[peak], BENCHMARK))  # type: ignore[return-value]


def study(kind: str, doses: np.ndarray, wells: int, *, bad: bool, n: int, seed: int) -> list[str]:
    """Simulate and fit curves of one kind; return a row of the table."""
    rng = np.random.default_rng(seed)
    dose = np.repeat(doses, wells)
    low, high = float(np.log(dose.min())), float(np.log(dose.max()))
    curves, truths = [], []
    for _ in range(n):
        shape = shape_of(kind, rng, low, high)
        response = shape(np.log(dose)) + rng.normal(size=len(dose))
        if bad:
            response[rng.integers(len(dose))] += rng.choice([-12, 12])
        curves.append(Curve(dose, response, control_summary(rng.normal(size=N_CONTROLS))))
        truths.append((np.nan, np.nan) if kind == "flat" else truth_of(shape, low, high))
    start = time.process_time()
    fits = fit_many(curves)
    spent = 1e3 * (time.process_time() - start) / n
    hits = np.array([fit.hit_call >= HIT_CALL for fit in fits])
    row = [f"{hits.mean():.3f}", f"{np.mean([fit.status != 'no_response' for fit in fits]):.3f}"]
    for name, true in zip(("ec50", "bmd"), np.transpose(truths), strict=True):
        called = [(fit, value) for fit, value in zip(fits, true, strict=True) if fit.status != "no_response"]
        ends = np.array([[getattr(fit, f"{name}_low"), getattr(fit, f"{name}_high")] for fit, _ in called])
        value = np.array([value for _, value in called])
        if kind == "flat" or not len(value):
            row += ["", "", ""]
            continue
        inside = ~(ends[:, 0] > value) & ~(ends[:, 1] < value)
        width = np.log10(ends[:, 1] / ends[:, 0])
        row += [f"{inside.mean():.3f}", f"{np.nanmedian(width):.2f}", f"{np.isnan(width).mean():.2f}"]
    return [*row, f"{spent:.1f}"]


def main() -> None:
    """Print the table."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    fit_many([Curve(np.arange(1.0, 9), np.arange(8.0), (0.0, 1.0, 16))])  # compiles
    header = "| design | curve | hit | number | EC50 covered | decades | open | BMD covered | decades | open | ms |"
    print(header)
    print("|---" * (header.count("|") - 1) + "|")
    for design, (doses, wells, bad) in DESIGNS.items():
        for seed, kind in enumerate(KINDS):
            row = study(kind, doses, wells, bad=bad, n=n, seed=seed)
            print(f"| {design} | {kind} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
