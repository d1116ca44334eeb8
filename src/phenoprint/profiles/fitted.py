"""Fitted normalizations: fit, apply, and export of the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.profiles.normalization_status import held_out_rows, key_rows, status_table
from phenoprint.profiles.normalizers import Fit, Normalizer
from phenoprint.profiles.reference_wells import reference_rows
from phenoprint.tables import (
    PLATE,
    Groups,
    StatusRow,
    concat_status,
    feature_columns,
    feature_matrix,
    feature_series,
    not_finite_rows,
    often_missing,
    status_frame,
    to_polars,
    with_series,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FloatArray, FrameLike, IntArray

__all__ = ["FittedNormalization", "Part", "fit_part", "join_parts"]


@dataclass(frozen=True)
class FittedNormalization:
    """A fitted normalization that can be applied, stored or inspected.

    Attributes
    ----------
    normalizer
        The method and its parameters.
    by
        Columns whose groups were fitted separately.
    keys
        One row per fitted group, in the order of `fits`.
    features
        Features of the fitted frames.
    fits
        Fitted parameters of each group.
    n_reference
        Number of reference rows of each group.
    status
        Rows of ``feature_status``.
    """

    normalizer: Normalizer
    by: tuple[str, ...]
    keys: pl.DataFrame
    features: tuple[str, ...]
    fits: tuple[Fit, ...]
    n_reference: tuple[int, ...]
    status: pl.DataFrame

    @property
    def outputs(self) -> list[str]:
        """Features that `apply` returns."""
        return self.normalizer.outputs(self.features, self.fits)

    def apply(self, frame: FrameLike) -> pl.DataFrame:
        """Transform profiles of fitted groups.

        Parameters
        ----------
        frame
            Profiles with the fitted features, in any order, and the group columns.

        Returns
        -------
        polars.DataFrame
            Metadata and transformed features, Float32 if all inputs are Float32.

        Raises
        ------
        SchemaError
            If features are absent.
        UsageError
            If a group was not fitted.
        """
        data = to_polars(frame)
        absent = sorted(set(self.features) - set(data.columns))
        if absent:
            raise SchemaError(f"{len(absent)} of {len(self.features)} fitted features are absent, first {absent[:5]}")
        groups = Groups.of(data, list(self.by))
        number = {tuple(row): i for i, row in enumerate(self.keys.rows())} if self.by else {(): 0}
        wanted = groups.keys.rows() if self.by else [()] * len(groups)
        unknown = [row for row in wanted if row not in number]
        if unknown and data.height:
            raise UsageError(
                f"{len(unknown)} groups of {', '.join(self.by)} were not fitted, the first {unknown[:3]}; "
                "fit on a frame that has their reference wells"
            )
        values = feature_matrix(data, self.features)
        return self.transform(data, values, groups, [self.fits[number[row]] for row in wanted])

    def transform(self, data: pl.DataFrame, values: FloatArray, groups: Groups, fits: Sequence[Fit]) -> pl.DataFrame:
        """Transform a matrix (features, rows) in place, group by group, and write it into its frame."""
        names = self.outputs
        same = names == list(self.features)
        out = values if same else np.full((len(names), data.height), np.nan, dtype=values.dtype)
        for rows, fit in zip(groups.rows(), fits, strict=True):
            part = columns_of(values, rows)
            done = self.normalizer.apply(part, fit)
            if not same and len(done) > len(out):
                done = np.full((len(out), len(rows)), np.nan)  # a group without fit has no components
            with np.errstate(over="ignore"):
                out[: len(done), rows] = done
        columns = feature_series(names, out)
        if same:
            return with_series(data, columns)
        return with_series(data.drop(self.features), columns)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return every fitted array by a name such as ``"0/center"``: the index of the group, then the field."""
        found: dict[str, NDArray[Any]] = {}
        for number, fit in enumerate(self.fits):
            _collect(f"{number}", fit, found)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return method, parameters, groups and checks as plain values for JSON and TOML."""
        groups = []
        for key, fit, n in zip(key_rows(self.keys, len(self.fits)), self.fits, self.n_reference, strict=True):
            entry: dict[str, Any] = {"key": key, "n_reference": n}
            entry["defined_features"] = int((np.nan_to_num(fit.scale) > 0).sum())
            steps = getattr(fit, "steps", ())
            if steps:
                entry["whitening"] = [
                    {"kind": step.kind, "rank": step.rank, "n": step.n, "share": step.share, "error": step.error}
                    for step in steps
                ]
            held_out = getattr(fit, "held_out", None)
            if held_out is not None:
                entry["held_out_variance"] = float(np.mean(held_out))
            groups.append(entry)
        return {
            "method": self.normalizer.name,
            "parameters": asdict(self.normalizer),
            "by": list(self.by),
            "features": list(self.features),
            "groups": groups,
        }


@dataclass
class Part:
    """Contribution of one frame: its fits, or its reference wells if these are fitted together with those of others.

    Attributes
    ----------
    features
        Features of the frame.
    keys, found
        One row per group, and its number of reference rows.
    fits
        One per group; empty if `references` are kept.
    references
        Reference wells of each group, shape (features, wells), and the plate of each well, shape (wells,).
    gaps
        For joint methods: number of profiles that lack each feature, shape (features,).
    n_profiles
        For joint methods: number of profiles.
    status
        Rows about values that are not finite.
    """

    features: list[str]
    keys: pl.DataFrame
    found: list[int]
    fits: list[Fit]
    references: list[tuple[FloatArray, pl.Series]]
    gaps: IntArray
    n_profiles: int
    status: pl.DataFrame


def fit_part(
    data: pl.DataFrame,
    values: FloatArray,
    groups: Groups,
    how: Normalizer,
    by: Sequence[str],
    *,
    reference: pl.Expr | None,
    min_reference: int,
) -> Part:
    """Fit the groups of one frame, or extract their reference wells."""
    features = feature_columns(data)
    chosen = reference_rows(data, reference)
    picked = [rows[chosen[rows]] for rows in groups.rows()]
    gaps, n_profiles = np.zeros(len(features), dtype=np.intp), 0
    if how.is_joint:
        missing = np.isnan(values)
        # A row that lacks more than half of the features does not count as a profile.
        usable = missing.mean(axis=0) <= 0.5 if len(values) else np.zeros(values.shape[1], dtype=bool)
        gaps, n_profiles = missing[:, usable].sum(axis=1), int(usable.sum())
    fits: list[Fit] = []
    references: list[tuple[FloatArray, pl.Series]] = []
    if _is_fitted_together(how, by):
        has_plates = PLATE in data.columns
        plates = data.get_column(PLATE) if has_plates else pl.repeat(None, data.height, dtype=pl.String, eager=True)
        references = [(columns_of(values, rows), plates[rows]) for rows in picked]
    else:
        fits = [_fit(how, columns_of(values, rows), min_reference) for rows in picked]
    status = status_frame("normalize", not_finite_rows(data, features, values))
    return Part(features, groups.keys, [len(rows) for rows in picked], fits, references, gaps, n_profiles, status)


def _is_fitted_together(how: Normalizer, by: Sequence[str]) -> bool:
    return how.is_joint or PLATE not in by


def join_parts(parts: Sequence[Part], how: Normalizer, by: Sequence[str], min_reference: int) -> FittedNormalization:
    """Pool the fits of all frames, or fit their reference wells together."""
    if not parts:
        raise UsageError("expected at least one plate; found none")
    features = list(dict.fromkeys(name for part in parts for name in part.features))
    keys = pl.concat([part.keys for part in parts], how="vertical_relaxed")
    found = [n for part in parts for n in part.found]
    extra: list[StatusRow] = []
    if _is_fitted_together(how, by):
        if any(part.features != features for part in parts):
            raise SchemaError(f"{how.name} over several plates needs plates with the same features in the same order")
        gaps = np.sum([part.gaps for part in parts], axis=0)
        is_sparse = often_missing(gaps, sum(part.n_profiles for part in parts))
        extra = [_gap_row(features[i], int(gaps[i]), how, is_sparse=bool(is_sparse[i])) for i in np.flatnonzero(gaps)]
        wells = [wells for part in parts for wells in part.references]
        groups = Groups.of(keys, by) if by else None
        members = list(groups.rows()) if groups is not None else [np.arange(len(wells))]
        keys = keys if groups is None else groups.keys
        found = [sum(found[i] for i in rows) for rows in members]
        fits = [_fit_together(how, [wells[i] for i in rows], is_sparse, min_reference) for rows in members]
    else:
        if keys.width and keys.is_duplicated().any():
            again = keys.filter(keys.is_duplicated()).rows()[:3]
            raise UsageError(f"a group must lie within one frame; found {again} in several")
        place = {name: i for i, name in enumerate(features)}
        fits = [
            fit if part.features == features else _spread(fit, [place[name] for name in part.features], len(features))
            for part in parts
            for fit in part.fits
        ]
    fits = how.pool(fits)
    statuses = [part.status for part in parts]
    if len(parts) == 1 or PLATE not in by:
        statuses.insert(0, status_table(features, keys, fits, how, found=found, min_reference=min_reference))
    else:  # all rows of a large screen would be millions
        for number, (fit, n) in enumerate(zip(fits, found, strict=True)):
            rows = status_table(features, keys[number : number + 1], [fit], how, found=[n], min_reference=min_reference)
            statuses.append(rows.filter(pl.col("status") != "ok"))
    status = concat_status(statuses)
    if extra:
        is_of_gap = pl.col("feature").is_in([row.feature for row in extra])
        is_of_input = pl.col("status").is_in(["nan_input", "infinite_input"])
        status = concat_status([status.filter(~is_of_gap | is_of_input), status_frame("normalize", extra)])
    return FittedNormalization(
        normalizer=how,
        by=tuple(by),
        keys=keys,
        features=tuple(features),
        fits=tuple(fits),
        n_reference=tuple(found),
        status=concat_status([status, held_out_rows(features, keys, fits, how)]),
    )


def _gap_row(feature: str, n: int, how: Normalizer, *, is_sparse: bool) -> StatusRow:
    if is_sparse:
        reason = f"{n} profiles lack a value, more than 5 %; {how.name} needs complete features, so this one is NULL"
        return StatusRow(None, feature, "missing_values", reason, float(n))
    return StatusRow(None, feature, "imputed", f"{n} profiles lack a value; it is the mean of the reference", float(n))


def columns_of(values: FloatArray, rows: IntArray) -> FloatArray:
    """Select rows of the frame (columns of the matrix); a view if they are consecutive."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all()):
        return values[:, rows[0] : rows[-1] + 1]
    return values[:, rows]


