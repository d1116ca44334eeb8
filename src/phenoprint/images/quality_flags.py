"""Flags of image quality, by limits estimated from each plate and by absolute limits.

A robust limit (median and MAD of the fields of the plate) finds fields that differ from the others; an absolute limit
finds bad fields even if the whole plate is bad. A missing value is always flagged.

Strong phenotypes must not be flagged: cytotoxic wells have few cells, dim or bright stains and rounded textures.
Unusual cell counts, backgrounds and signals are therefore **notes**; only absolute limits (black, saturated, fewer than
two cells) and blur beyond the spread of the plate give **flags**. No row is removed: rows are marked, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from phenoprint.errors import SchemaError, UsageError

__all__ = ["QualityLimits", "flag_image_quality", "quality_thresholds"]

_REQUIRED = (
    "Metadata_Channel",
    "focus_slope",
    "saturated_percent",
    "background",
    "noise",
    "p99",
    "mean",
    "sd",
)
_LEARNED = ("focus_slope", "background", "n_cells")


@dataclass(frozen=True)
class QualityLimits:
    """Limits of the image quality.

    Attributes
    ----------
    z
        Largest distance from the median of the plate, in robust standard deviations (1.4826 MAD).
    min_fields
        Smallest number of usable fields of a channel; with fewer only the absolute limits apply.
    min_focus_slope
        Smallest focus slope; fields below it are out of focus even if the whole plate is.
    max_saturated_percent
        Largest percentage of pixels at full scale.
    min_cells
        Smallest number of cells in a field; 0 or 1 cells have no distribution.

    Raises
    ------
    UsageError
        If a limit is out of range.
    """

    z: float = 5.0
    min_fields: int = 8
    min_focus_slope: float = -2.9
    max_saturated_percent: float = 1.0
    min_cells: int = 2

    def __post_init__(self) -> None:
        if not self.z > 0 or self.min_fields < 3:
            raise UsageError(f"expected z > 0 and min_fields >= 3, got {self.z} and {self.min_fields}")
        if not 0 <= self.max_saturated_percent <= 100 or self.min_cells < 0:
            raise UsageError(
                "expected max_saturated_percent in 0 to 100 and min_cells of at least 0, got "
                f"{self.max_saturated_percent} and {self.min_cells}"
            )


def quality_thresholds(
    frame: pl.DataFrame, *, by: str | Sequence[str] = "Metadata_Plate", limits: QualityLimits | None = None
) -> pl.DataFrame:
    """Estimate the limits of each plate and channel.

    Parameters
    ----------
    frame
        Rows of :func:`phenoprint.images.image_quality` for many fields, with the columns of `by`, and
        ``n_cells`` if cells were counted.
    by
        Column or columns that identify a plate.
    limits
        Limits; None for the defaults of :class:`QualityLimits`.

    Returns
    -------
    One row per plate, channel and measure, sorted: the columns of `by`, ``Metadata_Channel``, ``measure``
    (``focus_slope``, ``background``, ``n_cells``), ``n_fields`` (Int64, fields used: those with contrast and with
    enough cells), and Float64 ``median``, ``spread`` (1.4826 MAD, or the minimum of the measure if larger), ``lower``,
    ``upper``; the last four are NULL with fewer than `limits.min_fields` fields.

    Raises
    ------
    SchemaError
        If a column is missing.

    Examples
    --------
    >>> slopes = pl.DataFrame({"Metadata_Plate": "P1", "Metadata_Channel": "DNA", "focus_slope": [-1.9, -2.0, -2.1]})
    >>> fields = slopes.with_columns(
    ...     *(pl.lit(0.1).alias(name) for name in ("saturated_percent", "background", "noise", "p99", "mean", "sd"))
    ... )
    >>> quality_thresholds(fields, limits=QualityLimits(min_fields=3)).filter(measure="focus_slope")["median"].item()
    -2.0
    """
    limits = limits or QualityLimits()
    keys = _keys(by)
    _check_columns(frame, keys)
    index = [*keys, "Metadata_Channel"]
    names = [name for name in (*_LEARNED, "noise", "sd") if name in frame.columns]
    # In comparisons NaN is larger than any number, so it is replaced first.
    values = frame.select(*index, *(pl.col(name).cast(pl.Float64).fill_nan(None) for name in names))
    usable = pl.col("sd") > 0
    if "n_cells" in names:
        usable &= pl.col("n_cells").is_null() | (pl.col("n_cells") >= limits.min_cells)
    usable_rows = values.filter(usable)
    learned = pl.concat(
        usable_rows.group_by(index).agg(
            pl.lit(measure).alias("measure"),
            pl.col(measure).count().cast(pl.Int64).alias("n_fields"),
            pl.col(measure).median().alias("median"),
            _spread(measure).alias("spread"),
        )
        for measure in _LEARNED
        if measure in names
    )
    is_known = pl.col("n_fields") >= limits.min_fields
    return (
        learned.with_columns(pl.when(is_known).then(pl.col(name)).alias(name) for name in ("median", "spread"))
        .with_columns(
            (pl.col("median") - limits.z * pl.col("spread")).alias("lower"),
            (pl.col("median") + limits.z * pl.col("spread")).alias("upper"),
        )
        .sort(*index, "measure")
    )


def _spread(measure: str) -> pl.Expr:
    """Return 1.4826 MAD, or a minimum, so that nearly identical fields have no outliers."""
    value = pl.col(measure)
    least = {
        "focus_slope": pl.lit(0.1),
        # Differences of less than one grey level of an 8-bit image do not count.
        "background": pl.max_horizontal(pl.col("noise").median(), 0.1 * value.median().abs()),
        "n_cells": pl.max_horizontal(pl.lit(1.0), 0.15 * value.median()),
    }
    return pl.max_horizontal(1.4826 * (value - value.median()).abs().median(), least[measure])


def flag_image_quality(
    frame: pl.DataFrame,
    *,
    by: str | Sequence[str] = "Metadata_Plate",
    limits: QualityLimits | None = None,
    thresholds: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Flag unreliable images, with the reasons.

    Parameters
    ----------
    frame
        Rows of :func:`phenoprint.images.image_quality` with the columns of `by`, and optionally ``n_cells`` and
        ``area_covered``.
    by
        Column or columns that identify a plate.
    limits
        Limits; None for the defaults of :class:`QualityLimits`.
    thresholds
        Result of `quality_thresholds`; estimated from `frame` by default.

    Returns
    -------
    `frame`, rows in order, with three columns added or replaced: ``is_flagged`` (Boolean, never NULL),
    ``reasons`` (String, one reason per line, NULL if not flagged) and ``notes`` (String, unusual values that are no
    reason to exclude the image).

    Flags: a missing value; all black, or one value everywhere; out of focus (below the limit of the plate or the
    absolute limit); saturated; no cell or a single one. Notes: unusually many or few cells, an unusual background, no
    signal above the noise, a focus slope far above that of the plate (an empty field, debris). **A field with at least
    `limits.min_cells` is never flagged for its number of cells**, which may be the phenotype.

    Raises
    ------
    SchemaError
        If a column of `frame` or `thresholds` is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from phenoprint.images.quality import image_quality
    >>> black = image_quality(np.zeros((1, 64, 64), dtype=np.uint8), channels=["DNA"])
    >>> flag_image_quality(black, by=[]).select("is_flagged", "reasons").row(0)
    (True, 'all black: DNA')
    """
    limits = limits or QualityLimits()
    keys = _keys(by)
    _check_columns(frame, keys)
    if thresholds is None:
        thresholds = quality_thresholds(frame, by=by, limits=limits)
    index = [*keys, "Metadata_Channel"]
    missing = [name for name in (*index, "measure", "median", "lower", "upper") if name not in thresholds.columns]
    if missing:
        raise SchemaError(f"thresholds lack {', '.join(missing)}; pass the result of quality_thresholds")
    judged = frame.with_columns(
        pl.col(name).cast(pl.Float64).fill_nan(None).alias(f"_{name}") for name in _judged(frame)
    )
    for measure in _LEARNED:
        of_measure = thresholds.filter(pl.col("measure") == measure).select(
            *index, *(pl.col(name).alias(f"_{measure}_{name}") for name in ("median", "lower", "upper"))
        )
        judged = judged.join(of_measure, on=index, how="left", nulls_equal=True, maintain_order="left", validate="m:1")
    flags, notes = _flags(frame, limits), _notes(frame)
    reasons, remarks = (pl.concat_list(expressions).list.drop_nulls().list.join("\n") for expressions in (flags, notes))
    return (
        judged.with_columns(reasons.alias("reasons"), remarks.alias("notes"))
        .with_columns(
            (pl.col("reasons") != "").alias("is_flagged"),
            *(pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in ("reasons", "notes")),
        )
        .select(*(name for name in frame.columns if name not in _ADDED), *_ADDED)
    )


