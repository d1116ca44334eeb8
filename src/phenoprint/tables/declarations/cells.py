"""Cells, their features and their quality."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import BYTES, FLAG, INT, LONG, REAL, SINGLE, TEXT, anywhere, required
from phenoprint.tables.records import Column, Table

_CELL = (c.PLATE, c.WELL, c.SITE, c.OBJECT)


def _box(name: str) -> tuple[Column, ...]:
    """Return the four columns of a bounding box."""
    ends = {"y0": "first row", "x0": "first column", "y1": "row after the last", "x1": "column after the last"}
    return tuple(Column(f"{name}_box_{end}", INT, f"Box of the {name}: {text}", "px") for end, text in ends.items())


TABLES: Final = (
    Table(
        "object",
        "One row per cell: its position in its site",
        (
            *_CELL,
            Column("Location_Center_Y", SINGLE, "Centroid of the cell, row", "px"),
            Column("Location_Center_X", SINGLE, "Centroid of the cell, column", "px"),
            Column("nucleus_center_y", SINGLE, "Centroid of the nucleus, row", "px"),
            Column("nucleus_center_x", SINGLE, "Centroid of the nucleus, column", "px"),
            *_box("cell"),
            *_box("nucleus"),
            Column("touches_border", FLAG, "Whether the cell touches the border of its image"),
            Column("cell_area_px", INT, "Area of the cell", "px"),
        ),
        key=keys.CELL_KEY,
    ),
    Table(
        "cell",
        "One row per cell: its features (level 2)",
        _CELL,
        key=keys.CELL_KEY,
        holds_features=True,
    ),
    Table(
        "cell_quality",
        "One row per cell: whether it looks like an artefact",
        (
            *_CELL,
            Column("is_outlier", FLAG, "Whether any rule flags the cell"),
            Column("reasons", TEXT, "The rules that flag it, joined by ;"),
            Column("touches_border", FLAG, "Whether the cell touches the border of its image; NULL for imported cells"),
        ),
        key=keys.CELL_KEY,
    ),
    Table(
        "cell_quality_preview",
        "One row per treatment and rule: how many of its cells and of the controls the rule flags",
        (
            c.PLATE,
            anywhere(c.TREATMENT, "Perturbation id; NULL for wells without annotation"),
            required("rule", TEXT, "Rule, or any for all together"),
            Column("n_cells", LONG, "Cells of the treatment on the plate"),
            Column("n_removed", LONG, "Cells that the rule flags"),
            Column("share", REAL, "Share of the cells that the rule flags"),
            Column("share_reference", REAL, "Share of the control cells of the plate that the rule flags"),
            Column("z", REAL, "Difference of the two in standard errors; NULL without controls"),
            Column("is_likely_phenotype", FLAG, "Whether the rule likely removes what the treatment does"),
            c.REASON,
        ),
        order=(keys.PLATE, "rule", keys.PERTURBATION),
    ),
    Table(
        "cell_rule",
        "One row per rule of cell quality: whether it leaves cells out, or only flags them since treatments cause it",
        (
            required("rule", TEXT, "Rule"),
            Column("n_treatments", LONG, "Treatments compared with the controls of their plates"),
            Column("n_over", LONG, "Treatments of which the rule flags far more cells than of the controls"),
            Column("worst", TEXT, "Treatment with the largest difference to the controls"),
            Column("worst_share", REAL, "Share of its cells that the rule flags"),
            Column("share_reference", REAL, "Share of the control cells of the same plates that the rule flags"),
            Column("is_phenotypic", FLAG, "Whether the rule flags what treatments do; NULL without controls"),
            Column("is_applied", FLAG, "Whether flagged cells are left out of profiles because of the rule"),
        ),
        key=("rule",),
        per_plate=False,
    ),
    Table(
        "gallery",
        "One row per typical cell of a treatment, with its picture",
        (
            *_CELL,
            c.TREATMENT,
            required("rank", INT, "0 is the most typical"),
            Column("crop", BYTES, "The cell and its surroundings, PNG"),
        ),
        key=(keys.PERTURBATION, "rank"),
        per_plate=False,
    ),
    Table(
        "feature",
        "The feature dictionary: what every feature column means",
        (
            required("feature", TEXT, "Column name"),
            Column("compartment", TEXT, "Nuclei, Cells or Cytoplasm"),
            Column("family", TEXT, "AreaShape, Intensity, Texture, ..."),
            Column("measure", TEXT, "What is measured"),
            Column("channel", TEXT, "Channel, or two joined by a comma; NULL for shape"),
            Column("parameters", TEXT, "Scale, angle, bin and the like"),
            Column("unit", TEXT, "Unit of the value"),
            Column("version", TEXT, "Version of the definition"),
            Column("alias", TEXT, "Another name in use"),
            Column("description", TEXT, "One line"),
            Column("source", TEXT, "Paper or module the definition comes from"),
            Column("difference", TEXT, "How it knowingly differs from CellProfiler; NULL if it does not"),
        ),
        key=("feature",),
        per_plate=False,
    ),
    Table(
        "feature_status",
        "Status of a feature on a plate: why it is missing or was not used",
        (
            anywhere(c.PLATE, "Plate; NULL for a step over the whole screen"),
            c.FEATURE,
            required("step", TEXT, "Step that found it"),
            required("status", TEXT, "ok, all_null, zero_mad, zero_sd, constant, correlated, ..."),
            Column("reason", TEXT, "Why, in a sentence"),
            Column("value", REAL, "The number that decided, such as the correlation"),
        ),
        order=(keys.PLATE, "step", "feature", "status"),
        references=(c.TO_FEATURE,),
    ),
)
