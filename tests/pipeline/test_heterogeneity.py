"""How cells of a well are distributed, and which rules flag them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import ConfigError
from phenoprint.exchange.importing import import_profiles
from phenoprint.pipeline import RunResult, run_screen
from phenoprint.pipeline.config import parse_config
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.events import Event, Message
from phenoprint.pipeline.steps import Step, Unit
from phenoprint.pipeline.steps.aggregation import judged_cells
from phenoprint.pipeline.steps.heterogeneity import (
    Heterogeneity,
    LearnStates,
    control_cells,
    fit_to_controls,
    heterogeneity_features,
)
from phenoprint.store import check_balance, hash_key
from phenoprint.store import open as open_screen
from phenoprint.tables import CELL_KEY, feature_columns

RULE = """
[[cell_quality.rules]]
name = "large nucleus"
limits = [{ feature = "Nuclei_AreaShape_Area", side = "above", ratio = 1.2 }]
"""


def test_every_well_is_described(tiny_run: RunResult) -> None:
    screen = tiny_run.screen
    wells = screen.table("profile_heterogeneity").collect()
    profiles = screen.table("profile_well").collect()
    assert wells.height == profiles.height
    counts = wells.join(profiles, on=["Metadata_Plate", "Metadata_Well"]).filter(pl.col("Metadata_Object_Count") > 0)
    assert (counts["Metadata_Object_Count"] == counts["Metadata_Object_Count_right"]).all()
    assert {name.rpartition("_")[2] for name in feature_columns(wells) if "_State_" not in name} == {
        "Shift",
        "Spread",
        "Shape",
        "Tail",
    }
    table = screen.table("heterogeneity").collect()
    assert set(table["aspect"]) == {"shift", "spread", "shape", "tail", "responders", "states"}
    assert table.group_by("aspect").len()["len"].n_unique() == 1
    reasons = table.filter(pl.col("status") != "ok")
    assert reasons["reason"].null_count() == 0
    responders = table.filter(pl.col("aspect") == "responders", pl.col("low").is_not_null())
    assert ((responders["low"] <= responders["value"]) & (responders["value"] <= responders["high"])).all()


def test_wells_are_compared_with_cells_of_controls_that_count(tiny_run: RunResult) -> None:
    screen = tiny_run.screen
    config = parse_config((screen.path / "screen.toml").read_text())
    context = Context(screen.path, config, screen.path, ("DNA",))
    unit = Unit(screen.table("plate").collect()["Metadata_Plate"][0])
    features = heterogeneity_features(context)
    assert features
    assert set(features) <= set(feature_columns(screen.table("profile_well").collect()))
    controls = control_cells(unit, context, features, most=10_000)
    wells = screen.table("well").filter(Metadata_pert_type="negcon").collect()["Metadata_Well"]
    judged = judged_cells(unit, context)
    expected = judged.filter(pl.col("_reason").is_null() & pl.col("Metadata_Well").is_in(wells.implode()))
    assert 0 < expected.height < judged.filter(pl.col("Metadata_Well").is_in(wells.implode())).height
    assert controls.select(CELL_KEY).rows() == expected.select(CELL_KEY).sort(CELL_KEY).rows()
    few = control_cells(unit, context, features, most=6)
    assert few.height == 6
    assert few.equals(control_cells(unit, context, features, most=6))
    reported = fit_to_controls(controls).apply(controls).select(features)
    middle, spread = reported.median().row(0), reported.select(pl.all().abs().median()).row(0)
    np.testing.assert_allclose([value for value in middle if value is not None], 0, atol=1e-6)
    assert max(value for value in spread if value is not None) < 0.68  # 1 / 1.4826, or less where the floor holds


def test_it_can_be_left_out(own_screen: Path) -> None:
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + "\n[profiles]\nheterogeneity = false\n")
    screen = run_screen(own_screen, workers=1).screen
    assert "profile_heterogeneity" not in screen.tables()
    assert not (screen.path / "models" / "cell_states.json").exists()


def test_rules_of_ones_own_flag_and_are_previewed(own_screen: Path) -> None:
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + RULE)
    screen = run_screen(own_screen, workers=1).screen
    flagged = screen.sql("SELECT count(*) AS n FROM cell_quality WHERE reasons = 'large nucleus'")["n"][0]
    reported = screen.sql(
        "SELECT rule, sum(n_removed) AS n, sum(n_cells) AS cells FROM cell_quality_preview GROUP BY 1"
    )
    assert dict(reported.select("rule", "n").iter_rows()) == {"any": flagged, "large nucleus": flagged}
    n_cells = screen.table("cell").select(pl.len()).collect().item()
    assert reported["cells"].unique().to_list() == [n_cells]
    assert 0 < flagged < n_cells


def test_a_rule_that_removes_a_phenotype_is_reported(own_screen: Path) -> None:
    screen = open_screen(own_screen)
    areas = screen.sql(
        "SELECT Metadata_pert_type AS kind, Metadata_perturbation AS id, median(Nuclei_AreaShape_Area) AS area "
        "FROM cells_annotated GROUP BY ALL ORDER BY area"
    )
    usual = areas.filter(kind="negcon")["area"].max()
    assert areas["area"][-1] > usual  # some treatment of the plate has larger nuclei
    rule = RULE.replace('side = "above", ratio = 1.2', f'side = "above", absolute = {(usual + areas["area"][-1]) / 2}')
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + rule)
    events: list[Event] = []
    run_screen(own_screen, workers=1, on_event=events.append)
    reported = [event.text for event in events if isinstance(event, Message)]
    assert any("large nucleus" in text and "so it only flags" in text for text in reported), reported


def test_a_rule_on_what_is_not_measured_is_refused(own_screen: Path) -> None:
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + RULE.replace("AreaShape_Area", "AreaShape_Aera"))
    with pytest.raises(ConfigError, match="Nuclei_AreaShape_Aera"):
        run_screen(own_screen, workers=1)


@pytest.mark.parametrize(("names", "reported"), [(("a", "a"), "two rules"), (("any",), "all rules together")])
def test_rules_have_names_of_their_own(own_screen: Path, names: tuple[str, ...], reported: str) -> None:
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + "".join(RULE.replace("large nucleus", name) for name in names))
    with pytest.raises(ConfigError, match=reported):
        run_screen(own_screen, workers=1)


def test_a_plate_without_control_cells_is_reported(tiny_run: RunResult, tmp_path: Path) -> None:
    cells = (
        tiny_run.screen.table("cell")
        .collect()
        .filter(pl.col("Metadata_Well").is_in(["A01", "A02", "A03", "B03", "C04"]))
    )
    wells = tiny_run.screen.table("well").collect().select(pl.col("^Metadata_.*$"))
    for plate, kind in (("with", "negcon"), ("without", "trt")):
        named = pl.lit(plate).alias("Metadata_Plate")
        some = pl.when(pl.col("Metadata_Well") < "B").then(pl.lit(kind)).otherwise(pl.lit("trt"))
        cells.with_columns(named).write_parquet(tmp_path / f"{plate}.parquet")
        known = wells.with_columns(named, some.alias("Metadata_pert_type"), Metadata_compound=pl.lit("c"))
        import_profiles(tmp_path / f"{plate}.parquet", tmp_path / "screen", level="2", plate_map=known)
    (tmp_path / "screen" / "screen.toml").write_text(
        'screen.name = "two"\n[[profiles.recipe]]\noperation = "normalize"\n'
    )
    screen = run_screen(tmp_path / "screen", workers=1).screen
    described = screen.table("profile_heterogeneity").collect()
    assert described["Metadata_Plate"].unique().to_list() == ["with"]
    reported = screen.table("feature_status").filter(step="heterogeneity").collect()
    assert reported.select("Metadata_Plate", "status").rows() == [("without", "skipped")]
    ledger = screen.table("ledger").filter(step="heterogeneity").collect()
    n_wells = dict(screen.table("profile_well").group_by("Metadata_Plate").len().collect().iter_rows())
    lost = dict(ledger.group_by("Metadata_Plate").agg(pl.col("n_lost").sum()).iter_rows())
    assert lost == {"with": n_wells["with"] - 5, "without": n_wells["without"]}
    check_balance(screen.table("ledger").collect())


@pytest.mark.parametrize("step", [LearnStates(), Heterogeneity()])
@pytest.mark.parametrize(
    "change",
    [
        "profiles.heterogeneity = false",
        'profiles.reference = "all"',
        "evaluation.seed = 1",
        "cell_quality.exclude_flagged_cells = false",
        "quality.exclude_flagged_sites = false",
        "heterogeneity.max_features = 20",
        "heterogeneity.least_agreement = 0.9",
        "heterogeneity.states = [4]",
    ],
)
def test_what_decides_which_cells_are_compared_is_part_of_the_key(step: Step, change: str) -> None:
    before, after = (step.parameters(parse_config(f'screen.name = "s"\n{text}')) for text in ("", change))
    assert hash_key(before) != hash_key(after)


@pytest.mark.parametrize(
    ("limit", "reported"),
    [
        ('{ feature = "a", side = "above" }', "at least one of"),
        ('{ feature = "a", side = "over", z = 1 }', "side"),
        ("", "limits"),
    ],
)
def test_a_rule_needs_a_number_and_a_side(own_screen: Path, limit: str, reported: str) -> None:
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + f'\n[[cell_quality.rules]]\nname = "r"\nlimits = [{limit}]\n')
    with pytest.raises(ConfigError, match=reported):
        run_screen(own_screen, workers=1)


def test_states_that_halves_of_the_controls_do_not_agree_on_are_null_with_the_reason(own_screen: Path) -> None:
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + "\n[heterogeneity]\nleast_agreement = 1.0\n")
    screen = run_screen(own_screen, workers=1).screen
    wells = screen.table("profile_heterogeneity").collect()
    assert wells.select("^Cells_State_(Fraction|Entropy).*$").null_count().row(0) == (wells.height,) * (
        len(wells.select("^Cells_State_(Fraction|Entropy).*$").columns)
    )
    states = screen.table("heterogeneity").filter(aspect="states").collect()
    assert states.height == wells.height
    status = screen.table("feature_status").filter(step="learn_states").collect()
    kind = {"skipped": "no_states"}.get(status["status"].item(), "unstable")
    assert states["status"].unique().to_list() == [kind]
    assert states["reason"].unique().to_list() == [status["reason"].item()]


def test_columns_of_distributions_enter_the_recipe_where_they_are_wanted(own_screen: Path) -> None:
    screen = open_screen(own_screen)
    before = set(feature_columns(screen.table("profile_normalized").collect()))
    described = set(feature_columns(screen.table("profile_heterogeneity").collect()))
    assert not before & described
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + "\n[heterogeneity]\nin_profiles = true\n")
    result = run_screen(own_screen, workers=1)
    assert not result.is_partial, result.screen.status().failures
    after = set(feature_columns(result.screen.table("profile_normalized").collect()))
    assert before <= after
    assert after - before <= described
    check_balance(result.screen.table("ledger").collect())
