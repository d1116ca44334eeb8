"""Outputs: which changes of a file each level of scrutiny detects."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from phenoprint.store import Output, Scrutiny, check_outputs, record_outputs


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Output]:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.tif").write_bytes(b"abcdef")
    return record_outputs(tmp_path, [tmp_path / "masks" / "a.tif"])


def flip(path: Path, *, keep_time: bool) -> None:
    stat = path.stat()
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    if keep_time:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("scrutiny", Scrutiny)
def test_unchanged_outputs_pass_every_check(written: dict[str, Output], tmp_path: Path, scrutiny: Scrutiny) -> None:
    checked = check_outputs(tmp_path, written, scrutiny)
    assert (checked.wrong, checked.moved) == ({}, {})


@pytest.mark.parametrize("scrutiny", Scrutiny)
def test_a_missing_or_longer_file_is_always_noticed(
    written: dict[str, Output], tmp_path: Path, scrutiny: Scrutiny
) -> None:
    path = tmp_path / "masks" / "a.tif"
    path.write_bytes(b"abcdefg")
    assert check_outputs(tmp_path, written, scrutiny).wrong == {"masks/a.tif": "has 7 bytes, 6 were written"}
    path.unlink()
    assert check_outputs(tmp_path, written, scrutiny).wrong == {"masks/a.tif": "is missing"}


@pytest.mark.parametrize(("keep_time", "noticed"), [(False, (Scrutiny.TIME, Scrutiny.HASH)), (True, (Scrutiny.HASH,))])
def test_a_flipped_bit_is_noticed_by_time_or_by_hash(
    written: dict[str, Output], tmp_path: Path, keep_time: bool, noticed: tuple[Scrutiny, ...]
) -> None:
    flip(tmp_path / "masks" / "a.tif", keep_time=keep_time)
    found = [scrutiny for scrutiny in Scrutiny if check_outputs(tmp_path, written, scrutiny).wrong]
    assert found == list(noticed)


def test_a_copy_with_other_times_passes_and_lists_them(written: dict[str, Output], tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(tmp_path / "masks", copied / "masks")
    os.utime(copied / "masks" / "a.tif", ns=(1, 1))
    checked = check_outputs(copied, written, Scrutiny.TIME)
    assert checked.wrong == {}
    assert checked.moved["masks/a.tif"].mtime_ns == 1
    assert check_outputs(copied, {**written, **checked.moved}, Scrutiny.TIME).moved == {}


def test_a_folder_in_the_place_of_a_file_is_named(written: dict[str, Output], tmp_path: Path) -> None:
    path = tmp_path / "masks" / "a.tif"
    path.unlink()
    path.mkdir()
    assert list(check_outputs(tmp_path, written, Scrutiny.HASH).wrong) == ["masks/a.tif"]
