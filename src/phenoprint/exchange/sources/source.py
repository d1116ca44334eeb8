"""Finding what can be imported at a path, and reading it piece by piece."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import polars as pl

from phenoprint.errors import DataError, SchemaError, UsageError, first_few
from phenoprint.exchange.cleaning.columns import Piece, Reading, clean
from phenoprint.exchange.cleaning.keys import with_site
from phenoprint.exchange.cleaning.names import COMPARTMENTS
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.sources.anndata import read_h5ad
from phenoprint.exchange.sources.cellprofiler import cell_pieces
from phenoprint.exchange.sources.cellprofiler_tables import image_files
from phenoprint.exchange.sources.deepprofiler import read_npz
from phenoprint.exchange.sources.files import (
    DATABASES,
    EXPECTED,
    IN_FOLDERS,
    Look,
    Source,
    columns_of,
    kind_of,
    plain_name,
    source_of,
)
from phenoprint.exchange.sources.gct import read_gct
from phenoprint.exchange.sources.levels import check_level, family, parse_gallery_name
from phenoprint.exchange.sources.parquet import PIECE_BYTES, read_parquet_pieces
from phenoprint.exchange.sources.text import BLOCK_BYTES, read_blocks

__all__ = ["Normalization", "Source", "find_sources", "source_pieces"]

Normalization = Literal["all", "negcon"]
_SCOPES = ("batch", "all", "plate", None)


def find_sources(
    paths: Sequence[Path],
    findings: Findings,
    *,
    level: str | None = None,
    normalization: Normalization | None = None,
    apart: Collection[Path] = (),
    known: Collection[str] = (),
    ask: bool = False,
) -> list[Source]:
    """Find what can be imported, one source a plate and level where a folder has several.

    Parameters
    ----------
    paths
        Files and folders.
    findings
        Takes notes of files that are not used.
    level
        Level to take; None for all there are. For a file whose name and columns say another, it is believed.
    normalization
        Where a folder has profiles normalized to all wells and to the controls: which ones; the controls by default.
    apart
        Files that are used for something else, such as the plate map: no sources, wherever they lie.
    known
        Metadata that the user says himself, whatever the files hold.
    ask
        Whether a file whose level is in doubt is refused; it is noted otherwise.

    Returns
    -------
    list of Source
        Sorted by level, then path.

    Raises
    ------
    DataError
        If a path does not exist or a folder holds nothing of the kind.
    SchemaError
        If a file cannot be read, its ending says nothing, or its level is in doubt.
    """
    wanted = None if level is None else check_level(level)
    look = Look(findings, wanted, frozenset(known), ask)
    found: list[Source] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"no such file or folder: {path}; expected one of {EXPECTED} or a folder of them")
        if path.is_file():
            found.append(source_of(path, look))
            continue
        inside = _in_folder(path, look, frozenset(file.resolve() for file in apart))
        fitting = [s for s in inside if wanted is None or family(s.level) == family(wanted)]
        if not fitting:
            held = ", ".join(sorted({s.level for s in inside}))
            raise DataError(f"{path} holds nothing of level {level}; its levels are {held}")
        found += fitting
    return sorted(_chosen(found, findings, wanted, normalization), key=lambda s: (s.level, s.path))


def source_pieces(
    source: Source,
    findings: Findings,
    *,
    reading: Reading | None = None,
    partial: bool = False,
    whole: bool = False,
    scratch: Path | None = None,
) -> Iterator[Piece]:
    """Read a source piece by piece, cleaned.

    Parameters
    ----------
    source
        What to read.
    findings
        Takes notes.
    reading
        What the user says of columns.
    partial
        Whether CellProfiler's object tables may be excerpts.
    whole
        Whether a table may be taken at once, where it all has to fit into memory anyway.
    scratch
        Folder for scratch files.

    Raises
    ------
    SchemaError
        If it cannot be read, or has no features.
    LostRowsError
        If CellProfiler's tables do not fit each other.
    """
    if source.kind == "cellprofiler":
        yield from cell_pieces(source.path, partial=partial, findings=findings, reading=reading)
        return
    name = str(source.path)
    if source.not_objects:
        reading = replace(reading or Reading(), not_objects=source.not_objects)
    said = {column for names in reading.columns.values() for column in names} if reading else set()
    for origin, raw in _raw(source, findings, whole=whole, scratch=scratch, text=said):
        frame = clean(raw, source=origin, findings=findings, reading=reading, group=name, among=family(source.level))
        if all(column.startswith("Metadata_") for column in frame.columns):
            raise SchemaError(
                f"{source.path} has no feature: none of its {frame.width} columns is a number without Metadata_"
            )
        yield Piece(with_site(frame, findings, source=origin) if source.level == "2" else frame)


def _raw(
    source: Source, findings: Findings, *, whole: bool, scratch: Path | None, text: Collection[str]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Give the pieces of a source as they are on disk, and whose they are."""
    name = str(source.path)
    match source.kind:
        case "text":
            blocks = read_blocks(source.path, block_bytes=None if whole else BLOCK_BYTES, text=text)
            yield from ((name, frame) for frame in blocks)
        case "parquet":
            pieces = read_parquet_pieces(source.path, piece_bytes=None if whole else PIECE_BYTES, scratch=scratch)
            yield from ((name, frame) for frame in pieces)
        case "h5ad":
            yield from ((name, frame) for frame in read_h5ad(source.path, findings))
        case "gct":
            yield name, read_gct(source.path)
        case "npz":
            files = [source.path] if source.path.is_file() else sorted(source.path.rglob("*.npz"))
            yield from ((str(file), read_npz(file, findings)) for file in files)
        case "cellprofiler":  # pragma: no cover - read elsewhere
            raise AssertionError


