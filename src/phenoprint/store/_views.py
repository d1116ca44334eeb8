# ruff: noqa: S608 - every name and text that enters SQL here is quoted
"""The saved views of the catalog, in the order of their creation: each may use earlier ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

__all__ = ["SavedView", "literal", "quote", "saved_views", "tables_used"]


@dataclass(frozen=True, slots=True)
class SavedView:
    """A view for a frequent question.

    Parameters
    ----------
    name, description, sql
        Its SQL name, comment and query.
    columns
        Comments on columns that no table has.
    """

    name: str
    description: str
    sql: str
    columns: Mapping[str, str] = field(default_factory=dict)


def quote(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Quote a text for SQL."""
    return "'" + value.replace("'", "''") + "'"


def tables_used(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    """Return the tables and views that a query names; all its words if DuckDB cannot parse it."""
    [(text,)] = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    tree = json.loads(text)
    return set(re.findall(r"\w+", sql)) if tree["error"] else set(_base_tables(tree))


def _base_tables(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("type") == "BASE_TABLE":
            yield node["table_name"]
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from _base_tables(inner)


def _columns(names: Sequence[str], prefix: str) -> str:
    return ", ".join(f"{prefix}.{quote(name)}" for name in names)


_EXCLUDED = """
    SELECT Metadata_Plate, Metadata_Well, reason FROM exclusion WHERE scope = 'well'
    UNION ALL
    SELECT w.Metadata_Plate, w.Metadata_Well, x.reason FROM exclusion x JOIN well w USING (Metadata_Plate)
    WHERE x.scope = 'plate'
    UNION ALL
    SELECT w.Metadata_Plate, w.Metadata_Well, 'plate acceptance failed (' || a.criterion || ')'
    FROM plate_acceptance a JOIN well w USING (Metadata_Plate) WHERE a.is_excluded
"""

_SUMMARY_COLUMNS = {
    "n_sites": "Sites of the well",
    "n_sites_failed": "Sites that could not be used",
    "n_sites_flagged": "Sites with a flagged image (image_quality)",
    "n_cells": "Cells found in the well",
    "n_cells_flagged": "Cells that look like artefacts (cell_quality)",
    "is_excluded": "Whether the well or its plate is excluded (exclusion, plate_acceptance)",
}

_WELLS_FLAGGED = f"""
SELECT Metadata_Plate, Metadata_Well, 'images' AS kind, 'annotated, but without images' AS reason
FROM well WHERE NOT has_images
UNION ALL
SELECT Metadata_Plate, Metadata_Well, 'annotation',
    CASE WHEN has_images IS NULL THEN 'imported without annotation'
        ELSE 'has images, but no annotation in the plate map' END
FROM well WHERE NOT is_annotated
UNION ALL
SELECT Metadata_Plate, Metadata_Well, 'site',
    'site ' || Metadata_Site || ': ' || status || coalesce(', ' || reason, '')
FROM site WHERE status <> 'ok'
UNION ALL
SELECT DISTINCT Metadata_Plate, Metadata_Well, 'image',
    'site ' || Metadata_Site || ', ' || Metadata_Channel || ': ' || status || coalesce(', ' || reason, '')
FROM image WHERE status <> 'ok'
UNION ALL
SELECT Metadata_Plate, Metadata_Well, 'quality',
    rule || ' (' || count(DISTINCT Metadata_Site)
    || CASE WHEN count(DISTINCT Metadata_Site) = 1 THEN ' site)' ELSE ' sites)' END
FROM (
    SELECT Metadata_Plate, Metadata_Well, Metadata_Site,
        unnest(string_split(coalesce(nullif(reasons, ''), 'flagged'), chr(10))) AS rule
    FROM image_quality WHERE is_flagged
)
GROUP BY Metadata_Plate, Metadata_Well, rule
UNION ALL
SELECT Metadata_Plate, Metadata_Well, 'cells', 'no cell found' FROM well_summary WHERE has_images AND n_cells = 0
UNION ALL
SELECT Metadata_Plate, Metadata_Well, 'excluded', 'excluded: ' || reason FROM ({_EXCLUDED})
UNION ALL
SELECT Metadata_Plate, Metadata_Well, 'excluded',
    CASE WHEN scope = 'site' THEN '' ELSE 'cell ' || Metadata_ObjectNumber || ' of ' END
    || 'site ' || Metadata_Site || ' excluded: ' || reason
FROM exclusion WHERE scope IN ('site', 'object')
ORDER BY ALL
"""


def saved_views(columns: Mapping[str, Sequence[str]], filled: frozenset[str]) -> list[SavedView]:
    """Return the saved views over the tables of a catalog.

    Parameters
    ----------
    columns
        Columns of every table of the catalog, by table.
    filled
        Tables that have Parquet.
    """
    cells = "cell" if "cell" in filled else "object"
    profile = next((t for t in ("profile_selected", "profile_normalized") if t in filled), "profile_well")
    well = columns["well"]
    annotation = [name for name in well if name not in columns["cell"]]
    treatment = [name for name in well if name not in columns[profile]]
    return [
        SavedView(
            "well_summary",
            "One row per well: how many sites and cells it has and how many of them are flagged",
            f"""
SELECT {_columns(well, "w")},
    coalesce(s.n_sites, CASE WHEN w.has_images IS NULL THEN p.Metadata_Site_Count END, 0) AS n_sites,
    coalesce(s.n_sites_failed, 0) AS n_sites_failed, coalesce(q.n_sites_flagged, 0) AS n_sites_flagged,
    coalesce(c.n_cells, CASE WHEN w.has_images IS NULL THEN p.Metadata_Object_Count ELSE 0 END) AS n_cells,
    coalesce(o.n_cells_flagged, 0) AS n_cells_flagged, x.reason IS NOT NULL AS is_excluded
FROM well w
LEFT JOIN (SELECT Metadata_Plate, Metadata_Well, count(*) AS n_sites, count(*) FILTER (status <> 'ok') AS n_sites_failed
    FROM site GROUP BY ALL) s USING (Metadata_Plate, Metadata_Well)
LEFT JOIN (SELECT Metadata_Plate, Metadata_Well, count(DISTINCT Metadata_Site) AS n_sites_flagged
    FROM image_quality WHERE is_flagged GROUP BY ALL) q USING (Metadata_Plate, Metadata_Well)
LEFT JOIN (SELECT Metadata_Plate, Metadata_Well, count(*) AS n_cells FROM {cells} GROUP BY ALL) c
    USING (Metadata_Plate, Metadata_Well)
LEFT JOIN (SELECT Metadata_Plate, Metadata_Well, Metadata_Object_Count, Metadata_Site_Count FROM {profile}) p
    USING (Metadata_Plate, Metadata_Well)
LEFT JOIN (SELECT Metadata_Plate, Metadata_Well, count(*) AS n_cells_flagged
    FROM cell_quality WHERE is_outlier GROUP BY ALL) o USING (Metadata_Plate, Metadata_Well)
LEFT JOIN (SELECT Metadata_Plate, Metadata_Well, min(reason) AS reason FROM ({_EXCLUDED}) GROUP BY ALL) x
    USING (Metadata_Plate, Metadata_Well)
""",
            _SUMMARY_COLUMNS,
        ),
        SavedView(
            "wells_flagged",
            "One row per well and problem: missing images or annotation, failed sites, poor images, no cells, excluded",
            _WELLS_FLAGGED,
            {
                "kind": "images, annotation, site, image, quality, cells or excluded",
                "reason": "The problem, in words",
            },
        ),
        SavedView(
            "cells_annotated",
            "One row per cell: its features and the annotation of its well",
            f"""
SELECT {_columns([*columns["cell"][:4]], "c")}, {_columns(annotation, "w")}, {_columns(columns["cell"][4:], "c")}
FROM cell c LEFT JOIN well w USING (Metadata_Plate, Metadata_Well)
""",
        ),
        SavedView(
            "profile",
            f"One row per well: its profile of the highest level that exists ({profile}) and its annotation",
            f"""
SELECT {_columns(columns[profile][:2], "p")}, {", ".join([_columns(treatment, "w"), ""] if treatment else [])}
    {_columns(columns[profile][2:], "p")}
FROM {profile} p LEFT JOIN well w USING (Metadata_Plate, Metadata_Well)
""",
        ),
        SavedView(
            "lost",
            "Losses: the rows of the ledger where something was lost",
            f"SELECT {_columns(columns['ledger'], 'l')} FROM ledger l WHERE n_lost > 0",
        ),
    ]
