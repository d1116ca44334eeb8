"""A small field with cells of many shapes, shared by the feature tests."""

from __future__ import annotations

import numpy as np
import pytest

CHANNELS = ["DNA", "ER", "RNA"]


@pytest.fixture(scope="session")
def channels() -> list[str]:
    """Names of the channels of ``pixels``."""
    return list(CHANNELS)


@pytest.fixture(scope="session")
def labels() -> dict[str, np.ndarray]:
    """Two touching cells, one with a hole, one in two parts, one at the border, one of one pixel, one line."""
    y, x = np.mgrid[0:120, 0:140]
    cells = np.zeros((120, 140), np.int32)
    cells[((y - 35) / 22) ** 2 + ((x - 30) / 17) ** 2 <= 1] = 1
    cells[((y - 40) / 20) ** 2 + ((x - 62) / 15) ** 2 <= 1] = 2
    cells[(np.hypot(y - 85, x - 40) <= 22) & (np.hypot(y - 85, x - 40) > 6)] = 3
    cells[70:84, 90:101] = 4
    cells[95:104, 92:112] = 4
    cells[100:120, 118:140] = 5
    cells[10, 100] = 6
    cells[20:21, 100:112] = 7
    nuclei = np.zeros_like(cells)
    for label, (v, u), radius in (
        (1, (35, 28), 8),
        (2, (42, 62), 7),
        (3, (85, 56), 5),
        (4, (76, 95), 4),
        (5, (110, 130), 5),
    ):
        nuclei[np.hypot(y - v, x - u) <= radius] = label
    nuclei[cells == 6] = 6
    nuclei[20, 104] = 7
    return {"Nuclei": np.where(nuclei == cells, nuclei, 0).astype(np.int32), "Cells": cells}


@pytest.fixture(scope="session")
def pixels(labels: dict[str, np.ndarray]) -> np.ndarray:
    """Three channels of uint16 with blobs, gradients, noise and some saturation."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:120, 0:140]
    planes = []
    for c in range(3):
        wave = 9000 * (2 + np.sin(y / (5 + 2 * c)) + np.cos(x / (7 - c)))
        plane = wave * (0.3 + (labels["Cells"] > 0) + (labels["Nuclei"] > 0) * (c == 0))
        planes.append(np.clip(plane + rng.normal(0, 1500, y.shape) + 900, 0, 65535))
    return np.stack(planes).astype(np.uint16)
