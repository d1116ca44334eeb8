"""What is excluded leaves everything from the well profiles on, as if it had never been there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import phenoprint
from phenoprint.exchange.importing import import_profiles
from phenoprint.pipeline import run_screen, screen_notes, screen_summary
from phenoprint.pipeline.events import Event, Message
from phenoprint.store import Screen, check_balance

KEYS = ["Metadata_Plate", "Metadata_Well"]
SUFFIXES = {"profile_well": "_augmented", "profile_normalized": "_normalized", "profile_selected": "_feature_select"}
# A small null distribution, to be fast.
PLAIN = '[screen]\nname = "screen"\n[evaluation]\nnull_size = 200\n'


@pytest.fixture(autouse=True)
def _no_projection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the step that takes longest and does not depend on exclusions."""
    monkeypatch.setattr("phenoprint.pipeline.steps.clusters.Project.run", lambda *_: _nothing())


def _nothing() -> object:
    from phenoprint.pipeline.steps import Outcome

    return Outcome()


def profiles(*, seed: int = 0, controls: int = 4) -> pl.DataFrame:
    """Wells of two plates: six compounds, ``controls`` wells of DMSO a plate, cell counts and ten features."""
    rng = np.random.default_rng(seed)
    frames = []
    for plate in ("P1", "P2"):
        wells = [f"{row}{column:02d}" for row in "ABCD" for column in range(1, 7)]
        compounds = ["DMSO" if i < controls else f"c{i % 6}" for i in range(24)]
        kinds = ["negcon" if c == "DMSO" else "trt" for c in compounds]
        shift = np.array([0 if c == "DMSO" else int(c[1]) for c in compounds])
        features = {f"Cells_Texture_F{k}": rng.normal(size=24) + shift * (k % 3) for k in range(10)}
        frames.append(
            pl.DataFrame(
                {"Metadata_Plate": plate, "Metadata_Well": wells, "Metadata_compound": compounds}
                | {"Metadata_pert_type": kinds, "Metadata_Object_Count": rng.integers(50, 90, 24)}
                | features
            )
        )
    return pl.concat(frames)


def imported(folder: Path, frame: pl.DataFrame, table: str = "profile_well") -> Screen:
    """Import well profiles of a level."""
    tables = folder / "tables"
    tables.mkdir(parents=True)
    for (plate,), rows in frame.group_by("Metadata_Plate"):
        rows.write_csv(tables / f"{plate}{SUFFIXES[table].replace('_feature', '_normalized_feature')}.csv")
    screen = import_profiles(tables, folder / "screen").screen
    (screen.path / "screen.toml").write_text(PLAIN)
    return screen


def made(screen: Screen, tables: tuple[str, ...]) -> dict[str, pl.DataFrame]:
    """Run a screen and return its tables, sorted."""
    result = run_screen(screen.path, workers=1)
    assert not result.is_partial, screen.status().failures
    check_balance(screen.table("ledger").collect())
    frames = {name: screen.table(name).collect() for name in tables}
    return {name: frame.sort(pl.col("^Metadata_.*$"), "^(step|score|number)$") for name, frame in frames.items()}


AFTER = {
    "profile_well": ("profile_normalized", "profile_selected", "profile_consensus", "activity", "step_score"),
    "profile_normalized": ("profile_selected", "profile_consensus", "activity"),
    "profile_selected": ("profile_consensus", "activity"),
}


@pytest.mark.parametrize("table", AFTER)
def test_imported_profiles_are_as_if_the_wells_had_never_been_there(tmp_path: Path, table: str) -> None:
    frame = profiles()
    gone = pl.struct(KEYS).is_in([{"Metadata_Plate": "P1", "Metadata_Well": well} for well in ("A01", "C03")])
    expected = made(imported(tmp_path / "without", frame.filter(~gone), table), AFTER[table])
    screen = imported(tmp_path / "with", frame, table)
    before = made(screen, AFTER[table])
    phenoprint.exclude(screen, "P1", "a1", reason="dust")
    phenoprint.exclude(screen, "P1", "C3", reason="pipetting error")
    found = made(screen, AFTER[table])
    for name in AFTER[table]:
        assert_frame_equal(found[name], expected[name], check_column_order=False, check_row_order=False)
        assert not found[name].equals(before[name]), name
    assert screen.table(table).select(KEYS).collect().height == 48, "what was imported stays"
    reported = screen.sql("SELECT Metadata_Well, reason FROM lost WHERE step = 'exclusion' ORDER BY 1").rows()
    assert reported == [("A01", "well excluded: dust"), ("C03", "well excluded: pipetting error")]
    import_profiles(screen.path.parent / "tables", screen.path)  # the same plates again: the decision stays
    assert made(screen, AFTER[table])["profile_consensus"].equals(found["profile_consensus"])
    phenoprint.exclude(screen, "P1", "A01", undo=True)
    phenoprint.exclude(screen, "P1", "C03", undo=True)
    after = made(screen, AFTER[table])
    assert all(after[name].equals(before[name]) for name in AFTER[table])
    assert not any(count.done for count in run_screen(screen.path, workers=1).summary.steps.values())


