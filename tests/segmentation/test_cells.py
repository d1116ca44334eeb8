from __future__ import annotations

import numpy as np
import pytest

from phenoprint.segmentation.cells import cell_image, grow_cells


@pytest.fixture
def two(draw_field):
    """Draw two cells side by side, away from the border; return the field and its true nuclei."""
    field = draw_field([(80, 50), (80, 100)], cell_radius=21)
    y, x = np.mgrid[:160, :160]
    nuclei = np.zeros((160, 160), np.int32)
    nuclei[np.hypot(y - 80, x - 50) < 9] = 1
    nuclei[np.hypot(y - 80, x - 100) < 9] = 2
    return field, nuclei


@pytest.mark.parametrize("method", ["propagation", "watershed", "distance"])
def test_cells_fill_their_cytoplasm(two, method):
    field, nuclei = two
    cells = grow_cells(field[1:], nuclei, diameter=18, method=method)
    assert set(np.unique(cells)) == {0, 1, 2}
    for number in (1, 2):
        assert (cells == number).sum() == pytest.approx(np.pi * 21**2, rel=0.2)
        assert (cells[nuclei == number] == number).all()


def test_brightness_gain_and_offset_do_not_matter(two):
    field, nuclei = two
    cells = grow_cells(field[1:], nuclei, diameter=18)
    dimmed = grow_cells(field[1:] * 0.01 + 0.05, nuclei, diameter=18)
    assert (cells != dimmed).mean() < 0.001


@pytest.mark.parametrize("channel", ["none", "flat", "noise"])
def test_without_a_visible_boundary_cells_are_widened_nuclei(two, channel):
    _, nuclei = two
    noise = np.random.default_rng(0).normal(0.1, 0.01, (1, 160, 160)).astype(np.float32)
    pixels = {"none": noise[:0], "flat": np.full_like(noise, 0.2), "noise": noise}[channel]
    cells = grow_cells(pixels, nuclei, diameter=18, blind_reach=0.5)
    assert (cells > 0).sum() == pytest.approx(2 * np.pi * (9 + 9) ** 2, rel=0.05)


def test_no_cell_extends_beyond_the_reach(two):
    field, nuclei = two
    everywhere = field[1:].copy()
    everywhere[:, 20:140] = 0.3
    cells = grow_cells(everywhere, nuclei, diameter=18, reach=1.0)
    y, x = np.nonzero(cells == 1)
    assert np.hypot(y - 80, x - 50).max() <= 9 + 18 + 1


def test_a_cell_without_stain_keeps_a_rim(two):
    field, nuclei = two
    stain = field[1:].copy()
    stain[:, :, 75:] = 0.03
    cells = grow_cells(stain, nuclei, diameter=18)
    assert 0 < ((cells == 2) & (nuclei == 0)).sum() < 200


def test_several_channels_are_averaged_on_one_scale(two):
    field, nuclei = two
    image, noise = cell_image(np.concatenate([field[1:], field[1:] * 0.1]), nuclei)
    one, _ = cell_image(field[1:], nuclei)
    assert np.abs(image - one).mean() < 0.01
    assert 0 < noise < 0.1


def test_a_field_without_nuclei_has_no_cells():
    assert grow_cells(np.ones((1, 9, 9), np.float32), np.zeros((9, 9), np.int32), diameter=5).max() == 0
