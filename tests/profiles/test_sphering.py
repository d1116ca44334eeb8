"""Sphering: that it whitens, against pycytominer and scikit-learn, and what it does where it cannot."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprint.errors import DataError, UnknownNameError, UsageError
from phenoprint.profiles import Sphering, fit_normalization, normalize, normalize_with_status
from phenoprint.profiles import whitening as whitening_module
from phenoprint.profiles.whitening import KINDS, fit_whitening, ledoit_wolf_share, shrinkage_by_plates
from phenoprint.tables import feature_columns

NEGCON = pl.col("Metadata_pert_type") == "negcon"


def screen(*, controls: int = 60, features: int = 8, plates: int = 4, seed: int = 0) -> pl.DataFrame:
    """Correlated features of unequal spread; `controls` wells per plate and as many treated ones."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(features, features)) * np.logspace(0, 1.5, features)
    n, names = 2 * controls, [f"F{i}" for i in range(features)]
    frames = [
        pl.DataFrame(rng.normal(size=(n, features)) @ mixing + 3, schema=names).with_columns(
            Metadata_Plate=pl.lit(f"p{plate}"),
            Metadata_pert_type=pl.Series(["negcon"] * controls + ["trt"] * controls),
        )
        for plate in range(plates)
    ]
    return pl.concat(frames)


def covariance(frame: pl.DataFrame) -> np.ndarray:
    return np.cov(frame.select(feature_columns(frame)).to_numpy().T)


