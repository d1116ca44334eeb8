"""A normalization that has been fitted: its parameters, and how to apply it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.profiles.normalization_status import held_out_rows, key_rows, status_table
from phenoprint.profiles.normalizers import NORMALIZERS, Fit, Normalizer
from phenoprint.tables import (
    Groups,
    StatusRow,
    concat_status,
    feature_columns,
    feature_matrix,
    feature_series,
    not_finite_rows,
    status_frame,
    to_polars,
    with_series,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FloatArray, FrameLike, IntArray

__all__ = ["FittedNormalization", "fit_normalization", "reference_rows"]


@dataclass(frozen=True)
class FittedNormalization:
    """What a normalization learned, ready to be applied, stored or looked at.

    Attributes
    ----------
    normalizer
        The method and its parameters.
    by
        Columns whose values were fitted apart.
    keys
        One row per group that was fitted, in the order of `fits`.
    features
        Features that came in.
    fits
        What was learned of each group.
    n_reference
        Reference rows of each group.
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
        """Transform profiles of the groups that were fitted.

        Parameters
        ----------
        frame
            Profiles with the fitted features, in any order, and the group columns.

        Returns
        -------
        polars.DataFrame
            Metadata and transformed features, Float32 where all came in so.

        Raises
        ------
        SchemaError
            Where features are absent.
        UsageError
            Where a group was not fitted.
        """
        data = to_polars(frame)
        there = set(data.columns)  # built anew at each access: not in the loop
        absent = [name for name in self.features if name not in there]
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
        """Transform a matrix (features, rows) in place, group by group, and put it into its frame."""
        names = self.outputs
        same = names == list(self.features)
        out = values if same else np.full((len(names), data.height), np.nan, dtype=values.dtype)
        for rows, fit in zip(groups.rows(), fits, strict=True):
            part = columns_of(values, rows)
            done = self.normalizer.apply(part, fit)
            if not same and len(done) > len(out):
                done = np.full((len(out), len(rows)), np.nan)  # a group without fit knows no components
            with np.errstate(over="ignore"):
                out[: len(done), rows] = done
        columns = feature_series(names, out)
        if same:
            return with_series(data, columns)
        return with_series(data.drop(self.features), columns)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return every fitted array by a name such as ``"0/center"``: the group's number, then the field."""
        found: dict[str, NDArray[Any]] = {}
        for number, fit in enumerate(self.fits):
            _collect(f"{number}", fit, found)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return method, parameters, groups and checks as plain values that JSON and TOML can hold."""
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


def fit_normalization(
    frame: FrameLike,
    method: str | Normalizer = "mad_robust",
    by: Sequence[str] = ("Metadata_Plate",),
    *,
    reference: pl.Expr | None = None,
    min_reference: int = 3,
    **parameters: object,
) -> FittedNormalization:
    """Learn a normalization from the reference wells without applying it.

    Parameters
    ----------
    frame, method, by, reference, min_reference, **parameters
        As in `phenoprint.profiles.normalize`.

    Returns
    -------
    FittedNormalization
        To `apply`, or to store: `to_dict` and `arrays` hold every parameter.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_Plate": ["p"] * 4, "area": [1.0, 2.0, 3.0, 9.0]})
    >>> fitted = fit_normalization(wells, "standardize", ddof=1, reference=pl.col("area") < 5)
    >>> fitted.arrays()["0/scale"].tolist(), fitted.apply(wells)["area"].to_list()
    ([1.0], [-1.0, 0.0, 1.0, 7.0])
    """
    data = to_polars(frame)
    return fit_values(data, NORMALIZERS.make(method, **parameters), by, reference, min_reference)[0]


def fit_values(
    data: pl.DataFrame,
    how: Normalizer,
    by: Sequence[str],
    reference: pl.Expr | None,
    min_reference: int,
    *,
    pool: bool = True,
) -> tuple[FittedNormalization, FloatArray, Groups]:
    """Fit, and return the matrix (features, rows) and the groups too, so that they need not be made again.

    Without `pool` the groups' fits stay apart, to be pooled later with those of other frames.
    """
    features = feature_columns(data)
    groups = Groups.of(data, by)
    chosen = reference_rows(data, reference)
    values = feature_matrix(data, features)
    incomplete, gaps = _incomplete(values) if how.is_joint else (np.zeros(len(features), dtype=bool), None)
    kept = [name for name, gone in zip(features, incomplete.tolist(), strict=True) if not gone]
    extra = []
    if gaps is not None and incomplete.any():
        extra = [
            StatusRow(
                None,
                features[i],
                "missing_values",
                f"{gaps[i]} profiles lack a value; {how.name} needs complete features, so this one is NULL",
                float(gaps[i]),
            )
            for i in np.flatnonzero(incomplete).tolist()
        ]
    blocks = Groups.of(data, ["Metadata_Plate"], null_keys="group").codes if "Metadata_Plate" in data.columns else None
    found = [int(chosen[rows].sum()) for rows in groups.rows()]
    fits = [
        _fit_where_enough(
            how,
            columns_of(values, rows[chosen[rows]]),
            min_reference,
            incomplete=incomplete,
            blocks=None if blocks is None else blocks[rows[chosen[rows]]],
        )
        for rows in groups.rows()
    ]
    fits = how.pool(fits) if pool else fits
    status = status_table(features, groups.keys, fits, how, found=found, min_reference=min_reference)
    if extra:
        status = status.filter(pl.col("feature").is_in(kept))
    extra += not_finite_rows(data, features, values)
    status = concat_status([status, status_frame("normalize", extra), held_out_rows(features, groups.keys, fits, how)])
    fitted = FittedNormalization(
        normalizer=how,
        by=tuple(by),
        keys=groups.keys,
        features=tuple(features),
        fits=tuple(fits),
        n_reference=tuple(found),
        status=status,
    )
    return fitted, values, groups


def reference_rows(data: pl.DataFrame, reference: pl.Expr | None) -> NDArray[np.bool_]:
    """Evaluate the expression that picks reference rows: shape (rows,); NULL is no.

    Raises
    ------
    UsageError
        Where it is not true or false for each row.
    """
    if reference is None:
        return np.ones(data.height, dtype=bool)
    mask = data.select(reference.alias("reference")).get_column("reference")
    if mask.dtype != pl.Boolean or len(mask) != data.height:
        raise UsageError(
            "reference must be a polars expression that is true or false for each row, such as "
            f"pl.col('Metadata_pert_type') == 'negcon'; "
            f"found {mask.dtype} of length {len(mask)} for {data.height} rows"
        )
    return mask.fill_null(value=False).to_numpy()


def columns_of(values: FloatArray, rows: IntArray) -> FloatArray:
    """Take rows of the frame (columns of the matrix); a view where they follow each other."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all()):
        return values[:, rows[0] : rows[-1] + 1]
    return values[:, rows]


