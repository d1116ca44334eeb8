"""Image quality: values compared with CellProfiler's definitions, and flags of modified fields."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft, ndimage

from phenoprint.errors import ImageError, SchemaError, UsageError
from phenoprint.images.quality import QUALITY_COLUMNS, focus_slope, image_quality
from phenoprint.images.quality_flags import QualityLimits, flag_image_quality, quality_thresholds


def cellprofiler_slope(image: np.ndarray) -> float:
    """Compute PowerLogLogSlope over the full spectrum, as centrosome's radial_power_spectrum."""
    row, column = np.ogrid[: image.shape[0], : image.shape[1]]
    radius = row**2 + column**2
    radius = np.minimum(radius, radius[::-1])
    radius = np.minimum(radius, radius[:, ::-1])
    ring = np.floor(np.sqrt(radius)).astype(int) + 1
    image = image / np.median(np.abs(image - image.mean()))
    power = np.abs(fft.fft2(image - image.mean())) ** 2
    labels = np.arange(2, int(np.floor(min(image.shape) / 8)))
    total = ndimage.sum_labels(power, ring, labels)
    return float(np.polyfit(np.log(labels), np.log(total), 1)[0])


def field(*, blur: float = 0.0, n_cells: int = 40, seed: int = 0, shape: tuple[int, int] = (256, 240)) -> np.ndarray:
    """Return a (Y, X) uint16 field of sharp discs on a noisy background."""
    random = np.random.default_rng(seed)
    cells = np.zeros(shape)
    cells[tuple((random.random((n_cells, 2)) * shape).astype(int).T)] = 1
    discs = ndimage.distance_transform_edt(cells == 0) < 7
    clean = ndimage.gaussian_filter(1000 + 8000.0 * discs, 0.7 + blur)
    return np.clip(clean + random.normal(0, 60, shape), 0, 65535).astype(np.uint16)


def plate(blurs: list[float], **columns: object) -> pl.DataFrame:
    """Return the quality of one field per blur."""
    rows = [
        image_quality(field(blur=blur, seed=seed)[None], channels=["DNA"]).with_columns(
            Metadata_Plate=pl.lit("0012"), Metadata_Well=pl.lit(f"A{seed + 1:02d}")
        )
        for seed, blur in enumerate(blurs)
    ]
    return pl.concat(rows).with_columns(pl.Series(name, values) for name, values in columns.items())


@settings(max_examples=25, deadline=None)
@given(st.integers(32, 90), st.integers(32, 90), st.integers(0, 99))
def test_focus_slope_equals_cellprofiler(height: int, width: int, seed: int) -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(seed).random((height, width)), 0.7)
    assert focus_slope(image) == pytest.approx(cellprofiler_slope(image), abs=1e-4)


@pytest.mark.real
@pytest.mark.parametrize("name", ["nf1_D6_3ch/DNA.tif", "nf1_D6_3ch/AGP.tif", "simulated_5ch/Mito.tif"])
def test_focus_slope_equals_cellprofiler_on_real_images(reference_data, name: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    image = tifffile.imread(reference_data / name)
    assert focus_slope(image) == pytest.approx(cellprofiler_slope(image / 65535), abs=1e-5)


def test_focus_decreases_with_blur_and_does_not_depend_on_gain_and_offset() -> None:
    image = field()
    slopes = [focus_slope(field(blur=blur)) for blur in (0, 1, 2, 4)]
    assert np.all(np.diff(slopes) < -0.1)
    assert focus_slope(image * 3.0 + 500) == pytest.approx(focus_slope(image), abs=1e-4)
    assert focus_slope(np.random.default_rng(0).normal(size=(256, 256))) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int32])
