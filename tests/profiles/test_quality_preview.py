"""The preview of cell rules: counts by hand, the test against statsmodels, phenotypes reported."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import DataError, SchemaError
from phenoprint.profiles import CellRule, Limit, cell_quality, preview_cell_quality

CONTROL = pl.col("Metadata_compound") == "DMSO"
RULES = [CellRule("large", (Limit("Area", "above", z=3.0),)), CellRule("small", (Limit("Area", "below", z=-3.0),))]


def cells() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    area = np.concatenate([rng.normal(100, 10, 2000), rng.normal(100, 10, 300), rng.normal(135, 10, 400)])
    return pl.DataFrame(
        {
            "Metadata_Plate": ["p"] * 2700,
            "Metadata_compound": ["DMSO"] * 2000 + ["inert"] * 300 + ["giant"] * 400,
            "Area": area,
        }
    )


def test_a_phenotype_is_reported_before_it_is_filtered_out() -> None:
    from statsmodels.stats.proportion import proportions_ztest

    data = cells()
    quality = cell_quality(data, rules=RULES, reference=CONTROL)
    table = preview_cell_quality(data, quality, reference=CONTROL)
    rows = {(r["Metadata_compound"], r["rule"]): r for r in table.to_dicts()}
    assert {rule for _, rule in rows} == {"any", "large", "small"}
    assert rows["giant", "large"]["share"] > 0.5
    assert [key for key, row in rows.items() if row["is_likely_phenotype"]] == [("giant", "any"), ("giant", "large")]
    for key, row in rows.items():
        mask = quality["reasons"].is_not_null() if key[1] == "any" else quality["reasons"].str.contains(key[1])
        removed = mask.fill_null(value=False) & (data["Metadata_compound"] == key[0])
        assert row["n_removed"] == removed.sum()
        assert row["n_cells"] == (data["Metadata_compound"] == key[0]).sum()
    giant, control = rows["giant", "large"], rows["DMSO", "large"]
    z, _ = proportions_ztest([giant["n_removed"], control["n_removed"]], [400, 2000])
    assert giant["z"] == pytest.approx(z)
    assert control["z"] == pytest.approx(0)


def test_wrong_use() -> None:
    data = cells()
    quality = cell_quality(data, rules=RULES)
    with pytest.raises(SchemaError, match="one row per cell"):
        preview_cell_quality(data, quality.head(3), reference=CONTROL)
    with pytest.raises(DataError, match="no control cell"):
        preview_cell_quality(data, quality, reference=pl.col("Metadata_compound") == "nothing")
    none = preview_cell_quality(data, quality.with_columns(reasons=pl.lit(None, dtype=pl.String)), reference=CONTROL)
    assert none["rule"].unique().to_list() == ["any"]
    assert none["z"].null_count() == 3


def test_a_handful_of_cells_is_no_phenotype() -> None:
    cells = pl.DataFrame({"Metadata_compound": ["DMSO"] * 400 + ["a"] * 90})
    quality = pl.DataFrame({"reasons": [None] * 400 + ["large"] * 2 + [None] * 88}, schema={"reasons": pl.String})
    preview = preview_cell_quality(cells, quality, reference=pl.col("Metadata_compound") == "DMSO", limit=2.0)
    row = preview.filter(Metadata_compound="a", rule="any").row(0, named=True)
    assert row["z"] > 2
    assert not row["is_likely_phenotype"]
    preview = preview_cell_quality(
        cells, quality, reference=pl.col("Metadata_compound") == "DMSO", limit=2.0, excess=0.0
    )
    assert preview.filter(Metadata_compound="a", rule="any")["is_likely_phenotype"].item()
