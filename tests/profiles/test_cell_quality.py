"""Cell flags: what they catch, what they must not, and what is missing."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import DataError, SchemaError, UsageError
from phenoprint.profiles import CellRule, Limit, cell_quality, preview_cell_quality

AREA, FORM, ECC = "Nuclei_AreaShape_Area", "Nuclei_AreaShape_FormFactor", "Nuclei_AreaShape_Eccentricity"


def nuclei(n: int = 500, *, plate: str = "p1", size: float = 400.0, seed: int = 0) -> pl.DataFrame:
    """Healthy nuclei: rounded, with the spread that real ones have."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "Metadata_Plate": [plate] * n,
            "Metadata_Well": ["A01"] * n,
            "Metadata_Site": ["1"] * n,
            "Metadata_ObjectNumber": np.arange(1, n + 1, dtype=np.int32),
            AREA: size * np.exp(rng.normal(0, 0.12, n)),
            FORM: 1 - 0.05 * np.abs(rng.normal(1, 0.4, n)),
            ECC: 0.55 + 0.1 * rng.normal(size=n).clip(-3, 3),
        }
    )


def add(cells: pl.DataFrame, area: float | None, form: float | None, ecc: float | None) -> pl.DataFrame:
    new = cells.head(1).with_columns(
        pl.lit(area, dtype=pl.Float64).alias(AREA),
        pl.lit(form, dtype=pl.Float64).alias(FORM),
        pl.lit(ecc, dtype=pl.Float64).alias(ECC),
    )
    return pl.concat([cells, new])


@pytest.mark.parametrize(
    ("area", "form", "ecc", "reason"),
    [
        (100.0, 0.5, 0.6, "small_not_round"),
        (400.0, 0.9, 0.99, "elongated"),
        (1600.0, 0.4, 0.6, "large_not_round"),
        (1600.0, 0.4, 0.99, "elongated;large_not_round"),
        (1600.0, 0.95, 0.6, None),  # an enlarged round nucleus is a phenotype
        (100.0, 0.95, 0.6, None),  # so is a small round one
        (None, 0.9, 0.6, f"missing_{AREA}"),
        (None, None, 0.99, f"elongated;missing_{AREA};missing_{FORM}"),
    ],
)
def test_rules(area: float | None, form: float | None, ecc: float | None, reason: str | None) -> None:
    flagged = cell_quality(add(nuclei(), area, form, ecc))
    assert flagged["reasons"][-1] == reason
    assert flagged["is_outlier"][-1] is (reason is not None)


def test_healthy_populations_lose_almost_nothing_at_any_magnification() -> None:
    for size in (60.0, 400.0, 4000.0):
        assert cell_quality(nuclei(5000, size=size))["is_outlier"].mean() < 0.002  # type: ignore[operator]


def test_columns_order_and_plates_apart() -> None:
    cells = pl.concat([nuclei(50, size=4000, seed=1), nuclei(300, plate="p0", size=400)])
    flagged = cell_quality(cells)
    assert flagged.columns == [
        "Metadata_Plate",
        "Metadata_Well",
        "Metadata_Site",
        "Metadata_ObjectNumber",
        "is_outlier",
        "reasons",
    ]
    assert flagged.select(flagged.columns[:4]).equals(cells.select(flagged.columns[:4]))
    assert flagged.schema["is_outlier"] == pl.Boolean
    assert flagged.schema["reasons"] == pl.String
    assert flagged["is_outlier"].sum() == 0
    # Together, the small nuclei of one plate would set the limits for the other.
    rule = CellRule("large", (Limit(AREA, "above", z=3.0, ratio=2.0),))
    assert cell_quality(cells, rules=[rule])["is_outlier"].sum() == 0
    assert cell_quality(cells, rules=[rule], by=[])["is_outlier"].sum() == 50


def test_reference_defines_what_is_normal() -> None:
    cells = pl.concat([nuclei(100), nuclei(400, size=1600).with_columns(Metadata_Well=pl.lit("B02"))])
    rule = CellRule("large", (Limit(AREA, "above", z=3.0, ratio=2.0),))
    control = pl.col("Metadata_Well") == "A01"
    assert cell_quality(cells, rules=[rule], reference=control)["is_outlier"].sum() == 400
    assert cell_quality(cells, rules=[rule])["is_outlier"].sum() == 0


def test_border_flag() -> None:
    cells = nuclei(5).with_columns(touches_border=pl.Series([True, False, None, False, False]))
    flagged = cell_quality(cells, rules=[], flags=["touches_border"])
    assert flagged["reasons"].to_list() == ["touches_border", None, "missing_touches_border", None, None]
    assert cell_quality(cells, rules=[])["is_outlier"].to_list() == [False] * 5


def test_absolute_limits_and_zero_spread() -> None:
    cells = pl.DataFrame({"Metadata_Plate": ["p"] * 5, "x": [1.0, 1.0, 1.0, 1.0, 3.0]})
    rule = CellRule("odd", (Limit("x", "above", z=2.0),))
    assert cell_quality(cells, rules=[rule])["reasons"].to_list() == [None] * 4 + ["odd"]
    low = CellRule("low", (Limit("x", "below", absolute=2.0),))
    assert cell_quality(cells, rules=[low])["is_outlier"].to_list() == [True] * 4 + [False]


def test_wrong_use() -> None:
    with pytest.raises(SchemaError, match=f"needs the columns {ECC}, touches_border"):
        cell_quality(nuclei().drop(ECC), flags=["touches_border"])
    with pytest.raises(UsageError, match="'below' or 'above'"):
        Limit("x", "over", z=1.0)
    with pytest.raises(UsageError, match="needs z, absolute or ratio"):
        Limit("x", "above")
    assert cell_quality(nuclei().clear()).height == 0


CONTROL = pl.col("Metadata_compound") == "DMSO"
RULES = [CellRule("large", (Limit("Area", "above", z=3.0),)), CellRule("small", (Limit("Area", "below", z=-3.0),))]


def treated() -> pl.DataFrame:
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

    data = treated()
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


def test_wrong_use_of_the_preview() -> None:
    data = treated()
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
