"""Temporary files, folders that do not sync, and files that cannot be removed."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from phenoprint.errors import ScreenError
from phenoprint.store import Screen, _atomic, atomic_path, remove_file, remove_folder, write_bytes
from phenoprint.store._atomic import temporary_path

FOLDERS = ("receipts/measure/P", "thumbnails/P", "masks/P", "illumination/P", "models", "report", "tables/cell/P")

KILLED = """
import os, sys
from pathlib import Path
from phenoprint.store._atomic import atomic_file
files = [atomic_file(Path(name) / "x.json") for name in sys.argv[1:]]
for file in files:
    file.__enter__().write(b"half")
os.kill(os.getpid(), 9)
"""


def temporaries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob(f"*{_atomic.TEMPORARY_SUFFIX}*"))


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_files_of_a_killed_process_are_removed_with_the_next_lock(screen: Screen):
    folders = [str(screen.path / name) for name in (*FOLDERS, ".")]
    subprocess.run([sys.executable, "-c", KILLED, *folders], check=False)
    (screen.path / ".screen.duckdb.part-tmp").write_bytes(b"half")
    (screen.path / ".screen.duckdb.part-tmp.wal").write_bytes(b"half")
    write_bytes(screen.path / "masks" / "P" / "kept.tif", b"whole")
    assert len(temporaries(screen.path)) == len(FOLDERS) + 3
    with screen.lock():
        assert temporaries(screen.path) == []
    assert (screen.path / "masks" / "P" / "kept.tif").exists()


def test_temporaries_of_a_living_process_stay(screen: Screen):
    with _atomic.atomic_file(screen.path / "report" / "index.html") as handle:
        handle.write(b"a reader's")
        with screen.lock():
            assert len(temporaries(screen.path)) == 1
    assert (screen.path / "report" / "index.html").read_bytes() == b"a reader's"


def test_a_number_of_a_process_that_came_again_protects_nothing(screen: Screen):
    left = temporary_path(screen.path / "models" / "x.npz")
    left.parent.mkdir()
    left.write_bytes(b"of a process of our number that ran before us")
    age(left, 10 * 24 * 3600)
    with screen.lock():
        assert not left.exists()


def test_files_of_another_computer_go_when_they_rest(screen: Screen, monkeypatch):
    monkeypatch.setattr(_atomic, "_host", lambda: "0badcafe")
    resting, young = temporary_path(screen.path / "resting"), temporary_path(screen.path / "young")
    monkeypatch.undo()
    for path in (resting, young):
        path.write_bytes(b"")
    age(resting, 3600)
    with screen.lock():
        assert temporaries(screen.path) == [young.name]


def test_a_catalog_that_a_reader_builds_and_an_import_under_way_are_left_alone(screen: Screen):
    building = screen.path / ".screen.duckdb.part-tmp"
    staged = screen.path / ".import-1" / "tables" / f".x.1-1{_atomic.TEMPORARY_SUFFIX}"
    staged.parent.mkdir(parents=True)
    for path in (building, staged):
        path.write_bytes(b"half")
    with FileLock(screen.path / "screen.duckdb.lock"), screen.lock():
        assert building.exists()
        assert staged.exists()
    with screen.lock():
        assert not building.exists()


def test_a_file_of_another_library_is_replaced_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "new" / "x.h5ad"
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"first")
    with pytest.raises(ScreenError, match="cannot write"), atomic_path(path) as temporary:
        (temporary.write_bytes(b"second"), temporary.mkdir())
    assert path.read_bytes() == b"first"
    assert temporaries(tmp_path) == []


def test_long_names_leave_room_for_the_temporary_suffix(tmp_path: Path):
    write_bytes(tmp_path / ("x" * 250), b"1")
    assert [len(path.name) for path in tmp_path.iterdir()] == [250]


def failing(code: int):
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_file_that_cannot_be_removed_is_our_error(screen: Screen, monkeypatch):
    monkeypatch.setattr(Path, "unlink", failing(errno.EIO))
    with pytest.raises(ScreenError, match=r"cannot remove .*x.json: .*Check the disk"):
        remove_file(screen.path / "x.json")
    monkeypatch.setattr(shutil, "rmtree", failing(errno.EIO))
    with pytest.raises(ScreenError, match=r"cannot remove .*masks: .*Check the disk"):
        remove_folder(screen.path / "masks")


@pytest.mark.skipif(os.name == "nt", reason="folders are not synced on Windows")
@pytest.mark.parametrize(
    ("code", "is_reported"), [(errno.EIO, True), (errno.ENOSPC, True), (errno.EINVAL, False), (errno.ENOTSUP, False)]
)
def test_a_failed_sync_of_a_folder_is_an_error_and_a_missing_one_is_not(tmp_path, monkeypatch, code, is_reported):
    real = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code, os.strerror(code))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    if is_reported:
        with pytest.raises(ScreenError, match=r"x.json"):
            write_bytes(tmp_path / "x.json", b"1")
    else:
        write_bytes(tmp_path / "x.json", b"1")
        assert (tmp_path / "x.json").read_bytes() == b"1"
