"""How much of the truth of a simulated screen the run has found."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from phenoprint.store import Screen
from phenoprint.tables import COMPOUND, DOSE, PERT_TYPE, PERTURBATION

__all__ = ["truth_found"]

_STRONG, _WEAK = 0.5, 0.1  # smallest effect, of 1, of a treatment with a strong effect and of one with any


def truth_found(screen: Screen, truth: Path) -> pl.DataFrame:
    """Compare the calls of a simulated screen with its truth.

    Parameters
    ----------
    screen
        The screen, after the run.
    truth
        Folder of the truth, see `SimulatedScreen`.

    Returns
    -------
    pl.DataFrame
        One row per group of treatments: `group`, `n` (treatments, or compounds), `found` (those that are called
        active; for mechanisms, those with a right mechanism as the most probable), and `meaning`, in a sentence.
        Effects are fractions of the full effect. Positive controls are left out, and treatments with effects below a
        tenth are neither counted as active nor as inert.
    """
    wells = pl.read_parquet(truth / "wells.parquet")
    compounds = pl.read_parquet(truth / "compounds.parquet").filter(pl.col(PERT_TYPE) == "trt")
    treatments = (
        wells.with_columns(strength=1 - (1 - pl.col("effect")) * (1 - pl.col("toxicity")))
        .group_by(COMPOUND, DOSE)
        .agg(pl.col("strength", "mechanism").first())
        .join(compounds.select(COMPOUND, "is_inert"), on=COMPOUND)
    )
    called = screen.table("activity").select(COMPOUND, DOSE, PERTURBATION, is_active="below_corrected_p").collect()
    judged = treatments.join(called, on=[COMPOUND, DOSE], how="left").with_columns(pl.col("is_active").fill_null(False))
    strong, weak = judged["strength"] >= _STRONG, judged["strength"].is_between(_WEAK, _STRONG, closed="left")
    by_compound = judged.group_by(COMPOUND).agg(pl.col("is_active").any(), pl.col("is_inert").first())
    rows = [
        _row("strong", judged.filter(strong), "treatments with half of the full effect or more that are called active"),
        _row("weak", judged.filter(weak), "treatments with a tenth to half of the full effect that are called active"),
        _row("inert", judged.filter("is_inert"), "treatments without effect that are called active: false positives"),
        _row(
            "active compounds", by_compound.filter(~pl.col("is_inert")), "compounds with an effect, active at any dose"
        ),
        _row("inert compounds", by_compound.filter("is_inert"), "compounds without effect, active at any dose"),
    ]
    if "moa_call" in screen.tables():
        calls = screen.table("moa_call").select(PERTURBATION, "predicted").drop_nulls().collect()
        is_right = pl.col("mechanism").str.split("|").list.contains(pl.col("predicted"))
        found = (
            judged.filter(strong & judged["is_active"]).join(calls, on=PERTURBATION).with_columns(is_active=is_right)
        )
        rows.append(_row("mechanism", found, "of these strong treatments, with a right mechanism as the most probable"))
    return pl.DataFrame(rows)


def _row(group: str, judged: pl.DataFrame, meaning: str) -> dict[str, object]:
    return {"group": group, "n": judged.height, "found": int(judged["is_active"].sum()), "meaning": meaning}
