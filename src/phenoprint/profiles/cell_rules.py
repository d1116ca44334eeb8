"""Judge rules of cell quality over a screen: whether they remove artefacts, or what treatments do to cells."""

from __future__ import annotations

import polars as pl

from phenoprint.tables import PERTURBATION, FrameLike, frame_of, to_polars

__all__ = ["judge_cell_rules"]


def judge_cell_rules(preview: FrameLike, *, limit: float = 4.0, excess: float = 0.05) -> pl.DataFrame:
    """Find the rules that flag far more cells of a treatment than of the controls.

    Such a rule would remove cells because of what the treatment does to them, and the profile of the treatment would
    show those that are left. Treatments and controls must be treated alike, so the rule is judged for all wells.

    Parameters
    ----------
    preview
        Rows of table ``cell_quality_preview`` of all plates.
    limit
        Standard errors by which the share of a treatment, over all plates, must exceed that of the controls.
    excess
        Difference of the shares by which it must also exceed it.

    Returns
    -------
    polars.DataFrame
        Rows of table ``cell_rule``; ``is_phenotypic`` is NULL for a rule that cannot be compared with controls.

    Examples
    --------
    >>> rows = {"Metadata_perturbation": ["DMSO", "a"], "rule": ["large"] * 2, "n_cells": [500, 100]}
    >>> preview = pl.DataFrame(rows | {"n_removed": [25, 40], "share_reference": [0.05, 0.05]})
    >>> judge_cell_rules(preview).select("rule", "n_over", "worst", "is_phenotypic").rows()
    [('large', 1, 'a', True)]
    """
    data = to_polars(preview).filter(pl.col("rule") != "any")
    known = data.filter(pl.col(PERTURBATION).is_not_null() & pl.col("share_reference").is_not_null())
    n, removed = pl.col("n_cells").sum(), pl.col("n_removed").sum()
    pooled = known.group_by("rule", PERTURBATION).agg(
        n.alias("n"),
        (removed / n).alias("share"),
        ((pl.col("n_cells") * pl.col("share_reference")).sum() / n).alias("usual"),
    )
    middle = (pl.col("share") + pl.col("usual")) / 2
    error = (middle * (1 - middle) / pl.col("n")).sqrt()
    difference = pl.col("share") - pl.col("usual")
    judged = pooled.with_columns(is_over=(difference > excess) & (difference > limit * error))
    worst = judged.sort("rule", -difference, PERTURBATION).group_by("rule", maintain_order=True)
    rules = worst.agg(
        pl.len().cast(pl.Int64).alias("n_treatments"),
        pl.col("is_over").sum().cast(pl.Int64).alias("n_over"),
        pl.col(PERTURBATION).first().alias("worst"),
        pl.col("share").first().alias("worst_share"),
        pl.col("usual").first().alias("share_reference"),
    ).with_columns(is_phenotypic=pl.col("n_over") > 0)
    unknown = data.select("rule").unique().join(rules, on="rule", how="anti")
    found = pl.concat([frame_of("cell_rule"), rules, unknown], how="diagonal_relaxed")
    return found.sort("rule")
