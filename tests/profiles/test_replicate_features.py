"""Selection by replicates, trimmed means and quantiles, against pycytominer, scipy and numpy."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.profiles import aggregate, select_features, select_features_with_status
from phenoprint.profiles.moments import GroupMoments
from phenoprint.tables import feature_columns


def treatments(*, n: int = 12, k: int = 4, seed: int = 0, missing: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    effect = rng.normal(size=(n, 1)).repeat(k, axis=0)
    width = 10
    values = effect * np.linspace(0, 3, width) + rng.normal(size=(n * k, width)) * np.linspace(0.2, 2, width)[::-1]
    values[rng.random(values.shape) < missing] = np.nan
    frame = pl.DataFrame(values, schema=[f"Cells_F{i}" for i in range(width)], nan_to_null=True)
    return frame.select(pl.Series("Metadata_compound", [f"c{i}" for i in range(n) for _ in range(k)]), pl.all())


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_noise_removal_is_pycytominers(missing: float) -> None:
    from pycytominer import feature_select

    data = treatments(missing=missing)
    expected = feature_select(
        data.to_pandas(),
        features=feature_columns(data),
        operation="noise_removal",
        noise_removal_perturb_groups="Metadata_compound",
        noise_removal_stdev_cutoff=0.9,
    )
    ours = select_features(data, ["noise_removal"], replicate_by=["Metadata_compound"], noise_cutoff=0.9)
    assert ours.columns == list(expected.columns)
    assert 1 < ours.width < data.width


def within_groups(values: np.ndarray, codes: np.ndarray) -> GroupMoments:
    """Sum in two blocks about a centre that is not quite the mean."""
    moments = GroupMoments(np.nanmean(values, axis=1) + 0.1, int(codes.max()) + 1)
    moments.add(values[:, :7], codes[:7])
    moments.add(values[:, 7:], codes[7:])
    return moments


def test_noise_by_pandas() -> None:
    data = treatments(missing=0.2, seed=3)
    table = data.to_pandas()
    expected = table.groupby("Metadata_compound").std(ddof=0).mean().to_numpy()
    codes = table["Metadata_compound"].astype("category").cat.codes.to_numpy().astype(np.intp)
    values = table[feature_columns(data)].to_numpy().T
    np.testing.assert_allclose(within_groups(values, codes).noise(), expected, rtol=1e-9)


def test_intraclass_correlation_from_scipys_analysis_of_variance() -> None:
    data = treatments()
    groups = [part.select(feature_columns(data)).to_numpy() for _, part in data.group_by("Metadata_compound")]
    f = stats.f_oneway(*groups).statistic
    expected = (f - 1) / (f + 4 - 1)  # balanced: k = 4
    values = data.select(feature_columns(data)).to_numpy().T
    codes = np.repeat(np.arange(12), 4)
    np.testing.assert_allclose(within_groups(values, codes).intraclass(), expected, rtol=1e-9)
    # Unbalanced, with rows of no group: Fleiss' k, written out.
    codes = codes.copy()
    codes[[0, 5, 6, 20]] = -1
    x, c = values[3][codes >= 0], codes[codes >= 0]
    sizes = np.bincount(c)[np.bincount(c) > 0]
    ss_within = sum(((x[c == g] - x[c == g].mean()) ** 2).sum() for g in np.unique(c))
    ss_between = ((x - x.mean()) ** 2).sum() - ss_within
    msb, msw = ss_between / (len(sizes) - 1), ss_within / (len(x) - len(sizes))
    k = (len(x) - (sizes**2).sum() / len(x)) / (len(sizes) - 1)
    assert within_groups(values, codes).intraclass()[3] == pytest.approx((msb - msw) / (msb + (k - 1) * msw))


def test_reproducible_features_stay() -> None:
    data = treatments().with_columns(
        Metadata_compound=pl.when(pl.int_range(pl.len()) > 1).then(pl.col("Metadata_compound"))
    )
    frame, status = select_features_with_status(
        data, ["replicate_reproducibility"], replicate_by=["Metadata_compound"], reproducibility_cutoff=0.5
    )
    words = dict(status.select("feature", "status").iter_rows())
    assert words["Cells_F0"] == "not_reproducible"
    assert words["Cells_F9"] == "ok"
    assert "intraclass correlation" in status.filter(feature="Cells_F0")["reason"].item()
    assert "Cells_F0" not in frame.columns
    alone = data.with_columns(Metadata_compound=pl.int_range(pl.len()).cast(pl.String))
    none = select_features(alone, ["replicate_reproducibility"], replicate_by=["Metadata_compound"])
    assert feature_columns(none) == []  # without replicates nothing is known to be reproducible
    with pytest.raises(UsageError, match="needs replicate_by"):
        select_features(data, ["noise_removal"])


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_trimmed_mean_and_quantiles(missing: float) -> None:
    data = treatments(n=3, k=25, missing=missing)
    names = feature_columns(data)
    trimmed = aggregate(data, ["Metadata_compound"], "trimmed_mean")
    upper = aggregate(data, ["Metadata_compound"], "q90")
    odd = aggregate(data, ["Metadata_compound"], "q2.5")
    for number, (_, part) in enumerate(data.group_by("Metadata_compound", maintain_order=True)):
        values = part.select(names).to_numpy()
        kept = [column[~np.isnan(column)] for column in values.T]
        np.testing.assert_allclose(trimmed.select(names).row(number), [stats.trim_mean(c, 0.1) for c in kept])
        np.testing.assert_allclose(upper.select(names).row(number), np.nanquantile(values, 0.9, axis=0))
        np.testing.assert_allclose(odd.select(names).row(number), np.nanquantile(values, 0.025, axis=0))


@pytest.mark.parametrize("name", ["q101", "quantile", "q", "q-5"])
def test_unknown_statistics(name: str) -> None:
    with pytest.raises(UnknownNameError, match="statistic"):
        aggregate(treatments(), ["Metadata_compound"], name)
