"""The image table: hash, header and status of every file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, BinaryIO

import polars as pl

from phenoprint.errors import SchemaError
from phenoprint.images.readers.reader import INDEX_SCHEMA, check_root
from phenoprint.tables import get_table

if TYPE_CHECKING:
    from phenoprint.images.headers import ImageHeader

__all__ = ["inspect_files"]

_TABLE = get_table("image")
_FOUND = [name for name in _TABLE.schema if name not in INDEX_SCHEMA]
_BLOCK = 1 << 20


@dataclass(frozen=True)
class _Asked:
    """A file and its pages in the index; ``is_whole`` if all pages are requested."""

    path: str
    pages: tuple[int, ...]
    is_whole: bool


def inspect_files(
    index: pl.DataFrame,
    root: Path,
    *,
    all_pages: bool = False,
    known: pl.DataFrame | None = None,
    workers: int | None = None,
    on_file: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Hash every file of an index and read its header.

    Pixels are decoded only for colours and floats, to check whether they can be used. A file that cannot be used has a
    row with ``status`` and ``reason``; it does not raise an error.

    Parameters
    ----------
    index
        Index from `Reader.index`.
    root
        Image root that the paths are relative to.
    all_pages
        Whether to list every page of a file as a z plane, instead of the page in the index.
    known
        An earlier image table: files of unchanged size and modification time are not read again.
    workers
        Number of threads; default: four times the cores, at most 16, because network disks are slow to respond.
    on_file
        Called after each file with the number of finished and of all files.

    Returns
    -------
    pl.DataFrame
        The rows of the index in its order with ``hash`` (BLAKE2b-128 of the file, hexadecimal),
        ``pixel_hash`` (of the page's encoded pixels alone), ``bytes``, ``mtime_ns``, ``height``, ``width``,
        ``dtype``, ``n_planes`` (images in the file), ``n_channels`` (declared in its OME-XML), ``status`` and
        ``reason``. Status: ``ok``; ``missing``, ``directory``, ``empty``, ``truncated``, ``damaged``,
        ``not_image`` (neither TIFF nor PNG nor JPEG), ``no_page``, ``unsupported``, ``colour``, ``not_finite``,
        ``unreadable`` (an error of the operating system).

    Raises
    ------
    SchemaError
        If the index lacks a column.
    ImageError
        If the root is not a folder.

    Examples
    --------
    >>> import tempfile
    >>> from phenoprint.images import READERS
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "A01_s1_DNA.tif").write_bytes(b"")
    ...     index = READERS.make("pattern").index(Path(folder))
    ...     inspect_files(index, Path(folder)).select("path", "status").row(0)
    ('A01_s1_DNA.tif', 'empty')
    """
    if absent := [name for name in INDEX_SCHEMA if name not in index.columns]:
        raise SchemaError(f"the index lacks {', '.join(absent)}; expected the columns a Reader returns")
    base = check_root(root)
    grouped = index.group_by("path").agg(pl.col("page").unique().sort()).sort("path")
    asked = [_Asked(path, tuple(pages), all_pages) for path, pages in grouped.iter_rows()]
    old = _known(known)
    rows: list[dict[str, object]] = []
    threads = workers or min(16, 4 * (os.cpu_count() or 1))
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="inspect") as pool:
        for done, found in enumerate(pool.map(lambda one: _inspect(one, base, old), asked), start=1):
            rows += found
            if on_file is not None:
                on_file(done, len(asked))
    facts = pl.DataFrame(rows, schema=_TABLE.schema_of(("path", "page", *_FOUND)), orient="row")
    if all_pages:
        return _by_planes(index.drop("page").join(facts, on="path", how="left", maintain_order="left_right"))
    return index.join(facts, on=["path", "page"], how="left", maintain_order="left").select(list(_TABLE.schema))


def _by_planes(table: pl.DataFrame) -> pl.DataFrame:
    """Assign a z to every page, in the order of the z in the file names."""
    n_pages = pl.col("page").max() + 1
    return table.with_columns((pl.col("Metadata_Z") * n_pages + pl.col("page")).cast(pl.Int32)).select(
        list(_TABLE.schema)
    )


Known = dict[str, tuple[int, int, list[dict[str, object]]]]


