"""The tables of a screen, column by column."""

from __future__ import annotations

from typing import Final

import polars as pl

from phenoprint.tables.declared_answers import ANSWER_TABLES
from phenoprint.tables.declared_results import RESULT_TABLES
from phenoprint.tables.schemas import Column, Reference, Table

__all__ = ["TABLES"]

TEXT, INT, LONG, REAL, SINGLE, FLAG = (
    pl.String(),
    pl.Int32(),
    pl.Int64(),
    pl.Float64(),
    pl.Float32(),
    pl.Boolean(),
)

_PLATE = Column("Metadata_Plate", TEXT, "Plate barcode, as text", nullable=False)
_WELL = Column("Metadata_Well", TEXT, "Well, row letter and two-digit column: A01", nullable=False)
_SITE = Column("Metadata_Site", TEXT, "Site (field of view) within the well", nullable=False)
_OBJECT = Column("Metadata_ObjectNumber", INT, "Number of the cell in its site, as in the masks", nullable=False)
_BATCH = Column("Metadata_Batch", TEXT, "Batch the plate was made in")
_COMPOUND = Column("Metadata_compound", TEXT, "Compound or other perturbation, by name")
_DOSE = Column("Metadata_Concentration", REAL, "Concentration, in Metadata_Concentration_Unit")
_DOSE_UNIT = Column("Metadata_Concentration_Unit", TEXT, "Unit of Metadata_Concentration")
_MOA = Column("Metadata_moa", TEXT, "Mechanism of action")
_PERT_TYPE = Column("Metadata_pert_type", TEXT, "trt, negcon, poscon or empty; NULL where the plate map is silent")
_PERTURBATION = Column("Metadata_perturbation", TEXT, "Perturbation id: compound@dose unit")
_PERTURBATION_KEY = Column("Metadata_perturbation", TEXT, "Perturbation id: compound@dose unit", nullable=False)
_STATUS = Column("status", TEXT, "ok, or what is wrong", nullable=False)
_REASON = Column("reason", TEXT, "Why, in a sentence; NULL where nothing is wrong")
_CELLS = Column("Metadata_Object_Count", LONG, "Cells aggregated into the row")
_SITES = Column("Metadata_Site_Count", LONG, "Sites aggregated into the row")

_TO_PLATE = Reference(("Metadata_Plate",), "plate")
_TO_WELL = Reference(("Metadata_Plate", "Metadata_Well"), "well")
_TO_SITE = Reference(("Metadata_Plate", "Metadata_Well", "Metadata_Site"), "site")
_TO_PERTURBATION = Reference(("Metadata_perturbation",), "perturbation")

_IN_WELL = ("Metadata_Plate", "Metadata_Well")
_IN_SITE = (*_IN_WELL, "Metadata_Site")
_OBJECT_KEY = (*_IN_SITE, "Metadata_ObjectNumber")


def _reals(**described: str) -> tuple[Column, ...]:
    return tuple(Column(name, SINGLE, text) for name, text in described.items())


def _box(name: str, what: str) -> tuple[Column, ...]:
    ends = {"y0": "first row", "x0": "first column", "y1": "row after the last", "x1": "column after the last"}
    return tuple(Column(f"{name}_box_{end}", INT, f"{what}: {text}, px") for end, text in ends.items())


def _profile(name: str, description: str) -> Table:
    return Table(
        name,
        description,
        (_PLATE, _WELL, _CELLS, _SITES),
        key=_IN_WELL,
        holds_features=True,
    )


