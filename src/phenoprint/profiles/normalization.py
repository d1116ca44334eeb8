"""Normalize the profiles of each plate against reference wells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import polars as pl

from phenoprint.errors import DataError
from phenoprint.profiles.fitted import FittedNormalization, fit_part, join_parts
from phenoprint.profiles.normalization_status import key_rows
from phenoprint.profiles.normalizers import NORMALIZERS, Normalizer
from phenoprint.tables import Groups, Result, feature_columns, feature_matrix, to_polars

if TYPE_CHECKING:
    from phenoprint.tables import FrameLike

__all__ = ["fit_normalization", "fit_plates", "normalize", "normalize_with_status"]


def normalize(
    frame: FrameLike,
    method: str | Normalizer = "mad_robust",
    by: Sequence[str] = ("Metadata_Plate",),
    *,
    reference: pl.Expr | None = None,
    min_reference: int = 3,
    **parameters: object,
) -> pl.DataFrame:
    """Centre and scale every feature within each plate by its reference wells.

    Parameters
    ----------
    frame
        Profiles (or cells): ``Metadata_*`` columns and features.
    method
        ``"mad_robust"`` (median, MAD times 1.4826), ``"standardize"`` (mean, standard deviation),
        ``"robust"`` (median, interquartile range), ``"rank"`` (normal scores of ranks, also ``"inverse_normal"``),
        ``"percentile"`` (0 to 100), ``"sphering"`` (whitening), ``"tvn"`` (typical variation), or a `Normalizer`.
    by
        Columns whose groups are normalized separately, such as plate, or plate and cell line; an empty list: all rows
        together.
    reference
        A polars expression that is true for the rows to fit on, such as
        ``pl.col("Metadata_pert_type") == "negcon"``; None: all rows.
    min_reference
        Fewest reference rows per group that allow a fit.
    **parameters
        Parameters of the method, see the classes in `NORMALIZERS`: of mad_robust ``pooling`` (12: the MAD pooled over
        plates has the weight of 12 wells; 0: none), ``floor`` (0.25) and ``raw`` (False); of standardize ``ddof`` (0);
        of sphering ``kind``, ``regularization`` and ``outside``.

    Returns
    -------
    polars.DataFrame
        The rows and columns of `frame` in their order; features Float32 if all inputs are Float32, else Float64. A
        feature whose reference values do not vary or are missing on a plate is NULL on that plate. Sphering and TVN
        transform features jointly: a feature that some profile lacks is NULL; sphering along principal axes replaces
        the features by ``PC1``, ``PC2``, ...

    Raises
    ------
    DataError
        If a sphering does not whiten, or a group has fewer than `min_reference` reference rows
        (`normalize_with_status` does not raise for the latter).
    SchemaError
        For text among the features or NULL among the keys.
    UnknownNameError
        For an unknown method, parameter or column.

    Notes
    -----
    Agrees with ``pycytominer.normalize``: standardize, robustize, and mad_robustize (with ``pooling=0, floor=0``),
    except for features with zero spread: pycytominer returns the unscaled difference, or 1e13, we return NULL. Spherize
    of 1.7 (earlier versions do not whiten) is ``"sphering"`` with ``regularization=0, outside="smallest"``;
    ``inverse_normal`` differs, see `Rank`.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_Plate": ["p"] * 4, "area": [1.0, 2.0, 3.0, 9.0]})
    >>> controls = pl.col("area") < 5
    >>> normalize(wells, "standardize", ddof=1, reference=controls)["area"].to_list()
    [-1.0, 0.0, 1.0, 7.0]
    """
    data = to_polars(frame)
    result, few = _normalize(data, NORMALIZERS.make(method, **parameters), by, reference, min_reference)
    if few:
        more = f" and {len(few) - 5} more groups" if len(few) > 5 else ""
        raise DataError(
            f"expected at least {min_reference} reference rows in each group of "
            f"{', '.join(by) or 'the frame'}; found {'; '.join(few[:5])}{more}. "
            "Check the reference expression and the plate map, leave those rows out, or lower min_reference"
        )
    return result.frame


def normalize_with_status(
    frame: FrameLike,
    method: str | Normalizer = "mad_robust",
    by: Sequence[str] = ("Metadata_Plate",),
    *,
    reference: pl.Expr | None = None,
    min_reference: int = 3,
    **parameters: object,
) -> Result:
    """Normalize, and report the status of each feature on each plate.

    Parameters
    ----------
    frame, method, by, reference, min_reference, **parameters
        As in `normalize`.

    Returns
    -------
    Result
        The normalized frame, and one row of `feature_status` for each group and feature. The status is ``ok``
        or ``pooled`` (zero spread on the plate, replaced by the pooled one; both with the scale as value), or,
        with the feature NULL on that plate, ``zero_mad``/``zero_sd``/``zero_iqr``, ``all_null`` (no reference
        value), or ``too_few_reference`` (value: their number; not an error, the other plates are normalized).
        In addition one row ``nan_input`` or ``infinite_input`` (value: their number) for each feature with such values,
        which become NULL.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_Plate": ["p"] * 3, "area": [1.0, 2.0, 3.0], "count": [1.0, 1.0, 1.0]})
    >>> normalize_with_status(wells, "standardize").status.select("feature", "status").rows()
    [('area', 'ok'), ('count', 'zero_sd')]
    """
    return _normalize(to_polars(frame), NORMALIZERS.make(method, **parameters), by, reference, min_reference)[0]


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
        As in `normalize`.

    Returns
    -------
    FittedNormalization
        To `apply`, or to store: `to_dict` and `arrays` contain every parameter.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_Plate": ["p"] * 4, "area": [1.0, 2.0, 3.0, 9.0]})
    >>> fitted = fit_normalization(wells, "standardize", ddof=1, reference=pl.col("area") < 5)
    >>> fitted.arrays()["0/scale"].tolist(), fitted.apply(wells)["area"].to_list()
    ([1.0], [-1.0, 0.0, 1.0, 7.0])
    """
    return fit_plates([frame], method, by, reference=reference, min_reference=min_reference, **parameters)