def _incomplete(values: FloatArray) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Which features some profile lacks, and how many; rows that lack more than half are no profiles."""
    missing = np.isnan(values)
    usable = missing.mean(axis=0) <= 0.5 if len(values) else np.zeros(values.shape[1], dtype=bool)
    gaps = missing[:, usable].sum(axis=1)
    return gaps > 0, gaps


def _fit_where_enough(
    how: Normalizer,
    reference: FloatArray,
    min_reference: int,
    *,
    incomplete: NDArray[np.bool_],
    blocks: IntArray | None,
) -> Fit:
    """Fit; a feature with too few reference values gets no centre and does not enter what is pooled."""
    if how.is_joint:
        reference = np.where(incomplete[:, None], np.nan, reference)
        there = ~np.isnan(reference[~incomplete]).any(axis=0)
        reference, blocks = reference[:, there], None if blocks is None else blocks[there]
        if reference.shape[1] < max(min_reference, 3):
            nothing = np.full(len(reference), np.nan)
            return Fit(nothing, nothing, nothing, np.full(len(reference), float(reference.shape[1])))
        return how.fit(reference, blocks=blocks)
    fit = how.fit(reference, blocks=blocks)
    few = fit.n < min_reference
    return replace(
        fit,
        center=np.where(few, np.nan, fit.center),
        scale=np.where(few, np.nan, fit.scale),
        spread=np.where(few, np.nan, fit.spread),
    )


def _collect(path: str, record: object, found: dict[str, NDArray[Any]]) -> None:
    if isinstance(record, np.ndarray):
        found[path] = record
    elif isinstance(record, tuple):
        for number, part in enumerate(record):
            _collect(f"{path}/{number}", part, found)
    elif is_dataclass(record):
        for field in fields(record):
            _collect(f"{path}/{field.name}", getattr(record, field.name), found)
