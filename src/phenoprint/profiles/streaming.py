"""Normalize, select and make consensus profiles of screens that do not fit into memory, plate by plate.

Every function reads an iterable of frames, a plate (or a few) at a time, and holds statistics, never profiles::

    fitted = fit_plates(read(), reference=controls)
    chosen = select_plates(lambda: map(fitted.apply, read()))
    counts = count_rows(read(), ["Metadata_compound"])
    selected = map(chosen.apply, map(fitted.apply, read()))
    profiles = consensus_plates(selected, ["Metadata_compound"], counts=counts)

where ``read()`` starts over at the first plate, such as ``pl.read_parquet(path) for path in paths``; `select_plates` is
in `streamed_selection`.
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
from phenoprint.profiles.replicatestore import ReplicateStore
from phenoprint.tables import concat_status, require_columns, to_polars

if TYPE_CHECKING:
    from phenoprint.tables import FrameLike

__all__ = ["consensus_plates", "count_rows", "fit_plates"]


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


def count_rows(plates: Iterable[FrameLike], by: Sequence[str]) -> pl.DataFrame:
    """Count the rows of each group over all plates: the keys and ``n``; rows with NULL keys are left out."""
    parts = []
    for plate in plates:
        data = plate if isinstance(plate, pl.LazyFrame) else to_polars(plate)
        counted = data.select(list(by)).drop_nulls().group_by(list(by)).len("n")
        parts.append(counted.collect() if isinstance(counted, pl.LazyFrame) else counted)
    if not parts:
        raise UsageError("expected at least one plate; found none")
    return pl.concat(parts).group_by(list(by)).agg(pl.col("n").sum()).sort(list(by))


def consensus_plates(
    plates: Iterable[FrameLike],
    by: Sequence[str],
    statistic: str = "median",
    *,
    counts: pl.DataFrame,
    flush_rows: int = 50_000,
    **options: Any,
) -> pl.DataFrame:
    """Make consensus profiles plate by plate.

    Parameters
    ----------
    plates
        Frames of profiles with the same columns.
    by
        Columns that make a treatment; rows with NULL there are left out.
    statistic, **options
        As in `consensus`.
    counts
        From `count_rows`: a treatment is finished, and its wells forgotten, as soon as all of them were seen, so that
        only treatments whose replicates are still to come are held.
    flush_rows
        Wells that come in before finished treatments are looked for, and wells of a part that is made into
        consensus profiles at once.

    Returns
    -------
    polars.DataFrame
        As `consensus` of all plates at once, but with those metadata only that are constant in every treatment of
        every part.

    Raises
    ------
    UsageError
        Where plates hold fewer or more wells of a treatment than `counts` says.
    """
    require_columns(counts, [*by, "n"], purpose="counts of replicates")
    store = ReplicateStore(by, counts)
    done: list[pl.DataFrame] = []
    since = 0
    for plate in plates:
        since += store.add(to_polars(plate))
        if since >= flush_rows:
            done += [consensus(part, by, statistic, **options) for part in store.take_finished(flush_rows)]
            since = 0
    done += [consensus(part, by, statistic, **options) for part in store.take_finished(flush_rows)]
    store.require_empty()
    if not done:
        raise UsageError("expected at least one plate with a treatment; found none")
    common = set.intersection(*(set(part.columns) for part in done))
    shared = [name for name in done[0].columns if name in common]
    return pl.concat([part.select(shared) for part in done], how="vertical_relaxed").sort(list(by))
