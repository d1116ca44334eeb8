from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from phenoprint.errors import UsageError
from phenoprint.features import measure
from phenoprint.features.texture import Texture


def plain_haralick(levels: np.ndarray, mask: np.ndarray, dy: int, dx: int) -> dict[str, float] | None:
    """Compute the measures from a dense matrix, as in the paper."""
    top = int(levels[mask].max()) + 1
    matrix = np.zeros((top, top))
    height, width = levels.shape
    for y in range(height):
        for x in range(width):
            v, u = y + dy, x + dx
            if 0 <= v < height and 0 <= u < width and mask[y, x] and mask[v, u] and levels[y, x] and levels[v, u]:
                matrix[levels[y, x], levels[v, u]] += 1
                matrix[levels[v, u], levels[y, x]] += 1
    if matrix.sum() == 0:
        return None
    p = matrix / matrix.sum()
    k = np.arange(top)
    i, j = np.mgrid[:top, :top]
    px = p.sum(0)
    mean, variance = px @ k, px @ k**2 - (px @ k) ** 2
    plus = np.bincount((i + j).ravel(), p.ravel(), 2 * top)
    minus = np.bincount(np.abs(i - j).ravel(), p.ravel(), top)

    def entropy(q: np.ndarray) -> float:
        q = q[q > 0]
        return float(-(q * np.log2(q)).sum())

    hx, hxy = entropy(px), entropy(p)
    cross = np.outer(px, px)
    hxy2 = entropy(cross)
    s = np.arange(2 * top)
    return {
        "AngularSecondMoment": (p**2).sum(),
        "Contrast": (k**2 * minus).sum(),
        "Correlation": ((i * j * p).sum() - mean**2) / variance if variance > 0 else 1.0,
        "Variance": variance,
        "InverseDifferenceMoment": (p / (1 + (i - j) ** 2)).sum(),
        "SumAverage": s @ plus,
        "SumVariance": s**2 @ plus - (s @ plus) ** 2,
        "SumEntropy": entropy(plus),
        "Entropy": hxy,
        "DifferenceVariance": minus.var(),
        "DifferenceEntropy": entropy(minus),
        "InfoMeas1": (hxy - hxy2) / hx if hx > 0 else 0.0,
        "InfoMeas2": np.sqrt(max(0.0, 1 - np.exp(-2 * (hxy2 - hxy)))),
    }


@pytest.mark.parametrize("scale", [1, 3])
def test_agrees_with_dense_matrices(
    pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str], scale: int
) -> None:
    frame = measure(pixels[:1], labels, channels=channels[:1], families=[Texture(scales=(scale,))])
    grey = np.rint(pixels[0] / 65535 * 255).astype(np.uint8)
    # Cells and cytoplasm are counted together; each must have the values that it has alone.
    kinds = labels | {"Cytoplasm": np.where(labels["Nuclei"] > 0, 0, labels["Cells"])}
    for kind, label in product(kinds, (1, 3, 4)):
        row = frame.row(label - 1, named=True)
        for direction, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
            expected = plain_haralick(grey, kinds[kind] == label, dy * scale, dx * scale)
            assert expected is not None
            for name, value in expected.items():
                found = row[f"{kind}_Texture_{name}_DNA_{scale}_{direction:02d}_256"]
                assert found == pytest.approx(value, rel=1e-5, abs=1e-7), (kind, name, direction)


def test_fewer_grey_levels(pixels: np.ndarray, labels: dict[str, np.ndarray], channels: list[str]) -> None:
    frame = measure(pixels[:1], labels, channels=channels[:1], families=[Texture(scales=(2,), levels=8)])
    grey = (np.rint(pixels[0] / 65535 * 255) / 255 * 7).astype(np.uint8)
    expected = plain_haralick(grey, labels["Cells"] == 2, 0, 2)
    assert expected is not None
    assert frame["Cells_Texture_Entropy_DNA_2_00_8"][1] == pytest.approx(expected["Entropy"], rel=1e-5)


def test_uniform_object_is_defined_and_too_small_is_null(channels: list[str]) -> None:
    labels = np.zeros((30, 30), np.int32)
    labels[2:14, 2:14] = 1
    labels[20:22, 20:22] = 2
    frame = measure(
        np.full((3, 30, 30), 0.4), {"Nuclei": labels, "Cells": labels}, channels=channels, families=[Texture()]
    )
    big, small = frame.rows(named=True)
    assert big["Cells_Texture_AngularSecondMoment_DNA_3_00_256"] == 1
    assert big["Cells_Texture_Contrast_DNA_10_01_256"] == 0
    assert big["Cells_Texture_Correlation_DNA_3_00_256"] == 1
    assert big["Cells_Texture_Entropy_DNA_3_00_256"] == 0
    assert {value for name, value in small.items() if "Texture" in name} == {None}


@pytest.mark.parametrize("parameters", [{"scales": ()}, {"scales": (0,)}, {"levels": 1}, {"levels": 300}])
def test_impossible_parameters_are_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="texture"):
        Texture(**parameters)  # type: ignore[arg-type]
