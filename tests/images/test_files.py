from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile

from phenoprint.errors import ImageError, SchemaError
from phenoprint.images import INDEX_SCHEMA, READERS, inspect_files, write_tiff
from phenoprint.plates import reconcile
from phenoprint.tables import get_table

NAMES = [f"{well}_s1_{channel}.tif" for well in ("A01", "A02", "B01") for channel in ("DNA", "ER")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write six different images."""
    random = np.random.default_rng(0)
    for name in NAMES:
        write_tiff(tmp_path / name, random.integers(0, 4000, (20, 30), dtype=np.uint16))
    return tmp_path


def inspect(folder: Path, **options: object) -> pl.DataFrame:
    index = READERS.make("pattern", pattern="generic", plate="P").index(folder)
    return inspect_files(index, folder, **options)  # type: ignore[arg-type]


def row(table: pl.DataFrame, name: str) -> dict[str, object]:
    return table.row(by_predicate=pl.col("path") == name, named=True)


def test_usable_files_have_status_ok(folder: Path) -> None:
    table = inspect(folder)
    assert table.schema == get_table("image").schema
    assert table["path"].to_list() == NAMES
    assert set(table["status"]) == {"ok"}
    assert table["reason"].null_count() == 6
    first = row(table, NAMES[0])
    data = (folder / NAMES[0]).read_bytes()
    assert first["hash"] == hashlib.blake2b(data, digest_size=16).hexdigest()
    assert (first["bytes"], first["height"], first["width"], first["dtype"]) == (len(data), 20, 30, "uint16")
    assert first["mtime_ns"] == (folder / NAMES[0]).stat().st_mtime_ns
    assert table["hash"].n_unique() == table["pixel_hash"].n_unique() == 6


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def behead(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:6])


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "status", "said"),
    [
        (truncate, "truncated", "copy or export the file again"),
        (behead, "truncated", "copy or export the file again"),
        (lambda path: path.write_bytes(b""), "empty", "the file is empty"),
        (lambda path: path.unlink(), "missing", "no such file"),
        (replace_by_folder, "directory", "a folder where a file was expected"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99)), "damaged", "the PNG header is damaged"),
        (lambda path: path.write_bytes(b"GIF89a" + bytes(99)), "not_image", "not a TIFF, PNG or JPEG file but GIF"),
        (lambda path: path.write_bytes(b"<html>not found</html>"), "not_image", "but text"),
        (lambda path: path.write_bytes(bytes(500)), "not_image", "but zeros"),
        (lambda path: path.write_bytes(b"II*\x00" + os.urandom(64)), "truncated", "copy or export"),
    ],
)
def test_a_bad_file_is_a_row_with_a_reason(folder: Path, spoil: object, status: str, said: str) -> None:
    index = READERS.make("pattern", pattern="generic", plate="P").index(folder)
    spoil(folder / NAMES[2])  # type: ignore[operator]
    table = inspect_files(index, folder)
    assert table.height == 6
    bad = row(table, NAMES[2])
    assert bad["status"] == status
    assert said in str(bad["reason"])
    assert bad["pixel_hash"] is None
    assert table.filter(pl.col("status") == "ok").height == 5


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_unreadable(folder: Path) -> None:
    (folder / NAMES[0]).chmod(0)
    assert row(inspect(folder), NAMES[0])["status"] == "unreadable"


def test_a_disk_error_is_a_row_with_a_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def refuse(self: Path, *args: object, **options: object) -> object:
        if self.name == NAMES[1]:
            raise PermissionError(13, "Permission denied")
        return real(self, *args, **options)  # type: ignore[arg-type, call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    bad = row(inspect(folder), NAMES[1])
    assert (bad["status"], bad["reason"]) == ("unreadable", "the operating system cannot read it: Permission denied")


def test_truncated_pixels_are_detected_without_decoding(tmp_path: Path) -> None:
    path = tmp_path / "A01_s1_DNA.tif"
    write_tiff(path, np.zeros((64, 64), np.uint16), compression=None)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert inspect(tmp_path)["status"].to_list() == ["truncated"]
    path.write_bytes(whole)
    assert inspect(tmp_path)["status"].to_list() == ["ok"]


def test_pages_of_one_file(tmp_path: Path) -> None:
    planes = np.arange(3 * 8 * 9, dtype=np.uint8).reshape(3, 8, 9)
    write_tiff(tmp_path / "stack.tif", planes)
    index = pl.DataFrame(
        [("P", "A01", "1", name, 0, 0, "stack.tif", page) for page, name in enumerate(["DNA", "ER", "AGP", "Mito"])],
        schema=INDEX_SCHEMA,
        orient="row",
    )
    table = inspect_files(index, tmp_path)
    assert table["status"].to_list() == ["ok", "ok", "ok", "no_page"]
    assert table["hash"].n_unique() == 1
    assert table["pixel_hash"].drop_nulls().n_unique() == 3
    assert "page 3 (0-based) was requested, the file has 3" in table["reason"][3]


def test_duplicates_have_equal_hashes(folder: Path) -> None:
    # a copy of the file, and the same pixels with another description
    (folder / "A02_s1_DNA.tif").write_bytes((folder / "A01_s1_DNA.tif").read_bytes())
    pixels = tifffile.imread(folder / "B01_s1_DNA.tif")
    for name, words in (("B01_s1_DNA.tif", "12:00"), ("B01_s1_ER.tif", "12:01")):
        tifffile.imwrite(folder / name, pixels, description=words)
    table = inspect(folder)
    assert row(table, "B01_s1_DNA.tif")["hash"] != row(table, "B01_s1_ER.tif")["hash"]
    assert reconcile(table, None).count() == {"same_pixels_two_channels": 1, "duplicate_file": 1}


def test_known_files_are_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = inspect(folder)
    write_tiff(folder / NAMES[0], np.ones((5, 5), np.uint8))
    opened: list[str] = []
    real = Path.open

    def spy(self: Path, *args: object, **options: object) -> object:
        opened.append(self.name)
        return real(self, *args, **options)  # type: ignore[arg-type, call-overload]

    monkeypatch.setattr(Path, "open", spy)
    after = inspect(folder, known=before)
    assert opened == [NAMES[0]]
    assert after.filter(pl.col("path") != NAMES[0]).equals(before.filter(pl.col("path") != NAMES[0]))
    assert row(after, NAMES[0])["dtype"] == "uint8"


def test_files_that_were_bad_are_read_again(folder: Path) -> None:
    good = (folder / NAMES[0]).read_bytes()
    (folder / NAMES[0]).write_bytes(b"")
    before = inspect(folder)
    (folder / NAMES[0]).write_bytes(good)
    assert set(inspect(folder, known=before)["status"]) == {"ok"}


def test_progress_counts_files(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    inspect(folder, workers=2, on_file=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 6) for n in range(1, 7)]


def test_an_invalid_index_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="the index lacks Metadata_Site"):
        inspect_files(pl.DataFrame(schema=INDEX_SCHEMA).drop("Metadata_Site"), tmp_path)
    with pytest.raises(ImageError, match="does not exist"):
        inspect_files(pl.DataFrame(schema=INDEX_SCHEMA), tmp_path / "missing")
    assert inspect_files(pl.DataFrame(schema=INDEX_SCHEMA), tmp_path).schema == get_table("image").schema


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "shape", "dtype"),
    [
        ("bbbc013", (640, 640), "uint8"),
        ("phenix_BR00121482", (1080, 1080), "uint16"),
        ("imagexpress_3434", (256, 256), "uint16"),
        ("nf1_schwann", (904, 1224), "uint16"),
    ],
)
def test_real_headers(real_data: Path, folder: str, shape: tuple[int, int], dtype: str) -> None:
    index = READERS.make("pattern", plate="P").index(real_data / folder)
    table = inspect_files(index, real_data / folder)
    assert set(table["status"]) == {"ok"}
    assert set(table.select("height", "width", "dtype").rows()) == {(*shape, dtype)}
    # no file of this plate occurs twice
    assert "duplicate_file" not in reconcile(table, None).count()
