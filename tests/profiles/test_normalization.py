"""Normalization against pycytominer and the published plate, and on plates that cannot be normalized."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from phenoprint.errors import DataError, SchemaError, UnknownNameError, UsageError
from phenoprint.profiles import MadRobust, normalize, normalize_with_status
from phenoprint.tables import feature_columns

NEGCON = pl.col("Metadata_pert_type") == "negcon"


def wells(*, plates: int = 3, n: int = 24, controls: int = 6, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    frames = [
        pl.DataFrame(
            {
                "Metadata_Plate": [f"p{plate}"] * n,
                "Metadata_Well": [f"A{i:02d}" for i in range(1, n + 1)],
                "Metadata_pert_type": ["negcon"] * controls + ["trt"] * (n - controls),
                **{f"Cells_F{i}": rng.normal(plate, 1 + i, n).astype(np.float32) for i in range(5)},
            }
        )
        for plate in range(plates)
    ]
    return pl.concat(frames)


@pytest.mark.parametrize(
    ("method", "theirs", "options"),
    [
        ("standardize", "standardize", {}),
        ("robust", "robustize", {}),
        ("mad_robust", "mad_robustize", {"pooling": 0, "floor": 0}),
    ],
)
@pytest.mark.parametrize("on_controls", [False, True])
def test_agrees_with_pycytominer(method: str, theirs: str, options: dict[str, float], on_controls: bool) -> None:
    import pycytominer

    data = wells()
    data = data.with_columns(pl.when(pl.int_range(pl.len()) % 11 != 3).then(pl.col("Cells_F1")).alias("Cells_F1"))
    ours = normalize(data, method, reference=NEGCON if on_controls else None, **options)
    for plate in ("p0", "p1", "p2"):
        expected = pycytominer.normalize(
            data.filter(pl.col("Metadata_Plate") == plate).to_pandas(),
            features=feature_columns(data),
            meta_features=["Metadata_Plate", "Metadata_Well", "Metadata_pert_type"],
            samples="Metadata_pert_type == 'negcon'" if on_controls else "all",
            method=theirs,
            mad_robustize_epsilon=0,
        )
        np.testing.assert_allclose(
            ours.filter(pl.col("Metadata_Plate") == plate).select(feature_columns(data)).to_numpy(),
            expected[feature_columns(data)].to_numpy(),
            rtol=2e-5,
            atol=1e-6,
        )


def test_rows_columns_and_types_stay() -> None:
    data = wells().sample(fraction=1, shuffle=True, seed=1)
    before = data.clone()
    result = normalize(data)
    assert result.columns == data.columns
    assert result.schema == data.schema
    assert result.select(pl.selectors.starts_with("Metadata_")).equals(
        data.select(pl.selectors.starts_with("Metadata_"))
    )
    assert data.equals(before)
    sorted_result = normalize(data.sort("Metadata_Plate", "Metadata_Well"))
    assert result.sort("Metadata_Plate", "Metadata_Well").equals(sorted_result)
    assert normalize(data.to_pandas()).equals(result)


def test_zero_spread_is_null_with_a_status_never_a_huge_number() -> None:
    data = wells(plates=1).with_columns(
        Cells_Flat=pl.lit(0.1, dtype=pl.Float32),
        Cells_Mostly=pl.when(pl.int_range(pl.len()) == 0).then(5.0).otherwise(1.0).cast(pl.Float32),
        Cells_Null=pl.lit(None, dtype=pl.Float32),
    )
    result, status = normalize_with_status(data, reference=NEGCON)
    for name in ("Cells_Flat", "Cells_Mostly", "Cells_Null"):
        assert result[name].null_count() == result.height
    found = {row["feature"]: row for row in status.to_dicts()}
    assert found["Cells_Flat"]["status"] == "zero_mad"
    assert found["Cells_Flat"]["Metadata_Plate"] == "p0"
    assert "6 reference values" in found["Cells_Flat"]["reason"]
    assert found["Cells_Null"]["status"] == "all_null"
    assert found["Cells_F0"]["status"] == "ok"
    assert found["Cells_F0"]["value"] > 0
    assert status.height == len(feature_columns(data))
    assert normalize_with_status(data, "standardize").status.filter(feature="Cells_Flat")["status"].item() == "zero_sd"
    assert normalize_with_status(data, "robust").status.filter(feature="Cells_Flat")["status"].item() == "zero_iqr"


@pytest.mark.parametrize("method", ["mad_robust", "standardize", "robust"])
def test_rounding_noise_is_zero_spread(method: str) -> None:
    noise = np.array([1.0, 1.0 - 6e-8, 1.0, 1.0 + 1.2e-7, 1.0, 1.0 - 6e-8] * 4, dtype=np.float32)
    data = pl.DataFrame({"Metadata_Plate": ["p"] * 24, "Cells_Rescaled": noise})
    assert normalize(data, method)["Cells_Rescaled"].null_count() == 24


def test_a_chance_zero_borrows_the_pooled_spread() -> None:
    data = wells(plates=5).with_columns(
        pl.when((pl.col("Metadata_Plate") == "p0") & NEGCON)
        .then(1.0)
        .otherwise(pl.col("Cells_F2"))
        .cast(pl.Float32)
        .alias("Cells_F2")
    )
    result, status = normalize_with_status(data, reference=NEGCON)
    row = status.filter(Metadata_Plate="p0", feature="Cells_F2").to_dicts()[0]
    assert row["status"] == "pooled"
    assert result.filter(Metadata_Plate="p0")["Cells_F2"].abs().max() < 50
    assert normalize(data, reference=NEGCON, pooling=0).filter(Metadata_Plate="p0")["Cells_F2"].null_count() == 24


def test_pooled_scale_by_hand() -> None:
    data = pl.DataFrame({"Metadata_Plate": ["a"] * 3 + ["b"] * 3 + ["c"] * 3, "x": [-1.0, 0, 1, -2, 0, 2, -9, 0, 9]})
    status = normalize_with_status(data, pooling=6).status
    mads = 1.4826 * np.array([1, 2, 9])
    expected = np.sqrt((6 * (1.4826 * 2) ** 2 + 3 * mads**2) / 9)
    np.testing.assert_allclose(status["value"].to_numpy(), expected)


def test_too_few_controls() -> None:
    data = wells(plates=2).filter(~(NEGCON & (pl.col("Metadata_Plate") == "p1") & (pl.col("Metadata_Well") > "A02")))
    with pytest.raises(DataError, match=r"at least 3 reference rows.*2 of 20 in Metadata_Plate=p1"):
        normalize(data, reference=NEGCON)
    result, status = normalize_with_status(data, reference=NEGCON)
    assert result.filter(Metadata_Plate="p1").select(feature_columns(data)).null_count().sum_horizontal().item() == 100
    assert set(status.filter(Metadata_Plate="p1")["status"]) == {"too_few_reference"}
    assert status.filter(Metadata_Plate="p1")["value"].to_list() == [2.0] * 5
    none = normalize_with_status(data, reference=NEGCON & (pl.col("Metadata_Plate") == "p0")).status
    assert none.filter(Metadata_Plate="p1")["status"].unique().to_list() == ["too_few_reference"]
    assert none.filter(Metadata_Plate="p1")["reason"][0] == "0 reference rows, at least 3 needed"
    sparse = data.with_columns(Cells_F1=pl.when(pl.col("Metadata_Well") > "A04").then(pl.col("Cells_F1")))
    row = normalize_with_status(sparse, reference=NEGCON).status.filter(Metadata_Plate="p0", feature="Cells_F1")
    assert (row["status"].item(), row["reason"].item()) == (
        "too_few_reference",
        "2 reference values, at least 3 needed",
    )
    alone = normalize(data.filter(Metadata_Plate="p0"), reference=NEGCON)
    assert result.filter(Metadata_Plate="p0").equals(alone)


def test_by_plate_and_cell_line() -> None:
    data = wells(plates=1).with_columns(
        Metadata_cell_line=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("U2OS")).otherwise(pl.lit("A549"))
    )
    result, status = normalize_with_status(data, by=["Metadata_Plate", "Metadata_cell_line"])
    for line in ("U2OS", "A549"):
        part = result.filter(Metadata_cell_line=line)["Cells_F0"]
        assert abs(part.median()) < 1e-6  # type: ignore[arg-type, operator]
    assert "(Metadata_cell_line=A549)" in status["reason"][0]


def test_infinite_and_nan_become_null() -> None:
    data = pl.DataFrame({"Metadata_Plate": ["p"] * 5, "x": [1.0, 2.0, 3.0, float("inf"), float("nan")]})
    assert normalize(data, "standardize", ddof=1)["x"].to_list() == [-1.0, 0.0, 1.0, None, None]


def test_wrong_use() -> None:
    data = wells()
    with pytest.raises(UnknownNameError, match="did you mean 'mad_robust'"):
        normalize(data, "mad_robst")
    with pytest.raises(UnknownNameError, match="parameter of normalization method 'mad_robust'"):
        normalize(data, epsilon=0)
    with pytest.raises(UsageError, match="true or false for each row"):
        normalize(data, reference=pl.col("Cells_F0"))
    with pytest.raises(UsageError, match="pooling must be"):
        normalize(data, pooling=-1)
    with pytest.raises(UsageError, match="expected a list of column names"):
        normalize(data, by="Metadata_Plate")
    with pytest.raises(UsageError, match="both a Normalizer and parameters"):
        normalize(data, MadRobust(), pooling=1)
    with pytest.raises(SchemaError, match="NULL"):
        normalize(data.with_columns(Metadata_Plate=pl.lit(None, dtype=pl.String)))


def test_empty_frame() -> None:
    result, status = normalize_with_status(wells().clear())
    assert result.height == 0
    assert status.height == 0


@given(
    arrays(np.float64, (12,), elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), unique=True),
    st.floats(0.01, 100),
    st.floats(-1e3, 1e3),
    st.sampled_from(["mad_robust", "standardize", "robust"]),
)
@settings(max_examples=100, deadline=None)
def test_invariant_to_scale_and_shift(values: np.ndarray, scale: float, shift: float, method: str) -> None:
    frame = pl.DataFrame({"Metadata_Plate": ["p"] * 12, "x": values})
    moved = frame.with_columns(pl.col("x") * scale + shift)
    np.testing.assert_allclose(
        normalize(frame, method)["x"].to_numpy(), normalize(moved, method)["x"].to_numpy(), rtol=1e-6, atol=1e-6
    )


def golden(root: Path, name: str) -> pl.DataFrame:
    stem = "2022_08_08_PPL8_100-800"
    return pl.read_csv(root / "varchamp_golden" / f"{stem}{name}.csv.gz", infer_schema_length=None)


@pytest.mark.real
@pytest.mark.parametrize(
    ("published", "reference"),
    [("_normalized", None), ("_normalized_negcon", pl.col("Metadata_control_type") == "negcon")],
)
def test_published_plate(real_data: Path, published: str, reference: pl.Expr | None) -> None:
    """Level 4a of a published plate to its five printed digits; where the MAD is zero there is a status instead."""
    level3, expected = golden(real_data, "_augmented"), golden(real_data, published)
    ours, status = normalize_with_status(level3, pooling=0, floor=0, reference=reference)
    features = [name for name in feature_columns(level3) if name in expected.columns]
    assert len(features) == 2979
    theirs = expected.sort("Metadata_Well").select(pl.col(features).cast(pl.Float64, strict=False)).to_numpy()
    mine = ours.sort("Metadata_Well").select(features).to_numpy().astype(float)
    defined = np.isfinite(mine)
    zero = set(status.filter(pl.col("status") != "ok")["feature"])
    # Every value that the publication has and we lack belongs to a feature with a zero MAD, and is reported.
    lost = np.isfinite(theirs) & ~defined
    assert {features[i] for i in np.flatnonzero(lost.any(axis=0))} <= zero
    assert np.isfinite(theirs[defined]).all()
    np.testing.assert_allclose(mine[defined], theirs[defined], rtol=5e-5, atol=1e-12)
    assert defined.mean() > 0.97


def test_floor_tames_a_feature_that_hardly_varies_in_most_controls() -> None:
    """Nine controls within a hair, one far off: the MAD alone would send a treated well to hundreds of spreads."""
    controls = [0.0, 0.001, -0.001, 0.002, -0.002, 0.001, -0.001, 0.0015, -0.0015, 1.0]
    frame = pl.DataFrame(
        {
            "Metadata_Plate": ["p"] * 11,
            "Metadata_pert_type": ["negcon"] * 10 + ["trt"],
            "x": [*controls, 1.0],
        }
    )
    raw = normalize(frame, reference=NEGCON, floor=0)["x"][-1]
    safe = normalize(frame, reference=NEGCON)["x"][-1]
    assert raw > 400
    assert safe == pytest.approx((1.0 - np.median(controls)) / (0.25 * np.std(controls, ddof=1)), rel=1e-6)


def test_floor_leaves_ordinary_features_alone() -> None:
    rng = np.random.default_rng(3)
    frame = pl.DataFrame({"Metadata_Plate": ["p"] * 200, "x": rng.normal(size=200)})
    np.testing.assert_array_equal(normalize(frame)["x"], normalize(frame, floor=0)["x"])


def test_floor_does_not_define_a_feature_without_spread() -> None:
    frame = pl.DataFrame({"Metadata_Plate": ["p"] * 6, "x": [1.0, 1.0, 1.0, 1.0, 1.0, 5.0]})
    assert normalize(frame)["x"].null_count() == 6


@pytest.mark.parametrize("floor", [-0.1, 1.5])
def test_impossible_floor_is_refused(floor: float) -> None:
    with pytest.raises(UsageError, match="floor"):
        MadRobust(floor=floor)
