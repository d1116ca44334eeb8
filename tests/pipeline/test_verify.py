"""Verify and rehash: every flipped bit of an output is noticed, and only what it belongs to is made again."""

from __future__ import annotations

import os
import random
from pathlib import Path

import polars as pl
import pytest

from phenoprint.pipeline import RunResult, run_screen, screen_state, verify_screen
from phenoprint.pipeline.events import Event, Message
from phenoprint.pipeline.judge import State
from phenoprint.pipeline.plan import look_ahead
from phenoprint.pipeline.verify import check_files
from phenoprint.store import Scrutiny, read_run
from phenoprint.store import open as open_screen

from .test_runner import assert_same_tables, done_by_step

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


def test_verify_names_a_damaged_table_a_missing_one_and_one_that_nobody_wrote(own_screen: Path) -> None:
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
        "copied.parquet": "was written by no run: no receipt answers for it",
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


def test_a_damaged_output_is_made_again_by_name_and_the_rest_stays(tiny_run: RunResult, own_screen: Path) -> None:
    mask = next((own_screen / "masks").rglob("A01_*.tif"))
    flip(mask, 4000, keep_time=False)
    events: list[Event] = []
    again = run_screen(own_screen, workers=1, on_event=events.append)
    assert done_by_step(again) == {"segment": 1}
    told = [event.text for event in events if isinstance(event, Message) and "made again" in event.text]
    assert told == [f"{mask.relative_to(own_screen).as_posix()} does not hold what was written; it is made again"]
    assert_same_tables(tiny_run.screen, again.screen)


@pytest.mark.parametrize("content", ["flipped", "cut", "empty", "text"])
def test_a_damaged_table_does_not_stop_a_run(tiny_run: RunResult, own_screen: Path, content: str) -> None:
    for table in ("cell", "image", "profile_selected", "ledger"):
        path = next((own_screen / "tables" / table).rglob("*.parquet"))
        whole = path.read_bytes()
        flipped = whole[:-6] + bytes([whole[-6] ^ 255]) + whole[-5:]
        path.write_bytes({"flipped": flipped, "cut": whole[:100], "empty": b"", "text": b"x" * len(whole)}[content])
    assert not screen_state(open_screen(own_screen)).is_whole
    events: list[Event] = []
    again = run_screen(own_screen, workers=1, on_event=events.append)
    done = done_by_step(again)
    assert (done["measure"], done["recipe"]) == (24, 1)
    assert "segment" not in done
    told = [event.text for event in events if isinstance(event, Message) and event.level == "warning"]
    assert [text.split()[0] for text in told if "made again" in text] == [
        "tables/cell/SIM-P01/cell.parquet",
        "tables/profile_selected/SIM-P01/profile_selected.parquet",
    ]
    assert any("every image is hashed again" in text for text in told)
    assert_same_tables(tiny_run.screen, again.screen)
    assert verify_screen(again.screen).holds


def test_rehash_finds_what_size_and_time_do_not_show(tiny_run: RunResult, own_screen: Path) -> None:
    flip(next((own_screen / "tables" / "cell").rglob("*.parquet")), 50_000)
    flip(next((own_screen / "thumbnails").rglob("*.jpg")), 3000)
    assert done_by_step(run_screen(own_screen, workers=1)) == {}
    again = run_screen(own_screen, workers=1, rehash=True)
    assert done_by_step(again) == {"measure": 24, "thumbnail": 1}
    assert_same_tables(tiny_run.screen, again.screen)
    assert done_by_step(run_screen(own_screen, workers=1, rehash=True)) == {}


def test_a_copy_is_hashed_once_and_then_known(own_screen: Path) -> None:
    for path in own_screen.rglob("*.tif"):
        os.utime(path, ns=(1, 1))
    assert done_by_step(run_screen(own_screen, workers=1)) == {}
    outlook = look_ahead(open_screen(own_screen), read_run(own_screen), scrutiny=Scrutiny.TIME)
    assert outlook.plan.units["state"].unique().to_list() == [State.FRESH.value]
    receipt = next((own_screen / "receipts" / "segment").rglob("*.json")).read_text()
    assert '"mtime_ns": 1,' in receipt
