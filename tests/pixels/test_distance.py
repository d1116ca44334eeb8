from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from phenoprint.pixels import squared_distance


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    share=st.sampled_from([0.0, 0.3, 0.7, 0.95]),
)
def test_the_distance_in_a_mask_equals_scipys(seed: int, shape: tuple[int, int], share: float) -> None:
    mask = np.random.default_rng(seed).random(shape) < share
    if mask.all():
        mask[0, 0] = False
    np.testing.assert_allclose(squared_distance(mask), distance_transform_edt(mask) ** 2, atol=1e-3)


def test_the_distance_is_infinite_where_one_object_fills_the_image() -> None:
    assert np.isinf(squared_distance(np.ones((3, 4), bool))).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 6))
def test_the_distance_is_exact_between_touching_objects(seed: int, n: int) -> None:
    labels = np.kron(np.random.default_rng(seed).integers(0, n, (5, 6)), np.ones((4, 5), int))
    labels[0, 0], labels[0, 1] = 1, 2
    found = squared_distance(labels)
    for label in range(1, n):
        mask = labels == label
        expected = distance_transform_edt(mask)[mask]
        np.testing.assert_allclose(np.sqrt(found[mask].astype(np.float64)), expected, rtol=1e-12)
