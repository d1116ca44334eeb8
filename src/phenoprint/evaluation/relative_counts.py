"""Cell counts of treatments relative to the negative controls of their plates, with intervals; what is toxic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.tables import MAD_SCALE, OBJECT_COUNT, PERT_TYPE, PERTURBATION, PLATE, require_columns, to_polars

if TYPE_CHECKING:
    from phenoprint.tables import FrameLike

__all__ = ["relative_counts"]

_LEAST_CONTROLS = 2
_MEDIAN: Final = np.pi / 2  # variance of a median over that of a mean, of many normal values


def relative_counts(
    wells: FrameLike, *, count: str = OBJECT_COUNT, toxic_below: float = 0.7, level: float = 0.95
) -> pl.DataFrame:
    """Compare the number of cells of each treatment with the negative controls of the same plates.

    Parameters
    ----------
    wells
        One row per well: plate, ``Metadata_pert_type``, ``Metadata_perturbation`` and a count.
    count
        The column with the number of cells, best of all cells that were found.
    toxic_below
        A treatment is toxic where the whole interval is below this ratio.
    level
        Probability of the interval.

    Returns
    -------
    polars.DataFrame
        One row per treatment, sorted: ``Metadata_perturbation``, ``cell_count_relative`` (median over its wells of the
        ratio to the median control of the plate), ``cell_count_low``, ``cell_count_high``, ``is_toxic`` (NULL where
        the interval is not known) and ``toxicity``: ``toxic``, ``may be toxic`` (the ratio is below the limit and the
        interval reaches above it), ``not toxic`` or ``not counted``.

    Raises
    ------
    UsageError
        If `toxic_below` or `level` is not between 0 and 1.

    Notes
    -----
    The interval is that of the difference of logarithms of (1 + cells), with the robust spread of the controls about
    the median of their plate, pooled over plates, and a t distribution. It does not widen where the wells of a
    treatment disagree; the median over wells keeps a single bad well from deciding.

    Examples
    --------
    >>> wells = pl.DataFrame({
    ...     "Metadata_Plate": ["p"] * 8,
    ...     "Metadata_pert_type": ["negcon"] * 6 + ["trt"] * 2,
    ...     "Metadata_perturbation": ["DMSO"] * 6 + ["a"] * 2,
    ...     "Metadata_Object_Count": [90, 95, 100, 105, 110, 100, 40, 42],
    ... })
    >>> relative_counts(wells).select("cell_count_relative", "toxicity").row(0)  # doctest: +ELLIPSIS
    (0.415..., 'toxic')
    """
    from scipy.stats import t

    for name, value in (("toxic_below", toxic_below), ("level", level)):
        if not 0 < value < 1:
            raise UsageError(f"{name} must lie between 0 and 1; found {value}")
    data = to_polars(wells)
    require_columns(data, [PLATE, PERT_TYPE, PERTURBATION, count], purpose="relative counts")
    log = (pl.col(count).cast(pl.Float64) + 1).log().alias("_log")
    rows = data.select(PLATE, PERT_TYPE, PERTURBATION, log)
    controls = rows.filter((pl.col(PERT_TYPE) == "negcon") & pl.col("_log").is_not_null())
    plates = controls.group_by(PLATE).agg(pl.col("_log").median().alias("_usual"), pl.len().alias("_n"))
    plates = plates.filter(pl.col("_n") >= _LEAST_CONTROLS)
    left = controls.join(plates, on=PLATE).select(pl.col("_log") - pl.col("_usual")).to_series().to_numpy()
    freedom = len(left) - plates.height
    spread = _spread(left, freedom)
    treated = rows.filter(pl.col(PERT_TYPE).is_in(["trt", "poscon"]) & pl.col(PERTURBATION).is_not_null())
    wells_of = treated.join(plates, on=PLATE, how="left").with_columns(_ratio=pl.col("_log") - pl.col("_usual"))
    n = pl.col("_ratio").count()
    own = pl.when(n <= 2).then(1 / n).otherwise(_MEDIAN / n)
    # The controls of a plate are shared by the wells on it.
    shared = (_MEDIAN / pl.col("_n").filter(pl.col("_ratio").is_not_null())).mean() / pl.col(PLATE).filter(
        pl.col("_ratio").is_not_null()
    ).n_unique()
    per_treatment = wells_of.group_by(PERTURBATION).agg(
        pl.col("_ratio").median().alias("_middle"), (own + shared).sqrt().alias("_width")
    )
    reach = spread * float(t.ppf(0.5 + level / 2, freedom)) if freedom > 0 else float("nan")
    low, high = pl.col("_middle") - reach * pl.col("_width"), pl.col("_middle") + reach * pl.col("_width")
    known = per_treatment.select(
        PERTURBATION,
        pl.col("_middle").exp().alias("cell_count_relative"),
        low.exp().fill_nan(None).alias("cell_count_low"),
        high.exp().fill_nan(None).alias("cell_count_high"),
    )
    is_toxic = (pl.col("cell_count_high") < toxic_below).alias("is_toxic")
    toxicity = (
        pl.when(pl.col("cell_count_high").is_null())
        .then(pl.lit("not counted"))
        .when(pl.col("cell_count_high") < toxic_below)
        .then(pl.lit("toxic"))
        .when(pl.col("cell_count_relative") < toxic_below)
        .then(pl.lit("may be toxic"))
        .otherwise(pl.lit("not toxic"))
    )
    return known.with_columns(is_toxic, toxicity.alias("toxicity")).sort(PERTURBATION)


def _spread(left: np.ndarray, freedom: int) -> float:
    """Return the robust standard deviation of what the plates leave over; NaN without freedom."""
    if freedom < 1:
        return float("nan")
    correction = np.sqrt(len(left) / freedom)
    robust = MAD_SCALE * float(np.median(np.abs(left))) * correction
    return robust if robust > 0 else float(np.sqrt((left**2).sum() / freedom))
