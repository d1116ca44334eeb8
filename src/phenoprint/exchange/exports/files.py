"""Profiles as the field's files: CSV.gz, TSV, Parquet, GCT or h5ad, under the names of the Cell Painting Gallery."""

from __future__ import annotations

import gzip
import io
import re
from pathlib import Path
from typing import Final, Literal, get_args

import polars as pl

from phenoprint.errors import UsageError
from phenoprint.exchange.names import metadata_first
from phenoprint.store import write_bytes, write_parquet
from phenoprint.tables import nan_to_null

__all__ = ["FORMS", "Form", "check_float_format", "write_profiles", "written_numbers"]

Form = Literal["csv.gz", "csv", "tsv.gz", "tsv", "parquet", "gct", "gct.gz", "h5ad"]
FORMS: Final[tuple[str, ...]] = get_args(Form)


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
        is its form.
    float_format
        How features are written in text files, such as the Gallery's ``"%.5g"``; None writes as many digits
        as distinguish 32-bit floats.
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
    ordered = nan_to_null(metadata_first(frame))
    name = target.name.lower()
    form = next((form for form in FORMS if name.endswith(f".{form}")), None)
    if form is None:
        raise UsageError(f"unknown form of {target}: end its name in .{', .'.join(FORMS)}")
    if form == "parquet":
        write_parquet(ordered, target)
    elif form == "h5ad":
        from phenoprint.exchange.exports.anndata import write_h5ad

        write_h5ad(ordered, target, features=features)
    elif form.startswith("gct"):
        from phenoprint.exchange.exports.gct import gct_bytes

        _write_text(gct_bytes(ordered, float_format=float_format), target)
    else:
        written = ordered if float_format is None else written_numbers(ordered, float_format)
        buffer = io.BytesIO()
        written.write_csv(buffer, separator="," if form.startswith("csv") else "\t")
        _write_text(buffer.getvalue(), target)
    return target


def _write_text(content: bytes, target: Path) -> None:
    gzipped = target.name.lower().endswith(".gz")
    write_bytes(target, gzip.compress(content, compresslevel=6, mtime=0) if gzipped else content)


def check_float_format(float_format: str | None) -> None:
    """Raise UsageError if a format is neither None nor like ``"%.5g"``."""
    if float_format is not None and not re.fullmatch(r"%\.\d{1,2}[gef]", float_format):
        raise UsageError(f"float_format is like '%.5g', '%.3f' or '%.6e', or None; found {float_format!r}")


def written_numbers(frame: pl.DataFrame, float_format: str) -> pl.DataFrame:
    """Write features as text with the given format, as C and pandas do; missing values stay NULL."""
    columns = []
    for column in frame:
        if column.name.startswith("Metadata_") or not column.dtype.is_float():
            columns.append(column)
        else:
            texts = [None if value is None else float_format % value for value in column.to_list()]
            columns.append(pl.Series(column.name, texts, dtype=pl.String))
    return pl.DataFrame(columns)