@pytest.mark.parametrize("kind", KINDS)
def test_transformed_controls_have_the_identity_for_covariance(kind: str) -> None:
    result = normalize(screen(), "sphering", by=[], reference=NEGCON, regularization=0, kind=kind)
    controls = result.filter(NEGCON)
    np.testing.assert_allclose(covariance(controls), np.eye(8), atol=1e-6)
    np.testing.assert_allclose(controls.select(feature_columns(controls)).mean().row(0), 0, atol=1e-9)
    assert feature_columns(result) == [f"{'PC' if kind[0] == 'P' else 'F'}{i + (kind[0] == 'P')}" for i in range(8)]


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_controls_than_features(kind: str) -> None:
    """The covariance is a projection on the subspace that the controls span: eigenvalues 1, as many as n - 1."""
    data = screen(controls=5, features=40, plates=2)
    result = normalize(data, "sphering", by=[], reference=NEGCON, regularization=0, kind=kind)
    spectrum = np.linalg.eigvalsh(covariance(result.filter(NEGCON)))[::-1]
    np.testing.assert_allclose(spectrum[:9], 1, atol=1e-6)
    np.testing.assert_allclose(spectrum[9:], 0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("features", [8, 150])
def test_agrees_with_pycytominer(kind: str, features: int) -> None:
    from pycytominer.operations.transform import Spherize

    data = screen(features=features, controls=20, plates=2)
    names = feature_columns(data)
    theirs = Spherize(epsilon=0, method=kind, return_numpy=True).fit(data.filter(NEGCON).select(names).to_pandas())
    expected = theirs.transform(data.select(names).to_pandas())
    result = normalize(data, "sphering", by=[], reference=NEGCON, regularization=0, outside="smallest", kind=kind)
    ours = result.select(feature_columns(result)).to_numpy()
    if kind.startswith("PCA"):  # axes have no sign, and theirs go on beyond the subspace of the controls
        np.testing.assert_allclose(np.abs(ours), np.abs(expected[:, : ours.shape[1]]), rtol=1e-6, atol=1e-6)
    else:
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("controls", [30, 4])
@pytest.mark.parametrize("regularization", [0.2, "ledoit_wolf", "plates"])
def test_the_shrunk_covariance_maps_to_the_identity(regularization: float | str, controls: int) -> None:
    data = screen(controls=controls, features=20)
    fitted = fit_normalization(data, "sphering", [], reference=NEGCON, regularization=regularization, kind="ZCA")
    step = fitted.fits[0].steps[0]  # type: ignore[attr-defined]
    names = feature_columns(data)
    raw = np.cov(data.filter(NEGCON).select(names).to_numpy().T)
    shrunk = (1 - step.share) * raw + step.share * np.trace(raw) / 20 * np.eye(20)
    # The map as a matrix, from what it does to the unit vectors.
    unit = step.apply(np.eye(20) + step.center)
    np.testing.assert_allclose(unit @ shrunk @ unit.T, np.eye(20), atol=1e-6)
    assert 0 < step.share < 1
    assert step.error <= 1e-6


@pytest.mark.parametrize(("n", "p"), [(30, 12), (12, 30), (200, 5)])
def test_ledoit_wolf_agrees_with_scikit_learn(n: int, p: int) -> None:
    from sklearn.covariance import ledoit_wolf

    rng = np.random.default_rng(n)
    rows = rng.normal(size=(n, p)) @ rng.normal(size=(p, p))
    rows -= rows.mean(axis=0)
    assert ledoit_wolf_share(rows) == pytest.approx(ledoit_wolf(rows, assume_centered=True)[1], abs=1e-10)


def test_shrinkage_by_plates_is_the_most_likely_one() -> None:
    """The log-likelihood by brute force, with the density of scipy."""
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(3)
    rows = rng.normal(size=(24, 10)) @ rng.normal(size=(10, 10))
    rows -= rows.mean(axis=0)
    plates = np.repeat(np.arange(6), 4)
    best, chosen = -np.inf, 0.0
    for odds in np.logspace(-3, 3, 25):
        share = odds / (1 + odds)
        total = 0.0
        for fold in range(3):
            train, held = rows[plates % 3 != fold], rows[plates % 3 == fold]
            raw = np.cov(train.T)
            shrunk = (1 - share) * raw + share * np.trace(raw) / 10 * np.eye(10)
            total += multivariate_normal(train.mean(axis=0), shrunk).logpdf(held).sum()
        if total > best:
            best, chosen = total, share
    assert shrinkage_by_plates(rows, plates) == pytest.approx(chosen)


def test_held_out_controls_show_overfitting() -> None:
    data = screen(controls=8, features=30, plates=9)
    free = normalize_with_status(data, "sphering", by=[], reference=NEGCON, regularization=0).status
    shrunk = normalize_with_status(data, "sphering", by=[], reference=NEGCON).status
    variance = [s.filter(step="sphering_check")["value"].mean() for s in (free, shrunk)]
    assert variance[0] > 1.3 > variance[1]  # type: ignore[operator]
    assert free.filter(step="sphering_check")["feature"].to_list() == feature_columns(data)
    many = screen(controls=400, plates=3)
    wide = normalize_with_status(many, "sphering", by=[], reference=NEGCON, regularization=0).status
    assert wide.filter(step="sphering_check")["value"].mean() == pytest.approx(1, abs=0.05)


def test_a_sphering_that_does_not_whiten_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgot_the_root(standard: np.ndarray, gram: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        basis, variances, along = right(standard, gram)
        return basis, variances**2, along

    right = whitening_module.principal_axes
    monkeypatch.setattr(whitening_module, "principal_axes", forgot_the_root)
    with pytest.raises(DataError, match="does not whiten"):
        normalize(screen(), "sphering", by=[], reference=NEGCON, regularization=0)


def test_nearly_degenerate_features_still_whiten() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(size=(80, 5))
    rows = np.column_stack([base, base[:, 0] + 1e-7 * rng.normal(size=80), base[:, 1] * 1e5])
    fitted = fit_whitening(rows, "ZCA", share=0)
    assert fitted.rank == 6  # the copy scaled by 1e5 is exact, the noisy one is not
    spectrum = np.linalg.eigvalsh(np.cov(fitted.apply(rows).T))[::-1]
    np.testing.assert_allclose(spectrum[: fitted.rank], 1, atol=1e-5)


@given(st.integers(0, 10_000), st.sampled_from(["ZCA", "ZCA-cor"]))
@settings(max_examples=25, deadline=None)
def test_zca_stays_close_and_keeps_distances_of_pca(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(30, 6)) @ rng.normal(size=(6, 6))
    zca = fit_whitening(rows, kind, share=0.1).apply(rows)
    pca = fit_whitening(rows, kind.replace("ZCA", "PCA"), share=0.1).apply(rows)
    np.testing.assert_allclose(zca @ zca.T, pca @ pca.T, atol=1e-8)
    correlation = [np.corrcoef(rows[:, i], zca[:, i])[0, 1] for i in range(6)]
    assert min(correlation) > 0  # the map is positive definite: no feature turns around


def test_incomplete_and_constant_features() -> None:
    data = screen().with_columns(
        F2=pl.when(pl.int_range(pl.len()) % 10 == 1).then(None).otherwise(pl.col("F2")),
        Flat=pl.lit(1.0),
        Metadata_n=pl.int_range(pl.len()),
    )
    empty = pl.col("Metadata_n") == 90  # a well without cells is no profile and costs no feature
    names = feature_columns(data)
    data = data.with_columns(pl.when(~empty).then(pl.col(names)).name.keep())
    result, status = normalize_with_status(data, "sphering", by=[], reference=NEGCON, regularization=0)
    words = {r["feature"]: r["status"] for r in status.filter(step="normalize").to_dicts()}
    assert words.pop("F2") == "missing_values"
    assert words.pop("Flat") == "zero_sd"
    assert set(words.values()) == {"ok"}
    assert result["F2"].null_count() == result["Flat"].null_count() == data.height
    assert result["F1"].null_count() == 1
    controls = result.filter(NEGCON).select([n for n in names if n not in ("F2", "Flat")])
    np.testing.assert_allclose(np.cov(controls.to_numpy().T), np.eye(7), atol=1e-6)


def test_a_damaged_well_costs_no_feature() -> None:
    data = screen()
    names = feature_columns(data)
    row = pl.int_range(pl.len())
    is_treated = ~NEGCON
    lost, short = data.with_row_index("n").filter(is_treated)["n"].to_list()[:2]
    holes = data.with_columns(
        pl.when(~row.is_in([lost, short] if i == 0 else [lost])).then(pl.col(name)) for i, name in enumerate(names[:4])
    ).with_columns(pl.col(names[4:]))
    options = {"by": [], "reference": NEGCON, "regularization": 0.1}
    result, status = normalize_with_status(holes, "sphering", **options)
    whole = normalize(data, "sphering", **options)
    others = ~row.is_in([lost, short])
    np.testing.assert_allclose(*(frame.filter(others).select(names).to_numpy() for frame in (result, whole)), rtol=1e-9)
    assert result.filter(row == lost).select(names).null_count().sum_horizontal().item() == len(names)
    filled = data.with_columns(
        pl.when(row == short).then(pl.col(names[0]).filter(NEGCON).mean()).otherwise(pl.col(names[0])).alias(names[0])
    )
    expected = normalize(filled, "sphering", **options)
    np.testing.assert_allclose(*(f.filter(row == short).select(names).to_numpy() for f in (result, expected)))
    found = status.filter(step="normalize", feature=names[0]).row(0, named=True)
    assert (found["status"], found["value"]) == ("imputed", 2.0)


def test_by_plate_and_too_few_controls() -> None:
    data = screen(controls=20)
    result = normalize(data, "sphering", reference=NEGCON, regularization=0)
    for plate in ("p0", "p3"):
        np.testing.assert_allclose(covariance(result.filter(NEGCON, Metadata_Plate=plate)), np.eye(8), atol=1e-6)
    few = data.filter((pl.col("Metadata_Plate") != "p1") | ~NEGCON | (pl.int_range(pl.len()) % 20 == 0))
    with pytest.raises(DataError, match="Metadata_Plate=p1"):
        normalize(few, "sphering", reference=NEGCON)
    went_on, status = normalize_with_status(few, "sphering", reference=NEGCON)
    assert went_on.filter(Metadata_Plate="p1")["F0"].null_count() == went_on.filter(Metadata_Plate="p1").height
    assert set(status.filter(Metadata_Plate="p1", step="normalize")["status"]) == {"too_few_reference"}
    principal = normalize_with_status(few, "sphering", reference=NEGCON, kind="PCA").frame
    assert principal.filter(Metadata_Plate="p1")["PC1"].null_count() == principal.filter(Metadata_Plate="p1").height


def test_the_fit_is_stored_and_applies_again() -> None:
    data = screen(controls=10)
    fitted = fit_normalization(data, "sphering", [], reference=NEGCON)
    assert fitted.apply(data).equals(normalize(data, "sphering", by=[], reference=NEGCON))
    arrays = fitted.arrays()
    assert arrays["0/steps/0/basis"].shape == (8, 8)
    record = fitted.to_dict()
    assert record["parameters"]["kind"] == "ZCA-cor"
    assert record["groups"][0]["whitening"][0]["error"] <= 1e-6
    assert record["groups"][0]["held_out_variance"] > 0
    import json

    assert json.loads(json.dumps(record)) == record
    with pytest.raises(DataError, match="1 of 8 fitted features"):
        fitted.apply(data.drop("F3"))
    by_plate = fit_normalization(data, "standardize")
    with pytest.raises(UsageError, match="p9"):
        by_plate.apply(data.with_columns(Metadata_Plate=pl.lit("p9")))


def test_tvn_aligns_mean_and_covariance_of_every_plate() -> None:
    rng = np.random.default_rng(0)
    frames = []
    for plate in range(3):
        turn = np.linalg.qr(rng.normal(size=(5, 5)))[0] * [1, 2, 3, 1, 0.5]
        rows = rng.normal(size=(200, 5)) @ turn + rng.normal(size=5) * 10
        kinds = pl.Series("Metadata_pert_type", ["negcon"] * 100 + ["trt"] * 100)
        frames.append(
            pl.DataFrame(rows, schema=[f"F{i}" for i in range(5)]).with_columns(
                kinds, Metadata_Plate=pl.lit(f"p{plate}")
            )
        )
    data = pl.concat(frames)
    result = normalize(data, "tvn", reference=NEGCON, regularization=0, alignment=0)
    for plate in range(3):
        controls = result.filter(NEGCON, Metadata_Plate=f"p{plate}")
        np.testing.assert_allclose(covariance(controls), np.eye(5), atol=1e-6)
        np.testing.assert_allclose(controls.select(feature_columns(data)).mean().row(0), 0, atol=1e-9)
    gentle = normalize(data, "tvn", reference=NEGCON)
    apart = [np.abs(covariance(gentle.filter(NEGCON, Metadata_Plate=f"p{i}")) - np.eye(5)).max() for i in range(3)]
    assert max(apart) < 0.3  # shrunk a little


def test_tvn_leaves_out_what_is_constant_on_a_plate() -> None:
    data = screen().with_columns(
        F3=pl.when((pl.col("Metadata_Plate") == "p1") & NEGCON).then(1.0).otherwise(pl.col("F3"))
    )
    result, status = normalize_with_status(data, "tvn", reference=NEGCON)
    words = {(r["Metadata_Plate"], r["feature"]): r["status"] for r in status.to_dicts()}
    assert {words[f"p{i}", "F3"] for i in range(4)} == {"zero_sd"}
    assert {word for (_, name), word in words.items() if name != "F3"} == {"ok"}
    assert result["F3"].null_count() == result.height
    assert result["F2"].null_count() == 0


def test_wrong_use() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ZCA-cor'"):
        Sphering(kind="ZCA_cor")
    with pytest.raises(UsageError, match="share from 0 to 1"):
        normalize(screen(), "sphering", by=[], regularization=3)
    with pytest.raises(UnknownNameError, match="ledoit_wolf"):
        normalize(screen(), "sphering", by=[], regularization="ledoit")
    with pytest.raises(DataError, match="at least 3 reference wells"):
        fit_whitening(np.ones((2, 3)))
    assert normalize_with_status(screen().clear(), "sphering", by=[]).frame.height == 0
