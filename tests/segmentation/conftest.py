"""Drawn fields and a matching score for the segmentation tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, Any]


def _draw_field(
    centres: list[tuple[float, float]],
    *,
    shape: tuple[int, int] = (160, 160),
    radius: float = 9.0,
    cell_radius: float = 22.0,
    seed: int = 0,
    noise: float = 0.004,
) -> Array:
    """Draw round cells on a dim noisy background: DNA and AGP planes (2, Y, X) float32."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    rng = np.random.default_rng(seed)
    dna = np.full(shape, 0.02)
    agp = np.full(shape, 0.03)
    for row, column in centres:
        gap = np.hypot(y - row, x - column)
        dna = np.maximum(dna, 0.02 + 0.3 / (1 + np.exp(gap - radius)))
        agp = np.maximum(agp, 0.03 + 0.2 / (1 + np.exp(gap - cell_radius)))
    field = np.stack([dna, agp]) + rng.normal(0, noise, (2, *shape))
    return np.clip(field, 0, 1).astype(np.float32)


def _matches(found: Array, truth: Array, least_iou: float = 0.5) -> tuple[int, int, int]:
    """Count true positives, false positives and false negatives at a minimum overlap (IoU)."""
    true_numbers, true_index = np.unique(truth, return_inverse=True)
    true_index = true_index.reshape(truth.shape) + (0 if true_numbers[0] == 0 else 1)
    n_found, n_true = int(found.max()), int(true_index.max())
    pairs = np.bincount(
        (found.astype(np.int64) * (n_true + 1) + true_index).ravel(), minlength=(n_found + 1) * (n_true + 1)
    ).reshape(n_found + 1, n_true + 1)
    union = pairs.sum(1)[1:, None] + pairs.sum(0)[None, 1:] - pairs[1:, 1:]
    hits = int(((pairs[1:, 1:] / np.maximum(union, 1)) > least_iou).sum()) if n_found and n_true else 0
    return hits, n_found - hits, n_true - hits


@pytest.fixture(scope="session")
def draw_field() -> Callable[..., Array]:
    return _draw_field


@pytest.fixture(scope="session")
def matches() -> Callable[..., tuple[int, int, int]]:
    return _matches