def test_an_excluded_plate_is_in_no_table_and_not_judged(tmp_path: Path) -> None:
    frame = profiles()
    expected = made(imported(tmp_path / "one", frame.filter(Metadata_Plate="P1")), AFTER["profile_well"])
    screen = imported(tmp_path / "two", frame)
    run_screen(screen.path, workers=1)
    phenoprint.exclude(screen, "P2", reason="spill")
    found = made(screen, AFTER["profile_well"])
    for name, rows in found.items():
        assert_frame_equal(rows, expected[name], check_column_order=False, check_row_order=False)
    judged = screen.sql("SELECT criterion, verdict, reason FROM plate_acceptance WHERE Metadata_Plate = 'P2'").rows()
    assert judged == [("excluded", None, "not judged: plate excluded: spill")]
    assert screen_summary(screen)["wells_with_profiles"] == 24
    assert screen_summary(screen)["wells_excluded"] == 24


def test_a_plate_that_loses_its_controls_is_normalized_to_all_its_wells(tmp_path: Path) -> None:
    """No crash and no plate of NULLs: a warning of the run, of the plate and of its features."""
    screen = imported(tmp_path / "wells", profiles(controls=4))
    run_screen(screen.path, workers=1)
    for well in ("A01", "A02"):
        phenoprint.exclude(screen, "P1", well, reason="dust")
    events: list[Event] = []
    result = run_screen(screen.path, workers=1, on_event=events.append)
    assert not result.is_partial
    notes = [event.text for event in events if isinstance(event, Message) and event.level == "warning"]
    assert notes == screen_notes(screen)
    expected = (
        "step normalize: 2 negcon wells can be used as the reference of plate P1, and 3 are needed: all its 22 wells "
        "with enough cells are used instead, which hides effects if most of them have active treatments. In "
        'screen.toml, under [profiles], reference = "all" uses all wells of every plate, and min_reference = 2 uses '
        "the available negcon wells only"
    )
    assert notes == [expected]
    normalized = screen.table("profile_normalized").collect()
    medians = normalized.group_by("Metadata_Plate").agg(pl.col("^Cells_.*$").median()).sort("Metadata_Plate")
    assert medians.filter(Metadata_Plate="P1").select(pl.exclude("Metadata_Plate").abs().max()).row(0) < (1e-6,) * 10
    controls = normalized.filter(Metadata_Plate="P2", Metadata_pert_type="negcon").select(pl.col("^Cells_.*$").median())
    assert controls.select(pl.all().abs()).max_horizontal().max() < 1e-6
    rows = screen.sql(
        "SELECT Metadata_Plate, value, threshold, verdict FROM plate_acceptance WHERE criterion = 'reference'"
    )
    assert rows.rows() == [("P1", 2.0, 3.0, "warn")]
    reported = screen.sql(
        "SELECT Metadata_Plate, feature, step FROM feature_status WHERE status = 'reference_all'"
    ).rows()
    assert reported == [("P1", "", "normalize")]
    for plate in ("P1", "P2"):
        for well in ("A01", "A02", "A03", "A04"):
            phenoprint.exclude(screen, plate, well, reason="dust")
    result = run_screen(screen.path, workers=1)
    assert not result.is_partial
    assert "the same on 2 plates: P1, P2" in screen_notes(screen)[0]
    judged = screen.sql("SELECT verdict, reason FROM plate_acceptance WHERE criterion = 'negative_controls'")
    assert judged["verdict"].to_list() == [None, None]
    assert "not judged" in judged["reason"][0]


def test_a_run_reports_that_everything_is_excluded(tmp_path: Path) -> None:
    screen = imported(tmp_path / "wells", profiles())
    for plate in ("P1", "P2"):
        phenoprint.exclude(screen, plate, reason="spill")
    result = run_screen(screen.path, workers=1)
    assert result.is_partial
    assert "every well with a profile is excluded" in screen.status().failures["message"][0]


