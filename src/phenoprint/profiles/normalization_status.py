"""Status of each feature in a normalization, as rows of `feature_status`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from phenoprint.profiles.normalizers import Fit, Normalizer
from phenoprint.profiles.sphering import SpheringFit
from phenoprint.tables import StatusRow, status_frame

__all__ = ["held_out_rows", "key_rows", "status_table"]


def key_rows(keys: pl.DataFrame, n: int) -> list[dict[str, object]]:
    """Return the key of each group as a dict; an empty one for the group of all rows."""
    return keys.to_dicts() if keys.width else [{} for _ in range(n)]


def held_out_rows(features: Sequence[str], keys: pl.DataFrame, fits: Sequence[Fit], how: Normalizer) -> pl.DataFrame:
    """Report the variance of reference wells held out from a sphering: rows of step ``sphering_check``."""
    rows = []
    for key, fit in zip(key_rows(keys, len(fits)), fits, strict=True):
        if not isinstance(fit, SpheringFit) or fit.held_out is None or fit.used is None:
            continue
        outputs = how.outputs(features, fits)
        names = [outputs[i] for i in np.flatnonzero(fit.used)] if len(outputs) == len(features) else outputs
        plate = key.get("Metadata_Plate")
        reason = "variance of held-out reference wells; 1 is expected"
        rows += [
            StatusRow(None if plate is None else str(plate), name, "ok", reason, float(value))
            for name, value in zip(names, fit.held_out.tolist(), strict=False)
        ]
    return status_frame("sphering_check", rows)


def status_table(
    features: Sequence[str],
    keys: pl.DataFrame,
    fits: Sequence[Fit],
    how: Normalizer,
    *,
    found: Sequence[int],
    min_reference: int,
) -> pl.DataFrame:
    """Make one row per group and feature, column by column, since a screen has millions of rows."""
    plates: list[str | None] = []
    others: list[str] = []
    for key in key_rows(keys, len(fits)):
        plate = key.pop("Metadata_Plate", None)
        plates.append(None if plate is None else str(plate))
        others.append("".join(f" ({name}={value})" for name, value in key.items()))
    width = len(features)
    table = pl.DataFrame(
        {
            "Metadata_Plate": pl.Series(plates, dtype=pl.String).gather(np.repeat(np.arange(len(plates)), width)),
            "where": pl.Series(others, dtype=pl.String).gather(np.repeat(np.arange(len(plates)), width)),
            "feature": pl.Series(list(features) * len(plates), dtype=pl.String),
            "found": np.repeat(np.array(found, dtype=np.int64), width),
            "n": np.concatenate([np.empty(0), *(fit.n for fit in fits)]),
            "spread": np.concatenate([np.empty(0), *(fit.spread for fit in fits)]),
            "scale": np.concatenate([np.empty(0), *(fit.scale for fit in fits)]),
        }
    ).with_columns(pl.col("n").cast(pl.Int64), pl.col("spread", "scale").fill_nan(None))
    own, n, found_rows = how.spread_name, pl.col("n"), pl.col("found")
    scale = pl.col("scale")
    nothing = pl.lit(None, dtype=pl.Float64)
    needed = f"at least {min_reference} needed"
    # The first condition that is true decides: condition, status, reason, value.
    cases: list[tuple[pl.Expr, str, pl.Expr, pl.Expr]] = [
        (
            found_rows < min_reference,
            "too_few_reference",
            pl.format(f"{{}} reference rows, {needed}", found_rows),
            found_rows,
        ),
        (n == 0, "all_null", pl.lit("no reference row has a value"), nothing),
        (n < min_reference, "too_few_reference", pl.format(f"{{}} reference values, {needed}", n), n),
        (
            scale.is_null() | (scale <= 0),
            f"zero_{own}",
            pl.format(f"the {own} of {{}} reference values is zero", n),
            scale,
        ),
        (
            pl.col("spread") == 0,
            "pooled",
            pl.format(f"the {own} of {{}} reference values is zero, replaced by the pooled one", n),
            scale,
        ),
    ]
    status, value = pl.lit("ok"), scale
    reason = pl.format(how.done.replace("{spread}", own).replace("{n}", "{}"), n)
    for condition, word, sentence, number in reversed(cases):
        status = pl.when(condition).then(pl.lit(word)).otherwise(status)
        reason = pl.when(condition).then(sentence).otherwise(reason)
        value = pl.when(condition).then(number.cast(pl.Float64)).otherwise(value)
    return table.select(
        "Metadata_Plate",
        "feature",
        step=pl.lit("normalize"),
        status=status,
        reason=reason + pl.col("where"),
        value=value,
    )
