"""Distributions of cells: against scipy, and on cells with a known change of location, spread or shape."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from phenoprint.errors import DataError, UnknownNameError, UsageError
from phenoprint.profiles import ASPECTS, ControlDistributions, distribution_profiles
from phenoprint.profiles.distributions import Sorted, bimodality, compare_cells
from phenoprint.tables import feature_columns

NEGCON = pl.col("Metadata_pert_type") == "negcon"
N_CONTROLS, N_TREATED, N_FEATURES = 12, 20, 16


def plate(kind: str = "none", *, seed: int = 0, controls: int = N_CONTROLS, treated: int = N_TREATED) -> pl.DataFrame:
    """Cells of wells that differ by chance; half of the features change in the treated wells."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(4, N_FEATURES)) / 2
    half = slice(0, N_FEATURES // 2)
    frames = []
    for number in range(controls + treated):
        n = int(rng.integers(50, 250))
        values = rng.normal(size=(n, 4)) @ loadings + 0.6 * rng.normal(size=(n, N_FEATURES))
        if number >= controls:
            if kind == "shift":
                values[:, half] += 0.6
            elif kind == "spread":
                values[:, half] *= 1.5
            elif kind == "responders":
                values[rng.random(n) < 0.2, half] += 3.5
        values = values * np.exp(rng.normal(0, 0.08, N_FEATURES)) + rng.normal(0, 0.12, 4) @ loadings
        frames.append(
            pl.DataFrame(values.astype(np.float32), schema=[f"Cells_F{i:02d}" for i in range(N_FEATURES)]).select(
                pl.lit("p").alias("Metadata_Plate"),
                pl.lit(f"W{number:03d}").alias("Metadata_Well"),
                pl.lit("negcon" if number < controls else "trt").alias("Metadata_pert_type"),
                pl.all(),
            )
        )
    return pl.concat(frames)


def sizes(cells: pl.DataFrame, *, of: str = "trt") -> dict[str, np.ndarray]:
    """Return the p values of wells by aspect."""
    features = feature_columns(cells)
    fitted = ControlDistributions.of(cells.filter(NEGCON), features)
    found: dict[str, list[float]] = {name: [] for name in ASPECTS}
    for key, own in cells.filter(Metadata_pert_type=of).group_by("Metadata_Plate", "Metadata_Well"):
        well = tuple(map(str, key))
        made = fitted.compare(np.ascontiguousarray(own.select(features).to_numpy().T), well)
        for name, (_, p) in fitted.size(made, own.height, well).items():
            found[name].append(p)
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize(
    ("kind", "respond", "silent"),
    [
        ("shift", {"shift"}, {"spread", "shape", "tail"}),
        ("spread", {"spread"}, {"shape", "tail"}),
        ("responders", {"shape", "tail"}, set()),
        ("none", set(), set(ASPECTS)),
    ],
)
def test_what_changes_responds_and_nothing_else(kind: str, respond: set[str], silent: set[str]) -> None:
    made = [sizes(plate(kind, seed=seed)) for seed in range(4)]
    share = {name: float(np.mean(np.concatenate([found[name] for found in made]) < 0.05)) for name in ASPECTS}
    assert all(share[name] > 0.8 for name in respond), share
    assert all(share[name] < 0.13 for name in silent), share


@pytest.mark.parametrize("controls", [4, 16])
def test_p_holds_without_an_effect_for_any_number_of_controls(controls: int) -> None:
    made = [sizes(plate(seed=seed, controls=controls)) for seed in range(12)]
    for name in ASPECTS:
        p = np.concatenate([found[name] for found in made])
        assert np.mean(p < 0.05) < 0.09, name
        assert np.mean(p < 0.2) < 0.28, name


def test_control_wells_are_compared_with_the_other_control_wells() -> None:
    made = [sizes(plate(seed=seed, controls=16, treated=0), of="negcon") for seed in range(12)]
    for name in ASPECTS:
        p = np.concatenate([found[name] for found in made])
        assert np.mean(p < 0.05) < 0.11, name


def test_a_change_of_spread_has_the_same_sign_in_every_well() -> None:
    """A signed distance had a random sign here."""
    for factor, sign in ((1.6, 1), (0.6, -1)):
        cells = plate(seed=1)
        wider = cells.with_columns(
            pl.when(NEGCON).then(pl.col(name)).otherwise(pl.col(name) * factor) for name in feature_columns(cells)
        )
        found = distribution_profiles(wider, reference=NEGCON).filter(pl.col("Metadata_Well") >= "W012")
        spread = found.select("^.*_Spread$").to_numpy()
        assert (np.sign(spread) == sign).mean() > 0.98
        assert (found.select("^.*_Shape$").to_numpy() > 4).mean() < 0.02


def test_the_null_does_not_shrink_with_the_number_of_cells() -> None:
    """Wells are the units: ten times the cells do not make an untreated well significant."""
    cells = plate(seed=3)
    many = pl.concat([cells] * 10)
    for frame in (cells, many):
        relative = distribution_profiles(frame, reference=NEGCON, max_controls=100_000)
        treated = relative.filter(pl.col("Metadata_Well") >= "W012").select(pl.selectors.ends_with("Shift", "Spread"))
        assert 0.6 < float(treated.to_numpy().std()) < 1.5


def test_distances_are_scipys() -> None:
    cells = plate("responders", controls=3, treated=3).with_columns(
        pl.when(pl.int_range(pl.len()) % 7 != 0).then(pl.col("Cells_F02").round(0)).alias("Cells_F02")
    )
    measures = ["wasserstein", "energy", "ks"]
    ours = distribution_profiles(cells, reference=NEGCON, measures=measures, relative=False)
    assert ours.height == 6
    for row in ours.iter_rows(named=True):
        own = cells.filter(Metadata_Well=row["Metadata_Well"])
        controls = cells.filter(NEGCON & (pl.col("Metadata_Well") != row["Metadata_Well"]))
        for name in feature_columns(cells):
            x, y = own[name].drop_nulls().to_numpy(), controls[name].drop_nulls().to_numpy()
            scale = (np.quantile(y, 0.75) - np.quantile(y, 0.25)) / (2 * stats.norm.ppf(0.75))
            earth, energy = stats.wasserstein_distance(x, y) / scale, stats.energy_distance(x, y) / np.sqrt(scale)
            assert row[f"{name}_Wasserstein"] == pytest.approx(earth, rel=1e-4)
            assert row[f"{name}_Energy"] == pytest.approx(energy, rel=1e-4)
            assert row[f"{name}_KS"] == pytest.approx(stats.ks_2samp(x, y).statistic, abs=1e-6)


def test_shape_is_the_distance_of_centred_and_scaled_cells() -> None:
    rng = np.random.default_rng(0)
    cells, controls = rng.gamma(2, size=(1, 300)), rng.normal(size=(1, 2000))
    found = compare_cells(Sorted.of(3 * cells + 5), Sorted.of(controls), ["shift", "spread", "shape", "tail"])

    def scaled(values: np.ndarray) -> np.ndarray:
        width = (np.quantile(values, 0.75) - np.quantile(values, 0.25)) / (2 * stats.norm.ppf(0.75))
        return (values - np.median(values)) / width

    x, y = scaled(cells[0]), scaled(controls[0])
    assert found["shape"].item() == pytest.approx(stats.wasserstein_distance(x, y), rel=1e-6)
    low, high = np.quantile(y, [0.05, 0.95])
    assert found["tail"].item() == pytest.approx(np.mean(x > high) - np.mean(x < low))
    assert found["tail"].item() > 0.05
    assert found["spread"].item() == pytest.approx(np.log2(3 * stats.iqr(cells) / stats.iqr(controls)))


def test_what_is_not_known_is_null() -> None:
    cells = plate(treated=2).with_columns(
        Cells_Hole=pl.when(~NEGCON).then(1.0),
        Cells_Flat=pl.lit(1.0),
        Cells_F01=pl.when(pl.col("Metadata_Well") != "W013").then("Cells_F01"),
    )
    few = pl.concat([cells.filter(pl.col("Metadata_Well") != "W012"), cells.filter(Metadata_Well="W012").head(7)])
    found = distribution_profiles(few, reference=NEGCON)
    assert found.select("^Cells_(Hole|Flat)_.*$").null_count().sum_horizontal().item() == 8 * found.height
    assert found.filter(Metadata_Well="W012").select("^Cells_F.*$").null_count().sum_horizontal().item() == 68
    assert found.filter(Metadata_Well="W013").select("^Cells_F01_.*$").null_count().sum_horizontal().item() == 4
    assert found.filter(Metadata_Well="W013")["Cells_F00_Shift"].item() is not None
    three = distribution_profiles(plate(controls=3), reference=NEGCON)
    assert three.select("^Cells_F.*$").null_count().sum_horizontal().item() == 4 * N_FEATURES * three.height
    assert distribution_profiles(cells, reference=NEGCON).equals(
        distribution_profiles(cells.sample(fraction=1.0, shuffle=True, seed=2), reference=NEGCON)
    )


def test_wrong_use() -> None:
    data = pl.concat([plate(), plate().with_columns(Metadata_Plate=pl.lit("q"))])
    with pytest.raises(DataError, match=r"none on \('q',\)"):
        distribution_profiles(data, reference=NEGCON & (pl.col("Metadata_Plate") == "p"))
    with pytest.raises(UnknownNameError, match="wasserstein"):
        distribution_profiles(data, reference=NEGCON, measures=["emd"])
    with pytest.raises(UsageError, match="keys of a well"):
        distribution_profiles(data, reference=NEGCON, by=["Metadata_Well"])


@given(arrays(np.float64, (1, 25), elements=st.floats(-100, 100).map(lambda v: round(v, 2)), unique=True))
@settings(max_examples=60, deadline=None)
def test_bimodality_is_that_of_scipys_moments(values: np.ndarray) -> None:
    n = 25
    skew, excess = stats.skew(values[0], bias=False), stats.kurtosis(values[0], bias=False)
    expected = (skew**2 + 1) / (excess + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))
    assert bimodality(values)[0] == pytest.approx(expected, rel=1e-6)


def test_bimodality_of_known_shapes() -> None:
    rng = np.random.default_rng(0)
    shapes = np.stack([rng.normal(size=50_000), rng.random(50_000), np.sign(rng.random(50_000) - 0.5), np.ones(50_000)])
    found = bimodality(shapes)
    np.testing.assert_allclose(found[:3], [1 / 3, 5 / 9, 1], atol=0.01)
    assert np.isnan(found[3])
    assert np.isnan(bimodality(shapes[:1, :3])[0])
