"""Compressed files read as plain bytes; the compression is recognised by the first bytes, not by the name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, Final, cast

import pyarrow as pa

from phenoprint.errors import SchemaError

__all__ = ["COMPRESSED", "READ_ERRORS", "compression", "open_plain", "without_compression"]

# First bytes of a compressed file.
_MAGIC: Final[dict[bytes, str]] = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
}
COMPRESSED: Final = (".gz", ".bz2", ".zst", ".xz", ".zip")
# Errors of the libraries for a damaged or truncated file.
READ_ERRORS: Final = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException)


def without_compression(name: str) -> str:
    """Remove the ending of a compression from a file name.

    Examples
    --------
    >>> without_compression("BR1.csv.gz"), without_compression("BR1.tsv")
    ('BR1.csv', 'BR1.tsv')
    """
    return next((name[: -len(end)] for end in COMPRESSED if name.lower().endswith(end)), name)


def compression(path: Path) -> str | None:
    """Return the compression of a file by its first bytes; None if it is not compressed."""
    try:
        with path.open("rb") as handle:
            first = handle.read(8)
    except OSError as error:
        raise SchemaError(f"{path} cannot be read: {error.strerror or error}") from error
    return next((name for magic, name in _MAGIC.items() if first.startswith(magic)), None)


def open_plain(path: Path) -> BinaryIO:
    """Open a plain or compressed file (gzip, bzip2, zstd, xz, zip of one file); its bytes are decompressed when read.

    Raises
    ------
    SchemaError
        If the file cannot be read, or an archive holds no file or several.
    """
    kind = compression(path)
    try:
        match kind:
            case "gzip":
                return cast("BinaryIO", gzip.open(path, "rb"))
            case "bzip2":
                return cast("BinaryIO", bz2.open(path, "rb"))
            case "xz":
                return cast("BinaryIO", lzma.open(path, "rb"))
            case "zstd":
                # The buffer adds reading by lines.
                return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
            case "zip":
                return _only_member(path)
            case _:
                return path.open("rb")
    except READ_ERRORS as error:
        raise SchemaError(f"{path} cannot be read as {kind or 'a file'}: {error}; copy it again") from error


def _only_member(path: Path) -> BinaryIO:
    """Open the one file of an archive; the archive is closed with it."""
    with zipfile.ZipFile(path) as archive:
        names = [
            entry.filename
            for entry in archive.infolist()
            if not entry.is_dir() and not entry.filename.startswith("__MACOSX/")
        ]
        if len(names) != 1:
            shown = ", ".join(names[:4]) or "none"
            raise SchemaError(
                f"{path}: expected an archive of one table, found {len(names)} files ({shown}): unpack it"
            )
        # The archive's file stays open until the member is closed.
        return cast("BinaryIO", io.BufferedReader(archive.open(names[0])))
