"""The image table: every file hashed and its header read, every bad file a row that says why."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

import polars as pl

from phenoprint.errors import SchemaError
from phenoprint.images.readers.base import INDEX_SCHEMA, check_root

__all__ = ["IMAGE_SCHEMA", "inspect_files"]

IMAGE_SCHEMA: dict[str, type[pl.DataType]] = {
    **INDEX_SCHEMA,
    "hash": pl.String,
    "pixel_hash": pl.String,
    "bytes": pl.Int64,
    "mtime_ns": pl.Int64,
    "height": pl.Int32,
    "width": pl.Int32,
    "dtype": pl.String,
    "status": pl.String,
    "reason": pl.String,
}
_FOUND = [name for name in IMAGE_SCHEMA if name not in INDEX_SCHEMA]
_BLOCK = 1 << 20


@dataclass(frozen=True)
class _Asked:
    """A file and the pages of it that the index names."""

    path: str
    pages: tuple[int, ...]


def inspect_files(
    index: pl.DataFrame,
    root: Path,
    *,
    known: pl.DataFrame | None = None,
    workers: int | None = None,
    on_file: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Hash every file of an index and read its header.

    Nothing is decoded. A file that cannot be used becomes a row with a ``status`` and a ``reason``; this
    function raises for no single file.

    Parameters
    ----------
    index
        As `Reader.index` returns it.
    root
        Image root that the paths are relative to.
    known
        An earlier image table: files whose size and modification time are still the same are not read again.
    workers
        Threads; None takes four times the cores, at most 16: network disks wait more than they read.
    on_file
        Called with (files done, files in all) after each.

    Returns
    -------
    pl.DataFrame
        The rows of the index in its order with ``hash`` (BLAKE2b-128 of the file, hexadecimal),
        ``pixel_hash`` (of the page's encoded pixels alone), ``bytes``, ``mtime_ns``, ``height``, ``width``,
        ``dtype``, ``status`` and ``reason``. Status: ``ok``; ``missing``, ``directory``, ``empty`` (no byte),
        ``truncated``, ``not_tiff`` (something else, or damaged), ``no_page``, ``unsupported``, ``unreadable``
        (the system refuses).

    Raises
    ------
    SchemaError
        The index lacks a column.
    ImageError
        The root is no folder.
    """
    if absent := [name for name in INDEX_SCHEMA if name not in index.columns]:
        raise SchemaError(f"the index lacks {', '.join(absent)}; expected the columns a Reader returns")
    base = check_root(root)
    grouped = index.group_by("path").agg(pl.col("page").unique().sort()).sort("path")
    asked = [_Asked(path, tuple(pages)) for path, pages in grouped.iter_rows()]
    old = _known(known)
    rows: list[dict[str, object]] = []
    threads = workers or min(16, 4 * (os.cpu_count() or 1))
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="inspect") as pool:
        for done, found in enumerate(pool.map(lambda one: _inspect(one, base, old), asked), start=1):
            rows += found
            if on_file is not None:
                on_file(done, len(asked))
    facts = pl.DataFrame(rows, schema={name: IMAGE_SCHEMA[name] for name in ("path", "page", *_FOUND)}, orient="row")
    return index.join(facts, on=["path", "page"], how="left", maintain_order="left").select(list(IMAGE_SCHEMA))


Known = dict[str, tuple[int, int, list[dict[str, object]]]]


def _known(known: pl.DataFrame | None) -> Known:
    """Size, time and rows of the files that were fine before."""
    if known is None or not {"path", "page", "bytes", "mtime_ns", "status"} <= set(known.columns):
        return {}
    absent = [pl.lit(None, dtype=IMAGE_SCHEMA[name]).alias(name) for name in _FOUND if name not in known.columns]
    kept = known.with_columns(absent).filter(pl.col("status") == "ok").select("path", "page", *_FOUND)
    found: Known = {}
    for row in kept.unique(["path", "page"]).iter_rows(named=True):
        found.setdefault(row["path"], (row["bytes"], row["mtime_ns"], []))[2].append(row)
    return found


