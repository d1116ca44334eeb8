"""Similarity search of a treatment in its screen, in another screen and in files."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import phenoprint
from phenoprint.errors import SchemaError, UsageError
from phenoprint.exchange.importing import import_profiles
from phenoprint.pipeline import find_similar, run_screen
from phenoprint.pipeline.library import read_library
from phenoprint.simulation import simulate_profiles
from phenoprint.store import Screen


def screen_of(folder: Path, *, seed: int = 1, drop: tuple[str, ...] = (), **design: int) -> Screen:
    """Import and run simulated plates; the seed gives the noise, and the compounds."""
    folder.mkdir()
    wells = simulate_profiles("mechanism", seed=seed, n_features=60, **design).wells.drop(*drop)
    files = []
    for (plate,), own in wells.group_by("Metadata_Plate", maintain_order=True):
        files.append(folder / f"{plate}_augmented.parquet")
        own.write_parquet(files[-1])
    path = import_profiles(files, folder / "screen").screen.path
    (path / "screen.toml").write_text('screen.name = "similar"\nclusters.maps = []\n')
    return run_screen(path, workers=1).screen


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Screen:
    return screen_of(tmp_path_factory.mktemp("similar") / "own", n_compounds=64, n_plates=2)


@pytest.fixture(scope="module")
def strong(screen: Screen) -> dict[str, object]:
    """The treatment that acts most clearly, among those with a known mechanism."""
    active = screen.table("activity").filter("below_corrected_p").collect()
    known = active.filter(pl.col("Metadata_moa").is_not_null() & (pl.col("Metadata_pert_type") == "trt"))
    return known.sort("mean_normalized_average_precision", "Metadata_perturbation", descending=True).row(0, named=True)


def test_neighbours_are_those_of_the_table(screen: Screen, strong: dict[str, object]) -> None:
    found = find_similar(screen, str(strong["Metadata_perturbation"]), n=8)
    table = screen.table("neighbour").filter(pl.col("Metadata_perturbation") == found.query).collect().sort("rank")
    assert found.table["neighbour"].to_list() == table["neighbour"].head(8).to_list()
    assert found.table["e_value"].to_list() == pytest.approx(table["e_value"].head(8).to_list(), rel=1e-3)
    assert found.table["neighbour_moa"].to_list() == table["neighbour_moa"].head(8).to_list()
    assert found.table["similarity"].is_sorted(descending=True)
    assert found.n_searched == table["neighbour"].len() or found.n_searched > 20
    assert phenoprint.find_similar(screen.path, str(strong["Metadata_perturbation"]).upper(), n=8).table.equals(
        found.table
    )


def test_another_screen_is_aligned_by_name(screen: Screen, strong: dict[str, object], tmp_path: Path) -> None:
    features = [name for name in screen.table("profile_well").collect_schema().names() if "Metadata" not in name]
    other = screen_of(tmp_path / "other", drop=(features[0], features[1]), n_compounds=64, n_plates=2)
    found = find_similar(screen, str(strong["Metadata_compound"]), library=other.path, n=5)
    first = found.table.row(0, named=True)
    assert first["neighbour_compound"] == strong["Metadata_compound"], "the same compound was tested there"
    assert first["e_value"] < 0.01
    used = set(screen.table("profile_selected").collect_schema().names())
    assert set(found.only_query) == {features[0], features[1]} & used
    assert found.n_features > 10


def test_files_are_brought_to_one_row_per_treatment_relative_to_controls(
    screen: Screen, strong: dict[str, object], tmp_path: Path
) -> None:
    raw = (
        screen.table("profile_well")
        .collect()
        .join(
            screen.table("well").select("Metadata_Plate", "Metadata_Well", "Metadata_pert_type").collect(),
            on=["Metadata_Plate", "Metadata_Well"],
            suffix="_well",
        )
    )
    raw.write_parquet(tmp_path / "wells.parquet")
    found = find_similar(screen, str(strong["Metadata_compound"]), library=tmp_path / "wells.parquet", n=3)
    assert found.table["neighbour_compound"][0] == strong["Metadata_compound"]
    assert any("was normalized to the negative controls of each plate" in note for note in found.notes)
    level5 = screen.table("profile_consensus").collect()
    level5.write_parquet(tmp_path / "level5.parquet")
    one = read_library(tmp_path / "level5.parquet")
    assert sum(block.height for block in one.blocks) == level5.height
    again = find_similar(screen, str(strong["Metadata_compound"]), library=tmp_path / "level5.parquet", n=3)
    assert again.table["neighbour_compound"][0] == strong["Metadata_compound"]
    assert "cannot be seen" in str(again.notes)
    level5.rename({"Metadata_perturbation": "Metadata_x"}).drop("Metadata_compound").write_parquet(
        tmp_path / "x.parquet"
    )
    with pytest.raises(SchemaError, match="has no column that names treatments"):
        read_library(tmp_path / "x.parquet")
    raw.drop("Metadata_Plate").write_parquet(tmp_path / "bare.parquet")
    with pytest.raises(SchemaError, match="not relative to them"):
        read_library(tmp_path / "bare.parquet")


def test_wrong_names_and_doses_have_a_hint(screen: Screen, strong: dict[str, object]) -> None:
    name = str(strong["Metadata_compound"])
    with pytest.raises(UsageError, match=f"did you mean .*'{name}'"):
        find_similar(screen, f"{name}x")
    with pytest.raises(UsageError, match="has no dose 1234; its doses: "):
        find_similar(screen, name, dose=1234)
    inert = screen.table("activity").filter(~pl.col("below_corrected_p")).collect().sort("p_value", descending=True)
    quiet = find_similar(screen, inert["Metadata_perturbation"][0], n=1)
    assert any("does not differ from the negative controls" in note for note in quiet.notes)


def test_the_dose_that_acts_most_clearly_is_taken(tmp_path: Path) -> None:
    made = screen_of(tmp_path / "doses", seed=3, n_compounds=16, n_doses=3, n_plates=2)
    active = made.table("activity").collect().filter(Metadata_pert_type="trt")
    by = ["mean_normalized_average_precision", "Metadata_Concentration"]
    best = active.sort(by, descending=True).row(0, named=True)
    found = find_similar(made, best["Metadata_compound"], n=3)
    assert found.query == best["Metadata_perturbation"]
    assert any("was also tested as" in note for note in found.notes)
    own = active.filter(Metadata_compound=best["Metadata_compound"]).sort("Metadata_Concentration")
    given = find_similar(made, best["Metadata_compound"], dose=own["Metadata_Concentration"][0], n=3)
    assert given.query == own["Metadata_perturbation"][0]