def test_statistics_agree_with_numpy(dtype: type) -> None:
    random = np.random.default_rng(0)
    image = random.gamma(2, 20, (80, 90)).clip(0, 255).astype(dtype)
    if dtype is np.float32:
        image /= 255
    unit = 1 if dtype is np.float32 else 1 / np.iinfo(dtype).max
    row = image_quality(image[None], channels=["DNA"]).row(0, named=True)
    scaled = image.astype(np.float64) * unit
    assert row["mean"] == pytest.approx(scaled.mean(), rel=1e-5)
    assert row["sd"] == pytest.approx(scaled.std(), rel=1e-5)
    for percent in (1, 5, 25, 50, 75, 95, 99):
        assert row[f"p{percent:02d}"] == pytest.approx(np.percentile(scaled, percent), rel=1e-5)
    assert row["minimum_percent"] == pytest.approx(100 * (image == image.min()).mean(), rel=1e-5)


def test_background_and_noise_of_a_simulated_field_are_recovered() -> None:
    row = image_quality(field()[None], channels=["DNA"]).row(0, named=True)
    assert row["background"] == pytest.approx(1000 / 65535, rel=0.03)
    assert row["noise"] == pytest.approx(60 / 65535, rel=0.1)


def test_background_is_estimated_between_crowded_cells() -> None:
    crowded = field(n_cells=230)
    assert 0.35 < (crowded > 3000).mean() < 0.49
    background = image_quality(crowded[None], channels=["DNA"])["background"][0]
    assert background == pytest.approx(1000 / 65535, rel=0.05)
    assert np.median(crowded) / 65535 > 1.05 * background


@pytest.mark.parametrize("full_scale", [65535, 4095, 16383, 65520, 5200])
def test_saturation_is_detected_for_every_camera(full_scale: int) -> None:
    image = np.minimum(np.round(field() * (full_scale / 6000)), full_scale).astype(np.uint16)
    percent = image_quality(image[None], channels=["DNA"])["saturated_percent"][0]
    assert percent == pytest.approx(100 * (image == full_scale).mean(), rel=1e-5)
    assert percent > 5


def test_unsaturated_images_have_no_saturation() -> None:
    for seed in range(5):
        assert image_quality(field(seed=seed)[None], channels=["DNA"])["saturated_percent"][0] == 0
    constant = np.full((1, 64, 64), 7, dtype=np.uint8)
    assert image_quality(constant, channels=["DNA"])["saturated_percent"][0] == 0


def test_local_focus_equals_cellprofiler() -> None:
    image = field(shape=(240, 240))
    scaled = image / 65535
    windows = scaled.reshape(12, 20, 12, 20).swapaxes(1, 2).reshape(144, 400)
    normalized = windows.var(axis=1) / windows.mean(axis=1)
    expected = normalized.var() / np.median(normalized)
    found = image_quality(image[None], channels=["DNA"])["local_focus"][0]
    assert found == pytest.approx(expected, rel=1e-3)


def test_frame_is_typed_and_missing_is_null() -> None:
    pixels = np.stack([field(), np.zeros((256, 240)), np.full((256, 240), np.nan)]).astype(np.float32)
    frame = image_quality(pixels, channels=["DNA", "black", "broken"])
    assert frame.columns == ["Metadata_Channel", *QUALITY_COLUMNS]
    assert set(frame.dtypes[1:]) == {pl.Float32}
    assert frame.select(pl.col(QUALITY_COLUMNS).is_nan().any()).row(0) == (False,) * len(QUALITY_COLUMNS)
    assert frame["focus_slope"].is_null().to_list() == [False, True, True]
    assert frame["mean"].is_null().to_list() == [False, False, True]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.sampled_from([np.uint8, np.uint16, np.float32, bool]))
def test_any_size_and_type_is_measured(height: int, width: int, dtype: type) -> None:
    pixels = np.random.default_rng(0).integers(0, 2, (1, height, width)).astype(dtype)
    row = image_quality(pixels, channels=["DNA"]).row(0, named=True)
    assert row["p01"] <= row["p50"] <= row["p99"]
    assert 0 <= row["saturated_percent"] <= 100


def test_wrong_pixels_are_errors() -> None:
    with pytest.raises(ImageError, match=r"\(C, Y, X\)"):
        image_quality(np.zeros((8, 8)), channels=["DNA"])
    with pytest.raises(UsageError, match="1 different channel names"):
        image_quality(np.zeros((1, 8, 8)), channels=["DNA", "ER"])
    with pytest.raises(UsageError, match="2 different channel names"):
        image_quality(np.zeros((2, 8, 8)), channels=["DNA", "DNA"])


