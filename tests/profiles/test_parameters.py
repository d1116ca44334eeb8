"""Every fitted transform: its parameters suffice; the reference has the promised moments, or a status why not."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from phenoprint.errors import DataError
from phenoprint.profiles import NORMALIZERS, fit_normalization, normalize, normalize_with_status
from phenoprint.profiles.whitening import fit_whitening

CONTROL = pl.col("Metadata_pert_type") == "negcon"
METHODS = sorted(set(NORMALIZERS.names()) - {"inverse_normal"})
PLAIN = {
    "mad_robust": {"pooling": 0.0, "floor": 0.0},
    "sphering": {"regularization": 0.0},
    "tvn": {"regularization": 0.0, "alignment": 0.0},
}
FEATURES = [f"Cells_F{i}" for i in range(5)]


def plates(*, controls: int = 40, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(5, 5)) + 2 * np.eye(5)
    frames = []
    for plate in range(3):
        values = rng.normal(size=(60, 5)) @ mixing + rng.normal(size=5) * 10
        frames.append(
            pl.DataFrame(values, schema=FEATURES).select(
                pl.lit(f"p{plate}").alias("Metadata_Plate"),
                pl.Series("Metadata_pert_type", ["negcon"] * controls + ["trt"] * (60 - controls)),
                pl.all(),
            )
        )
    return pl.concat(frames)


def of_controls(frame: pl.DataFrame, plate: str) -> np.ndarray:
    return frame.filter(CONTROL & (pl.col("Metadata_Plate") == plate)).select(FEATURES).to_numpy()


@pytest.mark.parametrize("method", METHODS)
def test_the_promise_holds_on_the_reference(method: str) -> None:
    fitted = fit_normalization(plates(), method, reference=CONTROL, **PLAIN.get(method, {}))
    done = fitted.apply(plates())
    for plate in ("p0", "p1", "p2"):
        rows = of_controls(done, plate)
        if method in ("sphering", "tvn"):
            np.testing.assert_allclose(np.cov(rows.T), np.eye(5), atol=1e-6)
            np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-9)
        elif method == "standardize":
            np.testing.assert_allclose([rows.mean(axis=0), rows.std(axis=0) - 1], 0, atol=1e-9)
        elif method == "mad_robust":
            np.testing.assert_allclose(np.median(rows, axis=0), 0, atol=1e-9)
            np.testing.assert_allclose(np.median(np.abs(rows), axis=0) * 1.4826, 1, rtol=1e-9)
        elif method == "robust":
            np.testing.assert_allclose(np.median(rows, axis=0), 0, atol=1e-9)
            np.testing.assert_allclose(np.ptp(np.quantile(rows, [0.25, 0.75], axis=0), axis=0), 1, rtol=1e-9)
        else:
            share = (np.arange(1, 41) - 0.375) / 40.25
            expected = norm.ppf(share) if method == "rank" else (np.arange(40) + 0.5) * 2.5
            np.testing.assert_allclose(np.sort(rows, axis=0), np.repeat(expected[:, None], 5, axis=1), rtol=1e-9)
    assert set(fitted.status["status"]) == {"ok"}


@pytest.mark.parametrize("method", METHODS)
def test_parameters_can_be_read_and_suffice(method: str) -> None:
    data = plates()
    fitted = fit_normalization(data, method, reference=CONTROL)
    assert fitted.apply(data).equals(normalize(data, method, reference=CONTROL))
    record = json.loads(json.dumps(fitted.to_dict()))
    assert record["method"] == method
    assert [group["key"]["Metadata_Plate"] for group in record["groups"]] == ["p0", "p1", "p2"]
    assert [group["n_reference"] for group in record["groups"]] == [40] * 3
    arrays = fitted.arrays()
    raw = data.filter(Metadata_Plate="p1").select(FEATURES).to_numpy()
    if method in ("mad_robust", "robust", "standardize"):
        again = (raw - arrays["1/center"]) / arrays["1/scale"]
    elif method in ("rank", "percentile"):
        below = (arrays["1/ordered"][:, :, None] < raw.T[:, None, :]).sum(axis=1)
        same = (arrays["1/ordered"][:, :, None] == raw.T[:, None, :]).sum(axis=1)
        rank = (below + (same + 1) / 2).T
        again = norm.ppf((rank - 0.375) / 40.25) if method == "rank" else 100 * (rank - 0.5) / 40
    else:
        again = raw
        for step in range(1 if method == "sphering" else 2):
            name = f"1/steps/{step}"
            standard = (again - arrays[f"{name}/center"]) / arrays[f"{name}/scale"]
            basis, variances = arrays[f"{name}/basis"], arrays[f"{name}/variances"]
            again = (standard @ basis.T / np.sqrt(variances)) @ basis
    done = fitted.apply(data).filter(Metadata_Plate="p1").select(FEATURES).to_numpy()
    np.testing.assert_allclose(done, again, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_reference_that_is_not_as_promised_is_reported(method: str) -> None:
    data = plates().with_columns(
        Cells_F1=pl.when(CONTROL & (pl.col("Metadata_Plate") == "p1")).then(7.0).otherwise("Cells_F1")
    )
    frame, status = normalize_with_status(data, method, reference=CONTROL)
    reported = {row["Metadata_Plate"]: row for row in status.filter(feature="Cells_F1", step="normalize").to_dicts()}
    expected = {"mad_robust": "pooled", "tvn": "zero_sd"}.get(
        method, f"zero_{'iqr' if method == 'robust' else 'range' if method in ('rank', 'percentile') else 'sd'}"
    )
    assert reported["p1"]["status"] == expected
    assert reported["p1"]["reason"]
    gone = frame.filter(Metadata_Plate="p1")["Cells_F1"].null_count()
    assert gone == (0 if method == "mad_robust" else 60)


def test_the_shrinkage_of_the_held_out_check_is_chosen_without_the_wells_left_out() -> None:
    """Nine plates, three of them with wild controls: the choice among the other six does not depend on them."""
    rng = np.random.default_rng(0)
    frames = []
    for plate in range(9):
        wild = 30.0 if plate % 3 == 2 else 1.0
        values = rng.normal(size=(12, 1)) * (wild == 1) + rng.normal(size=(12, 5)) * np.array([wild, 1, 1, 1, 1])
        frames.append(
            pl.DataFrame(values, schema=FEATURES).with_columns(
                Metadata_Plate=pl.lit(f"p{plate}"), Metadata_pert_type=pl.lit("negcon")
            )
        )
    data = pl.concat(frames)
    rows, blocks = data.select(FEATURES).to_numpy(), np.repeat(np.arange(9), 12)
    held = blocks % 3 == 2
    for rule in ("ledoit_wolf", "plates"):
        status = normalize_with_status(data, "sphering", by=[], regularization=rule).status
        checks = status.filter(step="sphering_check")
        inside = fit_whitening(rows[~held], share=rule, blocks=blocks[~held])
        assert abs(inside.share - fit_whitening(rows, share=rule, blocks=blocks).share) > 0.005
        np.testing.assert_allclose(checks["value"].to_numpy(), (inside.apply(rows[held]) ** 2).mean(axis=0))
        assert checks["value"][0] > 100
        assert checks["value"][2] < 10
    assert checks["feature"].to_list() == FEATURES


def test_a_sphering_that_does_not_whiten_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from phenoprint.profiles import whitening

    monkeypatch.setattr(whitening, "TOLERANCE", -1.0)
    for method in ("sphering", "tvn"):
        with pytest.raises(DataError, match="does not whiten"):
            normalize(plates(), method, reference=CONTROL)
