from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.sparse.csgraph import dijkstra

from phenoprint.errors import UsageError
from phenoprint.features import measure
from phenoprint.features._kernels_pixels import group_pixels
from phenoprint.features._kernels_radial import radial_bins, radial_profile
from phenoprint.features._kernels_ties import largest_like_cellprofiler
from phenoprint.features.radial import RadialDistribution
from phenoprint.pixels import squared_distance


def test_fractions_of_a_uniform_disk(channels: list[str]) -> None:
    y, x = np.mgrid[0:81, 0:81]
    labels = (np.hypot(y - 40, x - 40) <= 32).astype(np.int32)
    frame = measure(
        np.full((3, 81, 81), 0.5),
        {"Nuclei": labels, "Cells": labels},
        channels=channels,
        families=[RadialDistribution()],
    )
    parts = [frame[f"Cells_RadialDistribution_FracAtD_DNA_{k}of4"].item() for k in range(1, 5)]
    assert sum(parts) == pytest.approx(1, abs=1e-6)
    assert parts == sorted(parts)  # outer rings have more pixels
    for k in range(1, 5):
        assert frame[f"Cells_RadialDistribution_MeanFrac_DNA_{k}of4"].item() == pytest.approx(1, rel=1e-5)
        assert frame[f"Cells_RadialDistribution_RadialCV_DNA_{k}of4"].item() == pytest.approx(0, abs=1e-5)
    assert frame["Cells_RadialDistribution_ZernikeMagnitude_DNA_0_0"].item() == pytest.approx(0.5, rel=1e-2)


def test_stain_at_the_edge_is_in_the_outer_ring(channels: list[str]) -> None:
    y, x = np.mgrid[0:81, 0:81]
    radius = np.hypot(y - 40, x - 40)
    labels = (radius <= 32).astype(np.int32)
    planes = np.stack([(radius > 28).astype(float), (radius < 6).astype(float), (x > 40).astype(float)])
    frame = measure(planes, {"Nuclei": labels, "Cells": labels}, channels=channels, families=[RadialDistribution()])
    row = frame.row(0, named=True)
    assert row["Cells_RadialDistribution_FracAtD_DNA_4of4"] > 0.99
    assert row["Cells_RadialDistribution_FracAtD_ER_1of4"] > 0.9
    assert row["Cells_RadialDistribution_RadialCV_RNA_4of4"] > 0.8
    assert row["Cells_RadialDistribution_ZernikeMagnitude_RNA_1_1"] > 0.1


def test_distances_in_a_ring_follow_the_ring(channels: list[str]) -> None:
    y, x = np.mgrid[0:61, 0:61]
    cells = (np.hypot(y - 30, x - 30) <= 25).astype(np.int32)
    nuclei = (np.hypot(y - 30, x - 31) <= 12).astype(np.int32)
    frame = measure(
        np.ones((3, 61, 61)), {"Nuclei": nuclei, "Cells": cells}, channels=channels, families=[RadialDistribution()]
    )
    # The centre lies on the broad side of the ring; most of the ring is far from it along the ring.
    assert frame["Cytoplasm_RadialDistribution_FracAtD_DNA_4of4"].item() > 0.7


def reference_rings(mask: np.ndarray, centre: int, bins: int) -> np.ndarray:
    """Return ring * 8 + wedge of every pixel of an object, with Dijkstra's distances; -1 if there is no path."""
    y, x = np.nonzero(mask)
    dy, dx = np.abs(y[:, None] - y), np.abs(x[:, None] - x)
    way = dijkstra(np.where(np.maximum(dy, dx) == 1, np.hypot(dy, dx), 0), indices=centre)
    edge = ndimage.distance_transform_edt(mask)[mask]
    dy, dx = y - y[centre], x - x[centre]
    wedge = (dy > 0) + 2 * (dx > 0) + 4 * (np.abs(dy) > np.abs(dx))
    reached = np.isfinite(way)
    ring = np.floor(np.where(reached, way / (np.where(reached, way, 0) + edge + 0.001), 0) * bins)
    return np.where(reached, ring * 8 + wedge, -1).astype(int)


LINE, FALLING, CORNER, PARTS = np.zeros((4, 20, 24), np.int32)
LINE[5, 2:22] = 1
FALLING[np.arange(3, 18), np.arange(3, 18)] = 1
CORNER[3:16, 3:5] = CORNER[14:16, 3:20] = CORNER[6:16, 18:20] = 1
PARTS[3:9, 3:9] = PARTS[11:16, 10:20] = 1
BLOB = (ndimage.gaussian_filter(np.random.default_rng(4).random((20, 24)), 1.2) > 0.5).astype(np.int32)
BLOB[[0, -1]], BLOB[:, [0, -1]] = 0, 0


