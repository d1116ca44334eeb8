from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import reconstruction

from phenoprint.errors import UsageError
from phenoprint.features import measure
from phenoprint.features._kernels_granularity import disk_filter, resample, spectrum
from phenoprint.features.granularity import Granularity


def test_spectrum_is_reconstruction_by_dilation() -> None:
    rng = np.random.default_rng(1)
    image = ndimage.gaussian_filter(rng.random((40, 53)), 1.5)
    image[:4] = np.round(image[:4], 2)  # plateaus
    order = np.argsort(-image.ravel(), kind="stable").astype(np.int32)
    found = spectrum(image, order, 6)
    cross = ndimage.generate_binary_structure(2, 1)
    eroded = image
    for step in range(6):
        eroded = ndimage.grey_erosion(eroded, footprint=cross, mode="nearest")
        expected = reconstruction(eroded, image, footprint=cross)
        np.testing.assert_allclose(found[:, step].reshape(image.shape), expected, atol=1e-15)


def test_disk_filter_is_grey_morphology() -> None:
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


@pytest.mark.parametrize(
    "parameters", [{"subsample": 0.0}, {"background_subsample": 2.0}, {"radius": 0}, {"length": 0}]
)
def test_impossible_parameters_are_refused(parameters: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="granularity"):
        Granularity(**parameters)  # type: ignore[arg-type]
