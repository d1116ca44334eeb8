"""Annotation of all wells, and the measures for the plate maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from phenoprint.analysis import DEFAULT_READOUTS
from phenoprint.evaluation import best_readouts, control_statistics
from phenoprint.report.source import Tables, feature_names
from phenoprint.report.summaries.ledger import ledger_wells
from phenoprint.tables import PERTURBATION, WELL_KEY

__all__ = [
    "WellMeasure",
    "feature_spreads",
    "source_of_controls",
    "well_annotations",
    "well_measures",
    "well_readouts",
]

LEVEL3, LEVEL4 = "profile_well", "profile_normalized"
ANNOTATIONS = (
    "Metadata_pert_type",
    "Metadata_compound",
    "Metadata_Concentration",
    "Metadata_Concentration_Unit",
    "Metadata_moa",
    "Metadata_Batch",
)

# Label and explanation of each image-quality metric, in the order of the selector.
QUALITY = {
    "focus_slope": (
        "Focus (power log-log slope)",
        "Slope of the log power spectrum. Steeper (more negative) means blurrier.",
    ),
    "saturated_percent": (
        "Saturated pixels, %",
        "Pixels at the camera's maximum, where differences are lost.",
    ),
    "minimum_percent": (
        "Pixels at the minimum, %",
        "Pixels at the lowest value; a large share means clipped background.",
    ),
    "background": ("Background", "Estimated intensity without cells, from 0 to 1."),
    "noise": ("Noise", "Estimated noise of the background, from 0 to 1."),
    "p01": ("1st percentile", "Intensity that 1 % of the pixels lie below, from 0 to 1."),
    "p05": ("5th percentile", "Intensity that 5 % of the pixels lie below, from 0 to 1."),
    "p25": ("25th percentile", "Intensity that 25 % of the pixels lie below, from 0 to 1."),
    "p50": ("Median intensity", "Median intensity of the pixels, from 0 to 1."),
    "p75": ("75th percentile", "Intensity that 75 % of the pixels lie below, from 0 to 1."),
    "p95": ("95th percentile", "Intensity that 95 % of the pixels lie below, from 0 to 1."),
    "p99": ("99th percentile", "Intensity that 99 % of the pixels lie below, from 0 to 1."),
    "mean": ("Mean intensity", "Mean intensity of the pixels, from 0 to 1."),
    "sd": ("Standard deviation", "Standard deviation of the intensity of the pixels."),
}
AREA = ("area_covered", "Area covered by cells", "Share of the image inside cells, mean of the sites.")


@dataclass(frozen=True)
class WellMeasure:
    """A measure that a plate can be coloured by.

    Attributes
    ----------
    key
        Column in the frames of `well_measures`.
    label, group, about
        Name, group in the selector, and explanation in one line.
    raw, normalized
        Whether the measure is in the raw and in the normalized frame.
    """

    key: str
    label: str
    group: str
    about: str = ""
    raw: bool = True
    normalized: bool = False


def well_annotations(tables: Tables) -> pl.DataFrame:
    """Return all wells of the screen with their annotation.

    Returns
    -------
    pl.DataFrame
        ``Metadata_Plate``, ``Metadata_Well``, the annotations of `ANNOTATIONS` (null where unknown), the perturbation,
        ``has_images``, ``is_annotated``, ``treatment`` (label for reading), sorted by plate and well. Empty when no
        table lists a well.
    """
    known = []
    for name in ("well", "profile_well", "profile_normalized", "image_quality", "image"):
        part = tables.columns(name, WELL_KEY)
        if part is not None and part.width == len(WELL_KEY):
            known.append(part.unique())
    if not known:
        return pl.DataFrame(schema=dict.fromkeys([*WELL_KEY, "treatment"], pl.String))
    wells = pl.concat(known).drop_nulls().unique().sort(WELL_KEY)
    for name in ("well", "profile_well", "profile_normalized"):
        source = tables.columns(name, [*WELL_KEY, *ANNOTATIONS, PERTURBATION, "has_images", "is_annotated"])
        if source is not None and set(WELL_KEY) <= set(source.columns) and source.width > 2:
            wells = wells.join(source.unique(WELL_KEY), on=WELL_KEY, how="left", maintain_order="left")
            break
    absent = {c: pl.lit(None, dtype=pl.String) for c in ANNOTATIONS if c not in wells.columns}
    wells = wells.with_columns(**absent).with_columns(pl.col("Metadata_Concentration").cast(pl.Float64, strict=False))
    return wells.with_columns(treatment_label().alias("treatment"))


def treatment_label() -> pl.Expr:
    """Return the label of a well: compound with dose, else the kind of well, else a dash."""
    dose = pl.col("Metadata_Concentration")
    written = dose.round_sig_figs(4).cast(pl.String).str.replace(r"\.0$", "")
    unit = pl.col("Metadata_Concentration_Unit").cast(pl.String).fill_null("")
    compound = pl.col("Metadata_compound").cast(pl.String)
    with_dose = pl.format("{} {}", compound, pl.format("{} {}", written, unit).str.strip_chars())
    return (
        pl.when(dose.is_not_null() & (dose > 0) & compound.is_not_null())
        .then(with_dose)
        .otherwise(pl.coalesce(compound, pl.col("Metadata_pert_type").cast(pl.String), pl.lit("–")))
    )


def well_measures(
    tables: Tables, *, most_features: int = 40, quality: bool = True
) -> tuple[list[WellMeasure], pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Choose the measures of the plate maps and return their values.

    The measures are the cell count, losses, image quality, the features that separate the controls best, and the
    feature of each family that varies most between wells.

    Parameters
    ----------
    tables
        The screen's tables.
    most_features
        Maximum number of features.
    quality
        Whether to include every percentile of the image quality, or only the main metrics.

    Returns
    -------
    measures
        In the order of the selector.
    raw, normalized
        One row per well with the keys and one column per measure; ``raw`` has all but the normalized profiles.
    statistics
        Statistics of the controls for all features, see `control_statistics`.
    """
    measures: list[WellMeasure] = []
    raw = well_annotations(tables).select(WELL_KEY)
    raw, measures = _counts(tables, raw, measures)
    readouts = well_readouts(tables)
    if readouts is not None:
        named = [name for name in readouts.columns if name not in WELL_KEY]
        raw = _join(raw, readouts, named)
        measures += [
            WellMeasure(name, name, "Readouts", "Readout named in screen.toml, median of the well's cells.")
            for name in named
        ]
    raw, measures = _quality(tables, raw, measures, everything=quality)
    names = {name: tables.features(name) for name in (LEVEL3, LEVEL4)}
    profile = LEVEL4 if names[LEVEL4] else LEVEL3
    # Features that normalization dropped for lack of spread are not readouts.
    spread = feature_spreads(tables, profile, names[profile])
    source = source_of_controls(tables)
    usable = [name for name in spread if source is not None and name in set(names[source])]
    statistics = _statistics(tables, source, usable)
    best = best_readouts(statistics, n=min(14, most_features))
    varied = [name for name in _one_per_family(spread) if name not in best][: max(0, most_features - len(best))]
    in_raw, in_normalized = set(names[LEVEL3]), set(names[LEVEL4])
    for group, chosen in (("Features that separate the controls", best), ("One feature per family", varied)):
        measures += [
            WellMeasure(
                name, name, group, "Median of the well's cells.", raw=name in in_raw, normalized=name in in_normalized
            )
            for name in chosen
        ]
    chosen = [*best, *varied]
    normalized = _with_features(
        raw.select(WELL_KEY), tables, LEVEL4, [name for name in chosen if name in in_normalized]
    )
    return (
        measures,
        _with_features(raw, tables, LEVEL3, [name for name in chosen if name in in_raw]),
        normalized,
        statistics,
    )