def test_only_the_blurred_field_is_flagged_with_a_reason() -> None:
    flagged = flag_image_quality(plate([0.0] * 11 + [2.5]))
    assert flagged["is_flagged"].to_list() == [False] * 11 + [True]
    assert flagged["reasons"][:11].is_null().all()
    reason = flagged["reasons"][11]
    assert reason.startswith("out of focus: DNA slope -")
    assert "against plate median" in reason


def test_a_wholly_blurred_plate_is_below_the_absolute_limit() -> None:
    blurred = plate([6.0] * 10).with_columns(focus_slope=pl.lit(-3.0, dtype=pl.Float32))
    flagged = flag_image_quality(blurred)
    assert flagged["is_flagged"].all()
    assert flagged["reasons"][0] == "out of focus: DNA slope -3.0 below -2.9"


def test_few_fields_have_only_absolute_limits() -> None:
    few = plate([0.0] * 4 + [1.5])
    assert quality_thresholds(few)["lower"].is_null().all()
    assert not flag_image_quality(few)["is_flagged"].any()


def test_black_constant_and_saturated_images_are_flagged() -> None:
    pixels = np.stack([np.zeros((64, 64)), np.full((64, 64), 9), np.full((64, 64), 255)]).astype(np.uint8)
    pixels[2, :20] = np.random.default_rng(0).integers(0, 200, (20, 64))
    frame = image_quality(pixels, channels=["a", "b", "c"]).with_columns(Metadata_Plate=pl.lit("P"))
    reasons = flag_image_quality(frame)["reasons"].to_list()
    assert reasons[0] == "all black: a"
    assert reasons[1] == "one value everywhere: b"
    assert reasons[2] == "saturated: c 68.75 % of pixels, limit 1.0 %"


def test_there_is_one_reason_per_line_for_any_channel_name() -> None:
    pixels = np.zeros((1, 64, 64), dtype=np.uint8)
    frame = image_quality(pixels, channels=["a; b\nc"]).with_columns(Metadata_Plate=pl.lit("P"), n_cells=pl.lit(0.0))
    assert flag_image_quality(frame)["reasons"][0].split("\n") == ["all black: a; b c", "no cells"]


def test_flags_and_notes_of_cell_counts() -> None:
    counts = [100, 104, 96, 99, 101, 103, 98, 100, 97, 102, 3, 1, 0, None]
    flagged = flag_image_quality(plate([0.0] * len(counts), n_cells=counts))
    by_count = dict(zip(counts, flagged.select("is_flagged", "reasons", "notes").rows(), strict=True))
    assert by_count[100] == (False, None, None)
    # A phenotype may leave three cells: a note, never a flag.
    assert by_count[3] == (False, None, "few cells: 3.0 against plate median 100.0")
    assert by_count[1][:2] == (True, "few cells: 1, at least 2 needed")
    assert by_count[0][:2] == (True, "no cells")
    assert by_count[None][:2] == (True, "no value: DNA n_cells")


@pytest.mark.parametrize("missing", [None, float("nan")])
@pytest.mark.parametrize("column", ["focus_slope", "saturated_percent", "noise", "mean", "area_covered"])
def test_missing_values_are_flagged(missing: float | None, column: str) -> None:
    frame = plate([0.0] * 10, area_covered=[0.4] * 10).with_row_index("row")
    replaced = pl.lit(missing, dtype=pl.Float64)
    frame = frame.with_columns(pl.when(pl.col("row") == 4).then(replaced).otherwise(pl.col(column)).alias(column))
    flagged = flag_image_quality(frame)
    assert flagged["is_flagged"].to_list() == [row == 4 for row in range(10)]
    assert f"no value: DNA {column}" in flagged["reasons"][4]


