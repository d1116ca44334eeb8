"""The tables that questions need: neighbours, feature effects, readouts of wells, signatures of clusters."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import phenoprint
from phenoprint.errors import ConfigError
from phenoprint.evaluation import retrieval, similarities
from phenoprint.exchange.importing import import_profiles
from phenoprint.pipeline import RunResult, explained, run_screen, wellprofiles
from phenoprint.pipeline.config import parse_config
from phenoprint.pipeline.context import Context
from phenoprint.store import Screen, check_balance
from phenoprint.store import open as open_screen
from phenoprint.tables import feature_columns

WELL = ["Metadata_Plate", "Metadata_Well"]
NAME = "Metadata_perturbation"
TABLES = ("readout", "neighbour", "feature_effect", "cluster_signature")
STEPS = {"well_readouts", "neighbours", "feature_effects", "cluster_signatures"}
# Channels and compartments that the compounds of the imported plates change.
CHANGED = {
    "a": "Cells_Intensity_MeanIntensity_ER",
    "b": "Nuclei_Texture_Contrast_DNA_3_00_256",
    "c": "Nuclei_AreaShape_Area",
}


def plate(name: str, *, seed: int) -> pl.DataFrame:
    """48 wells: twelve controls, three mechanisms of two compounds at two doses, three wells each."""
    rng = np.random.default_rng(seed)
    treatments = [("DMSO", None, "negcon", None)] * 12
    for mechanism in "abc":
        for k in (1, 2):
            treatments += [(f"{mechanism}{k}", dose, "trt", mechanism) for dose in (1.0, 10.0) for _ in range(3)]
    channels = ("DNA", "ER", "Mito")
    features = ["Nuclei_AreaShape_Area", "Cells_AreaShape_Area", "Nuclei_Texture_Contrast_DNA_3_00_256"]
    features += [f"{c}_Intensity_MeanIntensity_{channel}" for c in ("Cells", "Nuclei") for channel in channels]
    features += [f"Cells_RadialDistribution_FracAtD_{channel}_{k}of4" for channel in channels for k in (1, 2, 3, 4)]
    values = rng.normal(size=(48, len(features))) + 20
    for row, (_, dose, _, mechanism) in enumerate(treatments):
        if mechanism:
            values[row, features.index(CHANGED[mechanism])] += 6 if dose == 1 else 15
    compounds, doses, kinds, mechanisms = zip(*treatments, strict=True)
    return pl.DataFrame(
        {
            "Metadata_Plate": name,
            "Metadata_Well": [f"{'ABCDEF'[i // 8]}{i % 8 + 1:02d}" for i in range(48)],
            "Metadata_compound": compounds,
            "Metadata_Concentration": doses,
            "Metadata_Concentration_Unit": ["uM" if dose else None for dose in doses],
            "Metadata_pert_type": kinds,
            "Metadata_moa": mechanisms,
            "Metadata_Object_Count": rng.integers(80, 120, 48),
            **{feature: values[:, i] for i, feature in enumerate(features)},
        }
    )


def tables_of(folder: Path, suffix: str, *, change: pl.Expr | None = None) -> list[Path]:
    folder.mkdir()
    paths = []
    for seed, name in enumerate(("P1", "P2")):
        frame = plate(name, seed=seed)
        frame = frame if change is None else frame.with_columns(change)
        paths.append(folder / f"{name}{suffix}.csv")
        frame.write_csv(paths[-1])
    return paths


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Screen:
    """Two plates that were imported at level 3 and run; read only."""
    folder = tmp_path_factory.mktemp("questions")
    path = import_profiles(tables_of(folder / "tables", "_augmented"), folder / "screen").screen.path
    return run_screen(path, workers=1).screen


def rows(screen: Screen, table: str) -> pl.DataFrame:
    return screen.table(table).collect()


def test_neighbours_equal_a_computation_by_brute_force(screen: Screen) -> None:
    consensus = rows(screen, "profile_consensus").sort(NAME).filter(pl.col(NAME) != "DMSO")  # all zeros
    values = consensus.select(feature_columns(consensus)).to_numpy().astype(np.float64)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    alike = values @ values.T
    np.fill_diagonal(alike, -np.inf)
    names = consensus[NAME].to_numpy()
    found = rows(screen, "neighbour").sort(NAME, "rank")
    assert found.height == 12 * 11
    for name, row in zip(names, alike, strict=True):
        own = found.filter(pl.col(NAME) == name)
        order = np.argsort(-row)[:-1]
        np.testing.assert_allclose(own["similarity"], row[order], atol=1e-6)
        assert own["neighbour"].to_list() == names[order].tolist()


def test_neighbours_carry_what_a_query_needs(screen: Screen) -> None:
    """Not the compound itself, but the other one of its mechanism comes first."""
    first = screen.sql("""
        SELECT * FROM neighbour WHERE NOT is_same_compound
        QUALIFY row_number() OVER (PARTITION BY Metadata_perturbation ORDER BY rank) = 1
    """)
    assert first.height == 12
    assert first["neighbour_moa"].to_list() == first["Metadata_moa"].to_list()
    same = rows(screen, "neighbour").filter("is_same_compound")
    assert same.height == 12
    assert (same["Metadata_compound"] == same["neighbour_compound"]).all()
    assert (same["Metadata_Concentration"] != same["neighbour_concentration"]).all()
    assert set(first["neighbour_concentration_unit"]) == {"uM"}
    assert set(rows(screen, "neighbour")["neighbour_pert_type"]) == {"trt"}
    ledger = rows(screen, "ledger").filter(step="neighbours", unit_of_count="treatments")
    assert ledger.select("n_in", "n_lost", "reason").rows() == [
        (13, 1, "does not differ from the controls in any feature")
    ]


def test_effects_equal_a_computation_with_pandas(screen: Screen) -> None:
    """From the level 3 that was imported; the spread of two plates is averaged as in the normalization."""
    frame = pd.concat([plate(name, seed=seed).to_pandas() for seed, name in enumerate(("P1", "P2"))])
    found = rows(screen, "feature_effect").to_pandas().pivot_table(index=NAME, columns="feature", values="effect")
    names = list(found.columns)
    normalized = rows(screen, "profile_normalized").to_pandas().set_index(WELL)
    frame = frame.set_index(WELL)
    frame[names] = normalized[names]
    controls = frame[frame["Metadata_pert_type"] == "negcon"].groupby("Metadata_Plate")[names]
    mads = controls.agg(lambda x: 1.4826 * (x - x.median()).abs().median())
    spread = np.sqrt((12 * mads.median() ** 2 + 12 * mads**2) / 24)
    floor = 0.25 * controls.std()
    spread = np.maximum(spread, np.sqrt((12 * floor.median() ** 2 + 12 * floor**2) / 24))
    scaled = (frame[names] - controls.median().reindex(frame.index, level=0)) / spread.reindex(frame.index, level=0)
    treated = frame["Metadata_pert_type"] == "trt"
    name = frame["Metadata_compound"] + "@" + frame["Metadata_Concentration"].map("{:g}".format) + " uM"
    expected = scaled[treated].groupby(name[treated]).median()
    np.testing.assert_allclose(found.to_numpy(), expected.loc[found.index].to_numpy(), rtol=1e-4, atol=1e-4)


def test_effects_point_to_what_was_changed(screen: Screen) -> None:
    first = rows(screen, "feature_effect").filter(rank=1)
    assert first.height == 12
    assert first["feature"].to_list() == [CHANGED[name[0]] for name in first[NAME]]
    assert (first["effect"] > 0).all()
    assert first["q_value"].max() < 1e-6
    about = {row["feature"]: (row["compartment"], row["family"], row["channel"]) for row in first.to_dicts()}
    assert about == {
        "Cells_Intensity_MeanIntensity_ER": ("Cells", "Intensity", "ER"),
        "Nuclei_Texture_Contrast_DNA_3_00_256": ("Nuclei", "Texture", "DNA"),
        "Nuclei_AreaShape_Area": ("Nuclei", "AreaShape", None),
    }
    carried = screen.sql("""
        SELECT Metadata_compound, compartment, channel, count(*) AS n FROM feature_effect
        WHERE q_value < 0.01 GROUP BY ALL HAVING Metadata_compound = 'a1'
    """)
    assert carried.rows() == [("a1", "Cells", "ER", 2)]


def test_clusters_are_the_mechanisms(screen: Screen) -> None:
    clusters = rows(screen, "cluster")
    assert clusters.height == 12
    assert clusters.group_by("Metadata_moa").agg(pl.col("cluster").n_unique())["cluster"].to_list() == [1, 1, 1]
    assert clusters["cluster"].n_unique() == 3
    assert clusters.group_by("cluster").agg(pl.col("is_medoid").sum())["is_medoid"].to_list() == [1, 1, 1]
    assert rows(screen, "well_cluster").is_empty()
    choices = rows(screen, "cluster_choice")
    assert choices["is_chosen"].sum() == 1
    enriched = screen.sql("FROM cluster_enrichment WHERE kind = 'mechanism'")
    assert enriched.select("n_both", "n_cluster", "n_label", "n_total").unique().rows() == [(4, 4, 4, 12)]
    assert enriched["q_value"].max() == pytest.approx(9 / 495 / 3)  # 1 of 495 ways to choose 4 of 12; 3 of 9 tests
    kinds = set(rows(screen, "cluster_enrichment")["kind"])
    assert kinds == {"mechanism", "compound", "plate", "row", "column", "edge", "cells"}
    of_plate = rows(screen, "cluster_enrichment").filter(kind="plate")
    assert set(of_plate["p_value"]) == {1.0}, "every treatment is on both plates"
    assert "P1" not in str(clusters["technical"].to_list())


def test_wells_are_clustered_on_request(screen: Screen, tmp_path: Path) -> None:
    own = Path(shutil.copytree(screen.path, tmp_path / "own"))
    (own / "screen.toml").write_text(
        (own / "screen.toml").read_text() + '\n[clusters]\nof = "wells"\nneighbours = 12\n'
    )
    result = run_screen(own, workers=1)
    done = {name for name, count in result.summary.steps.items() if count.done}
    assert done == {"cluster_profiles", "cluster_signatures"}
    assert rows(result.screen, "cluster").is_empty()
    wells = rows(result.screen, "well_cluster").join(rows(screen, "well"), on=WELL)
    assert wells.height == 72
    assert set(wells["status"]) <= {"ok", "unstable"}
    strong = wells.filter(pl.col("Metadata_Concentration") == 10)
    assert strong.group_by("Metadata_moa").agg(pl.col("cluster").n_unique())["cluster"].to_list() == [1, 1, 1]
    assert {"treatment", "well"} < set(rows(result.screen, "cluster_enrichment")["kind"])
    sizes = rows(result.screen, "cluster_signature").select("n_wells", "n_others").sum_horizontal().unique()
    assert sizes.to_list() == [72]


def test_signatures_are_of_the_clusters(screen: Screen) -> None:
    table = rows(screen, "cluster_signature")
    clusters = rows(screen, "cluster")
    assert set(table["cluster"]) == set(clusters["cluster"].drop_nulls())
    (cluster,) = set(clusters.filter(Metadata_moa="a")["cluster"])
    first = table.filter(cluster=cluster, rank=1).row(0, named=True)
    assert (first["feature"], first["compartment"], first["channel"]) == (CHANGED["a"], "Cells", "ER")
    assert first["effect"] > 1.5
    assert (first["cliffs_delta"], first["n_wells"], first["n_others"]) == (1, 24, 48)


def test_every_well_has_the_default_readouts(screen: Screen) -> None:
    wide = rows(screen, "readout").pivot("readout", index=WELL, values="value").join(rows(screen, "well"), on=WELL)
    assert wide.height == 96
    counts = pl.concat([plate("P1", seed=0), plate("P2", seed=1)]).sort(WELL)["Metadata_Object_Count"]
    assert wide.sort(WELL)["cell_count"].to_list() == counts.to_list()
    middle = wide.group_by("Metadata_pert_type", "Metadata_Concentration").agg(pl.col("distance_to_controls").median())
    found = {dose: value for _, dose, value in middle.iter_rows()}
    assert found[None] == pytest.approx(1, abs=0.05)
    assert found[10.0] > found[1.0] > 1.3


def test_the_ledger_balances_and_names_what_takes_no_part(screen: Screen) -> None:
    ledger = rows(screen, "ledger").filter(pl.col("step").is_in(STEPS))
    check_balance(ledger)
    assert set(ledger["step"]) == STEPS
    assert ledger.filter(step="feature_effects").select("n_in", "n_lost").rows() == [(72, 0)]


def test_nothing_runs_again_but_what_a_changed_setting_concerns(screen: Screen, tmp_path: Path) -> None:
    own = Path(shutil.copytree(screen.path, tmp_path / "own"))
    assert not any(count.done for count in run_screen(own, workers=1).summary.steps.values())
    before = rows(open_screen(own), "feature_effect")
    (own / "screen.toml").write_text(
        (own / "screen.toml").read_text() + "\n[evaluation]\ntop_features = 3\nneighbours = 2\n"
    )
    done = {name for name, count in run_screen(own, workers=1).summary.steps.items() if count.done}
    assert done == {"neighbours", "feature_effects", "cluster_signatures"}
    after = open_screen(own)
    assert_frame_equal(rows(after, "feature_effect"), before.filter(pl.col("rank") <= 3), check_row_order=False)
    assert rows(after, "neighbour")["rank"].max() == 2
    assert rows(after, "cluster_signature")["rank"].max() == 3


def test_blocks_change_nothing(screen: Screen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = Path(shutil.copytree(screen.path, tmp_path / "own"))
    for step in ("feature_effects", "cluster_signatures", "consensus", "mechanisms"):
        shutil.rmtree(own / "receipts" / step)
    monkeypatch.setattr(wellprofiles, "_BLOCK_VALUES", 300)
    monkeypatch.setattr(similarities, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(retrieval, "_QUERIES", 5)
    monkeypatch.setattr(explained, "_BLOCK_VALUES", 300)
    run_screen(own, workers=1)
    assert len(list((own / "tables" / "feature_effect").glob("*.parquet"))) > 3
    for table in ("feature_effect", "cluster_signature"):
        by = ["Metadata_perturbation", "rank"] if table == "feature_effect" else ["cluster", "rank"]
        assert_frame_equal(rows(open_screen(own), table).sort(by), rows(screen, table).sort(by))
    for table in ("profile_consensus", "activity", "moa_call", "moa_prediction", "score"):
        assert_frame_equal(rows(open_screen(own), table), rows(screen, table), check_row_order=False)
    monkeypatch.undo()
    shutil.rmtree(own / "receipts" / "feature_effects")
    run_screen(own, workers=1)
    assert len(list((own / "tables" / "feature_effect").glob("*.parquet"))) == 1, "parts of an earlier run stay"


def test_two_workers_make_the_same_tables(screen: Screen, tmp_path: Path) -> None:
    path = import_profiles(tables_of(tmp_path / "tables", "_augmented"), tmp_path / "screen").screen.path
    other = run_screen(path, workers=2).screen
    for table in TABLES:
        assert rows(other, table).equals(rows(screen, table)), table


@pytest.mark.parametrize(
    ("suffix", "table"), [("_normalized", "profile_normalized"), ("_normalized_feature_select", "profile_selected")]
)
def test_imported_profiles_of_other_levels_have_the_tables(suffix: str, table: str, tmp_path: Path) -> None:
    files = tables_of(tmp_path / "tables", suffix, change=pl.col("^(Cells|Nuclei)_.*$") - 20)
    screen = run_screen(import_profiles(files, tmp_path / "screen").screen.path, workers=1).screen
    first = rows(screen, "feature_effect").filter(rank=1)
    assert first["feature"].to_list() == [CHANGED[name[0]] for name in first[NAME]]
    for name in TABLES:
        assert rows(screen, name).height, name
    config = parse_config('screen.name = "x"')
    context = Context(screen.path, config, screen.path, (), given=frozenset({table}))
    assert explained.explained(context).table == table


def test_without_controls_there_are_neighbours_and_reasons(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    frame = plate("P1", seed=0).with_columns(
        pl.when(pl.col("Metadata_compound") == "DMSO")
        .then(pl.lit("x1"))
        .otherwise("Metadata_compound")
        .alias("Metadata_compound"),
        Metadata_pert_type=pl.lit("trt"),
    )
    frame.write_csv(folder / "P1_augmented.csv")
    result = run_screen(import_profiles(folder, tmp_path / "screen").screen.path, workers=1)
    assert not result.is_partial
    assert rows(result.screen, "neighbour").height
    assert rows(result.screen, "feature_effect").is_empty()
    (reason,) = rows(result.screen, "ledger").filter(step="feature_effects")["reason"]
    assert reason == "fewer than 3 negative controls with a profile on the plate"
    distance = rows(result.screen, "readout").filter(readout="distance_to_controls")
    assert distance["value"].null_count() == distance.height == 48


def test_features_keep_their_meaning_after_sphering(screen: Screen, tmp_path: Path) -> None:
    own = Path(shutil.copytree(screen.path, tmp_path / "own"))
    (own / "screen.toml").write_text(
        (own / "screen.toml").read_text().replace("[profiles]", '[profiles]\nrecipe = "phenoprint-sphering"')
    )
    sphered = run_screen(own, workers=1).screen
    assert not rows(sphered, "profile_selected").equals(rows(screen, "profile_selected"))
    both = [rows(s, "feature_effect").select(NAME, "feature", "effect") for s in (screen, sphered)]
    joined = both[0].join(both[1], on=[NAME, "feature"], suffix="_sphered")
    assert joined.height > 100
    np.testing.assert_allclose(joined["effect"], joined["effect_sphered"], rtol=1e-5)


def test_compounds_with_two_doses_have_no_curve_and_a_reason(screen: Screen, tmp_path: Path) -> None:
    curves = rows(screen, "dose_response")
    assert set(curves["kind"]) == {"distance", "count"}
    assert set(curves["status"]) == {"too_few_doses"}
    assert curves["ec50"].null_count() == curves.height
    assert set(rows(screen, "dose_summary")["status"]) == {"too_few_doses"}
    assert rows(screen, "dose_point").is_empty()
    own = Path(shutil.copytree(screen.path, tmp_path / "own"))
    text = (own / "screen.toml").read_text()
    (own / "screen.toml").write_text(text.replace("[profiles]", '[profiles]\nreadouts = { cell_count = "1" }'))
    with pytest.raises(ConfigError, match="every well has a readout of this name"):
        run_screen(own, workers=1)


def test_a_screen_of_images_has_the_tables(tiny_run: RunResult) -> None:
    """Few cells and four controls: the tables are there, without the wells that have no cell."""
    screen = tiny_run.screen
    profiles = rows(screen, "profile_selected")
    empty = profiles.filter(pl.col("Metadata_Object_Count") == 0)
    assert set(rows(screen, "feature_effect")[NAME]) == set(
        profiles.filter((pl.col("Metadata_pert_type") != "negcon") & (pl.col("Metadata_Object_Count") > 0))[NAME]
    )
    readouts = rows(screen, "readout")
    assert readouts.height == 3 * profiles.height
    assert readouts.filter((pl.col("readout") == "cell_count") & (pl.col("value") == 0)).height == empty.height
    assert set(rows(screen, "cluster")["status"]) == {"inactive"}
    assert rows(screen, "cluster_signature").is_empty()
    assert set(rows(screen, "feature_effect")["channel"]) >= {"DNA", "ER", "Mito", None}
    # nothing else changed its mind over the new readouts
    assert not rows(screen, "plate_acceptance").filter(pl.col("criterion").str.contains("distance_to_controls")).height


def test_excluded_wells_have_no_part(screen: Screen, tmp_path: Path) -> None:
    own = Path(shutil.copytree(screen.path, tmp_path / "own"))
    out = (
        screen.table("well")
        .filter((pl.col("Metadata_compound") == "a1") | (pl.col("Metadata_Well") == "A01"))
        .collect()
    )
    for name, well in out.select(WELL).iter_rows():
        phenoprint.exclude(own, name, well, reason="dust")
    after = run_screen(own, workers=1).screen
    assert not rows(after, "feature_effect").filter(pl.col("Metadata_compound") == "a1").height
    assert set(rows(after, "feature_effect")["n_controls"]) == {22}  # two of 24 are A01
    assert "a1" not in {*rows(after, "neighbour")["neighbour_compound"], *rows(after, "neighbour")["Metadata_compound"]}
    assert rows(after, "readout").join(out, on=WELL, how="semi").is_empty()
    sizes = rows(after, "cluster_signature").select((pl.col("n_wells") + pl.col("n_others")).max()).item()
    placed = rows(after, "cluster").drop_nulls("cluster")
    assert sizes == 6 * placed.height
    assert "a1" not in set(placed["Metadata_compound"])


def test_what_is_no_phenotype_has_no_part(tmp_path: Path) -> None:
    """Profiles that were imported selected keep columns of images, which the answers do not look at."""
    nuisance = pl.int_range(pl.len()).cast(pl.Float64).alias("Image_Count_Nuclei")
    files = tables_of(tmp_path / "tables", "_normalized_feature_select", change=pl.col("^(Cells|Nuclei)_.*$") - 20)
    for path in files:
        pl.read_csv(path).with_columns(nuisance).write_csv(path)
    screen = run_screen(import_profiles(files, tmp_path / "screen").screen.path, workers=1).screen
    assert "Image_Count_Nuclei" in screen.table("profile_selected").collect_schema()
    for table in ("feature_effect", "cluster_signature"):
        assert "Image_Count_Nuclei" not in set(rows(screen, table)["feature"])
    assert set(rows(screen, "neighbour")["n_features"]) == {21}
    distance = rows(screen, "readout").filter(readout="distance_to_controls")["value"]
    assert distance.median() < 5


def test_imported_cells_have_the_tables(tmp_path: Path) -> None:
    """Five cells per well: each is the well with some noise."""
    rng = np.random.default_rng(0)
    frame = plate("P1", seed=0).drop("Metadata_Object_Count")
    cells = frame[np.repeat(np.arange(48), 5)].with_columns(
        pl.lit("1").alias("Metadata_Site"), Metadata_ObjectNumber=pl.Series(np.tile(np.arange(1, 6), 48))
    )
    features = feature_columns(cells)
    cells = cells.with_columns(pl.col(name) + pl.Series(rng.normal(0, 0.2, 240)) for name in features)
    cells.write_parquet(tmp_path / "P1_cells.parquet")
    screen = run_screen(
        import_profiles(tmp_path / "P1_cells.parquet", tmp_path / "screen").screen.path, workers=1
    ).screen
    assert screen.table("cell").collect().height == 240
    first = rows(screen, "feature_effect").filter(rank=1)
    assert first["feature"].to_list() == [CHANGED[name[0]] for name in first[NAME]]
    assert rows(screen, "readout").filter(readout="cell_count")["value"].unique().to_list() == [5]
    assert rows(screen, "neighbour").height
    assert rows(screen, "cluster_signature").height
