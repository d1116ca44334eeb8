"""Wells of a real plate left out, against medians and MADs computed on the wells that stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import phenoprint
from phenoprint.exchange.importing import import_profiles
from phenoprint.pipeline import run_screen

EXCLUDED = ("A01", "A17", "C04", "E16", "H11")
STEM = "2022_08_08_PPL8_100-800"


@pytest.mark.real
@pytest.mark.parametrize("reference", ["negcon", "all"])
def test_excluded_wells_have_no_effect_on_a_real_plate(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    """The published plate of gene variants (VarChAMP): level 3 in, five wells out, two of them controls."""
    from phenoprint.pipeline.steps import Outcome

    monkeypatch.setattr("phenoprint.pipeline.steps.clusters.Project.run", lambda *_: Outcome())
    source = real_data / "varchamp_golden" / f"{STEM}_augmented.csv.gz"
    level3 = pl.read_csv(source, infer_schema_length=None).sort("Metadata_Well")
    some = [name for name in level3.columns if not name.startswith("Metadata_")][::5]
    level3 = level3.select("^Metadata_.*$", *(pl.col(name).cast(pl.Float32) for name in some))
    path = tmp_path / f"{STEM}_augmented.parquet"
    level3.write_parquet(path)
    assert set(EXCLUDED) < set(level3["Metadata_Well"])
    controls = level3.filter(Metadata_control_type="negcon")["Metadata_Well"]
    assert len(set(EXCLUDED) & set(controls)) == 2
    screen = import_profiles(path, tmp_path / "screen").screen
    step = f'[[profiles.recipe]]\noperation = "normalize"\npooling = 0\nfloor = 0\nreference = "{reference}"\n'
    (screen.path / "screen.toml").write_text(
        f'[screen]\nname = "screen"\n[evaluation]\nnull_size = 200\n[profiles]\nmin_cells = 1\n{step}'
    )
    plate = screen.table("plate").collect()["Metadata_Plate"][0]
    for well in EXCLUDED:
        phenoprint.exclude(screen, plate, well, reason="by hand")
    assert not run_screen(screen.path, workers=1).is_partial, screen.status().failures
    found = screen.table("profile_normalized").collect().sort("Metadata_Well")
    kept = level3.filter(~pl.col("Metadata_Well").is_in(EXCLUDED))
    assert found["Metadata_Well"].to_list() == kept["Metadata_Well"].to_list()
    features = [name for name in found.columns if not name.startswith("Metadata_") and name in level3.columns]
    assert len(features) > 500
    fitted = kept if reference == "all" else kept.filter(Metadata_control_type="negcon")
    expected = _mad_robust(kept, fitted, features)
    everything = level3 if reference == "all" else level3.filter(Metadata_control_type="negcon")
    before = _mad_robust(kept, everything, features)
    values = found.select(features).to_numpy()
    known = ~np.isnan(values)
    assert known.mean() > 0.9
    np.testing.assert_allclose(values[known], expected[known], rtol=1e-4, atol=1e-5)
    assert np.median(np.abs(values - before)[known]) > 1e-3, "with the excluded wells the values are others"


def _mad_robust(wells: pl.DataFrame, fitted: pl.DataFrame, features: list[str]) -> np.ndarray:
    """Subtract the median and divide by 1.4826 times the median absolute deviation of the wells fitted on."""
    reference = fitted.select(features).to_numpy().astype(np.float64)
    center = np.nanmedian(reference, axis=0)
    spread = 1.482602218505602 * np.nanmedian(np.abs(reference - center), axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (wells.select(features).to_numpy().astype(np.float64) - center) / spread