def _fit(how: Normalizer, reference: FloatArray, min_reference: int, blocks: IntArray | None = None) -> Fit:
    """Fit; a feature with too few reference values has no centre and is not used for pooling."""
    fit = how.fit(reference, blocks=blocks)
    few = fit.n < min_reference
    return replace(
        fit,
        center=np.where(few, np.nan, fit.center),
        scale=np.where(few, np.nan, fit.scale),
        spread=np.where(few, np.nan, fit.spread),
    )


def _fit_together(
    how: Normalizer,
    wells: Sequence[tuple[FloatArray, pl.Series]],
    incomplete: NDArray[np.bool_],
    min_reference: int,
) -> Fit:
    """Fit a group from its reference wells in all frames."""
    reference = wells[0][0] if len(wells) == 1 else np.concatenate([values for values, _ in wells], axis=1)
    plates = pl.concat([plates for _, plates in wells]).to_frame(PLATE)
    blocks = Groups.of(plates, [PLATE], null_keys="group").codes
    if not how.is_joint:
        return _fit(how, reference, min_reference, blocks)
    reference = np.where(incomplete[:, None], np.nan, reference)
    there = ~np.isnan(reference[~incomplete]).any(axis=0)
    reference, blocks = reference[:, there], blocks[there]
    if reference.shape[1] < max(min_reference, 3):
        nothing = np.full(len(reference), np.nan)
        return Fit(nothing, nothing, nothing, np.full(len(reference), float(reference.shape[1])))
    return how.fit(reference, blocks=blocks)


def _spread(fit: Fit, place: Sequence[int], width: int) -> Fit:
    """Expand a fit of some features to all features; the others have no value."""
    if type(fit) is not Fit:
        raise SchemaError("plates with differing features need a normalization by centre and scale, not by ranks")

    def wide(values: NDArray[np.float64], fill: float = np.nan) -> NDArray[np.float64]:
        out = np.full(width, fill)
        out[list(place)] = values
        return out

    least = None if fit.least is None else wide(fit.least)
    return Fit(wide(fit.center), wide(fit.scale), wide(fit.spread), wide(fit.n, 0.0), least)


def _collect(path: str, record: object, found: dict[str, NDArray[Any]]) -> None:
    if isinstance(record, np.ndarray):
        found[path] = record
    elif isinstance(record, tuple):
        for number, part in enumerate(record):
            _collect(f"{path}/{number}", part, found)
    elif is_dataclass(record):
        for field in fields(record):
            _collect(f"{path}/{field.name}", getattr(record, field.name), found)
