"""Profiles as the field's files: CSV.gz, TSV or Parquet, under the names of the Cell Painting Gallery."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Literal

import polars as pl

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.store._atomic import write_bytes
from phenoprint.store.parquet import write_parquet
from phenoprint.store.schemas import nan_to_null

__all__ = ["gallery_name", "write_profiles"]

Level = Literal["3", "3_augmented", "4a", "4a_negcon", "4b", "4b_negcon", "5"]
_SUFFIXES: dict[str, str] = {
    "3": "",
    "3_augmented": "_augmented",
    "4a": "_normalized",
    "4a_negcon": "_normalized_negcon",
    "4b": "_normalized_feature_select",
    "4b_negcon": "_normalized_feature_select_negcon",
    "5": "_consensus",
}
_SCOPES = ("plate", "batch", "all")


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
    if level not in _SUFFIXES:
        raise UnknownNameError("profile level", level, _SUFFIXES)
    if scope is not None and scope not in _SCOPES:
        raise UnknownNameError("scope of feature selection", scope, _SCOPES)
    if scope is not None and not level.startswith("4b"):
        raise UsageError(f"a scope belongs to levels 4b and 4b_negcon; level {level} has none")
    return f"{plate}{_SUFFIXES[level]}{f'_{scope}' if scope else ''}{extension}"


def write_profiles(frame: pl.DataFrame, path: str | Path) -> Path:
    """Write profiles for other tools: metadata first, missing values empty (CSV) or NULL (Parquet), atomically.

    Parameters
    ----------
    frame
        Profiles of any level.
    path
        Ends in ``.csv``, ``.csv.gz``, ``.tsv``, ``.tsv.gz`` or ``.parquet``, which says the form.

    Returns
    -------
    pathlib.Path
        The file written. The same frame gives the same bytes.

    Raises
    ------
    UsageError
        If the path ends in anything else.
    ScreenError
        If it cannot be written.
    """
    target = Path(path).expanduser()
    described = [name for name in frame.columns if name.startswith("Metadata_")]
    features = [name for name in frame.columns if not name.startswith("Metadata_")]
    ordered = nan_to_null(frame.select(described + features))
    name = target.name.lower()
    if name.endswith(".parquet"):
        write_parquet(ordered, target)
        return target
    separators = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}
    ending = next((e for e in sorted(separators, key=len, reverse=True) if name.endswith(e)), None)
    if ending is None:
        raise UsageError(f"cannot tell the form of {target}: end it in {', '.join(separators)} or .parquet")
    buffer = io.BytesIO()
    ordered.write_csv(buffer, separator=separators[ending])
    content = buffer.getvalue()
    write_bytes(target, gzip.compress(content, compresslevel=6, mtime=0) if ending.endswith(".gz") else content)
    return target
