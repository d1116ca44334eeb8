"""One file of another tool: its format, its level and its rows as they are on disk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl

from phenoprint.errors import SchemaError
from phenoprint.exchange.compressed import COMPRESSED, without_compression
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.levels import family, level_of_columns, parse_gallery_name
from phenoprint.exchange.sources.anndata import read_h5ad, require_anndata
from phenoprint.exchange.sources.deepprofiler import read_npz
from phenoprint.exchange.sources.gct import read_gct
from phenoprint.exchange.sources.parquet import PIECE_BYTES, parquet_columns, read_parquet_pieces, read_parquet_sample
from phenoprint.exchange.sources.recognise import (
    FEWEST_ROWS,
    Doubt,
    evidence_of,
    may_be_impostor,
    object_number_impostors,
    refuse_doubt,
    weigh,
)
from phenoprint.exchange.sources.text import BLOCK_BYTES, SAMPLE_BYTES, read_blocks, read_header

__all__ = ["DATABASES", "EXPECTED", "Kind", "Request", "Source", "is_table", "raw_pieces", "source_of", "table_columns"]

Kind = Literal["cellprofiler", "text", "parquet", "npz", "h5ad", "gct"]


@dataclass(frozen=True, slots=True)
class _Format:
    """A format of tables: endings of its files, the column names of a file, and its first rows."""

    endings: tuple[str, ...]
    columns: Callable[[Path], Sequence[str]]
    sample: Callable[[Path], pl.DataFrame]


_FORMATS: Final[dict[Kind, _Format]] = {
    "text": _Format(
        (".csv", ".tsv", ".txt"),
        lambda path: read_header(path).names,
        lambda path: next(read_blocks(path, block_bytes=SAMPLE_BYTES)),
    ),
    "parquet": _Format((".parquet", ".pq"), lambda path: list(parquet_columns(path)), read_parquet_sample),
    "gct": _Format((".gct",), lambda path: read_gct(path).columns, read_gct),
    "h5ad": _Format(
        (".h5ad",),
        lambda path: next(read_h5ad(path, Findings())).columns,
        lambda path: next(read_h5ad(path, Findings())),
    ),
}
DATABASES: Final = (".sqlite", ".sqlite3", ".db")
_ALL: Final = (".csv", ".tsv", ".txt", ".parquet", ".pq", *DATABASES, ".gct", ".h5ad", ".npz")
EXPECTED: Final = f"{', '.join(_ALL)} (text also compressed: {', '.join(COMPRESSED)})"


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to import: a file, or a folder whose files belong together.

    Parameters
    ----------
    path
        The file or folder.
    kind
        Its format.
    level
        Its level (`phenoprint.exchange.levels`).
    not_objects
        Columns named like the number of an object that hold something else.
    """

    path: Path
    kind: Kind
    level: str
    not_objects: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks for.

    Parameters
    ----------
    findings
        Takes notes.
    level
        The level to import; None for whatever there is.
    known
        Metadata that the user gives.
    refuse_doubt
        Whether a file whose level is in doubt is refused; it is noted otherwise.
    """

    findings: Findings
    level: str | None
    known: frozenset[str]
    refuse_doubt: bool


def source_of(path: Path, request: Request, *, is_inside: bool = False) -> Source:
    """Find the format and the level of a file.

    For a file that was found in a folder (`is_inside`), the level that the user asks for only selects files; for a file
    that the user names it is the file's level.

    Raises
    ------
    SchemaError
        If the file is empty, its ending is not known, or its level is in doubt.
    """
    name = _plain_name(path)
    if not path.stat().st_size:
        raise SchemaError(f"{path} is empty (0 bytes); expected a table: copy or export it again")
    if name.endswith(DATABASES):
        return Source(path, "cellprofiler", "2")
    if name.endswith(".npz"):
        return Source(path, "npz", "2")
    if not name.endswith(_ALL):
        raise SchemaError(f"{path}: expected one of {EXPECTED} or a folder")
    kind = _kind_of(path)
    form, columns = _FORMATS[kind], table_columns(path)
    sample = form.sample(path) if may_be_impostor(columns) else None
    not_objects = frozenset() if sample is None else object_number_impostors(sample, request.known)
    for column in not_objects:
        detail = "named like the number of an object, but it holds text or repeats within an image"
        request.findings.note("not_an_object_number", column, 1, source=str(path), detail=detail)
    level = parse_gallery_name(path.name).level
    if request.level is not None and not is_inside and (level is None or family(level) != family(request.level)):
        return Source(path, kind, request.level, not_objects)
    level = level or level_of_columns(columns, known=request.known, not_objects=not_objects)
    if family(level) == "3":
        level = _judged(path, level, form.sample(path) if sample is None else sample, request)
    elif level.startswith("4") and request.refuse_doubt and request.level is None:
        _refuse_raw(path, level, form.sample(path) if sample is None else sample)
    return Source(path, kind, level, not_objects)


def _refuse_raw(path: Path, level: str, sample: pl.DataFrame) -> None:
    """Refuse a table that is normalized by its name and raw by its values."""
    evidence = evidence_of(path.name, sample)
    if evidence.is_raw is not None and sample.height >= FEWEST_ROWS:
        refuse_doubt(str(path), Doubt((level, "3"), (*evidence.of_name.values(), evidence.is_raw)))


def _judged(path: Path, level: str, sample: pl.DataFrame, request: Request) -> str:
    """Weigh the evidence against raw profiles; in doubt the user's level decides, or the file is refused."""
    evidence = evidence_of(path.name, sample)
    verdict = weigh(level, path.name, evidence)
    if isinstance(verdict, Doubt):
        if request.level is not None and family(request.level) in [family(choice) for choice in verdict.choices]:
            return request.level
        if request.refuse_doubt and request.level is None:
            refuse_doubt(str(path), verdict)
        detail = f"level {' or '.join(verdict.choices)}: {'; '.join(verdict.evidence)}"
        request.findings.note("level_in_doubt", path.name, 1, source=str(path), detail=detail)
        return level
    if verdict != level:
        sentences = [*evidence.of_name.values(), evidence.of_columns, evidence.of_values]
        detail = f"level {verdict}: {'; '.join(sentence for sentence in sentences if sentence)}"
        request.findings.note("level_recognised", path.name, 1, source=str(path), detail=detail)
    return verdict


