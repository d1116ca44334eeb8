"""How cells of a well are distributed, and which rules flag them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import ConfigError
from phenoprint.pipeline import RunResult, run_screen
from phenoprint.pipeline.events import Event, Message
from phenoprint.store import open as open_screen

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
    fractions = wells.select("^Cells_State_Fraction_.*$").drop_nulls().to_numpy()
    np.testing.assert_allclose(fractions.sum(axis=1), 1, atol=1e-5)
    distances = wells.select("^.*_KS$").drop_nulls().to_numpy()
    assert distances.size
    assert np.abs(distances).max() <= 1


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
    told = screen.sql("SELECT rule, sum(n_removed) AS n, sum(n_cells) AS cells FROM cell_quality_preview GROUP BY 1")
    assert dict(told.select("rule", "n").iter_rows()) == {"any": flagged, "large nucleus": flagged}
    n_cells = screen.table("cell").select(pl.len()).collect().item()
    assert told["cells"].unique().to_list() == [n_cells]
    assert 0 < flagged < n_cells


def test_a_rule_that_removes_a_phenotype_is_told(own_screen: Path) -> None:
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
    told = [event.text for event in events if isinstance(event, Message)]
    assert any("large nucleus" in text and "cell_quality_preview" in text for text in told), told


def test_a_rule_on_what_is_not_measured_is_refused(own_screen: Path) -> None:
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + RULE.replace("AreaShape_Area", "AreaShape_Aera"))
    with pytest.raises(ConfigError, match="Nuclei_AreaShape_Aera"):
        run_screen(own_screen, workers=1)


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ('{ feature = "a", side = "above" }', "at least one of"),
        ('{ feature = "a", side = "over", z = 1 }', "side"),
        ("", "limits"),
    ],
)
def test_a_rule_needs_a_number_and_a_side(own_screen: Path, limit: str, told: str) -> None:
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + f'\n[[cell_quality.rules]]\nname = "r"\nlimits = [{limit}]\n')
    with pytest.raises(ConfigError, match=told):
        run_screen(own_screen, workers=1)
