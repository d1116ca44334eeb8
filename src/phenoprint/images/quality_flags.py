"""Judging image quality: limits learned from each plate together with limits that hold on every plate.

A robust limit (median and MAD of the plate's own fields) finds the field that is unlike the others; an
absolute one finds what is bad even where the whole plate is. A value that is missing is a flag of its own and
never passes.

A strong phenotype must survive: cytotoxic wells have few cells, dim or bright stains and rounded textures. So
unusual cell counts, backgrounds and signals are **notes**; only absolute limits (black, saturated, fewer than
two cells) and blur beyond the plate's own spread are **flags**. Nothing is removed: rows are marked, with the
reason in words.
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
    """The limits of the judgement.

    Attributes
    ----------
    z
        Robust standard deviations (1.4826 MAD) from the plate's median that a value may lie.
    min_fields
        With fewer usable fields of a channel nothing is learned and only the absolute limits hold.
    min_focus_slope
        Absolute floor of the focus slope: below it even a wholly blurred plate is out of focus.
    max_saturated_percent
        Most pixels at full scale, in percent.
    min_cells
        Fewest cells in a field; with 0 or 1 there is no distribution to summarise.

    Raises
    ------
    UsageError
        A limit that could never or always hold.
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
    """Learn what is usual on each plate and channel.

    Parameters
    ----------
    frame
        Rows of :func:`phenoprint.images.image_quality` for many fields, with the columns of `by`, and
        ``n_cells`` where cells were counted.
    by
        What makes a plate: one column or several.
    limits
        How far from the median is too far; the defaults of :class:`QualityLimits` when None.

    Returns
    -------
    One row per plate, channel and measure, sorted: the columns of `by`, ``Metadata_Channel``, ``measure``
    (``focus_slope``, ``background``, ``n_cells``), ``n_fields`` (Int64, fields learned from: those with
    contrast and with enough cells), and Float64 ``median``, ``spread`` (1.4826 MAD, raised to the measure's
    least), ``lower``, ``upper``; the last four NULL where there were fewer than `limits.min_fields`.

    Raises
    ------
    SchemaError
        A column is missing.
    """
    limits = limits or QualityLimits()
    keys = _keys(by)
    _check_columns(frame, keys)
    index = [*keys, "Metadata_Channel"]
    names = [name for name in (*_LEARNED, "noise", "sd") if name in frame.columns]
    # NaN counts as larger than any number in comparisons: it has to go before they are made.
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
    """Return 1.4826 MAD, but no less than can be distinguished: near-identical fields have no outliers."""
    value = pl.col(measure)
    least = {
        "focus_slope": pl.lit(0.1),
        # The noise of a pixel: less than one grey level of an 8-bit image is nothing.
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
    """Mark the images that should not be trusted, and say why.

    Parameters
    ----------
    frame
        Rows of :func:`phenoprint.images.image_quality` with the columns of `by`; ``n_cells`` and
        ``area_covered`` are judged where they are there.
    by
        What makes a plate: one column or several.
    limits
        The limits; the defaults of :class:`QualityLimits` when None.
    thresholds
        As `quality_thresholds` returned them, for instance stored ones; learned from `frame` when None.

    Returns
    -------
    `frame`, rows in order, with three columns added or replaced: ``is_flagged`` (Boolean, never NULL),
    ``reasons`` (String, one reason per line, NULL where not flagged) and ``notes`` (likewise: unusual, not a
    reason to exclude).

    Flags: a value that is missing; all black, or one value everywhere; out of focus (below the plate's limit
    or the absolute floor); saturated; no cell or a single one. Notes: unusually many or few cells, an unusual
    background, no signal above the noise, a focus slope far above the plate's (an empty field, debris). **Few
    cells alone never flag a field that has at least `limits.min_cells`**: they may be the phenotype.

    Raises
    ------
    SchemaError
        A column is missing, in `frame` or in `thresholds`.

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
        raise SchemaError(f"thresholds lack {', '.join(missing)}; give what quality_thresholds returns")
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
    """Name the channel in a message; line ends stand between messages, so a name cannot keep its own."""
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
