from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import ndimage
from scipy.spatial.distance import pdist
from skimage.measure import euler_number, perimeter, regionprops

from phenoprint.features import measure
from phenoprint.features.shape import AreaShape


@pytest.fixture(scope="module")
def shapes(pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str]) -> pl.DataFrame:
    return measure(pixels, labels, channels=channels, families=[AreaShape()])


def column(frame: pl.DataFrame, name: str) -> np.ndarray:
    return frame[f"Cells_AreaShape_{name}"].cast(pl.Float64).to_numpy()


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("Area", "area"),
        ("BoundingBoxArea", "area_bbox"),
        ("ConvexArea", "area_convex"),
        ("Solidity", "solidity"),
        ("Extent", "extent"),
        ("EquivalentDiameter", "equivalent_diameter_area"),
        ("MajorAxisLength", "axis_major_length"),
        ("MinorAxisLength", "axis_minor_length"),
        ("Eccentricity", "eccentricity"),
        ("Perimeter", "perimeter"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_agrees_with_scikit_image(
    shapes: pl.DataFrame, labels: dict[str, np.ndarray], name: str, attribute: str
) -> None:
    expected = [getattr(region, attribute) for region in regionprops(labels["Cells"])]
    np.testing.assert_allclose(column(shapes, name), expected, rtol=1e-5, atol=1e-5)


def test_moments_and_tensor_agree_with_scikit_image(shapes: pl.DataFrame, labels: dict[str, np.ndarray]) -> None:
    regions = regionprops(labels["Cells"])
    for p in range(3):
        for q in range(4):
            central = [region.moments_central[p, q] for region in regions]
            scale = max(1.0, np.abs(central).max())
            np.testing.assert_allclose(
                column(shapes, f"CentralMoment_{p}_{q}") / scale, central / np.float64(scale), atol=1e-6
            )
            spatial = [region.moments[p, q] for region in regions]
            np.testing.assert_allclose(column(shapes, f"SpatialMoment_{p}_{q}"), spatial, rtol=1e-5)
    for k in range(7):
        hu = [region.moments_hu[k] for region in regions]
        np.testing.assert_allclose(column(shapes, f"HuMoment_{k}"), hu, rtol=1e-4, atol=1e-9)
    for p, q in ((0, 0), (0, 1), (1, 0), (1, 1)):
        tensor = [region.inertia_tensor[p, q] for region in regions]
        np.testing.assert_allclose(column(shapes, f"InertiaTensor_{p}_{q}"), tensor, rtol=1e-5, atol=1e-5)


def test_euler_number_counts_parts_and_holes(shapes: pl.DataFrame, labels: dict[str, np.ndarray]) -> None:
    expected = [euler_number(labels["Cells"] == label, connectivity=2) for label in range(1, 8)]
    assert column(shapes, "EulerNumber").tolist() == expected
    assert expected[2:4] == [0, 2]  # the fixture has a hole and a pair of parts


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("seed", range(4))
def test_irregular_shapes_agree_with_scikit_image(channels: list[str], seed: int) -> None:
    # Random shapes with holes, pieces and pixels that meet at a corner; two objects side by side.
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((40, 60)), 0.7)
    labels = np.where(noise > 0.5, 1 + (np.arange(60)[None, :] >= 31), 0).astype(np.int32)
    frame = measure(
        np.ones((3, 40, 60)), {"Nuclei": 0 * labels, "Cells": labels}, channels=channels, families=[AreaShape()]
    )
    regions = regionprops(labels)
    np.testing.assert_allclose(column(frame, "Perimeter"), [region.perimeter for region in regions], rtol=1e-6)
    np.testing.assert_allclose(column(frame, "ConvexArea"), [region.area_convex for region in regions])
    np.testing.assert_allclose(column(frame, "Eccentricity"), [region.eccentricity for region in regions], rtol=1e-5)
    assert column(frame, "EulerNumber").tolist() == [euler_number(labels == n, connectivity=2) for n in (1, 2)]
    for n in (1, 2):
        mask = np.pad(labels == n, 1)
        distance = ndimage.distance_transform_edt(mask)[mask]
        assert column(frame, "MedianRadius")[n - 1] == pytest.approx(np.median(distance), rel=1e-6)


def test_the_median_of_an_even_number_of_radii_is_interpolated(channels: list[str]) -> None:
    labels = np.zeros((12, 12), np.int32)
    labels[2:8, 2:10] = 1  # 24 of the 48 pixels lie at the edge
    frame = measure(
        np.ones((3, 12, 12)), {"Nuclei": 0 * labels, "Cells": labels}, channels=channels, families=[AreaShape()]
    )
    assert column(frame, "MedianRadius")[0] == 1.5


def test_radii_are_distances_to_the_outside(shapes: pl.DataFrame, labels: dict[str, np.ndarray]) -> None:
    for row, label in enumerate(range(1, 8)):
        mask = np.pad(labels["Cells"] == label, 1)
        distance = ndimage.distance_transform_edt(mask)[mask]
        found = [column(shapes, name)[row] for name in ("MaximumRadius", "MeanRadius", "MedianRadius")]
        np.testing.assert_allclose(found, [distance.max(), distance.mean(), np.median(distance)], rtol=1e-6)


