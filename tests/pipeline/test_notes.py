"""What a run reports on how it made the profiles: few controls, skipped steps, references that were annotated later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from phenoprint.exchange.importing import import_profiles
from phenoprint.pipeline import run_screen, screen_notes, screen_state, screen_summary
from phenoprint.pipeline.events import Event, Message
from phenoprint.report import write_report
from phenoprint.store import Screen, check_balance

KEYS = ["Metadata_Plate", "Metadata_Well"]


@pytest.fixture(autouse=True)
def _no_projection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the step that takes longest and has no notes."""
    from phenoprint.pipeline.steps import Outcome

    monkeypatch.setattr("phenoprint.pipeline.steps.clusters.Project.run", lambda *_: Outcome())


def imported(folder: Path, *, controls: int, suffix: str = "_augmented", config: str = "") -> Screen:
    """Import one plate of 24 wells, ``controls`` of them DMSO; without any, no column names a control."""
    rng = np.random.default_rng(4)
    compounds = ["DMSO" if i < controls else f"c{i % 5}" for i in range(24)]
    frame = pl.DataFrame(
        {"Metadata_Plate": "P1", "Metadata_Well": [f"{r}{c:02d}" for r in "ABCD" for c in range(1, 7)]}
        | {"Metadata_compound": compounds}
        | {f"Cells_Texture_F{k}": rng.normal(size=24) * (k + 1) for k in range(8)}
    )
    if controls:
        kinds = pl.when(pl.col("Metadata_compound") == "DMSO").then(pl.lit("negcon")).otherwise(pl.lit("trt"))
        frame = frame.with_columns(kinds.alias("Metadata_pert_type"))
    (folder / "tables").mkdir(parents=True)
    frame.write_csv(folder / "tables" / f"P1{suffix}.csv")
    screen = import_profiles(folder / "tables", folder / "screen").screen
    if config:
        (screen.path / "screen.toml").write_text(f'[screen]\nname = "screen"\n{config}')
    return screen


def run(screen: Screen) -> list[str]:
    """Run a screen and return its warnings."""
    events: list[Event] = []
    result = run_screen(screen.path, workers=1, on_event=events.append)
    assert not result.is_partial, screen.status().failures
    check_balance(screen.table("ledger").collect())
    warnings = [event.text for event in events if isinstance(event, Message) and event.level == "warning"]
    assert warnings == screen_notes(screen) == screen_state(screen).notes
    return warnings


@pytest.mark.parametrize("controls", [1, 2])
@pytest.mark.parametrize("recipe", ["phenoprint", "phenoprint-sphering", "profiling-recipe"])
def test_a_screen_with_few_controls_has_profiles_and_a_warning(tmp_path: Path, controls: int, recipe: str) -> None:
    screen = imported(tmp_path, controls=controls, config=f'[profiles]\nrecipe = "{recipe}"\n')
    notes = run(screen)
    selected = screen.table("profile_selected").collect()
    assert selected.height == 24
    assert selected.select("^(Cells|PC).*$").null_count().sum_horizontal().item() == 0
    if recipe == "profiling-recipe":  # rests on whole plates anyway
        assert notes == []
        return
    text = f"{controls} negcon wells can be used as the reference of plate P1, and 3 are needed"
    assert text in notes[0]
    assert (
        f'under [profiles], reference = "all" uses all wells of every plate, and min_reference = {controls} uses'
        in notes[0]
    )
    assert len(notes) == (2 if recipe == "phenoprint-sphering" else 1)
    warned = screen.sql("SELECT verdict, value, reason FROM plate_acceptance WHERE criterion = 'reference'").rows()
    assert [row[:2] for row in warned] == [("warn", controls)]
    assert text in warned[0][2]
    assert text in write_report(screen).read_text(encoding="utf-8")
    other = imported(
        tmp_path / "all", controls=controls, config=f'[profiles]\nrecipe = "{recipe}"\nreference = "all"\n'
    )
    assert run(other) == []
    assert other.table("profile_selected").collect().equals(selected), (
        "the setting that the warning names does the same"
    )


