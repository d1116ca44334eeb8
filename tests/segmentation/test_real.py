"""Real images: hand-labelled nuclei, a translocation plate, Cell Painting fields.

The floors are what was measured, less a margin.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tifffile

from phenoprint.pixels import cytoplasm
from phenoprint.segmentation import estimate_nucleus_diameter, segment

pytestmark = pytest.mark.real

Array = np.ndarray[Any, Any]


def f1(counts: list[tuple[int, int, int]]) -> float:
    """Return the mean score over images."""
    return float(np.mean([2 * hit / max(2 * hit + extra + lost, 1) for hit, extra, lost in counts]))


@pytest.fixture(scope="module")
def bowl(real_data):
    """Images of the 2018 Data Science Bowl with labels, by size; the defaults were chosen on other images."""
    from skimage.io import imread

    by_size: dict[tuple[int, int], list[tuple[Array, Array]]] = {}
    for path in sorted((real_data / "dsb2018_train" / "images").glob("*.png"))[1::8]:
        image = imread(path)
        labels = imread(real_data / "dsb2018_train" / "labels" / path.name)
        by_size.setdefault(image.shape, []).append((image, labels))
    return by_size


@pytest.mark.parametrize(
    ("size", "at_half", "at_seven_tenths"),
    [((256, 256), 0.86, 0.72), ((360, 360), 0.85, 0.80), ((520, 696), 0.87, 0.77)],
)
def test_hand_labelled_nuclei_are_found_with_the_defaults(*, bowl, matches, size, at_half, at_seven_tenths):
    found = [(segment(image[None], channels=["DNA"])["Nuclei"], labels) for image, labels in bowl[size]]
    assert len(found) >= 8
    assert f1([matches(nuclei, labels) for nuclei, labels in found]) > at_half
    assert f1([matches(nuclei, labels, 0.7) for nuclei, labels in found]) > at_seven_tenths


def test_the_estimated_diameter_equals_that_of_the_labels(bowl):
    ratio = []
    for pairs in bowl.values():
        for image, labels in pairs[::3]:
            area = np.bincount(labels.ravel())[1:]
            ratio.append(estimate_nucleus_diameter([image]) / np.sqrt(4 / np.pi * np.median(area[area > 0])))
    assert 0.95 < np.median(ratio) < 1.15
    assert np.mean((np.array(ratio) > 0.75) & (np.array(ratio) < 1.35)) > 0.9


def test_parts_of_real_fields_without_a_nucleus_have_no_objects(bowl):
    found = []
    for pairs in bowl.values():
        for image, labels in pairs:
            for y in range(0, image.shape[0] - 127, 128):
                for x in range(0, image.shape[1] - 127, 128):
                    if not labels[y : y + 128, x : x + 128].any():
                        crop = image[None, y : y + 128, x : x + 128]
                        found.append(segment(crop, channels=["DNA"], nucleus_diameter_px=15.0)["Nuclei"].max())
    assert len(found) > 30
    assert np.mean(np.array(found) > 0) < 0.08


@pytest.fixture(scope="module")
def plate(real_data):
    """Control wells of BBBC013, (DNA, GFP) each."""
    wells = {}
    for path in sorted((real_data / "bbbc013" / "images").glob("Channel2-*.tif")):
        row, column = path.stem.split("-")[2:]
        if column in {"01", "02", "06", "12"}:
            gfp = path.with_name(path.name.replace("Channel2", "Channel1"))
            wells[row + column] = np.stack([tifffile.imread(path), tifffile.imread(gfp)])
    return wells


def log_ratio(pixels: Array, labels: dict[str, Array]) -> Array:
    """Return the logarithm of nuclear over cytoplasmic mean GFP, one value per cell."""
    gfp, means = pixels[1] / 255, []
    for part in (labels["Nuclei"], cytoplasm(labels["Nuclei"], labels["Cells"])):
        area = np.bincount(part.ravel(), minlength=labels["Cells"].max() + 1)
        means.append(np.bincount(part.ravel(), gfp.ravel(), area.size)[1:] / np.maximum(area[1:], 1))
    return np.log(np.maximum(means[0], 1e-6) / np.maximum(means[1], 1e-6))


def test_translocation_separates_the_controls_of_bbbc013(plate):
    diameter = estimate_nucleus_diameter([plate[well][0] for well in ("A01", "B06", "C12", "E02", "G06", "H12")])
    assert 13 < diameter < 18
    median, count = {}, {}
    for well, pixels in plate.items():
        labels = segment(pixels, channels=["DNA", "GFP"], nucleus_diameter_px=diameter)
        median[well], count[well] = np.median(log_ratio(pixels, labels)), labels["Cells"].max()
        # Nearly every cell has cytoplasm.
        assert np.unique(cytoplasm(labels["Nuclei"], labels["Cells"])).size - 1 >= 0.99 * count[well]
    negative = np.array([median[row + column] for row in "ABCD" for column in ("01", "02")])
    positive = np.array([median[row + "12"] for row in "ABCD"])
    z_prime = 1 - 3 * (negative.std(ddof=1) + positive.std(ddof=1)) / abs(positive.mean() - negative.mean())
    assert z_prime >= 0.85
    assert all(abs(median[row + "12"]) < 0.3 for row in "EFGH"), "wells without drug look untreated"
    assert 150 < np.median(list(count.values())) < 260
    assert min(count.values()) > 100


def test_every_nucleus_of_the_reference_field_is_found(reference_data, matches):
    root = reference_data / "simulated_5ch"
    channels = ["DNA", "ER", "RNA", "AGP", "Mito"]
    pixels = np.stack([tifffile.imread(root / f"{name}.tif") for name in channels])
    labels = segment(pixels, channels=channels)
    for name, least in (("Nuclei", 0.99), ("Cells", 0.95)):
        truth = tifffile.imread(root / f"{name.lower()}.tif")
        hits, _, lost = matches(labels[name], truth, 0.8)
        assert hits / (hits + lost) > least
    # The reference has no objects at the border.
    assert 0 <= labels["Nuclei"].max() - 191 < 45


def test_schwann_cells_agree_with_their_masks(real_data, matches):
    root = real_data / "nf1_schwann"
    for well, site in (("B7", 3), ("D6", 2), ("H12", 1)):
        pixels = np.stack(
            [
                tifffile.imread(root / f"Plate_2_images/{well}_01_{number}_{site}_{stain}_001.tif")
                for number, stain in ((1, "DAPI"), (2, "GFP"), (3, "RFP"))
            ]
        )
        labels = segment(pixels, channels=["DNA", "ER", "AGP"])
        nuclei = tifffile.imread(root / f"Plate_2_masks/{well}_01_1_{site}_DAPI_001_MaskNuclei.tiff") > 0
        cells = tifffile.imread(root / f"Plate_2_masks/{well}_01_3_{site}_RFP_001_MaskCells.tiff") > 0
        # The masks do not include cells at the border, so every object of theirs must be in ours.
        assert (labels["Nuclei"] > 0)[nuclei].mean() > 0.93
        assert (labels["Cells"] > 0)[cells].mean() > 0.93
        touched = np.unique(labels["Nuclei"][nuclei])
        assert (nuclei & np.isin(labels["Nuclei"], touched[touched > 0])).sum() / np.isin(
            labels["Nuclei"], touched[touched > 0]
        ).sum() > 0.85


def test_three_cells_in_a_nearly_empty_phenix_field(real_data):
    root = real_data / "phenix_BR00121482" / "images"
    names = {5: "DNA", 4: "ER", 3: "RNA", 2: "AGP", 1: "Mito", 6: "Brightfield"}
    pixels = np.stack([tifffile.imread(root / f"r01c01f01p01-ch{number}sk1fk1fl1.tiff") for number in names])
    for params in ({}, {"pixel_size_um": 0.598, "nucleus_diameter_um": 20.0}):
        labels = segment(pixels, channels=list(names.values()), **params)
        assert labels["Nuclei"].max() == 3
    empty = segment(pixels[:, 650:], channels=list(names.values()), pixel_size_um=0.598, nucleus_diameter_um=20.0)
    assert empty["Nuclei"].max() == 0
