"""What a run found and recorded, and what was excluded by hand."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import INT, LONG, TEXT, anywhere, required
from phenoprint.tables.records import Column, Table

TABLES: Final = (
    Table(
        "problem",
        "Where images and plate map disagree, and files with a fault",
        (
            required("kind", TEXT, "What is wrong"),
            anywhere(c.PLATE, "Plate; NULL where the problem is wider"),
            anywhere(c.WELL, "Well; NULL where the problem is wider"),
            anywhere(c.SITE, "Site; NULL where the problem is wider"),
            anywhere(c.CHANNEL, "Channel; NULL where the problem is wider"),
            Column("detail", TEXT, "What was found, in a sentence"),
        ),
        order=("kind", *keys.SITE_KEY, keys.CHANNEL),
        per_plate=False,
    ),
    Table(
        "plate_map_reading",
        "One row per column, word or line of the plate maps: what it was read as, or why it was not used",
        (
            required("source", TEXT, "File, and sheet of a spreadsheet"),
            required("kind", TEXT, "column, value, sheet or text"),
            Column("found", TEXT, "Name of the column, the word or the line as written"),
            Column("read_as", TEXT, "What it was read as; NULL where it was not used"),
            Column("n", INT, "Wells with a value, or with this word"),
            Column("place", TEXT, "Where it was found, or the name that the column was kept as"),
            Column("doubt", TEXT, "Why it was not used, or what to check; NULL where there is no doubt"),
        ),
        order=("source", "kind", "found"),
        per_plate=False,
    ),
    Table(
        "ledger",
        "What every step took in, passed on and lost, and why: n_in - sum(n_lost) = n_out",
        (
            anywhere(c.PLATE, "Plate; NULL for a step over the whole screen"),
            anywhere(c.WELL, "Well; NULL for a step over the whole plate"),
            required("step", TEXT, "Step"),
            required("unit_of_count", TEXT, "images, sites, cells, wells, treatments or features"),
            required("n_in", LONG, "Number that went in"),
            required("n_out", LONG, "Number that remained"),
            required("n_lost", LONG, "How many were lost for this reason"),
            Column("reason", TEXT, "Why they were lost; NULL where none was"),
        ),
        order=(*keys.WELL_KEY, "step", "unit_of_count", "reason"),
    ),
    Table(
        "exclusion",
        "What was excluded by hand, why, by whom and when",
        (
            required("scope", TEXT, "plate, well, site or object"),
            c.PLATE,
            anywhere(c.WELL, "Well; NULL where the scope is the plate"),
            anywhere(c.SITE, "Site; NULL where the scope is wider"),
            anywhere(c.OBJECT, "Cell; NULL where the scope is wider"),
            required("reason", TEXT, "Why, in a sentence"),
            Column("who", TEXT, "Who decided"),
            Column("date", TEXT, "When, ISO 8601"),
        ),
        per_plate=False,
        order=(*keys.CELL_KEY, "scope", "reason"),
        references=(c.TO_PLATE,),
    ),
)
