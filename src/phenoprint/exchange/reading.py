"""Tables that other software wrote, read into the names and types of a screen.

Metadata stays text, so that no barcode loses its zeros; what cannot be a number is metadata; everything else is
a feature and a 32-bit float. A missing value is NULL, whether it was written as nothing, ``nan`` or ``NA``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.exchange.cleaning.columns import Reading, clean_profiles
from phenoprint.exchange.cleaning.counts import add_up, counted
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.sources.cellprofiler import warn_of_losses
from phenoprint.exchange.sources.cellprofiler_images import balanced_ledger
from phenoprint.exchange.sources.levels import family
from phenoprint.exchange.sources.source import Normalization, find_sources, source_pieces

__all__ = ["Imported", "clean_profiles", "load_profiles", "make_reading", "read_profiles"]


@dataclass(frozen=True, slots=True)
class Imported:
    """A table of another tool and what there is to say of it.

    Parameters
    ----------
    frame
        Cells or profiles: ``Metadata_*``, then features as Float32, NULL where missing.
    level
        ``"2"`` cells, ``"3"`` wells, ``"4a"`` normalized, ``"4b"`` selected, ``"5"`` treatments; with ``_augmented``
        or ``_negcon`` where the file's name says so.
    ledger
        Rows of table ``ledger``: how many cells or wells came in, went out, and why the others did not.
    differences
        Columns that not every file of a mixed import has: ``column``, ``kind``, ``n_sources``, ``n_without``,
        ``without``, ``detail``. They are NULL in the rows of the files that lack them.
    notes
        What was changed or is odd: ``kind`` (``well_renamed``, ``renamed_column``, ``unknown_column``, ``infinite``,
        ``derived_column``, ``not_a_well``, ``file_not_used``, ``table_not_used``, ``image_columns``,
        ``nested_column``, ...), ``column``, ``n`` values or rows, ``n_sources`` files, ``detail`` of the first.
    """

    frame: pl.DataFrame
    level: str
    ledger: pl.DataFrame
    differences: pl.DataFrame
    notes: pl.DataFrame


def read_profiles(path: str | Path) -> pl.DataFrame:
    """Read profiles or single cells that any tool of the field wrote.

    Parameters
    ----------
    path
        A CSV, TSV (also gzipped), Parquet, GCT or h5ad file with metadata and features, such as level 3 to 5 profiles
        of the Cell Painting Gallery, CytoTable's and pycytominer's output, IN Carta's CSV; CellProfiler's own output: a
        folder with ``Image.csv``, ``Cells.csv``, ``Nuclei.csv`` and ``Cytoplasm.csv`` (or a tree of such folders),
        or the SQLite file that it or cytominer-database wrote; DeepProfiler's ``.npz`` files; or a folder of such
        files of one level.

    Returns
    -------
    polars.DataFrame
        ``Metadata_`` columns as text (counts, row, column, object number and concentration as numbers where they
        are), then features as Float32, NULL where missing. Wells are spelled ``A01``. ``Image_Metadata_X`` becomes
        ``Metadata_X``; a column of text without the prefix gets it; plain names of the field for plate, well, site and
        object (``WELL LABEL``, ``FOV``, ``ObjectNumber``, ...) become ``Metadata_Plate`` and so on.

    Raises
    ------
    SchemaError
        If the file has no feature or no row, cannot be understood, or a folder holds several levels.
    LostRowsError
        If CellProfiler's tables do not fit each other, so that cells would be lost or doubled.
    DataError
        If there is nothing to read at the path.
    MissingExtraError
        For h5ad without anndata.

    Warns
    -----
    UserWarning
        If objects of CellProfiler's tables have no place in the result; `load_profiles` gives their ledger.
    """
    source = Path(path).expanduser()
    imported = load_profiles(source)
    warn_of_losses(source, imported.ledger)
    return imported.frame


def load_profiles(
    path: str | Path | Sequence[str | Path],
    *,
    level: str | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    fixed: Mapping[str, str] | None = None,
    extract: Mapping[str, str] | None = None,
    normalization: Normalization | None = None,
    partial: bool = False,
) -> Imported:
    r"""Read profiles or single cells with everything there is to say of them; see `read_profiles`.

    Parameters
    ----------
    path
        As for `read_profiles`, or several of them.
    level
        Level to read where a folder has several, or what a file is though its name does not say so: ``"2"``, ``"3"``,
        ``"4a"``, ``"4b"``, ``"5"``.
    columns
        For a metadata column, the source's column that holds it, or several to be joined by ``_``:
        ``{"Metadata_Plate": ["plate", "replicate"]}``.
    fixed
        Values of metadata columns for rows that have none: ``{"Metadata_Plate": "P1"}``.
    extract
        For a metadata column, a regular expression whose named groups become metadata:
        ``{"Plate": r"(?P<Batch>Week\d+)_"}``.
    normalization
        Where a folder has profiles normalized to ``"all"`` wells and to the ``"negcon"`` wells: which; negcon by
        default.
    partial
        Whether CellProfiler's object tables may hold fewer objects than its image table counts (an excerpt).

    Returns
    -------
    Imported
        The whole table, in memory; `import_profiles` writes into a screen without that.

    Raises
    ------
    SchemaError, LostRowsError, DataError, MissingExtraError
        As `read_profiles`.
    UnknownNameError
        If a level or column does not exist.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "P1_normalized.csv"
    ...     _ = file.write_text("Metadata_Plate,Metadata_Well,Cells_A\nP1,a1,nan\n")
    ...     loaded = load_profiles(file)
    >>> loaded.level, loaded.frame.row(0), loaded.notes["kind"].to_list()
    ('4a', ('P1', 'A01', None), ['well_renamed'])
    """
    paths = [Path(p).expanduser() for p in ([path] if isinstance(path, str | Path) else path)]
    findings = Findings()
    reading = make_reading(columns, fixed, extract)
    sources = find_sources(paths, findings, level=level, normalization=normalization, known=reading.known)
    families = sorted({family(source.level) for source in sources})
    if len(families) > 1:
        raise SchemaError(
            f"{', '.join(map(str, paths))} holds levels {', '.join(families)}; say which with level=..., or import all "
            "of them into a screen"
        )
    frames, ledgers, losses = [], [], []
    for source in sources:
        n_rows = 0
        for piece in source_pieces(source, findings, reading=reading, partial=partial, whole=True):
            if piece.losses is not None:
                losses.append(piece.losses)
            if piece.frame is not None:
                n_rows += piece.frame.height
                frames.append(piece.frame)
                if piece.losses is None:
                    ledgers.append(counted(piece.frame, "cells" if source.level == "2" else "wells"))
        if not n_rows:
            raise SchemaError(f"{source.path} has column names but no rows; export it again, or leave it out")
    frame = pl.concat(frames, how="diagonal_relaxed") if len(frames) > 1 else frames[0]
    described = [name for name in frame.columns if name.startswith("Metadata_")]
    frame = frame.select(*described, pl.exclude(described))
    if losses:
        keys = ("Plate", "Well", "Site", "TableNumber", "ImageNumber", "ObjectNumber")
        frame = frame.sort([f"Metadata_{key}" for key in keys if f"Metadata_{key}" in described])
        ledgers.append(balanced_ledger(pl.concat(losses)))
    ledger = add_up(ledgers)
    return Imported(frame, sources[0].level, ledger, findings.differences(), findings.notes())


def make_reading(
    columns: Mapping[str, str | Sequence[str]] | None,
    fixed: Mapping[str, str] | None,
    extract: Mapping[str, str] | None = None,
) -> Reading:
    """Put what the user says of columns into one record; names get their ``Metadata_`` if they lack it.

    Raises
    ------
    UsageError
        If an expression is none, or has no named group.
    """
    joined = {_key(k): (v,) if isinstance(v, str) else tuple(v) for k, v in (columns or {}).items()}
    for name, pattern in (extract or {}).items():
        try:
            groups = pl.DataFrame({"x": [""]}).select(pl.col("x").str.extract_groups(pattern)).to_series().struct.fields
        except pl.exceptions.PolarsError as error:
            raise UsageError(f"extract {name}: {pattern!r} is no regular expression: {error}") from error
        if not groups or any(group.isdigit() for group in groups):
            raise UsageError(f"extract {name}: {pattern!r} names no group; write such as '(?P<Batch>[^_]+)_'")
    patterns = {_key(k): v for k, v in (extract or {}).items()}
    return Reading(joined, {_key(k): str(v) for k, v in (fixed or {}).items()}, patterns)


def _key(name: str) -> str:
    return name if name.startswith("Metadata_") else f"Metadata_{name}"