def test_three_controls_are_enough(tmp_path: Path) -> None:
    assert run(imported(tmp_path, controls=3)) == []


def test_the_few_controls_there_are_can_be_kept_to(tmp_path: Path) -> None:
    screen = imported(tmp_path, controls=2, config="[profiles]\nmin_reference = 2\n")
    assert run(screen) == []
    controls = screen.table("profile_normalized").filter(Metadata_pert_type="negcon").collect()
    assert controls.select(pl.col("^Cells_.*$").median().abs()).max_horizontal().item() < 1e-6


def test_steps_before_the_selection_are_not_left_out_in_silence(tmp_path: Path) -> None:
    screen = imported(tmp_path, controls=4, suffix="_normalized")
    (note,) = run(screen)
    assert note.startswith("step normalize skipped: the imported profiles are normalized already (level 4a)")
    rows = screen.sql("SELECT step, status FROM feature_status WHERE feature = '' AND step NOT LIKE 'cluster%'").rows()
    assert rows == [("normalize", "skipped")]


def test_a_batch_correction_without_batches_is_reported_as_skipped(tmp_path: Path) -> None:
    recipe = '[[profiles.recipe]]\noperation = "normalize"\n[[profiles.recipe]]\noperation = "select"\n'
    recipe += '[[profiles.recipe]]\noperation = "correct_batch"\nname = "batches"\nmethod = "combat"\n'
    screen = imported(tmp_path, controls=4, config=recipe)
    (note,) = run(screen)
    assert note.startswith("step batches skipped: no profile has a Metadata_Batch, so nothing was corrected: name the")
    assert "step batches skipped" in write_report(screen).read_text(encoding="utf-8")


def test_controls_that_are_annotated_later_are_used(tmp_path: Path) -> None:
    screen = imported(tmp_path, controls=0)
    run(screen)
    config = screen.path / "screen.toml"
    assert 'reference = "all"' in config.read_text()
    judged = screen.sql("SELECT verdict, reason FROM plate_acceptance WHERE criterion = 'negative_controls'").rows()
    assert judged[0][0] is None
    assert judged[0][1].startswith("not judged: no well with a profile is a negative control")
    wells = screen.table("well").select(KEYS).collect().sort(KEYS)
    kinds = ["negcon" if well.endswith("01") else "trt" for well in wells["Metadata_Well"]]
    names = [f"c{i % 5}" for i in range(24)]
    compounds = ["DMSO" if kind == "negcon" else name for kind, name in zip(kinds, names, strict=True)]
    annotated = wells.with_columns(pert_type=pl.Series(kinds), compound=pl.Series(compounds))
    annotated.write_csv(tmp_path / "map.csv")
    import_profiles(tmp_path / "tables", screen.path, plate_map=tmp_path / "map.csv")
    before = config.read_text()
    events: list[Event] = []
    run_screen(screen.path, workers=1, on_event=events.append)
    assert any("negative controls are annotated now" in event.text for event in events if isinstance(event, Message))
    assert 'reference = "negcon"' in config.read_text()
    assert len(config.read_text().splitlines()) == len(before.splitlines())
    controls = screen.table("profile_normalized").filter(Metadata_pert_type="negcon").collect()
    assert controls.select(pl.col("^Cells_.*$").median().abs()).max_horizontal().item() < 1e-6
    config.write_text(before.replace('reference = "all"  ', 'reference = "all"'))  # a user's own line
    run_screen(screen.path, workers=1)
    assert 'reference = "all"' in config.read_text()
    assert screen_notes(screen)[-1] == (
        '1 plate has at least 3 negative controls, but reference = "all" under [profiles] compares with all wells of '
        'a plate; "negcon" uses the controls'
    )


def test_the_summary_counts_wells_by_what_is_known_of_them(tmp_path: Path) -> None:
    screen = imported(tmp_path, controls=4)
    run(screen)
    summary = screen_summary(screen)
    assert summary["wells_on_plate_map"] == summary["wells_with_profiles"] == 24
    assert summary["wells_with_images"] is None
    assert summary["wells_excluded"] is None
    assert "wells" not in summary
