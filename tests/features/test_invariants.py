"""Invariances of the measurements on small random fields."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phenoprint.features import chosen_families, feature_dictionary, measure, measure_field
from phenoprint.features.granularity import Granularity
from phenoprint.features.intensity import Intensity
from phenoprint.features.neighbors import Neighbors
from phenoprint.features.radial import RadialDistribution

CHANNELS = ["A", "B"]
# Ties by reading order, because CellProfiler's choice depends on the rest of the image.
FAMILIES = tuple(
    {"intensity": Intensity(exact_ties=False), "radial": RadialDistribution(exact_ties=False)}.get(family.name, family)
    for family in chosen_families("cell-painting-full")
)
slow = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def field(seed: int, size: int = 44) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draw up to five irregular cells with nuclei away from the border, and two channels of uint16."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size]
    cells = np.zeros((size, size), np.int32)
    nuclei = np.zeros_like(cells)
    for _ in range(rng.integers(1, 6)):
        v, u = rng.uniform(9, size - 10, 2)
        a, b, turn = rng.uniform(3, 9), rng.uniform(3, 9), rng.uniform(0, np.pi)
        along = (y - v) * np.cos(turn) + (x - u) * np.sin(turn)
        across = (x - u) * np.cos(turn) - (y - v) * np.sin(turn)
        inside = (along / a) ** 2 + (across / b) ** 2 + rng.normal(0, 0.1, y.shape) <= 1
        inside &= (y > 0) & (x > 0) & (y < size - 1) & (x < size - 1) & (cells == 0)
        if inside.sum() < 12:
            continue
        label = cells.max() + 1
        cells[inside] = label
        nuclei[inside & ((along / a) ** 2 + (across / b) ** 2 <= 0.2)] = label
    pixels = rng.integers(500, 40000, (2, size, size)) + (cells > 0) * 12000
    return pixels.astype(np.uint16), {"Nuclei": nuclei, "Cells": cells}


def values(frame: pl.DataFrame, drop: tuple[str, ...] = ()) -> pl.DataFrame:
    kept = [name for name in frame.columns if not any(part in name for part in drop)]
    return frame.select(kept).with_columns(pl.col(pl.Float32).fill_null(-12345.0))


def assert_same(one: pl.DataFrame, other: pl.DataFrame, rtol: float = 1e-5, atol: float = 2e-6) -> None:
    assert one.columns == other.columns
    a, b = one.to_numpy(), other.to_numpy()
    wrong = ~np.isclose(a, b, rtol=rtol, atol=atol).all(axis=0)
    assert not wrong.any(), [name for name, bad in zip(one.columns, wrong, strict=True) if bad]


@slow
@given(st.integers(0, 10**6))
def test_numbers_of_the_objects_do_not_matter(seed: int) -> None:
    pixels, labels = field(seed)
    n = int(labels["Cells"].max())
    new = np.concatenate([[0], np.random.default_rng(seed).permutation(np.arange(3, 3 + 2 * n, 2))]).astype(np.int32)
    renamed = {name: new[each] for name, each in labels.items()}
    drop = ("Number", "Parent", "AngleBetween")
    before = measure(pixels, labels, channels=CHANNELS, families=FAMILIES)
    after = measure(pixels, renamed, channels=CHANNELS, families=FAMILIES)
    back = {int(label): k for k, label in enumerate(new)}
    after = after.with_columns(pl.col("Metadata_ObjectNumber").replace_strict(back, return_dtype=pl.Int32))
    assert_same(values(before, drop), values(after.sort("Metadata_ObjectNumber"), drop))


@slow
@given(st.integers(0, 10**6))
def test_other_objects_do_not_matter(seed: int) -> None:
    pixels, labels = field(seed)
    alone = {name: np.where(each == 1, 1, 0).astype(np.int32) for name, each in labels.items()}
    drop = ("Neighbors", "RWC")  # these depend on the other objects
    one = measure(pixels, alone, channels=CHANNELS, families=FAMILIES)
    among = measure(pixels, labels, channels=CHANNELS, families=FAMILIES)[:1]
    assert_same(values(one, drop), values(among, drop))


@slow
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9))
def test_padding_only_shifts_positions(seed: int, top: int, left: int) -> None:
    pixels, labels = field(seed)
    margin = ((top, 3), (left, 5))
    padded = {name: np.pad(each, margin) for name, each in labels.items()}
    kept = [family for family in FAMILIES if not isinstance(family, Granularity)]  # it samples every fourth pixel
    before = measure(pixels, labels, channels=CHANNELS, families=kept)
    after = measure(np.pad(pixels, ((0, 0), *margin)), padded, channels=CHANNELS, families=kept)
    moved = [name for name in before.columns if "Center" in name or "BoundingBoxM" in name or "Location" in name]
    shift = [
        pl.col(name) - (left if "_X" in name else top if "_Y" in name else 0)
        for name in moved
        if "Distance" not in name
    ]
    # Costes uses the whole image, the displacement is a small difference, and whether pixels on the circle are part
    # of a Zernike moment depends on the rounding of the circle (as in CellProfiler).
    drop = ("Costes", "MassDisplacement", "Zernike")
    assert_same(values(before, drop), values(after.with_columns(shift), drop), atol=1e-4)


TURNED = (
    "AreaShape_Area",
    "AreaShape_Perimeter",
    "AreaShape_ConvexArea",
    "AreaShape_Solidity",
    "AreaShape_Extent",
    "AreaShape_EulerNumber",
    "AreaShape_Eccentricity",
    "AxisLength",
    "Radius",
    "FeretDiameter",
    "Compactness",
    "FormFactor",
    "HuMoment_0",
    "HuMoment_1",
    "HuMoment_2",
    "HuMoment_3",
    "Eigenvalues",
    "Intensity_",
    "Correlation_",
    "NumberOfNeighbors",
    "PercentTouching",
    "ClosestDistance",
)


@slow
@given(st.integers(0, 10**6), st.integers(1, 3), st.booleans())
def test_quarter_turns_and_mirrors_do_not_matter(seed: int, turns: int, mirror: bool) -> None:
    pixels, labels = field(seed)

    def turn(image: np.ndarray) -> np.ndarray:
        turned = np.rot90(image, turns, axes=(-2, -1))
        return turned[..., ::-1] if mirror else turned

    turned = {name: turn(each) for name, each in labels.items()}
    before = measure(pixels, labels, channels=CHANNELS, families=FAMILIES)
    after = measure(turn(pixels), turned, channels=CHANNELS, families=FAMILIES)
    kept = [
        name
        for name in before.columns
        if any(part in name for part in TURNED) and "Texture" not in name and "Location" not in name
    ]
    assert len(kept) > 100
    assert_same(values(before.select(kept)), values(after.select(kept)))
    # A quarter turn exchanges the directions of a texture, a mirror the two diagonals.
    swap = {"00": "02", "02": "00", "01": "03", "03": "01"} if turns % 2 else {d: d for d in ("00", "01", "02", "03")}
    if mirror:
        swap = {new: {"01": "03", "03": "01"}.get(old, old) for new, old in swap.items()}
    there = {}
    for name in before.columns:
        if "Texture" in name:
            head, direction, tail = name.rsplit("_", 2)
            there[name] = f"{head}_{swap[direction]}_{tail}"
    moved = after.select([pl.col(new).alias(old) for old, new in there.items()])
    assert_same(values(before.select(list(there))), values(moved), rtol=1e-4)


@slow
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 3]))
def test_brightness_scales_or_does_not_matter(seed: int, halvings: int) -> None:
    pixels, labels = field(seed)
    factor = 0.5**halvings
    floats = (pixels / 65535).astype(np.float32)
    before = measure(floats, labels, channels=CHANNELS, families=FAMILIES)
    after = measure(floats * np.float32(factor), labels, channels=CHANNELS, families=FAMILIES)
    drop = ("Texture", "Costes")  # both divide full scale into a fixed number of levels
    scaled = [
        name
        for name in before.columns
        if ("_Intensity_" in name and "MassDisplacement" not in name) or "ZernikeMagnitude" in name
    ]
    assert_same(values(before.with_columns(pl.col(scaled) * factor), drop), values(after, drop))


def odd_field(seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draw pixels, lines, rings, nuclei alone, filling or leaving their cells, and flat or saturated channels."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 30, 2))
    cells, nuclei = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for number in range(1, rng.integers(1, 8)):
        for image in (cells, nuclei):
            if rng.random() < 0.8:
                y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
                image[y : y + rng.integers(1, 9), x : x + rng.integers(1, 9)] = number
                if rng.random() < 0.2:
                    image[y + 1 : y + 4, x + 1 : x + 4] = 0
        if rng.random() < 0.3:
            nuclei[cells == number] = number
    planes = []
    for _ in CHANNELS:
        kind = rng.integers(0, 4)
        noise = rng.integers(0, 65536, shape)
        planes.append(
            [noise, np.full(shape, rng.integers(0, 65536)), np.where(noise > 40000, 65535, 0), 0 * noise][kind]
        )
    return np.stack(planes).astype(np.uint16), {"Nuclei": nuclei, "Cells": cells}


@slow
@given(st.integers(0, 10**6))
def test_odd_objects_and_channels_never_crash(seed: int) -> None:
    pixels, labels = odd_field(seed)
    objects, image = measure_field(pixels, labels, channels=CHANNELS)
    assert objects.columns[1:] == feature_dictionary(CHANNELS)["feature"].to_list()
    assert image.columns == feature_dictionary(CHANNELS, image=True)["feature"].to_list()
    for frame in (objects, image):
        assert not any(frame.select(pl.col(pl.Float32).is_nan().any() | pl.col(pl.Float32).is_infinite().any()).row(0))
    present = {name: np.unique(each[each > 0]) for name, each in labels.items()}
    rim = labels["Cells"][labels["Nuclei"] == 0]
    present["Cytoplasm"] = np.unique(rim[rim > 0])
    numbers = objects["Metadata_ObjectNumber"].to_numpy()
    for kind, there in present.items():
        values = objects.select(f"^{kind}_.*$")
        empty = values.select(pl.all_horizontal(pl.all().is_null())).to_series().to_numpy()
        np.testing.assert_array_equal(empty, ~np.isin(numbers, there))
        always = values.filter(~pl.Series(empty)).select("^.*(Shape_Area|Perimeter|Radius|MeanIntensity_.|Center_.)$")
        assert always.width == 11
        assert always.null_count().sum_horizontal().item() == 0


@slow
@given(st.integers(0, 10**6), st.floats(0.015625, 1.0, width=32))
def test_one_value_everywhere_gives_defined_values(seed: int, level: float) -> None:
    _, labels = field(seed)
    frame = measure(np.full((2, 44, 44), level, np.float32), labels, channels=CHANNELS)
    cells = {name.removeprefix("Cells_"): frame[name] for name in frame.columns if name.startswith("Cells_")}
    n = frame.height
    for names, expected in (
        (("Intensity_MeanIntensity_A", "Intensity_UpperQuartileIntensity_B", "Intensity_MinIntensityEdge_A"), level),
        (("Intensity_StdIntensity_A", "Intensity_MADIntensity_B", "Intensity_MassDisplacement_A"), 0.0),
        (("Correlation_Overlap_A_B", "Correlation_K_B_A", "Correlation_Manders_A_B", "Correlation_RWC_B_A"), 1.0),
        (tuple(f"RadialDistribution_RadialCV_A_{k}of4" for k in range(1, 5)), 0.0),
    ):
        for name in names:
            assert cells[name].to_list() == pytest.approx([expected] * n, rel=1e-5, abs=1e-5), name
    for k in range(1, 5):  # a small cell may have no pixel in a ring
        filled = (cells[f"RadialDistribution_FracAtD_B_{k}of4"] > 0).cast(pl.Float64).to_list()
        assert cells[f"RadialDistribution_MeanFrac_B_{k}of4"].to_list() == pytest.approx(filled, rel=1e-5, abs=1e-5)
    assert cells["Correlation_Correlation_A_B"].null_count() == n  # a constant channel has no correlation
    textures = frame.select("^Cells_Texture_(Contrast|Entropy|SumEntropy|InfoMeas1)_A_3_.*$").fill_null(0.0)
    assert np.abs(textures.to_numpy()).max() < 1e-6
    same = frame.select("^Cells_Texture_(AngularSecondMoment|Correlation|InverseDifferenceMoment)_A_3_.*$")
    assert np.abs(same.fill_null(1.0).to_numpy() - 1).max() < 1e-6
    assert not any(frame.select(pl.col(pl.Float32).is_nan().any()).row(0))


@slow
@given(st.integers(0, 10**6), st.integers(0, 3), st.booleans())
def test_whole_images_do_not_depend_on_numbers_or_orientation(seed: int, turns: int, mirror: bool) -> None:
    pixels, labels = field(seed)

    def turn(image: np.ndarray) -> np.ndarray:
        turned = np.rot90(image, turns, axes=(-2, -1))
        return turned[..., ::-1] if mirror else turned

    before = measure_field(pixels, labels, channels=CHANNELS)[1]
    after = measure_field(turn(pixels), {name: 5 * turn(each) for name, each in labels.items()}, channels=CHANNELS)[1]
    sided = ("Texture", "Granularity", "ImageQuality_Correlation")
    assert_same(values(before, sided), values(after, sided))
    if turns % 2 == 0 and not mirror:
        assert_same(values(before.select("^Image_Texture.*$")), values(after.select("^Image_Texture.*$")), rtol=1e-4)


@slow
@given(st.integers(0, 10**6))
def test_measurements_are_reproducible(seed: int) -> None:
    pixels, labels = field(seed)
    first = measure(pixels, labels, channels=CHANNELS)
    assert first.equals(measure(pixels, labels, channels=CHANNELS))
    assert Neighbors().compartments == ("Cells",)