def _kind_of(path: Path) -> Kind:
    """Find the format of a table by its ending; text for any other."""
    name = _plain_name(path)
    kind: Kind = next((kind for kind, form in _FORMATS.items() if name.endswith(form.endings)), "text")
    if kind == "h5ad":
        require_anndata()
    return kind


def _plain_name(path: Path) -> str:
    """Return a file's name in lower case, of compressed text without the ending of the compression."""
    bare = without_compression(path.name.lower())
    return bare if bare.endswith((*_FORMATS["text"].endings, *_FORMATS["gct"].endings)) else path.name.lower()


def is_table(path: Path) -> bool:
    """Whether a file in a folder may hold profiles, by its ending; a plain ``.txt`` is more often a plate map."""
    endings = {ending for form in _FORMATS.values() for ending in form.endings} - {".txt"}
    return _plain_name(path).endswith(tuple(endings))


def table_columns(path: Path) -> list[str]:
    """List the column names of a table without reading all of it where the format allows."""
    return list(_FORMATS[_kind_of(path)].columns(path))


def raw_pieces(
    source: Source, findings: Findings, *, whole: bool, scratch: Path | None, text: Collection[str]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Read the pieces of a source as they are on disk, each with the name of its file.

    CellProfiler's tables are read by `phenoprint.exchange.sources.cellprofiler`. With `whole` a table is read at once;
    `scratch` is a folder for scratch files; `text` are columns that are text, whatever their names.
    """
    path = source.path
    match source.kind:
        case "text":
            frames = read_blocks(path, block_bytes=None if whole else BLOCK_BYTES, text=text)
        case "parquet":
            frames = read_parquet_pieces(path, piece_bytes=None if whole else PIECE_BYTES, scratch=scratch)
        case "h5ad":
            frames = read_h5ad(path, findings)
        case "gct":
            frames = iter([read_gct(path)])
        case _:
            files = [path] if path.is_file() else sorted(path.rglob("*.npz"))
            yield from ((str(file), read_npz(file, findings)) for file in files)
            return
    yield from ((str(path), frame) for frame in frames)
