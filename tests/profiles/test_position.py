"""Position and cell count: against plain loops, statsmodels and planted effects."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import SchemaError, UnknownNameError, UsageError
from phenoprint.profiles import correct_count, correct_position
from phenoprint.profiles.surfaces import loess_weights, median_polish, position_share, smooth
from phenoprint.tables import feature_columns
from phenoprint.tables.well_positions import well_places

ROWS, COLS = 8, 12


def plates(*, n: int = 3, seed: int = 0, gradient: float = 2.0) -> pl.DataFrame:
    """96-well plates: noise, a row and column effect in `Tilted`, none in `Plain`; two hits."""
    rng = np.random.default_rng(seed)
    row, col = np.divmod(np.arange(ROWS * COLS), COLS)
    frames = []
    for plate in range(n):
        tilt = gradient * (row / ROWS) + gradient * (col == 0)
        hit = np.isin(np.arange(96), rng.choice(96, 2, replace=False)) * 8.0
        frames.append(
            pl.DataFrame(
                {
                    "Metadata_Plate": [f"p{plate}"] * 96,
                    "Metadata_Well": [f"{'ABCDEFGH'[r]}{c + 1:02d}" for r, c in zip(row, col, strict=True)],
                    "Metadata_hit": hit > 0,
                    "Metadata_Object_Count": rng.integers(50, 200, 96),
                    "Tilted": rng.normal(size=96) * 0.5 + tilt + hit + 3,
                    "Plain": rng.normal(size=96) * 0.5 + hit,
                }
            )
        )
    return pl.concat(frames)


def medpolish(grid: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """R's medpolish, written from its manual, one plate."""
    z, t = grid.copy(), 0.0
    r, c = np.zeros(len(z)), np.zeros(z.shape[1])
    for _ in range(200):
        delta = np.nanmedian(z, axis=1)
        z = z - delta[:, None]
        r = r + delta
        d = np.median(c)
        c, t = c - d, t + d
        delta = np.nanmedian(z, axis=0)
        z = z - delta
        c = c + delta
        d = np.median(r)
        r, t = r - d, t + d
    return t, r, c


@pytest.mark.parametrize("missing", [0, 7])
def test_median_polish_is_rs(missing: int) -> None:
    rng = np.random.default_rng(4)
    grid = rng.normal(size=(3, ROWS, COLS)) + np.arange(ROWS)[:, None] + np.arange(COLS) ** 2 / 9
    row, col = np.divmod(np.arange(96), COLS)
    flat = grid.reshape(3, 96).copy()
    flat[:, rng.choice(96, missing, replace=False)] = np.nan
    overall, rows, cols = median_polish(flat, row, col, tolerance=0)
    for i in range(3):
        t, r, c = medpolish(flat[i].reshape(ROWS, COLS))
        np.testing.assert_allclose(overall[i] + rows[i][:, None] + cols[i], t + r[:, None] + c, atol=0.05)
    # An additive grid is taken apart exactly.
    additive = (np.arange(8.0)[:, None] * 2 - np.arange(12.0)).reshape(1, 96)
    overall, rows, cols = median_polish(additive, row, col)
    np.testing.assert_allclose(overall[0] + rows[0][row] + cols[0][col], additive[0], atol=1e-12)


@pytest.mark.parametrize("method", ["median_polish", "loess", "spline", "well_mean"])
def test_position_is_removed_and_hits_are_preserved(method: str) -> None:
    data = plates(n=8)
    result = correct_position(data, method)
    effects = {r["feature"]: (r["effect_before"], r["effect_after"]) for r in result.effects.to_dicts()}
    assert effects["Tilted"][0] > 0.1
    assert abs(effects["Tilted"][1]) < 0.4 * effects["Tilted"][0]
    assert abs(effects["Plain"][0]) < 0.1
    assert result.frame.columns == data.columns
    hits = (
        result.frame.filter("Metadata_hit")["Tilted"].mean()
        - result.frame.filter(~pl.col("Metadata_hit"))["Tilted"].mean()
    )  # type: ignore[operator]
    assert hits > 6
    assert abs(result.frame["Tilted"].median() - data["Tilted"].median()) < 1  # type: ignore[operator]


def test_b_score_has_unit_spread() -> None:
    result = correct_position(plates(), scale=True).frame
    for plate in ("p0", "p2"):
        values = result.filter(Metadata_Plate=plate)["Plain"].to_numpy()
        assert 1.4826 * np.median(np.abs(values - np.median(values))) == pytest.approx(1)