def _inspect(asked: _Asked, root: Path, known: Known) -> list[dict[str, object]]:
    """Rows of one file, a page each."""
    base: dict[str, object] = {"path": asked.path}
    path = root / asked.path
    try:
        facts = path.stat()
        base |= {"bytes": facts.st_size, "mtime_ns": facts.st_mtime_ns}
        before = known.get(asked.path)
        if before is not None and before[:2] == (facts.st_size, facts.st_mtime_ns):
            again = [row for row in before[2] if row["page"] in asked.pages]
            if len(again) == len(asked.pages):
                return again
        if S_ISREG(facts.st_mode) and facts.st_size > 0:
            return _read(asked, base, path, facts.st_size)
    except FileNotFoundError:
        return _fail(asked, base, "missing", "no such file; correct the path or copy the file there")
    except OSError as error:
        return _fail(asked, base, "unreadable", f"the system refuses to read it: {error.strerror or error}")
    if S_ISDIR(facts.st_mode):
        status, reason = "directory", "a folder where a file was expected; move it away"
    elif S_ISREG(facts.st_mode):
        status, reason = "empty", "the file has no byte; copy or export it again"
    else:
        status, reason = "unreadable", "neither a file nor a folder; move it away"
    return _fail(asked, base, status, reason)


def _read(asked: _Asked, base: dict[str, object], path: Path, size: int) -> list[dict[str, object]]:
    """Hash a file and read the headers of its pages."""
    from phenoprint.images.tiff import hash_segments, read_headers

    with path.open("rb") as handle:
        digest = hashlib.blake2b(digest_size=16)
        head = b""
        while block := handle.read(_BLOCK):
            head = head or block[:16]
            digest.update(block)
        base = base | {"hash": digest.hexdigest()}
        if head[:2] not in (b"II", b"MM"):
            return _fail(asked, base, "not_tiff", f"not a TIFF file{_looks_like(head)}; save it as TIFF")
        handle.seek(0)
        try:
            headers = read_headers(handle, file_size=size)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - tifffile raises many kinds for damaged files
            return _fail(asked, base, "truncated", f"damaged or cut short ({error}); copy or export the file again")
        if not headers:
            return _fail(asked, base, "truncated", "its directory of pages is cut off; copy or export the file again")
        rows: list[dict[str, object]] = []
        for page in asked.pages:
            if page >= len(headers):
                why = f"page {page} was asked for, the file has {len(headers)}; correct the page or the file"
                rows += _fail(_Asked(asked.path, (page,)), base, "no_page", why)
                continue
            header = headers[page]
            shape = {"page": page, "height": header.height, "width": header.width, "dtype": header.dtype}
            if header.problem is not None:
                status = "truncated" if header.problem.startswith("truncated") else "unsupported"
                rows.append(base | shape | {"status": status, "reason": header.problem})
                continue
            rows.append(base | shape | {"status": "ok", "pixel_hash": hash_segments(handle, header)})
    return rows


def _fail(asked: _Asked, base: dict[str, object], status: str, reason: str) -> list[dict[str, object]]:
    """Rows of a file that cannot be used."""
    return [base | {"page": page, "status": status, "reason": reason} for page in asked.pages]


_MAGIC: Sequence[tuple[bytes, str]] = (
    (b"\x89PNG", "PNG"), (b"\xff\xd8\xff", "JPEG"), (b"GIF8", "GIF"), (b"BM", "BMP"), (b"\x89HDF", "HDF5"),
    (b"PK\x03\x04", "ZIP"), (b"\x1f\x8b", "gzip"), (b"<?xml", "XML"), (b"%PDF", "PDF"),
    (b"\x00\x00\x00\x0cjP", "JPEG 2000"),
)  # fmt: skip


def _looks_like(head: bytes) -> str:
    """Say what the first bytes look like, if we know."""
    kind = next((name for magic, name in _MAGIC if head.startswith(magic)), None)
    if kind is None and head and all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head):
        kind = "text"
    if kind is None and head and not any(head):
        return " but zeros, as an unfinished copy leaves them"
    return f" but {kind}" if kind else ""