_ALL: tuple[Table, ...] = (
    Table(
        "plate",
        "One row per plate",
        (
            _PLATE,
            _BATCH,
            Column("plate_format", INT, "Wells the plate has: 96, 384, ..."),
            Column("n_wells_imaged", INT, "Wells with at least one image"),
            Column("n_wells_annotated", INT, "Wells the plate map names"),
            Column("n_sites", INT, "Sites over all wells"),
            Column("n_images", INT, "Image files over all wells"),
        ),
        key=("Metadata_Plate",),
        per_plate=False,
    ),
    Table(
        "well",
        "One row per well that has images, an annotation, or both",
        (
            _PLATE,
            _WELL,
            Column("Metadata_Row", INT, "Row, from 1"),
            Column("Metadata_Col", INT, "Column, from 1"),
            _BATCH,
            _PERT_TYPE,
            _COMPOUND,
            _DOSE,
            _DOSE_UNIT,
            _MOA,
            Column("has_images", FLAG, "Whether any image of the well was found"),
            Column("is_annotated", FLAG, "Whether the plate map names the well"),
        ),
        key=_IN_WELL,
        references=(_TO_PLATE,),
    ),
    Table(
        "site",
        "One row per site (field of view)",
        (
            _PLATE,
            _WELL,
            _SITE,
            Column("n_channels", INT, "Channels found"),
            Column("height", INT, "Image height, px"),
            Column("width", INT, "Image width, px"),
            Column("dtype", TEXT, "Type of the pixels: uint8, uint16, ..."),
            _STATUS,
            _REASON,
        ),
        key=_IN_SITE,
        references=(_TO_WELL,),
    ),
    Table(
        "image",
        "One row per image plane: file, page, channel",
        (
            _PLATE,
            _WELL,
            _SITE,
            Column("Metadata_Channel", TEXT, "Channel", nullable=False),
            Column("Metadata_Z", INT, "Focal plane, from 0"),
            Column("Metadata_T", INT, "Time point, from 0"),
            Column("path", TEXT, "File, relative to the image root, forward slashes", nullable=False),
            Column("page", INT, "Page inside the file, from 0"),
            Column("hash", TEXT, "BLAKE2b-128 of the file, hexadecimal"),
            Column("pixel_hash", TEXT, "BLAKE2b-128 of the encoded pixels alone, hexadecimal"),
            Column("bytes", LONG, "Size of the file, bytes"),
            Column("n_planes", INT, "Images in the file; one of them is this row"),
            Column("n_channels", INT, "Channels that the OME-XML of the file declares, 1 without one"),
            Column("mtime_ns", LONG, "Modification time of the file, ns since 1970"),
            Column("height", INT, "Image height, px"),
            Column("width", INT, "Image width, px"),
            Column("dtype", TEXT, "Type of the pixels: uint8, uint16, ..."),
            _STATUS,
            _REASON,
        ),
        order=(*_IN_SITE, "Metadata_Channel", "Metadata_Z", "Metadata_T", "path", "page"),
        references=(_TO_SITE,),
    ),
    Table(
        "perturbation",
        "One row per treatment: compound and dose",
        (
            _PERTURBATION_KEY,
            _COMPOUND,
            _DOSE,
            _DOSE_UNIT,
            _MOA,
            _PERT_TYPE,
            Column("n_wells", INT, "Wells that hold it, over all plates"),
        ),
        key=("Metadata_perturbation",),
        per_plate=False,
    ),
    Table(
        "object",
        "One row per cell: where it lies in its site",
        (
            _PLATE,
            _WELL,
            _SITE,
            _OBJECT,
            *_reals(
                Location_Center_Y="Centroid of the cell, row, px",
                Location_Center_X="Centroid of the cell, column, px",
                nucleus_center_y="Centroid of the nucleus, row, px",
                nucleus_center_x="Centroid of the nucleus, column, px",
            ),
            *_box("cell", "Box of the cell"),
            *_box("nucleus", "Box of the nucleus"),
            Column("touches_border", FLAG, "Whether the cell touches the border of its image"),
            Column("cell_area_px", INT, "Area of the cell, px"),
        ),
        key=_OBJECT_KEY,
    ),
    Table(
        "cell",
        "One row per cell: its features (level 2)",
        (_PLATE, _WELL, _SITE, _OBJECT),
        key=_OBJECT_KEY,
        holds_features=True,
    ),
    Table(
        "site_feature",
        "One row per site: what CellProfiler measured on its images, for imported tables",
        (_PLATE, _WELL, _SITE),
        key=_IN_SITE,
        holds_features=True,
    ),
    Table(
        "feature",
        "The feature dictionary: what every feature column means",
        (
            Column("feature", TEXT, "Column name", nullable=False),
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
        "What befell a feature on a plate: why it is missing or was not used",
        (
            Column("Metadata_Plate", TEXT, "Plate; NULL for a step over the whole screen"),
            Column("feature", TEXT, "Column name", nullable=False),
            Column("step", TEXT, "Step that found it", nullable=False),
            Column("status", TEXT, "ok, all_null, zero_mad, zero_sd, constant, correlated, ...", nullable=False),
            Column("reason", TEXT, "Why, in a sentence"),
            Column("value", REAL, "The number that decided, such as the correlation"),
        ),
        order=("Metadata_Plate", "step", "feature", "status"),
        references=(Reference(("feature",), "feature"),),
    ),
    Table(
        "image_quality",
        "One row per site and channel: focus, saturation, background; intensities on a scale of 0 to 1",
        (
            _PLATE,
            _WELL,
            _SITE,
            Column("Metadata_Channel", TEXT, "Channel", nullable=False),
            *_reals(
                focus_slope="Slope of log power over log frequency: the lower, the blurrier",
                saturated_percent="Pixels at the largest value, percent",
                minimum_percent="Pixels at the smallest value, percent",
                background="Background intensity, 0 to 1",
                noise="Noise of the background, in intensity",
                local_focus="Contrast of fine detail over the image, without unit",
                mean="Mean intensity, 0 to 1",
                sd="Standard deviation of intensity, 0 to 1",
                **{f"p{q:02d}": f"Percentile {q} of intensity, 0 to 1" for q in (1, 5, 25, 50, 75, 95, 99)},
            ),
            Column("n_cells", INT, "Cells found in the site"),
            Column("area_covered", SINGLE, "Part of the image that cells cover, 0 to 1"),
            Column("is_flagged", FLAG, "Whether any rule flags the image"),
            Column("reasons", TEXT, "Why it is flagged, one reason per line"),
            Column("notes", TEXT, "What is unusual but no reason to discard, one note per line"),
        ),
        key=(*_IN_SITE, "Metadata_Channel"),
    ),
    Table(
        "cell_quality",
        "One row per cell: whether it looks like an artefact",
        (
            _PLATE,
            _WELL,
            _SITE,
            _OBJECT,
            Column("is_outlier", FLAG, "Whether any rule flags the cell"),
            Column("reasons", TEXT, "The rules that flag it, joined by ;"),
        ),
        key=_OBJECT_KEY,
    ),
    Table(
        "exclusion",
        "What people decided to leave out, why, who and when",
        (
            Column("scope", TEXT, "plate, well, site or object", nullable=False),
            _PLATE,
            Column("Metadata_Well", TEXT, "Well; NULL where the scope is the plate"),
            Column("Metadata_Site", TEXT, "Site; NULL where the scope is wider"),
            Column("Metadata_ObjectNumber", INT, "Cell; NULL where the scope is wider"),
            Column("reason", TEXT, "Why, in a sentence", nullable=False),
            Column("who", TEXT, "Who decided"),
            Column("date", TEXT, "When, ISO 8601"),
        ),
        per_plate=False,
        order=("Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_ObjectNumber", "scope", "reason"),
        references=(_TO_PLATE,),
    ),
    _profile("profile_well", "Level 3: one row per well, aggregated from its cells"),
    _profile("profile_normalized", "Level 4a: well profiles, normalized"),
    _profile("profile_selected", "Level 4b: normalized well profiles, selected features only"),
    Table(
        "profile_step",
        "What every step of the recipe made of the well profiles, one row per well and step",
        (
            _PLATE,
            _WELL,
            Column("Metadata_Step", TEXT, "Step of the recipe", nullable=False),
            Column("Metadata_Step_Number", INT, "Its place in the recipe, from 1", nullable=False),
            _CELLS,
            _SITES,
        ),
        key=(*_IN_WELL, "Metadata_Step"),
        holds_features=True,
    ),
    Table(
        "profile_heterogeneity",
        "One row per well: how its cells are distributed over states and against the controls of its plate",
        (_PLATE, _WELL, _CELLS, Column("Metadata_State_Cells", LONG, "Cells that could be given a state")),
        key=_IN_WELL,
        holds_features=True,
    ),
    Table(
        "profile_consensus",
        "Level 5: one row per treatment, over its replicate wells",
        (_PERTURBATION, _CELLS),
        order=("Metadata_perturbation",),
        per_plate=False,
        holds_features=True,
    ),
    Table(
        "activity",
        "One row per treatment: does it differ from the negative controls",
        (
            _PERTURBATION_KEY,
            Column("mean_average_precision", REAL, "Mean average precision, 0 to 1"),
            Column("mean_normalized_average_precision", REAL, "The same, rescaled so that chance is 0"),
            Column("p_value", REAL, "Permutation p value"),
            Column("corrected_p_value", REAL, "The same, corrected for all treatments"),
            Column("smallest_p", REAL, "Smallest p value that these numbers of wells can reach"),
            Column("below_corrected_p", FLAG, "Whether the corrected p value is below the threshold"),
            Column("n_replicates", INT, "Replicate wells"),
        ),
        key=("Metadata_perturbation",),
        per_plate=False,
        references=(_TO_PERTURBATION,),
    ),
    Table(
        "moa_prediction",
        "One row per treatment: its mechanism called from the nearest other compound",
        (
            _PERTURBATION,
            _COMPOUND,
            _MOA,
            Column("predicted", TEXT, "Mechanism called"),
            Column("is_correct", FLAG, "Whether the call is the annotated mechanism"),
            Column("nearest", TEXT, "Treatment the call rests on"),
            Column("similarity", REAL, "Similarity to it"),
        ),
        order=("Metadata_compound", "Metadata_perturbation"),
        per_plate=False,
    ),
    Table(
        "projection",
        "One row per well: its place on a map in two dimensions",
        (
            _PLATE,
            _WELL,
            Column("method", TEXT, "How the map was made: pca or umap", nullable=False),
            *_reals(x="First coordinate, without unit", y="Second coordinate, without unit"),
        ),
        key=(*_IN_WELL, "method"),
        per_plate=False,
    ),
    Table(
        "cluster",
        "One row per well: the cluster of its profile",
        (_PLATE, _WELL, Column("cluster", INT, "Cluster number, 1 the largest; NULL for none")),
        key=_IN_WELL,
        per_plate=False,
    ),
    Table(
        "plate_acceptance",
        "One row per plate and check: may the plate be used",
        (
            _PLATE,
            Column("criterion", TEXT, "What is checked", nullable=False),
            Column("value", REAL, "What was found"),
            Column("threshold", REAL, "What is asked"),
            Column("verdict", TEXT, "pass, warn or fail; NULL where the check could not be made"),
            _REASON,
        ),
        key=("Metadata_Plate", "criterion"),
        references=(_TO_PLATE,),
    ),
    Table(
        "ledger",
        "What every step took in, gave out and lost, and why: n_in - sum(n_lost) = n_out",
        (
            Column("Metadata_Plate", TEXT, "Plate; NULL for a step over the whole screen"),
            Column("Metadata_Well", TEXT, "Well; NULL for a step over the whole plate"),
            Column("step", TEXT, "Step", nullable=False),
            Column("unit_of_count", TEXT, "images, sites, cells, wells, treatments or features", nullable=False),
            Column("n_in", LONG, "How many came in", nullable=False),
            Column("n_out", LONG, "How many went out", nullable=False),
            Column("n_lost", LONG, "How many were lost for this reason", nullable=False),
            Column("reason", TEXT, "Why they were lost; NULL where none was"),
        ),
        order=("Metadata_Plate", "Metadata_Well", "step", "unit_of_count", "reason"),
    ),
)

TABLES: Final[dict[str, Table]] = {table.name: table for table in (*_ALL, *RESULT_TABLES, *ANSWER_TABLES)}
