"""Verify and rehash: every flipped bit of an output is noticed, and only what it belongs to is computed again."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from phenoprint.pipeline import RunResult, run_screen, screen_state, verify_screen
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.events import Event, Message
from phenoprint.pipeline.judge import State
from phenoprint.pipeline.plan import look_ahead
from phenoprint.pipeline.steps.base import Outcome, Unit
from phenoprint.pipeline.steps.clusters import ClusterProfiles
from phenoprint.pipeline.verify import _changed_files, _of_files, check_files
from phenoprint.store import Scrutiny, read_run, table_files
from phenoprint.store import open as open_screen

from .test_runner import assert_same_tables, done_by_step

Call = Callable[..., tuple[int, str, str]]
FOLDERS = ("tables", "masks", "illumination", "models", "thumbnails")


def flip(path: Path, place: int, *, keep_time: bool = True) -> None:
    """Flip one bit of a file; its size and time stay."""
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)
    if keep_time:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_finished_screen_holds(tiny_run: RunResult) -> None:
    result = verify_screen(tiny_run.screen)
    assert result.holds, (result.incomplete, result.damaged, result.stale, result.notes)
    assert result.files_checked == 120
    assert result.wells_replayed == 1
    files = {path for name in FOLDERS for path in (tiny_run.screen.path / name).rglob("*") if path.is_file()}
    assert result.outputs_checked == len(files)


def test_every_flipped_bit_is_noticed(own_screen: Path) -> None:
    screen = open_screen(own_screen)
    chosen = random.Random(0)  # noqa: S311 - no secret
    for folder in FOLDERS:
        files = sorted(path for path in (own_screen / folder).rglob("*") if path.is_file())
        for path in chosen.sample(files, min(8, len(files))):
            place = chosen.randrange(8 * path.stat().st_size)
            flip(path, place)
            assert list(check_files(screen)[1]) == [path.relative_to(own_screen).as_posix()], place
            flip(path, place)
    assert check_files(screen)[1] == {}


def test_verify_names_a_damaged_a_missing_and_an_unrecorded_table(own_screen: Path) -> None:
    flip(next((own_screen / "tables" / "profile_well").rglob("*.parquet")), 5000)
    next((own_screen / "tables" / "cell").rglob("*.parquet")).unlink()
    other = own_screen / "tables" / "well" / "SIM-P01" / "copied.parquet"
    pl.read_parquet(own_screen / "tables" / "well" / "SIM-P01" / "well.parquet").write_parquet(other)
    result = verify_screen(open_screen(own_screen))
    assert not result.holds
    reasons = {Path(path).name: reason for path, reason in result.damaged.iter_rows()}
    assert reasons == {
        "profile_well.parquet": "does not hold what was written",
        "cell.parquet": "is missing",
        "copied.parquet": "was written by no run: it has no receipt",
    }
    assert result.wells_replayed == 0
    assert any("no well was replayed" in note for note in result.notes)
    assert {"measure", "aggregate"} <= set(result.stale["step"])


def test_a_changed_image_is_noticed_by_verify_and_by_rehash_whatever_its_time(
    tiny_images: object, own_images: object, tmp_path: Path
) -> None:
    config = own_images()  # type: ignore[operator]
    config.write_text(config.read_text() + "\n[segmentation]\nnucleus_diameter_px = 20\n")
    config.write_text(config.read_text().replace("[features]", '[illumination]\nmethod = "none"\n[features]'))
    first = run_screen(config, output=tmp_path / "s", workers=1)
    image = config.parent / "images" / "SIM-P01" / "A01_s1_DNA.tif"
    flip(image, 8 * 20_000)
    assert done_by_step(run_screen(config, output=tmp_path / "s", workers=1)) == {}
    assert not verify_screen(first.screen).holds
    again = run_screen(config, output=tmp_path / "s", workers=1, rehash=True)
    assert again.summary.steps["measure"].done == 1
    assert verify_screen(again.screen).holds


def test_a_damaged_output_is_named_and_computed_again_and_the_rest_stays(tiny_run: RunResult, own_screen: Path) -> None:
    mask = next((own_screen / "masks").rglob("A01_*.tif"))
    flip(mask, 4000, keep_time=False)
    events: list[Event] = []
    again = run_screen(own_screen, workers=1, on_event=events.append)
    assert done_by_step(again) == {"segment": 1}
    reported = [event.text for event in events if isinstance(event, Message) and "computed again" in event.text]
    assert reported == [
        f"{mask.relative_to(own_screen).as_posix()} does not hold what was written; it is computed again"
    ]
    assert_same_tables(tiny_run.screen, again.screen)


@pytest.mark.parametrize("content", ["flipped", "cut", "empty", "text"])
def test_a_damaged_table_does_not_stop_a_run(tiny_run: RunResult, own_screen: Path, content: str) -> None:
    for table in ("cell", "image", "profile_selected", "ledger"):
        path = table_files(own_screen, table)[-1]
        whole = path.read_bytes()
        flipped = whole[:-6] + bytes([whole[-6] ^ 255]) + whole[-5:]
        path.write_bytes({"flipped": flipped, "cut": whole[:100], "empty": b"", "text": b"x" * len(whole)}[content])
    assert not screen_state(open_screen(own_screen)).is_whole
    events: list[Event] = []
    again = run_screen(own_screen, workers=1, on_event=events.append)
    done = done_by_step(again)
    assert (done["measure"], done["recipe"]) == (24, 1)
    assert "segment" not in done
    reported = [event.text for event in events if isinstance(event, Message) and event.level == "warning"]
    assert [text.split()[0] for text in reported if "computed again" in text] == [
        "tables/cell/SIM-P01/cell.parquet",
        "tables/profile_step/SIM-P01/03_select+4b.parquet",
    ]
    assert any("every image is hashed again" in text for text in reported)
    assert_same_tables(tiny_run.screen, again.screen)
    assert verify_screen(again.screen).holds


def test_a_table_whose_receipt_is_damaged_is_made_again_for_its_plate(tiny_run: RunResult, own_screen: Path) -> None:
    receipt = own_screen / "receipts" / "table" / "SIM-P01" / "image_metric.json"
    flip(receipt, 900)
    assert "it has no receipt" in str(verify_screen(open_screen(own_screen)).damaged.rows())
    assert not screen_state(open_screen(own_screen)).is_whole
    again = run_screen(own_screen, workers=1)
    assert done_by_step(again) == {"quality": 24}
    assert_same_tables(tiny_run.screen, again.screen)
    assert verify_screen(again.screen, sample=0.0).holds


def test_rehash_finds_what_size_and_time_do_not_show(tiny_run: RunResult, own_screen: Path) -> None:
    flip(next((own_screen / "tables" / "cell").rglob("*.parquet")), 50_000)
    flip(next((own_screen / "thumbnails").rglob("*.jpg")), 3000)
    assert done_by_step(run_screen(own_screen, workers=1)) == {}
    again = run_screen(own_screen, workers=1, rehash=True)
    assert done_by_step(again) == {"measure": 24, "thumbnail": 1}
    assert_same_tables(tiny_run.screen, again.screen)
    assert done_by_step(run_screen(own_screen, workers=1, rehash=True)) == {}


def test_units_that_failed_on_a_damaged_table_run_once_it_is_repaired(own_screen: Path) -> None:
    screen = open_screen(own_screen)
    next((own_screen / "receipts" / "cluster_profiles").rglob("*.json")).unlink()
    (table,) = table_files(own_screen, "profile_consensus")
    flip(table, 8 * (table.stat().st_size - 2))  # of the mark at the end of a Parquet file
    assert run_screen(own_screen, workers=1).is_partial
    assert "cluster" not in screen.tables()
    [(step, *_, reason), *waiting] = verify_screen(screen).failed.rows()
    assert step == "cluster_profiles"
    assert table.name in reason
    assert "--rehash" in reason
    assert [row[0] for row in waiting] == ["cluster_signatures"]
    again = run_screen(own_screen, workers=1, rehash=True)
    assert {"consensus", "cluster_profiles", "cluster_signatures"} <= set(done_by_step(again))
    assert verify_screen(screen).is_whole


def test_a_copy_is_hashed_once_and_then_known(own_screen: Path) -> None:
    for path in own_screen.rglob("*.tif"):
        os.utime(path, ns=(1, 1))
    assert done_by_step(run_screen(own_screen, workers=1)) == {}
    outlook = look_ahead(open_screen(own_screen), read_run(own_screen), scrutiny=Scrutiny.TIME)
    assert outlook.plan.units["state"].unique().to_list() == [State.FRESH.value]
    receipt = next((own_screen / "receipts" / "segment").rglob("*.json")).read_text()
    assert '"mtime_ns": 1,' in receipt


def test_a_screen_with_a_failed_step_is_not_whole(
    own_screen: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = own_screen / "screen.toml"
    config.write_text(config.read_text() + "\n[clusters]\nresamples = 5\n")

    def fail(self: ClusterProfiles, unit: Unit, context: Context) -> Outcome:
        raise OSError("the disk is tired")

    with monkeypatch.context() as patch:
        patch.setattr(ClusterProfiles, "run", fail)
        assert run_screen(own_screen, workers=1).is_partial
    screen = open_screen(own_screen)
    assert "cluster" not in screen.tables()
    assert not screen_state(screen).is_whole
    result = verify_screen(screen, sample=0.0)
    assert (result.holds, result.is_whole) == (True, False)
    rows = [(step, reason.split(" [")[0]) for step, _, _, reason in result.failed.iter_rows()]
    assert rows == [
        ("cluster_profiles", "failed: the disk is tired"),
        ("cluster_signatures", "not done: an earlier step failed"),
    ]
    code, out, _ = call("verify", own_screen, "--sample", 0)
    assert (code, "2 without results after a failure" in out, "partial" in out) == (3, True, True)
    assert json.loads(call("verify", own_screen, "--json")[1])["is_whole"] is False
    assert call("status", own_screen)[0] == 3
    assert set(done_by_step(run_screen(own_screen, workers=1))) == {"cluster_profiles", "cluster_signatures"}
    assert verify_screen(screen).is_whole
    assert screen_state(screen).is_whole


def test_outputs_are_checked_where_the_images_are_gone(own_screen: Path, tmp_path: Path, call: Call) -> None:
    record = own_screen / "receipts" / "configuration.json"
    record.write_text(json.dumps({"base": str(tmp_path / "unplugged")}))
    screen = open_screen(own_screen)
    result = verify_screen(screen)
    assert not result.holds
    assert "images could not be checked, and no well was replayed" in (result.unchecked or "")
    assert (result.files_checked, result.wells_replayed, result.damaged.height, result.stale.height) == (0, 0, 0, 0)
    assert result.outputs_checked > 50
    code, out, _ = call("verify", own_screen)
    assert (code, "images could not be checked" in out, "unplugged" in out, "not verified" in out) == (
        1,
        *[True] * 3,
    )
    mask = next((own_screen / "masks").rglob("A01_*.tif"))
    flip(mask, 4000)
    name = mask.relative_to(own_screen).as_posix()
    assert verify_screen(screen).damaged.rows() == [(name, "does not hold what was written")]
    code, out, _ = call("verify", own_screen)
    assert (code, "does not hold what was written" in out) == (1, True)


def images(*rows: tuple[str, int, str | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"path": pl.String, "page": pl.Int32, "hash": pl.String}, orient="row")


def test_files_of_several_pages_are_compared_once_each() -> None:
    pages = [(f"{name}.tif", page, name) for name in "abc" for page in range(40)]
    recorded = _of_files(images(*pages, ("gone.tif", 0, "g"), ("broken.tif", 0, None), ("bad.tif", 0, None)))
    assert recorded.height == 6
    shorter = [row if row[0] != "b.tif" else (*row[:2], "other") for row in pages if row[0] != "b.tif" or row[1] < 30]
    lost = [row for row in shorter if row[0] != "c.tif"]
    now = images(*lost, ("c.tif", 0, None), ("new.tif", 0, "n"), ("broken.tif", 0, None), ("bad.tif", 0, "b"))
    assert _changed_files(recorded, _of_files(now)).rows() == [
        ("b.tif", "content differs from the run"),
        ("bad.tif", "could not be read by the run, and can be now"),
        ("c.tif", "missing or unreadable now"),
        ("gone.tif", "missing or unreadable now"),
        ("new.tif", "not part of the run"),
    ]
    assert _changed_files(recorded, recorded).is_empty()