def test_loess_on_a_line_is_statsmodels_lowess() -> None:
    from statsmodels.nonparametric.smoothers_lowess import lowess

    rng = np.random.default_rng(0)
    x = np.arange(30.0)
    y = np.sin(x / 4) + rng.normal(size=30) * 0.1
    place = np.column_stack([np.zeros(30), x])
    ours = loess_weights(place, np.ones(30, dtype=bool), span=0.5) @ y
    np.testing.assert_allclose(ours, lowess(y, x, frac=0.5, it=0, return_sorted=False), atol=1e-6)


@pytest.mark.parametrize("method", ["loess", "spline"])
def test_surfaces_reproduce_planes(method: str) -> None:
    row, col = np.divmod(np.arange(96), COLS)
    frame = pl.DataFrame(
        {"Metadata_Row": row + 1, "Metadata_Col": col + 1, "plane": 2.0 + 0.5 * row - 0.25 * col, "flat": [1.0] * 96}
    )
    result = correct_position(frame, method, by=[]).frame
    assert np.ptp(result["plane"].to_numpy()) < 1e-6
    assert np.ptp(result["flat"].to_numpy()) < 1e-9


def test_smooth_takes_missing_wells_out() -> None:
    place = np.column_stack([np.zeros(9), np.arange(9.0)])
    weights = loess_weights(place, np.ones(9, dtype=bool), span=1.0)
    values = np.full((1, 9), 4.0)
    values[0, 3] = np.nan
    np.testing.assert_allclose(smooth(values, weights, np.ones(9, dtype=bool)), 4.0)


def test_position_share_against_ordinary_least_squares() -> None:
    import statsmodels.formula.api as smf

    data = plates(n=1)
    row, col = np.divmod(np.arange(96), COLS)
    table = pl.DataFrame({"y": data["Tilted"], "r": row, "c": col}).to_pandas()
    expected = smf.ols("y ~ C(r) + C(c)", table).fit().rsquared_adj
    assert position_share(data["Tilted"].to_numpy()[None, :], row, col)[0] == pytest.approx(expected, abs=1e-10)


def test_well_mean_is_the_mean_of_the_well_over_plates() -> None:
    data = plates(n=5)
    result = correct_position(data, "well_mean").frame
    expected = data["Plain"] - data.select(pl.col("Plain").mean().over("Metadata_Well"))["Plain"] + data["Plain"].mean()
    np.testing.assert_allclose(result["Plain"].to_numpy(), expected.to_numpy(), atol=1e-12)
    layout = data.with_columns(Metadata_compound=pl.col("Metadata_Well"))
    with pytest.raises(UsageError, match="96 of 96 wells have the same Metadata_compound"):
        correct_position(layout, "well_mean", treatment="Metadata_compound")
    mixed = data.with_columns(Metadata_compound=pl.col("Metadata_Well") + pl.col("Metadata_Plate"))
    correct_position(mixed, "well_mean", treatment="Metadata_compound")


def test_reference_wells_fit_and_all_are_corrected() -> None:
    data = plates().with_columns(Metadata_use=pl.int_range(pl.len()) % 2 == 0)
    full, half = correct_position(data, "loess"), correct_position(data, "loess", reference=pl.col("Metadata_use"))
    assert half.frame["Tilted"].null_count() == 0
    assert not full.frame["Tilted"].equals(half.frame["Tilted"])
    with pytest.raises(UsageError, match="at least 4 wells"):
        correct_position(data, reference=pl.col("Metadata_Well") == "A01")


def test_count_regression_is_ordinary_least_squares() -> None:
    import statsmodels.formula.api as smf

    data = plates().with_columns(Linked=pl.col("Metadata_Object_Count") * 0.05 + pl.col("Plain"))
    data = data.with_columns(pl.when(pl.int_range(pl.len()) % 17 != 0).then(pl.col("Linked")))
    table = data.rename({"Metadata_Object_Count": "n"}).to_pandas()
    fit = smf.ols("Linked ~ n", table).fit()
    result = correct_count(data)
    ours = result.frame["Linked"].drop_nulls().to_numpy()
    np.testing.assert_allclose(ours - ours.mean(), fit.resid.to_numpy(), atol=1e-9)
    effects = {r["feature"]: (r["effect_before"], r["effect_after"]) for r in result.effects.to_dicts()}
    assert effects["Linked"][0] > 0.4
    assert abs(effects["Linked"][1]) < 0.02
    assert correct_count(data.with_columns(pl.col("Linked").cast(pl.Float32)), by=["Metadata_Plate"], logarithm=True)


