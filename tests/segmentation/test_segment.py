"""Properties of the segmentation of any field."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.segmentation import ClassicalSegmenter, segment

CHANNELS = ["DNA", "AGP"]


def assert_well_formed(labels, shape):
    nuclei, cells = labels["Nuclei"], labels["Cells"]
    assert set(labels) == {"Nuclei", "Cells"}
    for found in (nuclei, cells):
        assert found.shape == shape
        assert found.dtype == np.int32
        np.testing.assert_array_equal(np.unique(found[found > 0]), np.arange(1, found.max() + 1))
    assert nuclei.max() == cells.max()
    np.testing.assert_array_equal(cells[nuclei > 0], nuclei[nuclei > 0])


centres_of = st.lists(st.tuples(st.floats(0, 159), st.floats(0, 159)), max_size=10)


@settings(max_examples=25, deadline=None)
@given(
    centres=centres_of,
    radius=st.floats(3, 14),
    seed=st.integers(0, 99),
    method=st.sampled_from(["propagation", "watershed", "distance"]),
    border=st.sampled_from(["keep", "discard"]),
    declump=st.sampled_from(["combined", "shape", "intensity", "none"]),
)
def test_labels_are_well_formed(*, draw_field, centres, radius, seed, method, border, declump):
    field = draw_field(centres, radius=radius, seed=seed)
    before = field.copy()
    labels = segment(field, channels=CHANNELS, cell_method=method, border=border, declump=declump)
    assert_well_formed(labels, (160, 160))
    np.testing.assert_array_equal(field, before)
    again = segment(field, channels=CHANNELS, cell_method=method, border=border, declump=declump)
    for name, found in labels.items():
        np.testing.assert_array_equal(found, again[name])


@settings(max_examples=15, deadline=None)
@given(
    cells=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=9, unique=True),
    seed=st.integers(0, 99),
)
def test_all_drawn_cells_are_found_and_move_with_the_image(draw_field, cells, seed):
    jitter = np.random.default_rng(seed).uniform(-4, 4, (len(cells), 2))
    centres = [(32 + 52 * r + a, 32 + 52 * c + b) for (r, c), (a, b) in zip(cells, jitter, strict=True)]
    field = draw_field(centres, shape=(168, 168), seed=seed)
    options = {"channels": CHANNELS, "nucleus_diameter_px": 18.0}
    plain = segment(field, **options)
    assert plain["Nuclei"].max() == len(cells)
    for axis in (1, 2):
        mirrored = segment(np.flip(field, axis), **options)
        for name, found in mirrored.items():
            assert found.max() == plain[name].max()
            assert ((np.flip(found, axis - 1) > 0) != (plain[name] > 0)).mean() < 0.003
    shifted = segment(field[:, 5:, 3:], **options)
    assert shifted["Nuclei"].max() == len(cells)
    assert ((shifted["Cells"] > 0) != (plain["Cells"][5:, 3:] > 0)).mean() < 0.005


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 5), (17, 4), (64, 64)])
@pytest.mark.parametrize("kind", ["black", "saturated", "random", "one bright pixel"])
@pytest.mark.parametrize("diameter", [None, 12.0])
def test_odd_fields_never_crash(shape, kind, dtype, diameter):
    top = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    rng = np.random.default_rng(0)
    pixels = np.zeros((2, *shape), dtype)
    if kind == "saturated":
        pixels[:] = top
    elif kind == "random":
        pixels[:] = (rng.random(pixels.shape) * top).astype(dtype)
    elif kind == "one bright pixel":
        pixels[:, shape[0] // 2, shape[1] // 2] = top
    labels = segment(pixels, channels=CHANNELS, nucleus_diameter_px=diameter)
    assert_well_formed(labels, shape)
    if kind in {"black", "saturated"} or shape == (64, 64):
        assert labels["Cells"].max() == 0


def test_one_cell_and_no_cell_channel(draw_field):
    field = draw_field([(80, 80)])
    labels = segment(field[:1], channels=["Hoechst"])
    assert_well_formed(labels, (160, 160))
    assert labels["Nuclei"].max() == 1
    assert (labels["Cells"] > 0).sum() > 1.5 * (labels["Nuclei"] > 0).sum()


def test_integers_and_floats_agree(draw_field):
    field = draw_field([(50, 50), (60, 110)])
    counts = np.round(field * 65535).astype(np.uint16)
    for name, found in segment(counts, channels=CHANNELS).items():
        assert (found != segment(field, channels=CHANNELS)[name]).mean() < 0.001


def test_diameters_in_micrometres_and_in_pixels_agree(draw_field):
    field = draw_field([(50, 50), (60, 110)])
    in_um = segment(field, channels=CHANNELS, pixel_size_um=0.5, nucleus_diameter_um=9)
    in_px = segment(field, channels=CHANNELS, nucleus_diameter_px=18)
    for name, found in in_um.items():
        np.testing.assert_array_equal(found, in_px[name])


def test_border_objects_are_kept_or_removed_without_changing_their_neighbours(draw_field):
    field = draw_field([(80, 4), (80, 44)])
    kept = segment(field, channels=CHANNELS)
    dropped = segment(field, channels=CHANNELS, border="discard")
    assert kept["Nuclei"].max() == 2
    assert dropped["Nuclei"].max() == 1
    inner = kept["Cells"][80, 44]
    np.testing.assert_array_equal(dropped["Cells"] == 1, kept["Cells"] == inner)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"nucleus_diameter": 10}, "did you mean 'nucleus_diameter"),
        ({"threshold": "otsuu"}, "did you mean 'otsu'"),
        ({"declump": "shapes"}, "did you mean 'shape'"),
        ({"cell_method": "propagate"}, "did you mean 'propagation'"),
        ({"border": "drop"}, "Known: discard, keep"),
        ({"segmenter": "cellposs"}, "unknown segmenter"),
        ({"nucleus_channel": "DAN"}, "did you mean 'DNA'"),
    ],
)
def test_unknown_names_are_errors_with_the_closest_name(draw_field, params, message):
    with pytest.raises(UnknownNameError, match=message):
        segment(draw_field([]), channels=CHANNELS, **params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"nucleus_diameter_um": 10}, "needs the pixel size"),
        ({"nucleus_diameter_um": 10, "nucleus_diameter_px": 10}, "not both"),
        ({"nucleus_diameter_px": 0}, "nucleus_diameter_px must be above 0"),
        ({"nucleus_diameter_px": float("nan")}, "nucleus_diameter_px must be above 0"),
        ({"neck": 1.0}, "neck must lie between 0 and 1"),
        ({"minimum_snr": -1}, "must not be negative"),
        ({"diameter_range": (3, 1)}, r"\(smallest, largest\)"),
        ({"pixel_size_um": -1}, "pixel_size_um must be above 0"),
    ],
)
def test_values_out_of_range_are_refused(draw_field, params, message):
    with pytest.raises(UsageError, match=message):
        segment(draw_field([]), channels=CHANNELS, **params)


def test_parameters_are_frozen_and_documented():
    segmenter = ClassicalSegmenter()
    with pytest.raises(AttributeError):
        segmenter.neck = 0.5  # type: ignore[misc]
    documented = ClassicalSegmenter.__doc__ or ""
    assert all(name in documented for name in segmenter.__dataclass_fields__)


def test_importing_is_light():
    code = "import sys, phenoprint.segmentation; print([m for m in ('numba', 'scipy', 'skimage') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
