"""A source read piece by piece, with the names and types of a screen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from phenoprint.errors import SchemaError
from phenoprint.exchange.cleaning.cells import Piece, cell_pieces
from phenoprint.exchange.cleaning.columns import ColumnOptions, clean, with_site
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.levels import family
from phenoprint.exchange.names import measured_columns
from phenoprint.exchange.sources.files import Source, raw_pieces

__all__ = ["source_pieces"]


def source_pieces(
    source: Source,
    findings: Findings,
    *,
    options: ColumnOptions,
    partial: bool = False,
    whole: bool = False,
    scratch: Path | None = None,
) -> Iterator[Piece]:
    """Read a source piece by piece, cleaned.

    Parameters
    ----------
    partial
        Whether CellProfiler's object tables may be excerpts.
    whole
        Whether a table may be read at once, where all of it has to fit into memory anyway.
    scratch
        Folder for scratch files.

    Raises
    ------
    SchemaError
        If the source cannot be read, or has no features.
    LostRowsError
        If CellProfiler's tables do not fit each other.
    """
    if source.kind == "cellprofiler":
        yield from cell_pieces(source.path, partial=partial, findings=findings, options=options)
        return
    if source.not_objects:
        options = replace(options, not_objects=source.not_objects)
    text = {column for names in options.columns.values() for column in names}
    for origin, raw in raw_pieces(source, findings, whole=whole, scratch=scratch, text=text):
        frame = clean(
            raw,
            source=origin,
            findings=findings,
            options=options,
            group=str(source.path),
            among=family(source.level),
        )
        if not measured_columns(frame):
            raise SchemaError(
                f"{source.path} has no feature: none of its {frame.width} columns is a number without Metadata_"
            )
        yield Piece(with_site(frame, findings, source=origin) if source.level == "2" else frame)
