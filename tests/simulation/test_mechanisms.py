"""The phenotype of every mechanism, measured on pixels and masks rather than on the traits that were drawn."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from scipy import ndimage

from phenoprint.errors import UnknownNameError
from phenoprint.simulation import (
    MECHANISMS,
    PlateArtefacts,
    ScreenDesign,
    SimulatedField,
    demo_design,
    draw_field,
    layout,
    mechanism_names,
)
from phenoprint.simulation.mechanisms import STATE_CHANGES
from phenoprint.simulation.traits import shift_vector, spread_of


def _screen(mechanism: str) -> ScreenDesign:
    return ScreenDesign(
        plate_format=24,
        n_plates=1,
        field_shape=(300, 300),
        cells_per_field=26.0,
        mechanisms=(mechanism,),
        compounds_per_mechanism=1,
        n_inert=0,
        doses_um=(50.0,),
        replicates=1,
        n_negcon=6,
        n_poscon=6,
        artefacts=PlateArtefacts.off(),
        empty_wells=True,
        seed=mechanism_names().index(mechanism),  # a different draw of the cell count for each mechanism
    )


@functools.cache
def _fields(mechanism: str, pert_type: str) -> tuple[SimulatedField, ...]:
    design = _screen(mechanism)
    wells = layout(design).filter(pl.col("Metadata_pert_type") == pert_type)["Metadata_Well"]
    return tuple(draw_field(design, "SIM-P01", well) for well in wells)


def _per_cell(field: SimulatedField) -> pl.DataFrame:
    """Measure the cells that do not touch the border on pixels and masks."""
    from skimage.measure import regionprops_table

    n = field.cells_truth.height
    index = np.arange(1, n + 1)
    cytoplasm = np.where(field.nuclei > 0, 0, field.cells)
    images = field.pixels.astype(float)
    columns: dict[str, np.ndarray] = {}
    for prefix, labels in (("nucleus", field.nuclei), ("cell", field.cells)):
        table = regionprops_table(labels, properties=("area", "eccentricity", "solidity"))
        columns |= {f"{prefix}_{name}": values for name, values in table.items()}
    boxes = ndimage.find_objects(field.nuclei)
    columns["bodies"] = np.array([ndimage.label(field.nuclei[box] == i)[1] for i, box in enumerate(boxes, 1)])
    for channel, name in enumerate(("dna", "er", "rna", "agp", "mito")):
        rough = (images[channel] - ndimage.gaussian_filter(images[channel], 3)) ** 2
        for place, labels in (("nucleus", field.nuclei), ("cytoplasm", cytoplasm)):
            flat = labels.ravel()
            area = np.bincount(flat, minlength=n + 1)[1:]
            area = np.where(area > 0, area, np.nan)  # a cell at the border may be all nucleus
            mean = np.bincount(flat, images[channel].ravel(), n + 1)[1:] / area
            columns[f"{name}_{place}"] = mean
            columns[f"{name}_{place}_texture"] = np.sqrt(np.bincount(flat, rough.ravel(), n + 1)[1:] / area) / mean
            columns[f"{name}_{place}_peak"] = ndimage.maximum(images[channel], labels, index) / mean
    frame = pl.DataFrame(columns).with_columns(field.cells_truth["is_responding"], field.cells_truth["state"])
    return frame.filter(~field.cells_truth["touches_border"])


@functools.cache
def _untreated() -> tuple[pl.DataFrame, float]:
    """Measure untreated cells, once for all mechanisms; also return their mean number per field."""
    fields = _fields(mechanism_names()[0], "negcon")
    return pl.concat([_per_cell(field) for field in fields]), float(np.mean([f.cells_truth.height for f in fields]))


@functools.cache
def _change(mechanism: str) -> dict[str, float]:
    """Return the ratio of treated to untreated of each measurement, averaged over cells, and of the count per field."""
    fields = _fields(mechanism, "poscon")
    treated = pl.concat([_per_cell(field) for field in fields])
    untreated, untreated_count = _untreated()
    numeric = [name for name, kind in treated.schema.items() if kind.is_numeric()]
    change = {
        name: float(treated[name].fill_nan(None).mean()) / float(untreated[name].fill_nan(None).mean())  # type: ignore[arg-type]
        for name in numeric
    }
    count = float(np.mean([field.cells_truth.height for field in fields]))
    return change | {"count": count / untreated_count}


PHENOTYPES: dict[str, Callable[[dict[str, float]], bool]] = {
    "topoisomerase inhibitor": lambda c: c["nucleus_area"] > 1.4 and c["cell_area"] > 1.1,
    "BCL-2 inhibitor": lambda c: c["bodies"] > 1.5 and c["mito_cytoplasm"] < 0.85 and c["count"] < 0.8,
    "Aurora kinase inhibitor": lambda c: c["bodies"] > 1.5 and c["cell_area"] > 1.1,
    "tubulin polymerization inhibitor": lambda c: c["cell_area"] < 0.8 and c["cell_eccentricity"] < 0.85,
    "kinesin Eg5 inhibitor": lambda c: c["dna_nucleus"] > 1.3 and c["nucleus_eccentricity"] > 1.15,
    "actin polymerization inhibitor": lambda c: c["cell_solidity"] < 0.95 and c["agp_cytoplasm"] < 0.95,
    "ROCK inhibitor": lambda c: c["cell_eccentricity"] > 1.15,
    "mitochondrial uncoupler": lambda c: c["mito_cytoplasm"] < 0.8 and c["mito_cytoplasm_texture"] > 1.5,
    "SERCA inhibitor": lambda c: c["er_cytoplasm"] > 1.2 and c["er_cytoplasm_texture"] < 0.9,
    "RNA polymerase I inhibitor": lambda c: c["rna_nucleus"] < 0.65 and c["rna_nucleus_texture"] < 0.9,
    "mTOR inhibitor": lambda c: c["cell_area"] < 0.8 and c["nucleus_area"] < 0.85,
    "Na+/K+-ATPase inhibitor": lambda c: c["nucleus_area"] < 0.75 and c["count"] < 0.6,
    "ARF1 GEF inhibitor": lambda c: c["agp_cytoplasm_peak"] < 0.75 and c["agp_cytoplasm_texture"] < 0.9,
    "proteasome inhibitor": lambda c: c["er_cytoplasm_peak"] > 1.12 and c["rna_cytoplasm_peak"] > 1.12,
    "HDAC inhibitor": lambda c: c["dna_nucleus_texture"] < 0.9 and c["nucleus_area"] > 1.15,
    "PPAR agonist": lambda c: c["rna_cytoplasm_texture"] > 1.05,
}


@pytest.mark.parametrize("mechanism", mechanism_names())
def test_the_phenotype_is_visible_in_the_pixels(mechanism: str) -> None:
    change = _change(mechanism)
    assert PHENOTYPES[mechanism](change), {name: round(value, 2) for name, value in change.items()}


def test_only_the_subpopulation_responds() -> None:
    cells = pl.concat([_per_cell(field) for field in _fields("PPAR agonist", "poscon")])
    share = cells["is_responding"].mean()
    assert share is not None
    assert 0.2 < float(share) < 0.42  # type: ignore[arg-type]
    texture = dict(cells.group_by("is_responding").agg(pl.col("rna_cytoplasm_texture").mean()).iter_rows())
    assert texture[True] > 1.3 * texture[False]


def test_most_mechanisms_do_not_change_the_count() -> None:
    spared = [name for name, mechanism in MECHANISMS.items() if mechanism.survival == 1.0]
    assert len(spared) >= 10
    ratios = [_change(name)["count"] for name in spared]
    assert 0.9 < float(np.mean(ratios)) < 1.1


def test_a_misspelt_trait_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'dna_intensity'"):
        shift_vector({"dna_intensty": 2.0})


def test_the_mechanisms_of_the_demo_overlap_in_pairs() -> None:
    effects = []
    for name in demo_design().mechanisms:
        mechanism = MECHANISMS[name]
        effect = shift_vector(mechanism.changes)
        for state, added in mechanism.states.items():
            effect = effect + added * shift_vector(STATE_CHANGES[state])
        effects.append(effect / spread_of())
    units = np.array(effects) / np.linalg.norm(effects, axis=1, keepdims=True)
    cosines = units @ units.T
    assert 0.3 < cosines[0, 1] < 0.9
    assert 0.3 < cosines[2, 3] < 0.9
    assert np.abs(cosines[:2, 2:]).max() < 0.3