@pytest.mark.parametrize("labels", [LINE, FALLING, CORNER, PARTS, BLOB], ids=["line", "falling", "corner", "2", "blob"])
def test_rings_and_wedges_from_every_centre(labels: np.ndarray) -> None:
    pixels, rows, columns, offsets, box = group_pixels(labels, 1)
    distance2 = squared_distance(labels).reshape(-1)
    values = np.random.default_rng(1).random(len(pixels)).astype(np.float32)
    for place in range(len(pixels)):  # the last has no pixel to its right or below
        codes = radial_bins(
            distance2, pixels, rows, columns, offsets, box, labels.shape[1], pixels[place : place + 1].astype(int), 4
        )
        np.testing.assert_array_equal(codes, reference_rings(labels > 0, place, 4))
        found = radial_profile(values, codes, offsets, 4)[0]
        inside = codes >= 0
        for ring in range(4):
            mine = codes // 8 == ring
            if not mine.any():
                assert found[:, ring].tolist() == [0, 0, 0]
                continue
            share = values[mine].sum() / values[inside].sum()
            wedges = np.array([values[codes == code].mean() for code in np.unique(codes[mine])])
            expected = [share, share / mine.sum() * inside.sum(), wedges.std() / wedges.mean()]
            np.testing.assert_allclose(found[:, ring], expected, rtol=1e-5, atol=1e-7)


def test_a_black_object_has_no_spread_and_a_single_pixel_no_moments(channels: list[str]) -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[2:12, 2:12] = 1
    labels[15, 15] = 2
    planes = np.stack([np.zeros((20, 20)), np.full((20, 20), 0.5), np.random.default_rng(0).random((20, 20))])
    both = {"Nuclei": labels, "Cells": labels}
    frame = measure(planes, both, channels=channels, families=[RadialDistribution()])
    big, pixel = frame.rows(named=True)
    # Output of CellProfiler 4.2.8.1.
    assert [big[f"Cells_RadialDistribution_RadialCV_DNA_{k}of4"] for k in range(1, 5)] == [0] * 4
    assert big["Cells_RadialDistribution_FracAtD_DNA_1of4"] is None
    assert big["Cells_RadialDistribution_ZernikeMagnitude_DNA_4_2"] == 0
    assert pixel["Cells_RadialDistribution_FracAtD_ER_1of4"] == 1
    assert {value for name, value in pixel.items() if "Zernike" in name} == {None}


def reference_quicksort(values: np.ndarray) -> np.ndarray:
    """Sort as numpy's argsort does, without pruning."""
    order = np.arange(len(values))

    def sort(left: int, right: int) -> None:
        while right - left > 15:
            middle = left + ((right - left) >> 1)
            for a, b in ((middle, left), (right, middle), (middle, left)):
                if values[order[a]] < values[order[b]]:
                    order[a], order[b] = order[b], order[a]
            pivot = values[order[middle]]
            i, j = left, right - 1
            order[middle], order[j] = order[j], order[middle]
            while True:
                i += 1
                while values[order[i]] < pivot:
                    i += 1
                j -= 1
                while pivot < values[order[j]]:
                    j -= 1
                if i >= j:
                    break
                order[i], order[j] = order[j], order[i]
            order[i], order[right - 1] = order[right - 1], order[i]
            sort(left, i - 1)
            left = i + 1
        part = order[left : right + 1]
        order[left : right + 1] = part[np.argsort(values[part], kind="stable")]

    sort(0, len(values) - 1)
    return order


@pytest.mark.parametrize("kinds", [3, 12, 60])
def test_ties_are_resolved_as_in_numpys_sort(kinds: int) -> None:
    rng = np.random.default_rng(kinds)
    values = rng.integers(0, kinds, 3000).astype(float)
    owner = rng.integers(0, 40, 3000).astype(np.int32)
    order = reference_quicksort(values)
    expected = np.full(45, -1)
    for spot in order:  # the last in the order is taken
        if owner[spot] > 0:
            peak = values[owner == owner[spot]].max()
            if values[spot] == peak:
                expected[owner[spot] - 1] = spot
    assert largest_like_cellprofiler(values, owner, 45, True).tolist() == expected.tolist()
    first = largest_like_cellprofiler(values, owner, 45, False)
    for row in range(40 - 1):
        mine = np.flatnonzero(owner == row + 1)
        assert first[row] == mine[np.argmax(values[mine])]


def test_impossible_bins_are_refused() -> None:
    with pytest.raises(UsageError, match="bins"):
        RadialDistribution(bins=0)
