"""Every column has a comment, in declarations, catalog and description."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from phenoprint.pipeline import RunResult
from phenoprint.store import create
from phenoprint.tables import get_table, table_names
from phenoprint.tables.comments import column_comment


@pytest.mark.parametrize("name", table_names())
def test_every_declared_table_and_column_has_a_comment(name: str) -> None:
    table = get_table(name)
    assert len(table.description.split()) >= 3
    for column in table.columns:
        assert column.description.strip(), f"{name}.{column.name}"
        assert "\n" not in column.description


def test_a_catalog_holds_the_comments_of_tables_and_views(tmp_path: Path) -> None:
    screen = create(tmp_path / "screen")
    screen.write(
        "well", pl.DataFrame({"Metadata_Plate": ["P"], "Metadata_Well": ["A01"], "Metadata_perturbation": ["x"]})
    )
    found = screen.sql("SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal")
    comments = {(table, column): comment for table, column, comment in found.rows()}
    for name in table_names():
        for column in get_table(name).columns:
            assert comments[name, column.name] == column.description
    described = dict(screen.describe("site").select("column", "comment").rows())
    assert described["height"] == "Image height [px]"
    kinds = dict(screen.sql("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal").rows())
    assert kinds["object"] == get_table("object").description
    assert comments["well", "Metadata_perturbation"] == "Perturbation id: compound@dose unit"


def test_a_column_that_a_table_does_not_declare_has_the_comment_of_another_table() -> None:
    assert column_comment("activity", "Metadata_moa") == "Mechanism of action; NULL where it is not known"
    assert column_comment("image_metric", "focus_slope") == column_comment("image_quality", "focus_slope")
    assert column_comment("cluster", "cluster") == "Cluster number, 1 the largest; NULL for none"
    assert column_comment("profile_selected", "Cells_AreaShape_Area") is None
    assert column_comment("well", "Metadata_my_own") is None


def test_every_column_of_a_run_but_heterogeneity_has_a_comment(tmp_path: Path, tiny_run: RunResult) -> None:
    """Features have the comment of the dictionary; those of heterogeneity are named after features."""
    screen = tiny_run.screen
    for name in screen.describe()["table_name"]:
        bare = screen.describe(name).filter(pl.col("comment").is_null())["column"].to_list()
        assert not bare or name == "profile_heterogeneity", f"{name}: {bare}"