def test_wrong_use() -> None:
    data = plates()
    with pytest.raises(UnknownNameError, match="median_polish"):
        correct_position(data, "median_polsih")
    with pytest.raises(UsageError, match="span"):
        correct_position(data, "loess", span=0)
    with pytest.raises(SchemaError, match="found neither"):
        correct_position(data.drop("Metadata_Well"))
    with pytest.raises(SchemaError, match="1 wells have no position"):
        correct_position(data.with_columns(pl.when(pl.int_range(pl.len()) > 0).then(pl.col("Metadata_Well"))))
    with pytest.raises(SchemaError, match="must be a number"):
        correct_count(data, count="Metadata_Well")
    with pytest.raises(UsageError, match="at least 3 wells"):
        correct_count(data, reference=pl.col("Metadata_Well") == "A99")


def test_a_spline_needs_two_directions_and_wells_once() -> None:
    line = plates().filter(pl.col("Metadata_Well").str.starts_with("A"))
    with pytest.raises(UsageError, match="on one line"):
        correct_position(line, "spline")
    twice = pl.concat([plates(), plates().head(1)])
    with pytest.raises(UsageError, match="two rows of one well"):
        correct_position(twice, "spline", smoothing=0)
    assert correct_position(twice, "spline").frame.height == twice.height


@pytest.mark.parametrize("method", ["loess", "median_polish", "spline", "well_mean"])
def test_what_was_subtracted_can_be_read(method: str) -> None:
    data = plates()
    done = correct_position(data, method)
    assert done.parameters["method"] == method
    plate = data.filter(Metadata_Plate="p1")
    features = feature_columns(data)
    gone = (plate.select(features).to_numpy() - done.frame.filter(Metadata_Plate="p1").select(features).to_numpy()).T
    place = well_places(plate)
    if method == "median_polish":
        expected = done.arrays["p1/rows"][:, place[:, 0]] + done.arrays["p1/cols"][:, place[:, 1]]
    elif method == "well_mean":
        at = [done.arrays["place"].tolist().index(well) for well in place.tolist()]
        expected = done.arrays["offset"][:, at]
    else:
        expected = done.arrays["p1/surface"]
    np.testing.assert_allclose(gone, expected, atol=1e-5)
    scaled = correct_position(data, method, scale=True)
    assert scaled.arrays["p1/scale"].shape == (len(features),)
    assert set(scaled.status["feature"]) == set(features)


def test_slopes_are_returned_and_wells_without_a_count_are_reported() -> None:
    rng = np.random.default_rng(0)
    count = rng.integers(10, 99, 50)
    data = pl.DataFrame({"Metadata_Object_Count": count, "x": 3.0 * count + rng.normal(size=50)}).with_columns(
        pl.when(pl.int_range(pl.len()) > 1).then("Metadata_Object_Count").alias("Metadata_Object_Count")
    )
    done = correct_count(data)
    assert done.arrays["slope"][0] == pytest.approx(3, abs=0.05)
    assert done.arrays["center"][0] == pytest.approx(count[2:].mean())
    assert done.frame["x"].null_count() == 2
    assert done.status.select("feature", "status", "value").rows() == [("x", "no_count", 2.0)]


def test_well_mean_does_not_take_a_well_from_itself() -> None:
    one = pl.DataFrame({"Metadata_Plate": ["p"] * 3, "Metadata_Well": ["A01", "A02", "A03"], "x": [1.0, 2.0, 6.0]})
    with pytest.raises(UsageError, match="on two plates or more"):
        correct_position(one, "well_mean")
    two = pl.concat([one, one.head(2).with_columns(Metadata_Plate=pl.lit("q"), x=pl.Series([3.0, 2.0]))])
    done = correct_position(two, "well_mean").frame.sort("Metadata_Plate", "Metadata_Well")
    level = two["x"].mean()
    assert done["x"].to_list() == pytest.approx([1 - 2 + level, 2 - 2 + level, 6.0, 3 - 2 + level, 2 - 2 + level])
