"""Tables of other tools read into a frame with the names and types of a screen.

Metadata stay text, so that no barcode loses its zeros. A column that cannot be a number is metadata; every other column
is a feature, a 32-bit float. A missing value is NULL, whether it was written as nothing, ``nan`` or ``NA``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from phenoprint.errors import SchemaError
from phenoprint.exchange.cleaning.columns import ColumnOptions
from phenoprint.exchange.cleaning.pieces import source_pieces
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.ledgers import add_up, balanced_ledger, counted
from phenoprint.exchange.levels import family
from phenoprint.exchange.names import metadata_first
from phenoprint.exchange.sources.find import Normalization, find_sources

__all__ = ["Imported", "load_profiles", "read_profiles"]


@dataclass(frozen=True, slots=True)
class Imported:
    """A table of another tool, with its level, ledger and notes.

    Parameters
    ----------
    frame
        Cells or profiles: ``Metadata_*``, then features as Float32, NULL where missing.
    level
        ``"2"`` cells, ``"3"`` wells, ``"4a"`` normalized, ``"4b"`` selected, ``"5"`` treatments; with ``_augmented``
        or ``_negcon`` where the file's name has it.
    ledger
        Rows of table ``ledger``: how many cells or wells were read and taken, and why the others were not.
    differences
        Columns that some files lack: ``column``, ``kind``, ``n_sources``, ``n_without``,
        ``without``, ``detail``. They are NULL in the rows of the files that lack them.
    notes
        What was changed or is unusual: ``kind`` (``well_renamed``, ``renamed_column``, ``unknown_column``,
        ``infinite``, ``derived_column``, ``not_a_well``, ``file_not_used``, ``table_not_used``, ``image_columns``,
        ``nested_column``, ...), ``column``, ``n`` values or rows, ``n_sources`` files, ``detail`` of the first.
    """

    frame: pl.DataFrame
    level: str
    ledger: pl.DataFrame
    differences: pl.DataFrame
    notes: pl.DataFrame


def read_profiles(path: str | Path) -> pl.DataFrame:
    r"""Read profiles or single cells of any common tool.

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
        If the file has no feature or no row, cannot be read, or a folder holds several levels.
    LostRowsError
        If CellProfiler's tables do not fit each other, so that cells would be lost or doubled.
    DataError
        If there is nothing to read at the path.
    MissingExtraError
        For h5ad without anndata.

    Warns
    -----
    UserWarning
        If objects of CellProfiler's tables are left out; `load_profiles` returns their ledger.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Path(folder) / "profiles.csv"
    ...     _ = table.write_text("Metadata_Plate,Metadata_Well,Cells_AreaShape_Area\np,a1,12.5\n")
    ...     read_profiles(table)["Metadata_Well"].to_list()
    ['A01']
    """
    source = Path(path).expanduser()
    imported = load_profiles(source)
    lost = imported.ledger.filter(pl.col("n_lost") > 0).group_by("reason", "unit_of_count").agg(pl.col("n_lost").sum())
    if lost.height:
        listed = "; ".join(f"{n} {unit}: {reason}" for reason, unit, n in lost.sort("reason").iter_rows())
        warnings.warn(
            f"{source}: not in the table: {listed}. phenoprint.exchange.load_profiles returns their ledger",
            stacklevel=2,
        )
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
    r"""Read profiles or single cells with their level, ledger and notes; see `read_profiles`.

    Parameters
    ----------
    path
        As for `read_profiles`, or several of them.
    level
        Level to read where a folder has several, or the level of a file whose name does not state it: ``"2"``,
        ``"3"``, ``"4a"``, ``"4b"``, ``"5"``.
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
        The whole table, in memory; `import_profiles` writes into a screen with bounded memory.

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
    options = ColumnOptions.of(columns, fixed, extract)
    sources = find_sources(paths, findings, level=level, normalization=normalization, known=options.known)
    families = sorted({family(source.level) for source in sources})
    if len(families) > 1:
        raise SchemaError(
            f"{', '.join(map(str, paths))} holds levels {', '.join(families)}; choose one with level=..., or import "
            "all of them into a screen"
        )
    frames, ledgers, losses = [], [], []
    for source in sources:
        n_rows = 0
        for piece in source_pieces(source, findings, options=options, partial=partial, whole=True):
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
    frame = metadata_first(frame)
    if losses:
        keys = ("Plate", "Well", "Site", "TableNumber", "ImageNumber", "ObjectNumber")
        frame = frame.sort([f"Metadata_{key}" for key in keys if f"Metadata_{key}" in frame.columns])
        ledgers.append(balanced_ledger(pl.concat(losses)))
    ledger = add_up(ledgers)
    return Imported(frame, sources[0].level, ledger, findings.differences(), findings.notes())
