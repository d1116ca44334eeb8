"""One file of another tool: how it is read, what level it is, what its columns are called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from phenoprint.errors import SchemaError
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.sources.anndata import read_h5ad, require_anndata
from phenoprint.exchange.sources.compressed import COMPRESSED, without_compression
from phenoprint.exchange.sources.gct import read_gct
from phenoprint.exchange.sources.levels import family, level_of_columns, parse_gallery_name
from phenoprint.exchange.sources.parquet import parquet_columns, read_parquet_sample
from phenoprint.exchange.sources.recognise import (
    FEWEST_ROWS,
    Doubt,
    evidence_of,
    may_be_impostor,
    object_number_impostors,
    refuse_doubt,
    weigh,
)
from phenoprint.exchange.sources.text import SAMPLE_BYTES, read_blocks, read_header

__all__ = [
    "DATABASES",
    "EXPECTED",
    "IN_FOLDERS",
    "Kind",
    "Look",
    "Source",
    "columns_of",
    "kind_of",
    "plain_name",
    "source_of",
]

Kind = Literal["cellprofiler", "text", "parquet", "npz", "h5ad", "gct"]

_TEXT = (".csv", ".tsv", ".txt")
_PARQUET = (".parquet", ".pq")
DATABASES = (".sqlite", ".sqlite3", ".db")
_GCT = (".gct",)
_ALL = (*_TEXT, *_PARQUET, *DATABASES, *_GCT, ".h5ad", ".npz")
EXPECTED = f"{', '.join(_ALL)} (text also compressed: {', '.join(COMPRESSED)})"
# In a folder a plain .txt is a plate map more often than a table of profiles.
IN_FOLDERS = (".csv", ".tsv", *_PARQUET, *_GCT, ".h5ad")


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to import: a file, or a folder that belongs together.

    Parameters
    ----------
    path
        The file or folder.
    kind
        How it is read.
    level
        Its level (`import_levels`).
    not_objects
        Columns that are called as an object's number is, but hold something else.
    """

    path: Path
    kind: Kind
    level: str
    not_objects: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Look:
    """How files are looked at.

    Parameters
    ----------
    findings
        Takes notes.
    wanted
        Level that the user asks for; None for whatever it is.
    known
        Metadata that the user says himself.
    ask
        Whether a file whose level is in doubt is refused.
    """

    findings: Findings
    wanted: str | None
    known: frozenset[str]
    ask: bool


def source_of(path: Path, look: Look, *, is_inside: bool = False) -> Source:
    """Say how a file is read and what level it is.

    Parameters
    ----------
    path
        The file.
    look
        How it is looked at.
    is_inside
        Whether it was found in a folder: a level that is asked for then chooses among the files, and a file by its
        name is what the user says it is.

    Raises
    ------
    SchemaError
        If it is empty, its ending says nothing, or its level is in doubt.
    """
    name = plain_name(path)
    if not path.stat().st_size:
        raise SchemaError(f"{path} is empty (0 bytes); expected a table: copy or export it again")
    if name.endswith(DATABASES):
        return Source(path, "cellprofiler", "2")
    if name.endswith(".npz"):
        return Source(path, "npz", "2")
    if not name.endswith(_ALL):
        raise SchemaError(f"{path}: expected one of {EXPECTED} or a folder")
    kind = kind_of(path)
    columns = columns_of(path, kind)
    sample = _sample(path, kind) if may_be_impostor(columns) else None
    not_objects = frozenset() if sample is None else object_number_impostors(sample, look.known)
    for column in not_objects:
        detail = "its name may mean the number of an object, but it holds text or repeats within an image"
        look.findings.note("not_an_object_number", column, 1, source=str(path), detail=detail)
    level = parse_gallery_name(path.name).level
    if look.wanted is not None and not is_inside and (level is None or family(level) != family(look.wanted)):
        return Source(path, kind, look.wanted, not_objects)
    level = level or level_of_columns(columns, known=look.known, not_objects=not_objects)
    if family(level) == "3":
        level = _judged(path, level, _sample(path, kind) if sample is None else sample, look)
    elif level.startswith("4") and look.ask and look.wanted is None:
        _refuse_raw(path, level, _sample(path, kind) if sample is None else sample)
    return Source(path, kind, level, not_objects)


def _refuse_raw(path: Path, level: str, sample: pl.DataFrame) -> None:
    """Ask for the level of a table whose name says that it is normalized and whose values say that it is raw."""
    evidence = evidence_of(path.name, sample)
    if evidence.is_raw is not None and sample.height >= FEWEST_ROWS:
        told = (*evidence.of_name.values(), evidence.is_raw)
        refuse_doubt(str(path), Doubt((level, "3"), told))


def _judged(path: Path, level: str, sample: pl.DataFrame, look: Look) -> str:
    """Weigh what indicates other than raw profiles; in doubt the user's `level` decides or is asked for."""
    evidence = evidence_of(path.name, sample)
    verdict = weigh(level, path.name, evidence)
    if isinstance(verdict, Doubt):
        if look.wanted is not None and family(look.wanted) in [family(choice) for choice in verdict.choices]:
            return look.wanted
        if look.ask and look.wanted is None:
            refuse_doubt(str(path), verdict)
        detail = f"level {' or '.join(verdict.choices)}: {'; '.join(verdict.evidence)}"
        look.findings.note("level_in_doubt", path.name, 1, source=str(path), detail=detail)
        return level
    if verdict != level:
        sentences = [*evidence.of_name.values(), evidence.of_columns, evidence.of_values]
        detail = f"level {verdict}: {'; '.join(sentence for sentence in sentences if sentence)}"
        look.findings.note("level_recognised", path.name, 1, source=str(path), detail=detail)
    return verdict


def _sample(path: Path, kind: Kind) -> pl.DataFrame:
    """Read the first rows of a table."""
    if kind == "text":
        return next(read_blocks(path, block_bytes=SAMPLE_BYTES))
    if kind == "parquet":
        return read_parquet_sample(path)
    return read_gct(path) if kind == "gct" else next(read_h5ad(path, Findings()))


def kind_of(path: Path) -> Kind:
    """Say how a table is read, by its ending."""
    name = plain_name(path)
    if name.endswith(_PARQUET):
        return "parquet"
    if name.endswith(_GCT):
        return "gct"
    if name.endswith(".h5ad"):
        require_anndata()
        return "h5ad"
    return "text"


def plain_name(path: Path) -> str:
    """Give a file's name without what says that text is compressed."""
    bare = without_compression(path.name.lower())
    return bare if bare.endswith((*_TEXT, *_GCT)) else path.name.lower()


def columns_of(path: Path, kind: Kind) -> list[str]:
    """Column names of a table, as cheaply as can be had."""
    if kind == "text":
        return list(read_header(path).names)
    if kind == "parquet":
        return list(parquet_columns(path))
    if kind == "gct":
        return read_gct(path).columns
    return next(read_h5ad(path, Findings())).columns