def test_limits_are_estimated_per_plate_and_channel() -> None:
    frame = plate([0.0] * 10)
    softer = frame.with_columns(pl.col("focus_slope") - 0.9, Metadata_Plate=pl.lit("soft"))
    other = frame.with_columns(pl.col("focus_slope") - 0.7, Metadata_Channel=pl.lit("ER"))
    both = pl.concat([frame, softer, other])
    assert not flag_image_quality(both)["is_flagged"].any()
    thresholds = quality_thresholds(both)
    focus = thresholds.filter(pl.col("measure") == "focus_slope")
    assert focus.select("Metadata_Plate", "Metadata_Channel").rows() == [
        ("0012", "DNA"),
        ("0012", "ER"),
        ("soft", "DNA"),
    ]
    assert focus["n_fields"].to_list() == [10, 10, 10]
    values = frame["focus_slope"].cast(pl.Float64).to_numpy()
    mad = 1.4826 * np.median(np.abs(values - np.median(values)))
    assert focus["median"][0] == pytest.approx(np.median(values))
    assert focus["lower"][0] == pytest.approx(np.median(values) - 5 * max(mad, 0.1))


def test_bad_fields_do_not_change_the_limits() -> None:
    frame = plate([0.0] * 10, n_cells=[50.0] * 10)
    nan = frame.with_columns(pl.lit(float("nan"), dtype=pl.Float32).alias(name) for name in ("sd", "noise"))
    empty = frame.with_columns(n_cells=pl.lit(0.0), focus_slope=pl.lit(0.9, dtype=pl.Float32))
    assert quality_thresholds(pl.concat([frame, nan, empty])).equals(quality_thresholds(frame))


def test_stored_thresholds_apply_to_later_fields() -> None:
    thresholds = quality_thresholds(plate([0.0] * 10))
    later = plate([1.5])
    assert not flag_image_quality(later)["is_flagged"][0]
    assert flag_image_quality(later, thresholds=thresholds)["is_flagged"][0]
    with pytest.raises(SchemaError, match="thresholds lack measure"):
        flag_image_quality(later, thresholds=thresholds.drop("measure"))


def test_high_background_is_a_note() -> None:
    frame = plate([0.0] * 10).with_row_index("row")
    high = pl.when(pl.col("row") == 2).then(0.2).otherwise(pl.col("background"))
    flagged = flag_image_quality(frame.with_columns(high.alias("background")))
    assert not flagged["is_flagged"].any()
    assert flagged["notes"][2].startswith("DNA: high background 0.2 against plate median")
    assert flagged["notes"].null_count() == 9


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(random) -> None:
    frame = plate([0.0] * 9 + [2.5], n_cells=[50] * 9 + [0])
    order = list(range(10))
    random.shuffle(order)
    shuffled = flag_image_quality(frame[order])
    assert shuffled["Metadata_Well"].to_list() == frame[order]["Metadata_Well"].to_list()
    assert shuffled.sort("Metadata_Well").equals(flag_image_quality(frame).sort("Metadata_Well"))
    assert flag_image_quality(shuffled).equals(shuffled)


def test_empty_and_wrong_frames() -> None:
    empty = flag_image_quality(plate([0.0]).clear())
    assert empty.schema["is_flagged"] == pl.Boolean
    assert empty.schema["reasons"] == pl.String
    with pytest.raises(SchemaError, match="lacks Metadata_Plate, sd"):
        flag_image_quality(plate([0.0]).drop("Metadata_Plate", "sd"))
    with pytest.raises(UsageError, match="z > 0"):
        QualityLimits(z=0)
    with pytest.raises(UsageError, match="max_saturated_percent"):
        QualityLimits(max_saturated_percent=101)


@pytest.mark.real
def test_real_plate_passes_and_its_blurred_wells_do_not(real_data) -> None:
    tifffile = pytest.importorskip("tifffile")
    paths = sorted((real_data / "bbbc013" / "images").glob("Channel2-*.tif"))[::2]
    rows = []
    for number, path in enumerate(paths):
        image = tifffile.imread(path)
        if number < 3:
            image = np.round(ndimage.gaussian_filter(image.astype(float), 3)).astype(np.uint8)
        rows.append(image_quality(image[None], channels=["DNA"]))
    frame = pl.concat(rows).with_columns(Metadata_Plate=pl.lit("BBBC013"))
    assert flag_image_quality(frame)["is_flagged"].to_list() == [True] * 3 + [False] * 45
