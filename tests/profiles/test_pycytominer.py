"""Agreement with pycytominer to 1e-6, on a published plate and on random tables, in double precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from phenoprint.profiles import aggregate, consensus, normalize, normalize_with_status, select_features
from phenoprint.tables import feature_columns

pycytominer = pytest.importorskip("pycytominer")
pytestmark = pytest.mark.filterwarnings("ignore")

NORMALIZATIONS = [
    ("standardize", "standardize", {}),
    ("robust", "robustize", {}),
    ("mad_robust", "mad_robustize", {"pooling": 0, "floor": 0}),
]
SELECTIONS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("frequency_threshold", "frequency_threshold", {"common_cut": 0.0}, {}),
    ("min_variance", "variance_threshold", {"min_variance": 0.01}, {"min_variance": 0.01}),
    ("drop_na_columns", "drop_na_columns", {"na_cutoff": 0.001}, {"na_cutoff": 0.001}),
    ("drop_outliers", "drop_outliers", {"outlier_cutoff": 15}, {"outlier_cutoff": 15}),
    ("blocklist", "blocklist", {}, {}),
    ("correlation_threshold", "correlation_threshold", {"signed_correlation": True, "greedy_correlation": False}, {}),
    (
        "noise_removal",
        "noise_removal",
        {"replicate_by": ["Metadata_allele"], "noise_cutoff": 0.8},
        {"noise_removal_perturb_groups": "Metadata_allele", "noise_removal_stdev_cutoff": 0.8},
    ),
]


@pytest.fixture(scope="module")
def plate(real_data: Path) -> pl.DataFrame:
    path = real_data / "varchamp_golden" / "2022_08_08_PPL8_100-800_augmented.csv.gz"
    frame = pl.read_csv(path, infer_schema_length=None)
    return frame.with_columns(pl.col(feature_columns(frame)).cast(pl.Float64))


def random_wells(*, seed: int = 1, missing: float = 0.03) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.lognormal(0, 1, size=(96, 30)) * 10.0 ** rng.integers(-3, 6, 30)
    values[rng.random(values.shape) < missing] = np.nan
    return pl.DataFrame(values, schema=[f"Cells_F{i}" for i in range(30)], nan_to_null=True).select(
        pl.lit("p").alias("Metadata_Plate"),
        pl.Series("Metadata_Well", [f"{'ABCDEFGH'[i // 12]}{i % 12 + 1:02d}" for i in range(96)]),
        pl.Series("Metadata_control_type", ["negcon" if i % 4 == 0 else "trt" for i in range(96)]),
        pl.Series("Metadata_allele", [f"c{i % 24}" for i in range(96)]),
        pl.all(),
    )


def check_normalization(data: pl.DataFrame, method: str, theirs: str, options: dict[str, Any], controls: bool) -> None:
    names = feature_columns(data)
    reference = pl.col("Metadata_control_type") == "negcon" if controls else None
    ours, status = normalize_with_status(data, method, reference=reference, **options)
    expected = pycytominer.normalize(
        data.to_pandas(),
        features=names,
        meta_features=["Metadata_Plate", "Metadata_Well"],
        samples="Metadata_control_type == 'negcon'" if controls else "all",
        method=theirs,
        mad_robustize_epsilon=0,
    )
    defined = set(status.filter(status="ok")["feature"])
    assert len(defined) > 0.95 * len(names)
    kept = [name for name in names if name in defined]
    np.testing.assert_allclose(
        ours.select(kept).to_numpy().astype(float), expected[kept].to_numpy(), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("controls", [False, True])
@pytest.mark.parametrize(("method", "theirs", "options"), NORMALIZATIONS)
def test_normalize_random(method: str, theirs: str, options: dict[str, Any], controls: bool) -> None:
    check_normalization(random_wells(), method, theirs, options, controls)


@pytest.mark.real
@pytest.mark.parametrize("controls", [False, True])
@pytest.mark.parametrize(("method", "theirs", "options"), NORMALIZATIONS)
def test_normalize_real(plate: pl.DataFrame, method: str, theirs: str, options: dict[str, Any], controls: bool) -> None:
    check_normalization(plate, method, theirs, options, controls)


@pytest.mark.real
def test_sphering_real(plate: pl.DataFrame) -> None:
    """A hundred features that are not redundant, 56 controls: fewer controls than features."""
    selected = select_features(normalize(plate), na_cutoff=0)
    names = feature_columns(selected)[:100]
    data = selected.select("Metadata_Plate", "Metadata_Well", "Metadata_control_type", *names)
    expected = pycytominer.normalize(
        data.to_pandas(),
        features=names,
        meta_features=["Metadata_Plate", "Metadata_Well"],
        samples="Metadata_control_type == 'negcon'",
        method="spherize",
        spherize_epsilon=0,
    )
    controls = pl.col("Metadata_control_type") == "negcon"
    ours = normalize(data, "sphering", reference=controls, regularization=0, outside="smallest")
    np.testing.assert_allclose(ours.select(names).to_numpy(), expected[names].to_numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_aggregate_and_consensus(statistic: str) -> None:
    data = random_wells()
    names = feature_columns(data)
    expected = pycytominer.aggregate(
        data.to_pandas(), strata=["Metadata_allele"], features=names, operation=statistic
    ).sort_values("Metadata_allele")
    np.testing.assert_allclose(
        aggregate(data, ["Metadata_allele"], statistic).select(names).to_numpy(), expected[names].to_numpy(), rtol=1e-6
    )
    expected = pycytominer.consensus(
        data.to_pandas(), replicate_columns=["Metadata_allele"], features=names, operation=statistic
    ).sort_values("Metadata_allele")
    np.testing.assert_allclose(
        consensus(data, ["Metadata_allele"], statistic).select(names).to_numpy(), expected[names].to_numpy(), rtol=1e-6
    )


@pytest.mark.real
@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_aggregate_real_cells(real_data: Path, statistic: str) -> None:
    """Fifty thousand published cells of two plates to wells."""
    path = real_data / "breinig_single_cells" / "train_processed.tsv.gz"
    cells = pl.read_csv(path, separator="\t", infer_schema_length=None)
    numbers = [name for name, dtype in cells.schema.items() if dtype.is_float()]
    keys = ["Metadata_Plate", "Metadata_Well"]
    place = [name for name in cells.columns if name.lower() in ("plate", "well")]
    data = cells.select(pl.col(place).cast(pl.String), *numbers).rename(dict(zip(place, keys, strict=True)))
    expected = pycytominer.aggregate(data.to_pandas(), strata=keys, features=numbers, operation=statistic).sort_values(
        keys
    )
    ours = aggregate(data, keys, statistic)
    assert ours["Metadata_Object_Count"].sum() == data.height > 40_000
    np.testing.assert_allclose(ours.select(numbers).to_numpy(), expected[numbers].to_numpy(), rtol=1e-6, atol=1e-12)


@pytest.mark.real
@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_consensus_real(plate: pl.DataFrame, statistic: str) -> None:
    names = feature_columns(plate)
    data = plate.drop_nulls("Metadata_allele")
    expected = pycytominer.consensus(
        data.to_pandas(), replicate_columns=["Metadata_allele"], features=names, operation=statistic
    ).sort_values("Metadata_allele")
    ours = consensus(data, ["Metadata_allele"], statistic)
    np.testing.assert_allclose(ours.select(names).to_numpy().astype(float), expected[names].to_numpy(), rtol=1e-6)


@pytest.mark.real
@pytest.mark.parametrize(("operation", "theirs", "options", "their_options"), SELECTIONS)
def test_select_real(
    plate: pl.DataFrame, operation: str, theirs: str, options: dict[str, Any], their_options: dict[str, Any]
) -> None:
    data = normalize(plate)
    data = data.select([name for name in data.columns if data[name].null_count() < data.height])
    data = data.select(
        *[name for name in data.columns if name.startswith("Metadata_")],
        *feature_columns(data)[:: 3 if operation == "correlation_threshold" else 1],
    )
    expected = pycytominer.feature_select(
        data.to_pandas(), features=feature_columns(data), operation=theirs, **their_options
    )
    kept = [name for name in expected.columns if not name.startswith("Metadata_")]
    ours = feature_columns(select_features(data, [operation], **options))
    if operation == "correlation_threshold":
        # Of two features that are as good as the same, theirs keeps the one that rounding favours, ours the first.
        assert len(set(ours) ^ set(kept)) <= 0.01 * len(kept)
        assert len(ours) == len(kept)
    else:
        assert ours == kept