def _known(known: pl.DataFrame | None) -> Known:
    """Return size, time and rows of the files that were usable before."""
    if known is None or not {"path", "page", *_FOUND} <= set(known.columns):
        return {}
    kept = known.filter(pl.col("status") == "ok").select("path", "page", *_FOUND)
    found: Known = {}
    for row in kept.unique(["path", "page"]).sort("path", "page").iter_rows(named=True):
        found.setdefault(row["path"], (row["bytes"], row["mtime_ns"], []))[2].append(row)
    return found


def _inspect(asked: _Asked, root: Path, known: Known) -> list[dict[str, object]]:
    """Return the rows of one file, one per page."""
    base: dict[str, object] = {"path": asked.path}
    path = root / asked.path
    try:
        facts = path.stat()
        base |= {"bytes": facts.st_size, "mtime_ns": facts.st_mtime_ns}
        before = known.get(asked.path)
        if before is not None and before[:2] == (facts.st_size, facts.st_mtime_ns):
            again = [row for row in before[2] if asked.is_whole or row["page"] in asked.pages]
            if len(again) == (before[2][0]["n_planes"] if asked.is_whole else len(asked.pages)):
                return again
        if S_ISREG(facts.st_mode) and facts.st_size > 0:
            return _read(asked, base, path, facts.st_size)
    except FileNotFoundError:
        return _fail(asked, base, "missing", "no such file; correct the path or copy the file there")
    except (OSError, ValueError) as error:  # ValueError: the path contains a zero byte
        why = (error.strerror if isinstance(error, OSError) else None) or error
        return _fail(asked, base, "unreadable", f"the operating system cannot read it: {why}")
    except Exception as error:  # noqa: BLE001 - a bad file must not stop the screen
        return _fail(asked, base, "damaged", f"it cannot be read ({error!r:.200}); copy or export the file again")
    if S_ISDIR(facts.st_mode):
        status, reason = "directory", "a folder where a file was expected; move it away"
    elif S_ISREG(facts.st_mode):
        status, reason = "empty", "the file is empty; copy or export it again"
    else:
        status, reason = "unreadable", "neither a file nor a folder; move it away"
    return _fail(asked, base, status, reason)


def _read(asked: _Asked, base: dict[str, object], path: Path, size: int) -> list[dict[str, object]]:
    """Hash a file and read the headers of its pages."""
    from phenoprint.images.headers import BadFileError, read_image_header

    with path.open("rb") as handle:
        digest = hashlib.blake2b(digest_size=16)
        while block := handle.read(_BLOCK):
            digest.update(block)
        base = base | {"hash": digest.hexdigest()}
        try:
            header = read_image_header(handle, file_size=size)
        except BadFileError as fault:
            return _fail(asked, base, fault.status, fault.reason)
        base |= {"n_planes": header.n_planes, "n_channels": header.n_channels}
        pages = asked.pages
        if asked.is_whole:
            pages = tuple(number for number, page in enumerate(header.pages) if not page.is_reduced)
            if header.n_channels > 1:
                why = f"{header.n_channels} channels in one file, of which a maximum is not meaningful; select one page"
                return _fail(asked, base, "unsupported", why)
            if len(pages) < header.n_planes:
                why = f"{header.n_planes} planes without a page each; save it as a TIFF of {header.n_planes} pages"
                return _fail(asked, base, "unsupported", why)
        return [base | _page_row(handle, header, page) for page in pages]


def _page_row(handle: BinaryIO, header: ImageHeader, number: int) -> dict[str, object]:
    """Return the columns of one page."""
    from phenoprint.images.decode import decode_page
    from phenoprint.images.headers import BadFileError, hash_segments

    row: dict[str, object] = {"page": number}
    try:
        page = header.page(number)
        row |= {"height": page.height, "width": page.width, "dtype": page.dtype, "status": "ok"}
        row["pixel_hash"] = hash_segments(handle, page)
        # The pixels show whether three samples are a colour, and whether floats are finite.
        if page.samples > 1 or str(page.dtype).startswith("float"):
            decode_page(handle, header, number)
    except BadFileError as fault:
        row |= {"status": fault.status, "reason": fault.reason, "pixel_hash": None}
    except MemoryError:
        row |= {"status": "unreadable", "reason": "it does not fit into the memory", "pixel_hash": None}
    return row


def _fail(asked: _Asked, base: dict[str, object], status: str, reason: str) -> list[dict[str, object]]:
    """Return the rows of a file that cannot be used."""
    return [base | {"page": page, "status": status, "reason": reason} for page in asked.pages]