def test_feret_diameters_are_the_caliper_widths(shapes: pl.DataFrame, labels: dict[str, np.ndarray]) -> None:
    angles = np.linspace(0, np.pi, 3601)
    for row, label in enumerate(range(1, 8)):
        points = np.argwhere(labels["Cells"] == label).astype(float)
        widths = np.ptp(points @ np.array([np.cos(angles), np.sin(angles)]), axis=0)
        assert column(shapes, "MinFeretDiameter")[row] == pytest.approx(widths.min(), abs=0.02)
        longest = pdist(points).max() if len(points) > 1 else 0.0
        assert column(shapes, "MaxFeretDiameter")[row] == pytest.approx(longest, rel=1e-6)


def test_feret_diameters_do_not_depend_on_the_first_corner() -> None:
    from phenoprint.features._kernels_geometry import feret

    corners = np.array([[0, 0], [0, 9], [7, 12], [15, 3], [9, 0]])  # each side is once the last
    turned = np.concatenate([np.roll(corners, k, axis=0) for k in range(5)])
    found = feret(turned, np.arange(0, 26, 5))
    np.testing.assert_allclose(found, np.tile(found[0], (5, 1)), rtol=1e-12)
    angles = np.linspace(0, np.pi, 100_001)
    widths = np.ptp(corners @ np.array([np.cos(angles), np.sin(angles)]), axis=0)
    np.testing.assert_allclose(found[0], [widths.min(), widths.max()], rtol=1e-6)


def test_orientation_follows_the_long_axis(channels: list[str]) -> None:
    labels = np.zeros((60, 60), np.int32)
    labels[5:45, 10:15] = 1  # vertical
    labels[50:54, 5:50] = 2  # horizontal
    frame = measure(
        np.ones((3, 60, 60)), {"Nuclei": labels, "Cells": labels}, channels=channels, families=[AreaShape()]
    )
    upright, lying = column(frame, "Orientation")
    assert upright == pytest.approx(0)
    assert abs(lying) == pytest.approx(90)
    falling = np.eye(60, dtype=np.int32) + np.eye(60, k=1, dtype=np.int32)  # down to the right
    both = measure(
        np.ones((3, 60, 60)), {"Nuclei": falling, "Cells": falling[:, ::-1]}, channels=channels, families=[AreaShape()]
    )
    assert both["Nuclei_AreaShape_Orientation"].item() == pytest.approx(45, abs=1)
    assert both["Cells_AreaShape_Orientation"].item() == pytest.approx(-45, abs=1)


def test_one_pixel_and_line_are_defined_or_null(shapes: pl.DataFrame) -> None:
    pixel = shapes.row(5, named=True)
    assert pixel["Cells_AreaShape_Area"] == 1
    assert pixel["Cells_AreaShape_Perimeter"] == 0
    assert pixel["Cells_AreaShape_FormFactor"] is None
    assert pixel["Cells_AreaShape_MaxFeretDiameter"] == 0
    line = shapes.row(6, named=True)
    assert line["Cells_AreaShape_MinorAxisLength"] == 0
    assert line["Cells_AreaShape_Eccentricity"] == 1
    assert line["Cells_AreaShape_MinFeretDiameter"] == 0
    assert line["Cells_AreaShape_MaxFeretDiameter"] == 11


def test_an_object_that_fills_the_image_is_measured(channels: list[str]) -> None:
    labels = np.ones((12, 20), np.int32)
    frame = measure(np.ones((3, 12, 20)), {"Nuclei": labels, "Cells": labels}, channels=channels)
    assert frame["Cells_AreaShape_MaximumRadius"].item() == 6
    assert frame["Cells_AreaShape_Perimeter"].item() == pytest.approx(perimeter(np.pad(labels, 1)))
    assert frame["Cytoplasm_AreaShape_Area"].item() is None


def test_zernike_of_a_disk_is_round(channels: list[str]) -> None:
    y, x = np.mgrid[0:101, 0:101]
    labels = (np.hypot(y - 50, x - 50) <= 40).astype(np.int32)
    frame = measure(
        np.ones((3, 101, 101)), {"Nuclei": labels, "Cells": labels}, channels=channels, families=[AreaShape()]
    )
    assert column(frame, "Zernike_0_0")[0] == pytest.approx(1, abs=0.01)
    for n, m in ((1, 1), (3, 1), (2, 2), (4, 2)):
        assert column(frame, f"Zernike_{n}_{m}")[0] == pytest.approx(0, abs=1e-3)


def test_moments_and_zernike_features_are_optional(
    pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str]
) -> None:
    plain = measure(pixels, labels, channels=channels, families=[AreaShape(advanced=False, zernike=False)])
    assert not [name for name in plain.columns if "Moment" in name or "Zernike" in name]
    assert "Cells_AreaShape_MedianRadius" in plain.columns