def test_imported_treatments_that_cannot_lose_a_well_are_named(tmp_path: Path) -> None:
    screen = imported(tmp_path / "wells", profiles(), "profile_selected")
    treatments = profiles().group_by("Metadata_compound").agg(pl.col("^Cells_.*$").median())
    treatments.write_csv(tmp_path / "x_consensus.csv")
    import_profiles(tmp_path / "x_consensus.csv", screen.path)
    assert screen_notes(screen) == []
    phenoprint.exclude(screen, "P1", "A01", reason="dust")
    assert [note[:31] for note in screen_notes(screen)] == ["profile_consensus was imported:"]


def test_images_are_not_measured_again(own_screen: Path) -> None:
    """A well, a site, a cell: profiles without them, the cells still there, limits and flags learned without them."""
    from phenoprint.profiles import aggregate, cell_quality

    screen = phenoprint.open(own_screen)
    tables = ("profile_well", "profile_selected", "profile_consensus", "cell_quality", "plate_acceptance")
    before = {name: screen.table(name).collect() for name in tables}
    n_cells = screen.table("cell").collect().height
    counts = screen.sql(
        "SELECT Metadata_Well, Metadata_Object_Count AS n FROM profile_well WHERE n > 1 ORDER BY n DESC, 1"
    )
    first, second, third = counts["Metadata_Well"][:3].to_list()
    plate = before["profile_well"]["Metadata_Plate"][0]
    quality = screen.table("cell_quality").filter(~pl.col("is_outlier"), ~pl.col("touches_border")).collect()
    number = quality.filter(Metadata_Well=second)["Metadata_ObjectNumber"].sort()[0]
    phenoprint.exclude(screen, plate, first, reason="dust")
    phenoprint.exclude(screen, plate, second, site=1, object_number=number, reason="debris")
    phenoprint.exclude(screen, plate, third, site=1, reason="hair")
    result = run_screen(own_screen, workers=1)
    assert not result.is_partial
    done = {name for name, count in result.summary.steps.items() if count.done}
    assert not done & {"illumination", "quality", "calibrate", "segment", "thumbnail", "measure"}
    assert {"flag_cells", "aggregate", "recipe", "consensus", "heterogeneity", "mechanisms"} <= done
    check_balance(screen.table("ledger").collect())
    after = {name: screen.table(name).collect() for name in tables}
    assert screen.table("cell").collect().height == n_cells
    for table in ("profile_well", "profile_normalized", "profile_selected", "profile_heterogeneity", "readout"):
        assert first not in screen.table(table).collect()["Metadata_Well"], table
    cells = screen.table("cell").collect()
    excluded = (pl.col("Metadata_Well").is_in([first, third])) | (
        (pl.col("Metadata_Well") == second) & (pl.col("Metadata_ObjectNumber") == number)
    )
    flags = cell_quality(cells.filter(~excluded)).select("Metadata_Well", "Metadata_ObjectNumber", "reasons")
    again = after["cell_quality"].filter(~excluded).select(flags.columns)
    assert_frame_equal(again, flags, check_row_order=False)
    kept = after["cell_quality"].filter(~excluded, ~pl.col("is_outlier"), ~pl.col("touches_border"))
    good = screen.table("image_quality").filter("is_flagged").collect()["Metadata_Well"]
    kept = kept.filter(~pl.col("Metadata_Well").is_in(good.implode()))
    expected = aggregate(cells.join(kept, on=[*KEYS, "Metadata_Site", "Metadata_ObjectNumber"], how="semi"))
    found = after["profile_well"].filter(pl.col("Metadata_Object_Count") > 0).select(expected.columns)
    assert_frame_equal(found.sort(KEYS), expected.sort(KEYS), rel_tol=1e-5)
    assert after["profile_well"].filter(Metadata_Well=third)["Metadata_Object_Count"].to_list() == [0]
    lost = screen.sql(
        "SELECT DISTINCT Metadata_Well, reason FROM lost WHERE reason LIKE '%excluded: %' ORDER BY ALL"
    ).rows()
    assert set(lost) == {
        (first, "well excluded: dust"), (second, "cell excluded: debris"), (third, "site excluded: hair")
    }  # fmt: skip
    for well, place in ((first, {}), (second, {"site": 1, "object_number": number}), (third, {"site": 1})):
        phenoprint.exclude(screen, plate, well, undo=True, **place)
    run_screen(own_screen, workers=1)
    for name, frame in before.items():
        assert_frame_equal(screen.table(name).collect(), frame, check_row_order=False)


