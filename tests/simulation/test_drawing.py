"""Fields: reproducible, consistent with their truth, and countable."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from phenoprint.simulation import PlateArtefacts, demo_design, draw_field, layout, tiny_design


def test_pixels_do_not_depend_on_order() -> None:
    design = tiny_design(seed=5)
    wells = ["A01", "B03", "D06"]
    there = {well: draw_field(design, "SIM-P01", well) for well in wells}
    for well in reversed(wells):
        again = draw_field(design, "SIM-P01", well, 1)
        assert np.array_equal(again.pixels, there[well].pixels)
        assert again.cells_truth.equals(there[well].cells_truth)


def test_pixels_do_not_depend_on_the_process() -> None:
    here = draw_field(tiny_design(seed=5), "SIM-P01", "B03")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pool.submit(draw_field, tiny_design(seed=5), "SIM-P01", "B03").result()
    assert np.array_equal(here.pixels, there.pixels)
    assert here.cells_truth.equals(there.cells_truth)


def test_wells_sites_and_seeds_differ() -> None:
    design = replace(tiny_design(), n_sites=2)
    fields = [
        draw_field(design, "SIM-P01", "A01"),
        draw_field(design, "SIM-P01", "A02"),
        draw_field(design, "SIM-P01", "A01", "2"),
        draw_field(replace(design, seed=1), "SIM-P01", "A01"),
    ]
    assert len({field.pixels.tobytes() for field in fields}) == 4
    # The cells differ, not only the noise.
    assert len({field.nuclei.tobytes() for field in fields}) == 4


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from(["A01", "B02", "D06", "C04"]),
    st.sampled_from([0.0, 1.0, 12.0, 60.0]),
    st.sampled_from([0.5, 0.8, 2.0]),
    st.tuples(st.integers(16, 200), st.integers(16, 200)),
)
def test_labels_agree_with_the_truth(
    seed: int, well: str, n_cells: float, pixel_size_um: float, shape: tuple[int, int]
) -> None:
    design = replace(tiny_design(seed=seed), cells_per_field=n_cells, pixel_size_um=pixel_size_um, field_shape=shape)
    field = draw_field(design, "SIM-P01", well)
    truth, n = field.cells_truth, field.cells_truth.height
    assert field.pixels.shape == (5, *shape)
    assert field.pixels.dtype == np.uint16
    assert field.nuclei.dtype == field.cells.dtype == np.int32
    assert field.nuclei.shape == field.cells.shape == shape
    assert truth["Metadata_ObjectNumber"].to_list() == list(range(1, n + 1))
    for labels, column in ((field.nuclei, "nucleus_area_px"), (field.cells, "cell_area_px")):
        assert np.array_equal(np.bincount(labels.ravel(), minlength=n + 1)[1:], truth[column].to_numpy())
    inside = field.nuclei > 0
    assert np.array_equal(field.nuclei[inside], field.cells[inside])
    assert truth["effect"].is_between(0, 1).all()


def test_an_empty_well_has_only_background() -> None:
    design = replace(tiny_design(), doses_um=(20.0,), empty_wells=True)
    well = layout(design).filter(pl.col("Metadata_pert_type") == "empty")["Metadata_Well"][0]
    field = draw_field(design, "SIM-P01", well)
    assert field.cells_truth.height == 0
    assert not field.cells.any()
    assert field.pixels.max() < 5_000


def test_the_cell_density_is_that_of_the_design() -> None:
    design = replace(demo_design(seed=2), artefacts=PlateArtefacts.off())
    wells = layout(design).filter(pl.col("Metadata_pert_type") == "negcon")["Metadata_Well"]
    counts = [draw_field(design, "SIM-P01", well).cells_truth.height for well in wells]
    assert abs(np.mean(counts) / design.cells_per_field - 1) < 0.12


def test_a_plain_threshold_counts_the_nuclei() -> None:
    """Otsu's threshold and a distance watershed find the cells of untreated fields."""
    from skimage.feature import peak_local_max
    from skimage.filters import threshold_otsu
    from skimage.segmentation import watershed

    design = demo_design(seed=3)
    wells = layout(design).filter(pl.col("Metadata_pert_type") == "negcon")["Metadata_Well"][:24]
    found, true = [], []
    for well in wells:
        field = draw_field(design, "SIM-P01", well)
        smooth = ndimage.gaussian_filter(field.pixels[0].astype(float), 1)
        mask = ndimage.binary_fill_holes(smooth > threshold_otsu(smooth))
        distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1)
        peaks = peak_local_max(distance, min_distance=6, labels=ndimage.label(mask)[0], exclude_border=False)
        seeds = np.zeros(mask.shape, np.int32)
        seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        areas = np.bincount(watershed(-distance, seeds, mask=mask).ravel())[1:]
        found.append(int((areas > 40).sum()))
        true.append(field.cells_truth.height)
    assert np.abs(np.subtract(found, true)).mean() < 2.5
    assert np.corrcoef(found, true)[0, 1] > 0.9
