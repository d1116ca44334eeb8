"""Everything at a path that can be imported."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from phenoprint.errors import DataError, SchemaError, UsageError, first_few
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.levels import check_level, family, parse_gallery_name
from phenoprint.exchange.names import ROW_COMPARTMENTS
from phenoprint.exchange.sources.cellprofiler import image_files
from phenoprint.exchange.sources.files import (
    DATABASES,
    EXPECTED,
    Request,
    Source,
    is_table,
    source_of,
    table_columns,
)

__all__ = ["Normalization", "find_sources"]

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
    refuse_doubt: bool = False,
) -> list[Source]:
    """Find what can be imported, one source per plate and level where a folder has several; sorted by level and path.

    Parameters
    ----------
    level
        Level to take; None for all there are. For a file whose name and columns indicate another, this level is used.
    normalization
        Where a folder has profiles normalized to all wells and to the controls: which ones; the controls by default.
    apart
        Files that are used for something else, such as the plate map; they are never sources.
    known
        Metadata that the user gives.
    refuse_doubt
        Whether a file whose level is in doubt is refused; it is noted otherwise.

    Raises
    ------
    DataError
        If a path does not exist or a folder holds nothing of the level.
    SchemaError
        If a file cannot be read, its ending is not known, or its level is in doubt.
    """
    wanted = None if level is None else check_level(level)
    request = Request(findings, wanted, frozenset(known), refuse_doubt)
    found: list[Source] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"no such file or folder: {path}; expected one of {EXPECTED} or a folder of them")
        if path.is_file():
            found.append(source_of(path, request))
            continue
        inside = _in_folder(path, request, frozenset(file.resolve() for file in apart))
        fitting = [s for s in inside if wanted is None or family(s.level) == family(wanted)]
        if not fitting:
            held = ", ".join(sorted({s.level for s in inside}))
            raise DataError(f"{path} holds nothing of level {level}; its levels are {held}")
        found += fitting
    return sorted(_chosen(found, findings, wanted, normalization), key=lambda s: (s.level, s.path))


def _in_folder(root: Path, request: Request, apart: Collection[Path]) -> list[Source]:
    """Find everything below a folder that can be imported."""
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
        if path.parent in claimed or not is_table(path) or path.resolve() in apart:
            continue
        if path.stat().st_size == 0:
            request.findings.not_used(path, path.name, f"{path} is empty (0 bytes)")
        elif _holds_profiles(table_columns(path)):
            found.append(source_of(path, request, is_inside=True))
        else:
            request.findings.not_used(path, path.name, f"{path} has no feature of Cells, Nuclei or Cytoplasm")
    if not found:
        raise _nothing_in(root, files)
    return found


def _nothing_in(root: Path, files: Sequence[Path]) -> SchemaError:
    """Return the error for a folder without anything to import."""
    tables = [path.relative_to(root).as_posix() for path in files if is_table(path)]
    if tables:
        return SchemaError(
            f"{root}: no Image.csv in it or below, and no table with features of Cells, Nuclei or Cytoplasm; found "
            f"{first_few(tables, 3)}. Other tables are not taken from a folder: give such a file by its name"
        )
    kinds = ", ".join(sorted({path.suffix or "no ending" for path in files})[:8]) or "nothing"
    return SchemaError(
        f"{root}: no Image.csv in it or below, and no table of profiles; found {kinds}. Give CellProfiler's output "
        "folder, a folder of profiles, or a file"
    )


def _holds_profiles(columns: Sequence[str]) -> bool:
    prefixes = tuple(f"{name}_" for name in ROW_COMPARTMENTS)
    return any(name.startswith(prefixes) for name in columns) or {"OBJECT ID", "WELL LABEL"} <= set(columns)


def _chosen(
    sources: Sequence[Source], findings: Findings, wanted: str | None, normalization: Normalization | None
) -> list[Source]:
    """Take one of several files of a plate and level; a database and its export count as one plate."""
    groups: dict[tuple[object, ...], list[Source]] = {}
    for source in sources:
        is_profile = source.kind in ("text", "parquet", "gct", "h5ad")
        stem = parse_gallery_name(source.path.name).stem if is_profile else source.path.stem
        is_one = is_profile or source.path.name.lower().endswith(DATABASES)
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
            findings.not_used(other.path, other.path.name, detail)
    return kept
