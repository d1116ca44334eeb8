"""Preview of cell quality: share of each treatment's cells that the rules would remove."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import DataError, SchemaError
from phenoprint.profiles.reference_wells import reference_rows
from phenoprint.tables import Groups, require_columns, to_polars

if TYPE_CHECKING:
    from phenoprint.tables import FrameLike

__all__ = ["preview_cell_quality"]


def preview_cell_quality(
    cells: FrameLike,
    quality: pl.DataFrame,
    by: Sequence[str] = ("Metadata_compound",),
    *,
    reference: pl.Expr,
    limit: float = 4.0,
    excess: float = 0.05,
) -> pl.DataFrame:
    """Count the cells that each rule removes from each treatment, and mark shares that are likely a phenotype.

    A rule that removes a tenth of the controls' cells removes debris; one that removes half of a treatment's cells may
    remove the effect of the treatment.

    Parameters
    ----------
    cells
        One row per cell with the columns of `by`.
    quality
        The result of `cell_quality` for these cells, in their order.
    by
        Columns that define a treatment; NULL counts as a treatment.
    reference
        A polars expression for the control cells.
    limit
        Standard errors by which the share of a treatment must exceed that of the controls for a likely phenotype.
    excess
        Difference by which the share must also exceed that of the controls: a few cells among hundreds can be
        significant without affecting a profile.

    Returns
    -------
    polars.DataFrame
        One row per treatment and rule (``any`` for all together), sorted: the keys, ``rule``, ``n_cells``,
        ``n_removed``, ``share``, ``share_reference``, ``z`` (two proportions, pooled; NULL if nothing is removed from
        treatment and controls) and ``is_likely_phenotype``.

    Raises
    ------
    DataError
        If there is no control cell.
    SchemaError
        If `quality` does not have one row per cell.

    Examples
    --------
    >>> cells = pl.DataFrame({"Metadata_compound": ["DMSO"] * 100 + ["a"] * 50})
    >>> quality = pl.DataFrame({"reasons": ["large"] * 5 + [None] * 95 + ["large"] * 40 + [None] * 10})
    >>> table = preview_cell_quality(cells, quality, reference=pl.col("Metadata_compound") == "DMSO")
    >>> table.filter(rule="any").select("Metadata_compound", "share", "is_likely_phenotype").rows()
    [('DMSO', 0.05, False), ('a', 0.8, True)]
    """
    data = to_polars(cells)
    require_columns(data, by, purpose="treatments")
    if quality.height != data.height:
        raise SchemaError(f"cell quality must have one row per cell; found {quality.height} for {data.height} cells")
    chosen = reference_rows(data, reference)
    n_reference = int(chosen.sum())
    if not n_reference:
        raise DataError("the reference selects no control cell; check the plate map's negcon")
    groups = Groups.of(data, by, null_keys="group")
    n_cells = groups.sizes.astype(np.float64)
    reasons = quality.get_column("reasons")
    names = sorted({name for text in reasons.drop_nulls().unique().to_list() for name in text.split(";")})
    parts = reasons.str.split(";")
    is_much = pl.col("share") - pl.col("share_reference") > excess
    tables = []
    for name in ("any", *names):
        gone = (reasons.is_not_null() if name == "any" else parts.list.contains(name).fill_null(value=False)).to_numpy()
        removed = np.bincount(groups.codes[gone], minlength=len(groups)).astype(np.float64)
        usual = int((gone & chosen).sum())
        pooled = (removed + usual) / (n_cells + n_reference)
        error = np.sqrt(pooled * (1 - pooled) * (1 / n_cells + 1 / n_reference))
        z = np.divide(removed / n_cells - usual / n_reference, error, out=np.full(len(groups), np.nan), where=error > 0)
        tables.append(
            groups.keys.with_columns(
                pl.lit(name).alias("rule"),
                pl.Series("n_cells", groups.sizes, dtype=pl.Int64),
                pl.Series("n_removed", removed.astype(np.int64)),
                pl.Series("share", removed / n_cells),
                pl.lit(usual / n_reference).alias("share_reference"),
                pl.Series("z", z, nan_to_null=True),
            ).with_columns(is_likely_phenotype=((pl.col("z") > limit) & is_much).fill_null(value=False))
        )
    return pl.concat(tables).sort([*by, "rule"], nulls_last=True)