def test_sites_of_imported_cells_are_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = [("P1", f"{r}{c:02d}", s, n) for r in "AB" for c in range(1, 7) for s in ("1", "2") for n in range(1, 7)]
    keys = [*KEYS, "Metadata_Site", "Metadata_ObjectNumber"]
    cells = pl.DataFrame(rows, schema=keys, orient="row")
    cells = cells.with_columns(pl.Series(f"Cells_Texture_F{k}", rng.normal(size=cells.height)) for k in range(4))
    cells.write_parquet(tmp_path / "cells.parquet")
    wells = cells.select(KEYS).unique().sort(KEYS)
    kinds = ["negcon"] * 4 + ["trt"] * 8
    annotated = wells.with_columns(
        Metadata_pert_type=pl.Series(kinds), Metadata_compound=pl.Series(["DMSO"] * 4 + [f"c{i % 4}" for i in range(8)])
    )
    annotated.write_csv(tmp_path / "map.csv")
    screen = import_profiles(tmp_path / "cells.parquet", tmp_path / "screen", plate_map=tmp_path / "map.csv").screen
    (screen.path / "screen.toml").write_text(PLAIN)
    phenoprint.exclude(screen, "P1", "A05", site=2, reason="bubble")
    phenoprint.exclude(screen, "P1", "B02", reason="dust")
    assert not run_screen(screen.path, workers=1).is_partial, screen.status().failures
    found = screen.table("profile_well").collect()
    assert found.height == 11
    assert found.filter(Metadata_Well="A05")["Metadata_Object_Count"].to_list() == [6]
    half = cells.filter(Metadata_Well="A05", Metadata_Site="1")["Cells_Texture_F0"].median()
    assert found.filter(Metadata_Well="A05")["Cells_Texture_F0"][0] == pytest.approx(half, rel=1e-6)
    check_balance(screen.table("ledger").collect())
    assert "NaN" not in json.dumps(screen_summary(screen))


@pytest.mark.parametrize("table", AFTER)
def test_a_plate_that_fails_is_left_out_before_plates_are_pooled_where_this_is_wanted(
    tmp_path: Path, table: str
) -> None:
    """As if it had been excluded by hand; the plate is judged all the same, so that a second run changes nothing."""
    few = pl.when(Metadata_Plate="P2").then(5).otherwise("Metadata_Object_Count").alias("Metadata_Object_Count")
    screen = imported(tmp_path / "by_hand", profiles().with_columns(few), table)
    phenoprint.exclude(screen, "P2", reason="few cells")
    expected = made(screen, AFTER[table])
    screen = imported(tmp_path / "failed", profiles().with_columns(few), table)
    before = made(screen, AFTER[table])
    checks = screen.table("plate_acceptance").filter(Metadata_Plate="P2", criterion="cell_count").collect()
    assert checks.select("verdict", "is_excluded").rows() == [("fail", False)]
    text = (screen.path / "screen.toml").read_text()
    (screen.path / "screen.toml").write_text(text + "[plate_acceptance]\nexclude_failed = true\n")
    found = made(screen, AFTER[table])
    for name in AFTER[table]:
        assert not found[name].equals(before[name]), name
        assert_frame_equal(found[name], expected[name], check_column_order=False, check_row_order=False)
    assert not any(count.done for count in run_screen(screen.path, workers=1).summary.steps.values())
    judged = screen.table("plate_acceptance").filter(Metadata_Plate="P2").filter("is_excluded").collect()
    assert "cell_count" in judged["criterion"].to_list()
    lost = screen.sql("SELECT Metadata_Plate, Metadata_Well, reason FROM lost WHERE step = 'plate_acceptance'")
    assert lost["Metadata_Plate"].unique().to_list() == ["P2"]
    assert lost["Metadata_Well"].n_unique() == 24
    assert "cell_count" in lost["reason"][0]
    assert screen_summary(screen)["wells_excluded"] == 24
    flagged = screen.sql("SELECT DISTINCT Metadata_Plate, reason FROM wells_flagged WHERE kind = 'excluded'").rows()
    assert {plate for plate, _ in flagged} == {"P2"}
    assert "plate acceptance failed" in flagged[0][1]
    spared = 'exclude_failed = true\nnever_exclude = ["*"]\n'
    (screen.path / "screen.toml").write_text(text + f"[plate_acceptance]\n{spared}")
    again = made(screen, AFTER[table])
    assert all(again[name].equals(before[name]) for name in AFTER[table])
