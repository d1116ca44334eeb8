from __future__ import annotations

import numpy as np
import pytest

from phenoprint.errors import DataError
from phenoprint.segmentation import estimate_nucleus_diameter


@pytest.mark.parametrize("radius", [5.0, 9.0, 20.0])
def test_the_diameter_of_drawn_nuclei_is_found(draw_field, radius):
    centres = [(50, 50), (50, 150), (150, 60), (150, 160)]
    fields = [draw_field(centres, shape=(200, 220), radius=radius, seed=seed)[0] for seed in range(2)]
    assert estimate_nucleus_diameter(fields) == pytest.approx(2 * radius, rel=0.2)


def test_debris_and_an_empty_field_do_not_change_the_diameter(draw_field):
    field = draw_field([(50, 50), (50, 150), (150, 60), (150, 160)], shape=(200, 220), radius=10)[0]
    dirty = field.copy()
    for row in range(10, 200, 12):
        dirty[row : row + 3, 100:103] = 0.5
    empty = draw_field([], shape=(200, 220))[0]
    assert estimate_nucleus_diameter([dirty, empty]) == pytest.approx(estimate_nucleus_diameter([field]), rel=0.03)


def test_type_and_order_of_the_fields_do_not_matter(draw_field):
    fields = [draw_field([(60, 60), (110, 100)], radius=r, seed=int(r))[0] for r in (8.0, 9.0, 10.0)]
    first = estimate_nucleus_diameter(fields)
    assert estimate_nucleus_diameter(fields[::-1]) == first
    counts = [np.round(field * 65535).astype(np.uint16) for field in fields]
    assert estimate_nucleus_diameter(counts) == pytest.approx(first, rel=0.02)


def test_binning_a_large_field_gives_the_same_diameter(draw_field, monkeypatch):
    from phenoprint.segmentation import diameter

    part = draw_field([(45, 50), (45, 140), (140, 50), (140, 140)], shape=(186, 187), radius=16)[0]
    field = np.tile(part, (4, 4))[:-1]
    sizes = []
    segmented = diameter._segmented_areas
    monkeypatch.setattr(diameter, "_segmented_areas", lambda image, d: sizes.append(image.shape) or segmented(image, d))
    found = estimate_nucleus_diameter([field])
    assert set(sizes) == {(371, 374)}
    monkeypatch.setattr(diameter, "_LARGE_FIELD", field.size + 1)
    assert found == pytest.approx(estimate_nucleus_diameter([field]), rel=0.03)
    assert set(sizes) == {(371, 374), (743, 748)}


def test_clumps_and_cut_nuclei_alone_give_an_estimate(draw_field):
    row = [(30, 8.0 + 17 * k) for k in range(10)]
    found = estimate_nucleus_diameter([draw_field(row, shape=(60, 160), radius=9)[0]])
    assert 10 < found < 30


@pytest.mark.parametrize("fields", [[], ["empty"], ["black", "flat"]])
def test_fields_without_nuclei_are_an_error_with_advice(draw_field, fields):
    drawn = {
        "empty": draw_field([])[0],
        "black": np.zeros((50, 50), np.uint8),
        "flat": np.full((50, 50), 255, np.uint8),
    }
    with pytest.raises(DataError, match=f"in {len(fields)} fields.*nucleus_diameter_um"):
        estimate_nucleus_diameter([drawn[name] for name in fields])