def source_of_controls(tables: Tables) -> str | None:
    """Return the table whose values Z' is computed on, or None where no profile has both kinds of control.

    Measured values come first: normalization may clip and so shrink the spread of strong controls.
    """
    for name in (LEVEL3, LEVEL4):
        roles = tables.columns(name, [*WELL_KEY, "Metadata_pert_type"])
        if (
            roles is not None
            and roles.width == 3
            and {"negcon", "poscon"} <= set(roles["Metadata_pert_type"].to_list())
        ):
            return name
    return None


def _statistics(tables: Tables, source: str | None, features: Sequence[str]) -> pl.DataFrame:
    """Compute the statistics of the controls in blocks of features."""
    if source is None or not features:
        return control_statistics(pl.DataFrame(), [])
    blocks = tables.blocks(source, features, beside=["Metadata_Plate", "Metadata_pert_type", "Metadata_compound"])
    return pl.concat([control_statistics(block, feature_names(block)) for block in blocks])


def _with_features(wells: pl.DataFrame, tables: Tables, name: str, features: Sequence[str]) -> pl.DataFrame:
    profile = tables.columns(name, [*WELL_KEY, *features]) if features else None
    return wells if profile is None else _join(wells, profile, features)


def well_readouts(tables: Tables) -> pl.DataFrame | None:
    """Return the readouts of the configuration, one column each and one row per well; None where there are none."""
    frame = tables.find("readout")
    if frame is None or not {*WELL_KEY, "readout", "value"} <= set(frame.columns):
        return None
    frame = frame.filter(~pl.col("readout").is_in(list(DEFAULT_READOUTS)))  # the report shows counts separately
    names = frame["readout"].drop_nulls().unique().sort()
    if names.is_empty():
        return None
    return frame.pivot("readout", on_columns=names, index=WELL_KEY, values="value", aggregate_function="first")


