"""How frames are drawn."""

from __future__ import annotations

import polars as pl

from phenoprint.cli.render import located


def test_the_place_of_a_problem_is_one_column_so_that_its_text_fits() -> None:
    schema = ["kind", "Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Channel", "detail"]
    rows = [("unreadable_file", "P1", "A01", None, "DNA", "is empty"), ("well_renamed", None, None, None, None, "1")]
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    assert located(frame).rows() == [("unreadable_file", "P1 A01 DNA", "is empty"), ("well_renamed", None, "1")]
