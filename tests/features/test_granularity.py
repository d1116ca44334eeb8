from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import reconstruction

from phenoprint.errors import UsageError
from phenoprint.features import measure
from phenoprint.features._kernels_granularity import disk_filter, enlarge_weights, resample, spectrum
from phenoprint.features._kernels_pixels import group_pixels
from phenoprint.features.granularity import Granularity


def test_the_spectrum_equals_reconstruction_by_dilation() -> None:
    rng = np.random.default_rng(1)
    image = ndimage.gaussian_filter(rng.random((40, 53)), 1.5)
    image[:4] = np.round(image[:4], 2)  # with plateaus
    order = np.argsort(-image.ravel(), kind="stable").astype(np.int32)
    each = np.arange(image.size + 1)  # every pixel is an object
    found = spectrum(image, order, 6, each[:-1].astype(np.int32), np.ones(image.size), each)
    cross = ndimage.generate_binary_structure(2, 1)
    eroded = image
    for step in range(6):
        eroded = ndimage.grey_erosion(eroded, footprint=cross, mode="nearest")
        expected = reconstruction(eroded, image, footprint=cross)
        np.testing.assert_allclose(found[:-1, step].reshape(image.shape), expected, atol=1e-15)
        assert found[-1, step] == pytest.approx(expected.mean(), rel=1e-12)


def test_the_disk_filter_equals_grey_morphology() -> None:
    image = np.random.default_rng(2).random((30, 25))
    y, x = np.mgrid[-4:5, -4:5]
    disk = y * y + x * x <= 16
    np.testing.assert_array_equal(
        disk_filter(image, 4, 1.0), ndimage.grey_erosion(image, footprint=disk, mode="reflect")
    )
    np.testing.assert_array_equal(
        disk_filter(image, 4, -1.0), ndimage.grey_dilation(image, footprint=disk, mode="reflect")
    )


def test_resample_is_bilinear() -> None:
    image = np.random.default_rng(3).random((12, 9))
    rows, columns = np.linspace(0, 11, 31), np.linspace(0, 8, 22)
    grid = np.meshgrid(rows, columns, indexing="ij")
    np.testing.assert_allclose(
        resample(image, rows, columns), ndimage.map_coordinates(image, grid, order=1), atol=1e-12
    )
    assert not resample(image, np.array([11.0001]), columns).any()


def test_small_spots_are_lost_first(channels: list[str]) -> None:
    labels = np.zeros((160, 160), np.int32)
    labels[8:72, 8:152] = 1
    labels[88:152, 8:152] = 2
    image = np.full((160, 160), 0.05)
    image[12:72:12, 12:152:12] = 1.0  # spots of one sample
    for y in range(100, 150, 40):
        for x in range(24, 150, 40):
            image[y - 10 : y + 11, x - 10 : x + 11] = 1.0
    frame = measure(
        np.stack([image] * 3), {"Nuclei": labels, "Cells": labels}, channels=channels, families=[Granularity()]
    )
    one, several = (frame[f"Cells_Granularity_{k}_DNA"] for k in (1, 3))
    assert one[0] > one[1]
    assert several[1] > several[0]


def test_a_tiny_image_has_no_spectrum(channels: list[str]) -> None:
    labels = np.ones((6, 6), np.int32)
    frame = measure(
        np.ones((3, 6, 6)), {"Nuclei": labels, "Cells": labels}, channels=channels, families=[Granularity()]
    )
    assert frame["Cells_Granularity_1_DNA"].item() is None


def test_means_equal_those_of_the_enlarged_image() -> None:
    rng = np.random.default_rng(4)
    small = rng.random((10, 12))
    labels = np.zeros((40, 50), np.int32)
    labels[0:9, 0:14] = 1  # both corners of the image and an object of one pixel
    labels[25:40, 30:50] = 2
    labels[20, 20] = 3
    pixels, rows, columns, offsets, box = group_pixels(labels, 3)
    scale = (np.array(small.shape) - 1) / (np.array(labels.shape) - 1)
    index, weight, ends = enlarge_weights(rows, columns, offsets, box, np.array(small.shape), scale)
    grid = np.meshgrid(*(np.arange(k) * s for k, s in zip(labels.shape, scale, strict=True)), indexing="ij")
    large = ndimage.map_coordinates(small, grid, order=1).ravel()
    for i in range(3):
        part = slice(ends[i], ends[i + 1])
        found = weight[part] @ small.ravel()[index[part]]
        assert found == pytest.approx(large[pixels[offsets[i] : offsets[i + 1]]].mean(), rel=1e-12)


@pytest.mark.parametrize(
    "parameters", [{"subsample": 0.0}, {"background_subsample": 2.0}, {"radius": 0}, {"length": 0}]
)
def test_impossible_parameters_are_refused(parameters: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="granularity"):
        Granularity(**parameters)  # type: ignore[arg-type]
