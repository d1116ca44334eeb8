"""Sites and images, and their quality."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import FLAG, INT, LONG, REAL, SINGLE, TEXT, required
from phenoprint.tables.records import Column, Table

TABLES: Final = (
    Table(
        "site",
        "One row per site (field of view)",
        (
            c.PLATE,
            c.WELL,
            c.SITE,
            Column("n_channels", INT, "Channels found"),
            *c.PIXELS,
            c.STATUS,
            c.REASON,
        ),
        key=keys.SITE_KEY,
        references=(c.TO_WELL,),
    ),
    Table(
        "image",
        "One row per image plane: file, page, channel",
        (
            c.PLATE,
            c.WELL,
            c.SITE,
            c.CHANNEL,
            Column("Metadata_Z", INT, "Focal plane, from 0"),
            Column("Metadata_T", INT, "Time point, from 0"),
            required("path", TEXT, "File, relative to the image root, forward slashes"),
            Column("page", INT, "Page inside the file, from 0"),
            Column("hash", TEXT, "BLAKE2b-128 of the file, hexadecimal"),
            Column("pixel_hash", TEXT, "BLAKE2b-128 of the encoded pixels alone, hexadecimal"),
            Column("bytes", LONG, "Size of the file", "byte"),
            Column("mtime_ns", LONG, "Modification time of the file, since 1970", "ns"),
            *c.PIXELS,
            Column("n_planes", INT, "Images in the file; one of them is this row"),
            Column("n_channels", INT, "Channels that the OME-XML of the file declares, 1 without one"),
            c.STATUS,
            c.REASON,
        ),
        order=(*keys.SITE_KEY, keys.CHANNEL, "Metadata_Z", "Metadata_T", "path", "page"),
        references=(c.TO_SITE,),
    ),
    Table(
        "image_metric",
        "One row per site and channel: what was measured on the raw image, before flags; see image_quality",
        (
            c.PLATE,
            c.WELL,
            c.SITE,
            c.CHANNEL,
            *c.IMAGE_METRICS,
            Column("error", TEXT, "Why the image could not be read; NULL if it was"),
        ),
        key=(*keys.SITE_KEY, keys.CHANNEL),
    ),
    Table(
        "image_quality",
        "One row per site and channel: focus, saturation, background; intensities on a scale of 0 to 1",
        (
            c.PLATE,
            c.WELL,
            c.SITE,
            c.CHANNEL,
            *c.IMAGE_METRICS,
            Column("n_cells", INT, "Cells found in the site"),
            Column("area_covered", SINGLE, "Part of the image that cells cover, 0 to 1"),
            Column("is_flagged", FLAG, "Whether any rule flags the image"),
            Column("reasons", TEXT, "Why it is flagged, one reason per line"),
            Column("notes", TEXT, "What is unusual but no reason to discard, one note per line"),
        ),
        key=(*keys.SITE_KEY, keys.CHANNEL),
    ),
    Table(
        "quality_threshold",
        "One row per plate, channel and measure: usual values, and the limits of flags and notes",
        (
            c.PLATE,
            c.CHANNEL,
            required("measure", TEXT, "focus_slope, background or n_cells"),
            Column("n_fields", LONG, "Fields that the thresholds were estimated from"),
            Column("median", REAL, "Median over those fields"),
            Column("spread", REAL, "1.4826 MAD, no less than can be distinguished"),
            Column("lower", REAL, "Below this a field is unusual"),
            Column("upper", REAL, "Above this a field is unusual"),
        ),
        key=(keys.PLATE, keys.CHANNEL, "measure"),
    ),
    Table(
        "nucleus_size",
        "One row per plate whose nuclei were measured because no diameter was given",
        (
            c.PLATE,
            Column("nucleus_diameter_px", REAL, "Typical diameter of a nucleus", "px"),
            Column("n_fields", INT, "Fields it was estimated from"),
        ),
        key=(keys.PLATE,),
    ),
    Table(
        "site_feature",
        "One row per site: what CellProfiler measured on its images, for imported tables",
        (c.PLATE, c.WELL, c.SITE),
        key=keys.SITE_KEY,
        holds_features=True,
    ),
)