def _join(left: pl.DataFrame, right: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    part = right.select([*WELL_KEY, *columns]).unique(WELL_KEY)
    return left.join(part, on=WELL_KEY, how="left", maintain_order="left")


def _counts(tables: Tables, raw: pl.DataFrame, measures: list[WellMeasure]) -> tuple[pl.DataFrame, list[WellMeasure]]:
    counts = tables.columns("profile_well", [*WELL_KEY, "Metadata_Object_Count"])
    if counts is not None and counts.width == 3 and counts["Metadata_Object_Count"].count():
        raw = _join(raw, counts.rename({"Metadata_Object_Count": "cells"}), ["cells"])
        measures = [
            *measures,
            WellMeasure("cells", "Cell count", "Cells", "Cells that entered the well's profile."),
        ]
    ledger = tables.find("ledger")
    if ledger is not None:
        lost = ledger_wells(ledger, unit="cells")
        if lost.height:
            raw = _join(raw, lost.rename({"lost_percent": "cells lost"}), ["cells lost"])
            about = "Share of the cells found that are not in the profile, for any reason in the ledger."
            measures = [*measures, WellMeasure("cells lost", "Cells lost, %", "Cells", about)]
    outliers = tables.columns("cell_quality", [*WELL_KEY, "is_outlier"])
    if outliers is not None and outliers.width == 3 and outliers.height:
        share = outliers.group_by(WELL_KEY).agg((100.0 * pl.col("is_outlier").mean()).alias("outlier cells"))
        raw = _join(raw, share, ["outlier cells"])
        about = "Cells flagged as debris, clumps or poor masks."
        measures = [*measures, WellMeasure("outlier cells", "Outlier cells, %", "Cells", about)]
    return raw, measures


def _quality(
    tables: Tables, raw: pl.DataFrame, measures: list[WellMeasure], *, everything: bool
) -> tuple[pl.DataFrame, list[WellMeasure]]:
    frame = tables.find("image_quality")
    channel = "Metadata_Channel"
    if frame is None or not {*WELL_KEY, channel} <= set(frame.columns):
        return raw, measures
    wanted = list(QUALITY) if everything else ["focus_slope", "saturated_percent", "background", "p50"]
    metrics = [name for name in wanted if name in frame.columns and frame[name].dtype.is_numeric()]
    if AREA[0] in frame.columns:
        raw = _join(raw, frame.group_by(WELL_KEY).agg(pl.col(AREA[0]).mean()), [AREA[0]])
        measures = [*measures, WellMeasure(AREA[0], AREA[1], "Cells", AREA[2])]
    for name in sorted(frame[channel].drop_nulls().unique().to_list()):
        renamed = {metric: f"{metric} {name}" for metric in metrics}
        part = frame.filter(pl.col(channel) == name).group_by(WELL_KEY).agg(pl.col(metrics).mean()).rename(renamed)
        raw = _join(raw, part, list(renamed.values()))
        group = f"Image quality, {name}"
        measures = [
            *measures,
            *(WellMeasure(renamed[m], f"{QUALITY[m][0]} ({name})", group, QUALITY[m][1]) for m in metrics),
        ]
    return raw, measures


def feature_spreads(tables: Tables, name: str, features: Sequence[str]) -> dict[str, float | None]:
    """Return the spread between wells of each feature that has a value."""
    found: dict[str, float | None] = {}
    for block in tables.blocks(name, features):
        wide = pl.all().cast(pl.Float64)
        # A robust spread: one extreme well must not make a feature look informative.
        row = block.select(wide.quantile(0.95) - wide.quantile(0.05)).row(0)
        counts = block.select(pl.all().count()).row(0)
        found |= {name: value for name, value, n in zip(block.columns, row, counts, strict=True) if n}
    return found


def _one_per_family(spread: Mapping[str, float | None]) -> list[str]:
    """Return the feature of each compartment and family that varies most between wells."""
    known = [(name, value) for name, value in spread.items() if value is not None and math.isfinite(value)]
    chosen: dict[tuple[str, ...], str] = {}
    for name, _ in sorted(known, key=lambda pair: (-pair[1], pair[0])):
        chosen.setdefault(tuple(name.split("_")[:2]), name)
    return sorted(chosen.values())
