"""Plate artefacts are recorded in the truth and visible in the pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from scipy import ndimage

from phenoprint.simulation import (
    CHANNELS,
    PlateArtefacts,
    ScreenDesign,
    demo_design,
    draw_field,
    field_truth,
    tiny_design,
)


def _only(design: ScreenDesign, **artefacts: float) -> ScreenDesign:
    zero = dict.fromkeys(PlateArtefacts.__dataclass_fields__, 0.0)
    return replace(design, artefacts=PlateArtefacts(**{**zero, **artefacts}))


def _sharpness(image: np.ndarray) -> float:
    return float(ndimage.laplace(image.astype(float)).std() / image.std())


def test_without_artefacts_all_conditions_are_neutral() -> None:
    truth = field_truth(_only(tiny_design()))
    assert not truth.select(pl.any_horizontal("is_out_of_focus", "is_saturated", "has_debris").any()).item()
    assert set(truth["density"]) == {1.0}
    for channel in CHANNELS:
        assert set(truth[f"gain_{channel}"]) == {1.0}
        assert set(truth[f"background_{channel}"]) == {0.0}


def test_artefacts_occur_at_their_rates() -> None:
    design = replace(
        demo_design(n_plates=2),
        n_sites=2,
        artefacts=PlateArtefacts(out_of_focus_rate=0.1, saturated_rate=0.05, debris_rate=0.2),
    )
    truth = field_truth(design)
    assert truth.height == 2 * 384 * 2
    assert 0.07 < truth["is_out_of_focus"].mean() < 0.13  # type: ignore[operator]
    assert 0.03 < truth["is_saturated"].mean() < 0.07  # type: ignore[operator]
    assert 0.16 < truth["has_debris"].mean() < 0.24  # type: ignore[operator]
    assert truth["saturated_channel"].is_not_null().equals(truth["is_saturated"])


def test_fields_out_of_focus_are_blurred_in_every_channel() -> None:
    sharp = draw_field(_only(tiny_design()), "SIM-P01", "B02").pixels
    blurred = draw_field(_only(tiny_design(), out_of_focus_rate=1.0), "SIM-P01", "B02").pixels
    for channel in range(5):
        assert _sharpness(blurred[channel]) < 0.5 * _sharpness(sharp[channel])


def test_the_recorded_channel_is_saturated() -> None:
    design = _only(tiny_design(), saturated_rate=1.0)
    truth = field_truth(design).filter(pl.col("Metadata_Well") == "B02").row(0, named=True)
    pixels = draw_field(design, "SIM-P01", "B02").pixels
    saturated = (pixels == 65535).mean(axis=(1, 2))
    assert CHANNELS[int(saturated.argmax())] == truth["saturated_channel"]
    assert saturated.max() > 0.005


def test_debris_adds_light_and_does_not_move_cells() -> None:
    clean = draw_field(_only(tiny_design()), "SIM-P01", "B02")
    dirty = draw_field(_only(tiny_design(), debris_rate=1.0), "SIM-P01", "B02")
    assert np.array_equal(clean.nuclei, dirty.nuclei)
    extra = dirty.pixels.astype(int) - clean.pixels
    assert (extra > 5_000).sum() > 50


def test_vignette_darkens_the_corners_of_the_background() -> None:
    design = replace(_only(tiny_design(), vignette=0.4, background=0.1), cells_per_field=0.0)
    image = draw_field(design, "SIM-P01", "B02").pixels[0].astype(float)
    corners = np.median([image[:8, :8], image[-8:, -8:]])
    assert 0.5 < corners / np.median(image[72:88, 72:88]) < 0.9


def test_edges_lose_cells_and_gradients_are_smooth() -> None:
    truth = field_truth(_only(demo_design(), edge_effect=0.3, column_gradient=0.2))
    edge = truth.filter("is_edge")["density"].mean()
    assert edge is not None
    assert abs(float(edge) - 0.7) < 1e-9  # type: ignore[arg-type]
    row = truth.filter(pl.col("Metadata_Well").str.starts_with("H") & ~pl.col("is_edge"))["gain_DNA"].to_numpy()
    steps = np.diff(np.log(row))
    np.testing.assert_allclose(steps, steps[0])
    assert abs(steps[0]) > 0.001


def test_batches_differ_more_than_plates_within_a_batch() -> None:
    base = replace(demo_design(n_plates=2), artefacts=PlateArtefacts(batch_gain=0.4, plate_gain=0.01))
    gains = replace(base, n_plates=4, n_batches=2)
    middle = field_truth(gains).filter(pl.col("Metadata_Well") == "H12")
    logs = np.log(middle.select(f"gain_{name}" for name in CHANNELS).to_numpy())
    within = np.abs(logs[0] - logs[1]).mean() + np.abs(logs[2] - logs[3]).mean()
    between = 2 * np.abs(logs[:2].mean(axis=0) - logs[2:].mean(axis=0)).mean()
    assert between > 1.5 * within


def test_position_effects_are_the_same_on_all_plates_and_batch_effects_differ_between_batches() -> None:
    stains = ["dna_intensity", "er_intensity", "rna_intensity", "agp_intensity", "mito_intensity"]

    def means(**artefacts: float) -> np.ndarray:
        quiet = {"n_negcon": 24, "n_poscon": 0, "n_inert": 0, "compounds_per_mechanism": 0, "mechanisms": ()}
        design = _only(replace(tiny_design(), n_plates=3, n_batches=3, cells_per_field=30.0, **quiet), **artefacts)
        fields = [draw_field(design, plate, "A06").cells_truth.select(stains).to_numpy() for plate in design.plates]
        return np.log([field.mean(axis=0) for field in fields])

    nothing, position, batch = means(), means(position_effect=4.0), means(batch_effect=4.0)
    assert nothing.std(axis=0).max() < 0.1
    assert position.std(axis=0).max() < 0.1
    assert np.abs(position.mean(axis=0) - nothing.mean(axis=0)).max() > 0.3
    assert batch.std(axis=0).max() > 0.3
