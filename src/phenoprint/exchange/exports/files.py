"""Profiles as the field's files: CSV.gz, TSV, Parquet, GCT or h5ad, under the names of the Cell Painting Gallery."""

from __future__ import annotations

import gzip
import io
import re
from pathlib import Path
from typing import Literal

import polars as pl

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.exchange.sources.levels import LEVELS
from phenoprint.store import write_bytes, write_parquet
from phenoprint.tables import nan_to_null

__all__ = ["check_float_format", "gallery_name", "write_profiles", "written_numbers"]

_SCOPES = ("plate", "batch", "all")
_SEPARATORS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}
_OTHERS = (".parquet", ".gct", ".gct.gz", ".h5ad")


def gallery_name(
    plate: str, level: str, *, scope: Literal["plate", "batch", "all"] | None = None, extension: str = ".csv.gz"
) -> str:
    """Name a profile file as the Cell Painting Gallery does.

    Parameters
    ----------
    plate
        Plate barcode (or batch name, for level 5).
    level
        ``"3"`` well aggregate, ``"3_augmented"`` with annotation, ``"4a"`` normalized to the whole plate,
        ``"4a_negcon"`` to the negative controls, ``"4b"`` and ``"4b_negcon"`` the same with features selected,
        ``"5"`` consensus.
    scope
        Over what features were selected; for levels 4b only.
    extension
        With the dot.

    Raises
    ------
    UnknownNameError
        If there is no such level or scope.

    Examples
    --------
    >>> gallery_name("BR00117010", "4b_negcon", scope="batch")
    'BR00117010_normalized_feature_select_negcon_batch.csv.gz'
    """
    if level not in LEVELS:
        raise UnknownNameError("profile level", level, LEVELS)
    if scope is not None and scope not in _SCOPES:
        raise UnknownNameError("scope of feature selection", scope, _SCOPES)
    if scope is not None and not level.startswith("4b"):
        raise UsageError(f"a scope belongs to levels 4b and 4b_negcon; level {level} has none")
    return f"{plate}{LEVELS[level]}{f'_{scope}' if scope else ''}{extension}"


def write_profiles(
    frame: pl.DataFrame,
    path: str | Path,
    *,
    float_format: str | None = None,
    features: pl.DataFrame | None = None,
) -> Path:
    """Write profiles for other tools: metadata first, missing values empty (text) or NULL (Parquet), atomically.

    Parameters
    ----------
    frame
        Profiles of any level.
    path
        Ends in ``.csv``, ``.csv.gz``, ``.tsv``, ``.tsv.gz``, ``.parquet``, ``.gct``, ``.gct.gz`` or ``.h5ad``, which
        says the form.
    float_format
        How features are written in text files, such as the Gallery's ``"%.5g"``; None writes as many digits as tell
        32-bit floats apart.
    features
        Table ``feature`` of a screen, which describes the variables of an h5ad file.

    Returns
    -------
    pathlib.Path
        The file written. The same frame gives the same bytes, save h5ad.

    Raises
    ------
    UsageError
        If the path ends in anything else, or the format is not one for floats.
    MissingExtraError
        For h5ad without anndata.
    ScreenError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_profiles(pl.DataFrame({"Cells_A": [2 / 3]}), Path(folder) / "p.csv", float_format="%.5g")
    ...     path.read_text().split()
    ['Cells_A', '0.66667']
    """
    target = Path(path).expanduser()
    check_float_format(float_format)
    described = [name for name in frame.columns if name.startswith("Metadata_")]
    measured = [name for name in frame.columns if not name.startswith("Metadata_")]
    ordered = nan_to_null(frame.select(described + measured))
    name = target.name.lower()
    if name.endswith(".parquet"):
        write_parquet(ordered, target)
    elif name.endswith((".gct", ".gct.gz")):
        from phenoprint.exchange.exports.gct import gct_bytes

        _write_text(gct_bytes(ordered, float_format=float_format), target)
    elif name.endswith(".h5ad"):
        from phenoprint.exchange.exports.frames import write_h5ad

        write_h5ad(ordered, target, features=features)
    else:
        ending = next((e for e in sorted(_SEPARATORS, key=len, reverse=True) if name.endswith(e)), None)
        if ending is None:
            known = ", ".join((*_SEPARATORS, *_OTHERS))
            raise UsageError(f"cannot tell the form of {target}: end it in {known}")
        buffer = io.BytesIO()
        written = ordered if float_format is None else written_numbers(ordered, float_format)
        written.write_csv(buffer, separator=_SEPARATORS[ending])
        _write_text(buffer.getvalue(), target)
    return target


def _write_text(content: bytes, target: Path) -> None:
    gzipped = target.name.lower().endswith(".gz")
    write_bytes(target, gzip.compress(content, compresslevel=6, mtime=0) if gzipped else content)


def check_float_format(float_format: str | None) -> None:
    """Refuse a format that is not one for floats.

    Raises
    ------
    UsageError
        If it is neither None nor like ``"%.5g"``.
    """
    if float_format is not None and not re.fullmatch(r"%\.\d{1,2}[gef]", float_format):
        raise UsageError(f"float_format is like '%.5g', '%.3f' or '%.6e', or None; found {float_format!r}")


def written_numbers(frame: pl.DataFrame, float_format: str) -> pl.DataFrame:
    """Write features as text with the given format, exactly as C and pandas do; missing values stay NULL."""
    columns = []
    for column in frame:
        if column.name.startswith("Metadata_") or not column.dtype.is_float():
            columns.append(column)
        else:
            texts = [None if value is None else float_format % value for value in column.to_list()]
            columns.append(pl.Series(column.name, texts, dtype=pl.String))
    return pl.DataFrame(columns)
