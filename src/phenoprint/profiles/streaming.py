"""Normalize, select and make consensus profiles of screens that do not fit into memory, plate by plate.

Every function reads an iterable of frames, one plate (or a few) at a time, and holds statistics, never profiles::

    fitted = fit_plates(read(), reference=controls)
    chosen = select_plates(lambda: map(fitted.apply, read()))
    blocks = (chosen.apply(fitted.apply(wells)) for wells in replicate_plates())
    profiles = consensus_blocks(blocks, ["Metadata_compound"])

where ``read()`` starts over at the first plate, such as ``pl.read_parquet(path) for path in paths``, and
``replicate_plates()`` reads the plates that hold the replicates of some treatments together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.profiles.aggregation import consensus
from phenoprint.profiles.fitted import FittedNormalization, fit_values
from phenoprint.profiles.normalization_status import status_table
from phenoprint.profiles.normalizers import NORMALIZERS, Fit, Normalizer
from phenoprint.tables import concat_status, to_polars

if TYPE_CHECKING:
    from phenoprint.tables import FrameLike

__all__ = ["consensus_blocks", "fit_plates"]


def fit_plates(
    plates: Iterable[FrameLike],
    method: str | Normalizer = "mad_robust",
    by: Sequence[str] = ("Metadata_Plate",),
    *,
    reference: pl.Expr | None = None,
    min_reference: int = 3,
    **parameters: object,
) -> FittedNormalization:
    """Fit a normalization plate by plate.

    Parameters
    ----------
    plates
        Frames; a group must lie within one frame.
    method, by, reference, min_reference, **parameters
        As in `normalize`; methods that look at features together (sphering, TVN) are fitted with `fit_normalization`
        on the control wells of all plates.

    Returns
    -------
    FittedNormalization
        The same as over all plates at once, to `apply` to each plate. Its status holds only rows that are not ``ok``.
        A feature that a plate lacks is ``all_null`` there.

    Raises
    ------
    UsageError
        For a joint method, a group in two frames, or no plate at all.
    """
    how = NORMALIZERS.make(method, **parameters)
    if how.is_joint:
        raise UsageError(f"{how.name} is fitted on the control wells of all plates together: use fit_normalization")
    parts, bad = [], []
    for plate in plates:
        part, _, _ = fit_values(to_polars(plate), how, by, reference, min_reference, pool=False)
        parts.append((part.features, part.keys, part.fits, part.n_reference))
        bad.append(part.status.filter(pl.col("status").is_in(["nan_input", "infinite_input"])))
    if not parts:
        raise UsageError("expected at least one plate; found none")
    features = list(dict.fromkeys(name for names, *_ in parts for name in names))
    keys = pl.concat([keys for _, keys, _, _ in parts], how="vertical_relaxed")
    if keys.width and keys.is_duplicated().any():
        again = keys.filter(keys.is_duplicated()).rows()[:3]
        raise UsageError(f"a group must lie within one frame; found {again} in several")
    place = {name: i for i, name in enumerate(features)}
    fits = [
        fit if list(names) == features else _spread(fit, [place[name] for name in names], len(features))
        for names, _, fitted, _ in parts
        for fit in fitted
    ]
    found = [n for *_, counts in parts for n in counts]
    fits = how.pool(fits)
    for number, (fit, n) in enumerate(zip(fits, found, strict=True)):
        rows = status_table(features, keys[number : number + 1], [fit], how, found=[n], min_reference=min_reference)
        bad.append(rows.filter(pl.col("status") != "ok"))
    return FittedNormalization(
        normalizer=how,
        by=tuple(by),
        keys=keys,
        features=tuple(features),
        fits=tuple(fits),
        n_reference=tuple(found),
        status=concat_status(bad),
    )


def _spread(fit: Fit, place: Sequence[int], width: int) -> Fit:
    """Put a fit of some features among all of them; those it lacks have no value."""
    if type(fit) is not Fit:
        raise SchemaError("plates with differing features need a normalization by centre and scale, not by ranks")

    def wide(values: Any, fill: float) -> Any:
        if values is None:
            return None
        out = np.full(width, fill)
        out[list(place)] = values
        return out

    return Fit(
        wide(fit.center, np.nan),
        wide(fit.scale, np.nan),
        wide(fit.spread, np.nan),
        wide(fit.n, 0.0),
        wide(fit.least, np.nan),
    )


def consensus_blocks(
    blocks: Iterable[FrameLike], by: Sequence[str], statistic: str = "median", **options: Any
) -> pl.DataFrame:
    """Make consensus profiles from blocks of wells, one block in memory at a time.

    Parameters
    ----------
    blocks
        Frames of profiles with the same columns; all wells of a treatment are in one of them. Rows with NULL in `by`
        are left out.
    by
        Columns that make a treatment.
    statistic, **options
        As in `consensus`.

    Returns
    -------
    polars.DataFrame
        As `consensus` of all blocks at once.

    Raises
    ------
    UsageError
        For a treatment in two blocks, or no block at all.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_compound": ["a", "a", "b"], "Cells_AreaShape_Area": [1.0, 2.0, 5.0]})
    >>> consensus_blocks([wells[:2], wells[2:]], ["Metadata_compound"]).rows()
    [('a', 2, 1.5), ('b', 1, 5.0)]
    """
    parts = [consensus(to_polars(block).drop_nulls(by), by, statistic, **options) for block in blocks]
    if not parts:
        raise UsageError("expected at least one block of wells; found none")
    # A column that is constant within the treatments of one block may vary within those of another.
    common = set.intersection(*(set(part.columns) for part in parts))
    whole = pl.concat(
        [part.select(name for name in part.columns if name in common) for part in parts], how="vertical_relaxed"
    )
    again = whole.select(by).filter(whole.select(by).is_duplicated()).unique(maintain_order=True)
    if again.height:
        raise UsageError(f"all wells of a treatment must be in one block; found in several: {again.rows()[:3]}")
    return whole.sort(list(by))