_ADDED = ("is_flagged", "reasons", "notes")


def _keys(by: str | Sequence[str]) -> list[str]:
    return [by] if isinstance(by, str) else list(by)


def _check_columns(frame: pl.DataFrame, keys: list[str]) -> None:
    missing = [name for name in (*keys, *_REQUIRED) if name not in frame.columns]
    if missing:
        raise SchemaError(
            f"image quality lacks {', '.join(missing)}; found {', '.join(frame.columns)}. Measure with "
            "image_quality and add the plate"
        )


def _judged(frame: pl.DataFrame) -> list[str]:
    optional = [name for name in ("n_cells", "area_covered") if name in frame.columns]
    return [*_REQUIRED[1:], *optional]


def _channel() -> pl.Expr:
    """Return the name of the channel for messages, without line ends, because these separate messages."""
    return pl.col("Metadata_Channel").fill_null("channel").str.replace_all(r"[\r\n]+", " ")


def _flags(frame: pl.DataFrame, limits: QualityLimits) -> list[pl.Expr]:
    channel = _channel()
    flat = (pl.col("_sd") == 0).fill_null(value=False)
    focus, saturated = pl.col("_focus_slope"), pl.col("_saturated_percent")
    absent = [
        pl.when(pl.col(f"_{name}").is_null() & ~(flat & (name == "focus_slope"))).then(
            pl.format("no value: {} {}", channel, pl.lit(name))
        )
        for name in _judged(frame)
    ]
    blurred = pl.format("out of focus: {} slope {}", channel, focus.round(2))
    expressions = [
        *absent,
        pl.when(flat & (pl.col("_mean") == 0)).then(pl.format("all black: {}", channel)),
        pl.when(flat & (pl.col("_mean") != 0)).then(pl.format("one value everywhere: {}", channel)),
        pl.when(focus < pl.col("_focus_slope_lower"))
        .then(pl.format("{} against plate median {}", blurred, pl.col("_focus_slope_median").round(2)))
        .when(focus < limits.min_focus_slope)
        .then(pl.format("{} below {}", blurred, pl.lit(limits.min_focus_slope))),
        pl.when(saturated > limits.max_saturated_percent).then(
            pl.format(
                "saturated: {} {} % of pixels, limit {} %",
                channel,
                saturated.round(2),
                pl.lit(limits.max_saturated_percent),
            )
        ),
    ]
    if "n_cells" in frame.columns:
        count = pl.col("_n_cells")
        expressions.append(
            pl.when((count < limits.min_cells) & (count < 1))
            .then(pl.lit("no cells"))
            .when(count < limits.min_cells)
            .then(pl.format("few cells: {}, at least {} needed", count.cast(pl.Int64), pl.lit(limits.min_cells)))
        )
    return expressions


