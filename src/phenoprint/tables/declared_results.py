"""The tables that a run adds beside the core ones, column by column."""

from __future__ import annotations

from typing import Final

import polars as pl

from phenoprint.tables.schemas import Column, Table

__all__ = ["RESULT_TABLES"]

TEXT, INT, LONG, REAL, BYTES, FLAG = pl.String(), pl.Int32(), pl.Int64(), pl.Float64(), pl.Binary(), pl.Boolean()

_PLATE = Column("Metadata_Plate", TEXT, "Plate barcode, as text", nullable=False)
_WELL = Column("Metadata_Well", TEXT, "Well, row letter and two-digit column: A01", nullable=False)
_SITE = Column("Metadata_Site", TEXT, "Site (field of view) within the well", nullable=False)
_CHANNEL = Column("Metadata_Channel", TEXT, "Channel", nullable=False)
_REASON = Column("reason", TEXT, "Why, in a sentence; NULL where nothing is wrong")
_IN_WELL = ("Metadata_Plate", "Metadata_Well")

RESULT_TABLES: Final[tuple[Table, ...]] = (
    Table(
        "problem",
        "Where images and plate map disagree, and files that cannot be what they claim",
        (
            Column("kind", TEXT, "What is wrong", nullable=False),
            Column("Metadata_Plate", TEXT, "Plate; NULL where none is concerned"),
            Column("Metadata_Well", TEXT, "Well; NULL where none is concerned"),
            Column("Metadata_Site", TEXT, "Site; NULL where none is concerned"),
            Column("Metadata_Channel", TEXT, "Channel; NULL where none is concerned"),
            Column("detail", TEXT, "What was found, in a sentence"),
        ),
        order=("kind", "Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Channel"),
        per_plate=False,
    ),
    Table(
        "plate_map_reading",
        "One row per column, word or line of the plate maps: what it was read as, or why it was not used",
        (
            Column("source", TEXT, "File, and sheet of a spreadsheet", nullable=False),
            Column("kind", TEXT, "column, value, sheet or text", nullable=False),
            Column("found", TEXT, "The column's name, the word or the line as written"),
            Column("read_as", TEXT, "What it was taken for; NULL where it was not used"),
            Column("n", INT, "Wells with a value, or with this word"),
            Column("detail", TEXT, "Where it stands, why it was not used, or what to check"),
        ),
        order=("source", "kind", "found"),
        per_plate=False,
    ),
    Table(
        "image_metric",
        "One row per site and channel: what was measured on the raw image, before flags; see image_quality",
        (_PLATE, _WELL, _SITE, _CHANNEL, Column("error", TEXT, "Why the image could not be read; NULL if it was")),
        key=(*_IN_WELL, "Metadata_Site", "Metadata_Channel"),
    ),
    Table(
        "quality_threshold",
        "One row per plate, channel and measure: what is usual there, and where flags and notes begin",
        (
            _PLATE,
            _CHANNEL,
            Column("measure", TEXT, "focus_slope, background or n_cells", nullable=False),
            Column("n_fields", LONG, "Fields it was learned from"),
            Column("median", REAL, "Median over those fields"),
            Column("spread", REAL, "1.4826 MAD, no less than can be distinguished"),
            Column("lower", REAL, "Below this a field is unusual"),
            Column("upper", REAL, "Above this a field is unusual"),
        ),
        key=("Metadata_Plate", "Metadata_Channel", "measure"),
    ),
    Table(
        "calibration",
        "One row per plate whose nuclei were measured because no diameter was given",
        (
            _PLATE,
            Column("nucleus_diameter_px", REAL, "Typical diameter of a nucleus, px"),
            Column("n_fields", INT, "Fields it was estimated from"),
        ),
        key=("Metadata_Plate",),
    ),
    Table(
        "score",
        "What the whole screen achieves, and what needs no morphology achieves on the same splits",
        (
            Column("score", TEXT, "Name", nullable=False),
            Column("value", REAL, "Value"),
            Column("n", LONG, "Treatments it stands on"),
            Column("n_total", LONG, "Treatments of the screen that could have been scored"),
            Column("is_headline", FLAG, "Whether it stands on treatments enough (10) to be a result of the screen"),
            Column("description", TEXT, "What it says, in a sentence"),
        ),
        key=("score",),
        per_plate=False,
    ),
    Table(
        "step_score",
        "What each step of the recipe did to replicates, batches, positions and mechanisms",
        (
            Column("step", TEXT, "Step of the recipe; level_3 before the first", nullable=False),
            Column("number", INT, "Its place in the recipe; 0 before the first", nullable=False),
            Column("score", TEXT, "What is scored", nullable=False),
            Column("value", REAL, "Value; NULL where it cannot be had"),
            Column("baseline", REAL, "What chance alone gives, where that is known"),
            Column("n", LONG, "Treatments or wells it stands on"),
            Column("n_total", LONG, "Treatments or wells that were there"),
            _REASON,
        ),
        key=("number", "score"),
        per_plate=False,
    ),
    Table(
        "cell_quality_preview",
        "One row per treatment and rule: how many cells the rule flags there and among the plate's controls",
        (
            _PLATE,
            Column("Metadata_perturbation", TEXT, "Perturbation id; NULL for wells without annotation"),
            Column("rule", TEXT, "Rule, or any for all together", nullable=False),
            Column("n_cells", LONG, "Cells of the treatment on the plate"),
            Column("n_removed", LONG, "Cells that the rule flags"),
            Column("share", REAL, "Their share"),
            Column("share_reference", REAL, "Share that the rule flags of the plate's control cells"),
            Column("z", REAL, "Difference of the two in standard errors; NULL without controls"),
            Column("is_likely_phenotype", pl.Boolean(), "Whether the rule likely removes what the treatment does"),
            _REASON,
        ),
        order=("Metadata_Plate", "rule", "Metadata_perturbation"),
    ),
    Table(
        "dose_response",
        "One row per compound and readout: a fitted Hill curve",
        (
            Column("readout", TEXT, "Readout or feature", nullable=False),
            Column("Metadata_compound", TEXT, "Compound", nullable=False),
            Column("Metadata_Concentration_Unit", TEXT, "Unit of ec50"),
            Column("ec50", REAL, "Dose of half the effect"),
            Column("ec50_low", REAL, "Lower end of its 95% interval"),
            Column("ec50_high", REAL, "Upper end of its 95% interval"),
            Column("slope", REAL, "Hill slope"),
            Column("bottom", REAL, "Response without the compound"),
            Column("top", REAL, "Response at saturation"),
            Column("r2", REAL, "Share of the variance explained"),
            Column("n_wells", LONG, "Wells on the curve"),
            Column("n_doses", LONG, "Distinct doses"),
            Column("status", TEXT, "ok, or what is wrong with the fit", nullable=False),
            _REASON,
        ),
        order=("readout", "Metadata_compound", "Metadata_Concentration_Unit"),
        per_plate=False,
    ),
    Table(
        "gallery",
        "One row per typical cell of a treatment, with its picture",
        (
            _PLATE,
            _WELL,
            _SITE,
            Column("Metadata_ObjectNumber", INT, "Number of the cell in its site", nullable=False),
            Column("Metadata_perturbation", TEXT, "Perturbation id: compound@dose unit", nullable=False),
            Column("rank", INT, "0 is the most typical", nullable=False),
            Column("crop", BYTES, "The cell and its surroundings, PNG"),
        ),
        key=("Metadata_perturbation", "rank"),
        per_plate=False,
    ),
)