def fit_plates(
    plates: Iterable[FrameLike],
    method: str | Normalizer = "mad_robust",
    by: Sequence[str] = ("Metadata_Plate",),
    *,
    reference: pl.Expr | None = None,
    min_reference: int = 3,
    **parameters: object,
) -> FittedNormalization:
    """Learn a normalization from frames that are read one after the other.

    Groups within a plate are fitted when the plate is read, and only their centres and scales are kept. Methods that
    transform features jointly (sphering, TVN) and groups that span plates need all reference wells at once: only these
    wells are kept, in the precision of the frames.

    Parameters
    ----------
    plates
        Frames. If `by` contains ``Metadata_Plate``, each group must be within one frame.
    method, by, reference, min_reference, **parameters
        As in `normalize`; the expression `reference` is evaluated on each frame.

    Returns
    -------
    FittedNormalization
        The same as for all plates in one frame, to `apply` to each plate. For several frames with groups within plates,
        the status has only rows that are not ``ok``. A feature that a plate lacks is ``all_null`` on that plate.

    Raises
    ------
    SchemaError
        If plates have different features and the method does not allow this.
    UsageError
        For a group in two frames, or no plate.

    Examples
    --------
    >>> plates = [pl.DataFrame({"Metadata_Plate": [p] * 3, "area": [1.0, 2.0, 9.0]}) for p in "pq"]
    >>> fitted = fit_plates(plates, "standardize")
    >>> fitted.keys["Metadata_Plate"].to_list(), fitted.arrays()["1/center"].tolist()
    (['p', 'q'], [4.0])
    """
    how = NORMALIZERS.make(method, **parameters)
    parts = []
    for plate in plates:
        data = to_polars(plate)
        groups, values = Groups.of(data, by), feature_matrix(data, feature_columns(data))
        parts.append(fit_part(data, values, groups, how, by, reference=reference, min_reference=min_reference))
    return join_parts(parts, how, by, min_reference)


def _normalize(
    data: pl.DataFrame,
    how: Normalizer,
    by: Sequence[str],
    reference: pl.Expr | None,
    min_reference: int,
) -> tuple[Result, list[str]]:
    groups, values = Groups.of(data, by), feature_matrix(data, feature_columns(data))
    part = fit_part(data, values, groups, how, by, reference=reference, min_reference=min_reference)
    fitted = join_parts([part], how, by, min_reference)
    few = [
        f"{n} of {size} in {', '.join(f'{k}={v}' for k, v in key.items()) or 'all rows'}"
        for n, size, key in zip(fitted.n_reference, groups.sizes, key_rows(groups.keys, len(groups)), strict=True)
        if n < min_reference
    ]
    return Result(fitted.transform(data, values, groups, fitted.fits), fitted.status), few