def _notes(frame: pl.DataFrame) -> list[pl.Expr]:
    channel = _channel()
    seen = pl.col("_sd") > 0

    def unusual(measure: str, words: str, *, above: bool, digits: int) -> pl.Expr:
        value, limit = pl.col(f"_{measure}"), pl.col(f"_{measure}_{'upper' if above else 'lower'}")
        text = pl.format(
            words + " {} against plate median {}",
            value.round(digits),
            pl.col(f"_{measure}_median").round(digits),
        )
        return pl.when(seen & ((value > limit) if above else (value < limit))).then(text)

    def named(expression: pl.Expr) -> pl.Expr:
        return pl.format("{}: {}", channel, expression)

    expressions = [
        named(unusual("focus_slope", "little structure, slope", above=True, digits=2)),
        named(unusual("background", "high background", above=True, digits=4)),
        named(unusual("background", "low background", above=False, digits=4)),
        pl.when(seen & (pl.col("_p99") - pl.col("_background") < 3 * pl.col("_noise"))).then(
            pl.format("{}: no signal above the noise", channel)
        ),
    ]
    if "n_cells" in frame.columns:
        expressions += [
            unusual("n_cells", "many cells:", above=True, digits=0),
            unusual("n_cells", "few cells:", above=False, digits=0),
        ]
    return expressions