def _in_folder(root: Path, look: Look, apart: Collection[Path]) -> list[Source]:
    """Everything below a folder that can be imported."""
    if (root / "screen.toml").exists() and (root / "tables").is_dir():
        raise UsageError(f"{root} is a screen, not something to import; open it with phenoprint.open")
    runs = image_files(root)
    claimed = {file.parent for file in runs}
    found = [Source(root, "cellprofiler", "2")] if runs else []
    if next(root.rglob("*.npz"), None) is not None:
        found.append(Source(root, "npz", "2"))
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    found += [Source(path, "cellprofiler", "2") for path in files if path.name.lower().endswith(DATABASES)]
    for path in files:
        if path.parent in claimed or not plain_name(path).endswith(IN_FOLDERS) or path.resolve() in apart:
            continue
        if path.stat().st_size == 0:
            look.findings.note("file_not_used", path.name, 1, source=str(path), detail=f"{path} is empty (0 bytes)")
            continue
        if _holds_profiles(columns_of(path, kind_of(path))):
            found.append(source_of(path, look, is_inside=True))
        else:
            detail = f"{path} has no feature of Cells, Nuclei or Cytoplasm"
            look.findings.note("file_not_used", path.name, 1, source=str(path), detail=detail)
    if not found:
        raise _nothing_in(root, files)
    return found


def _nothing_in(root: Path, files: Sequence[Path]) -> SchemaError:
    """Say what a folder holds instead of something to import."""
    tables = [path.relative_to(root).as_posix() for path in files if plain_name(path).endswith(IN_FOLDERS)]
    if tables:
        shown = first_few(tables, 3)
        return SchemaError(
            f"{root}: no Image.csv in it or below, and no table with features of Cells, Nuclei or Cytoplasm; found "
            f"{shown}. Other tables are not taken from a folder: give such a file by its name"
        )
    kinds = ", ".join(sorted({path.suffix or "no ending" for path in files})[:8]) or "nothing"
    return SchemaError(
        f"{root}: no Image.csv in it or below, and no table of profiles; found {kinds}. Give CellProfiler's output "
        "folder, a folder of profiles, or a file"
    )


def _holds_profiles(columns: Sequence[str]) -> bool:
    prefixes = tuple(f"{name}_" for name in COMPARTMENTS)
    return any(name.startswith(prefixes) for name in columns) or {"OBJECT ID", "WELL LABEL"} <= set(columns)


def _chosen(
    sources: Sequence[Source], findings: Findings, wanted: str | None, normalization: Normalization | None
) -> list[Source]:
    """Take one of several files of a plate that are of one level: a database and what was exported from it are one."""
    groups: dict[tuple[object, ...], list[Source]] = {}
    for source in sources:
        is_table = source.kind in ("text", "parquet", "gct", "h5ad")
        stem = parse_gallery_name(source.path.name).stem if is_table else source.path.stem
        is_one = is_table or source.path.name.lower().endswith(DATABASES)
        key = (source.path.parent, stem) if is_one else (source.path, source.kind)
        groups.setdefault((*key, family(source.level)), []).append(source)
    negcon = normalization != "all" if wanted is None or "_" not in wanted else True

    def rank(source: Source) -> tuple[bool, bool, int, int, str]:
        level, scope = source.level, parse_gallery_name(source.path.name).scope
        off = ("negcon" in level and not negcon) or (level in ("4a", "4b") and negcon)
        kind = ("cellprofiler", "parquet").index(source.kind) if source.kind in ("cellprofiler", "parquet") else 2
        return off, level == "3", _SCOPES.index(scope), kind, source.path.name

    kept = []
    for group in groups.values():
        first, *others = sorted(group, key=rank)
        kept.append(first)
        for other in others:
            detail = f"{other.path.name}, because {first.path.name} of the same plate and level is taken"
            findings.note("file_not_used", other.path.name, 1, source=str(other.path), detail=detail)
    return kept
