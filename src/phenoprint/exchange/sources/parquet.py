"""Parquet of other tools, some rows in memory at a time, whatever its row groups.

Most Parquet files hold one row group, because pandas writes a million rows per group. Such a group cannot be read by
rows without decoding all of it. It is read by columns into a scratch file of 32-bit floats, from which rows are taken.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from phenoprint.errors import SchemaError, first_few
from phenoprint.exchange.names import is_descriptive
from phenoprint.exchange.sources.recognise import revealing_features

__all__ = ["parquet_columns", "read_parquet_pieces", "read_parquet_sample"]

# Values of a piece as 32-bit floats; decoding takes a few times as much.
PIECE_BYTES = 32 * 2**20
# Size of a sample.
_SAMPLE_ROWS, _SAMPLE_FEATURES = 256, 400


def parquet_columns(path: Path) -> dict[str, bool]:
    """List the columns of a Parquet file, and whether each holds numbers; raises as `read_parquet_pieces`."""
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error
    _refuse_repeated(schema.names, path)
    return {field.name: _is_number(field.type) for field in schema if not _is_index(field.name)}


def read_parquet_pieces(
    path: Path, *, piece_bytes: int | None = PIECE_BYTES, scratch: Path | None = None
) -> Iterator[pl.DataFrame]:
    """Read a Parquet file piece by piece; yield at least one frame, without rows if the file has none.

    Parameters
    ----------
    piece_bytes
        Values of a piece, bytes as 32-bit floats; None for the whole file at once.
    scratch
        Folder for the scratch file of a large row group (4 bytes per value); the system's temporary folder by default.
        Features of such a group are Float32 with NaN where missing.

    Raises
    ------
    SchemaError
        If the file is not readable Parquet.
    """
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            names = [name for name in file.schema_arrow.names if not _is_index(name)]
            _refuse_repeated(names, path)
            if piece_bytes is None or not file.metadata.num_rows:
                yield _frame(file.read(columns=names))
                return
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if rows * len(names) * 4 <= 2 * piece_bytes:
                    yield _frame(file.read_row_group(group, columns=names))
                else:
                    yield from _large_group(file, group, names, piece_bytes, scratch)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def read_parquet_sample(path: Path) -> pl.DataFrame:
    """Read the first rows of a Parquet file: metadata, and the features that indicate its level best."""
    numbers = parquet_columns(path)
    chosen = set(revealing_features([n for n, is_number in numbers.items() if is_number], _SAMPLE_FEATURES))
    names = [name for name in numbers if name in chosen or not numbers[name] or is_descriptive(name)]
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            batch = next(file.iter_batches(batch_size=_SAMPLE_ROWS, columns=names), None)
            table = file.schema_arrow.empty_table().select(names) if batch is None else pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error
    return _frame(table)


def _large_group(
    file: pq.ParquetFile, group: int, names: list[str], piece_bytes: int, scratch: Path | None
) -> Iterator[pl.DataFrame]:
    """Read a row group by columns into a scratch file, then yield its rows."""
    schema, rows = file.schema_arrow, file.metadata.row_group(group).num_rows
    numbers = [n for n in names if _is_number(schema.field(n).type) and not is_descriptive(n)]
    others = [n for n in names if n not in set(numbers)]
    described = _frame(file.read_row_group(group, columns=others)) if others else pl.DataFrame()
    at_once = max(1, piece_bytes // (rows * 8))
    with tempfile.TemporaryFile(dir=scratch) as handle:
        for start in range(0, len(numbers), at_once):
            for column in file.read_row_group(group, columns=numbers[start : start + at_once]).columns:
                with np.errstate(over="ignore"):  # values beyond 32-bit floats become infinite and are noted later
                    values = pl.Series(column).cast(pl.Float64).to_numpy().astype(np.float32)
                handle.write(values.tobytes())
        step = max(1, piece_bytes // max(len(numbers) * 4, 1))
        for start in range(0, rows, step):
            part = []
            for place, name in enumerate(numbers):
                handle.seek((place * rows + start) * 4)
                part.append(pl.Series(name, np.frombuffer(handle.read(min(step, rows - start) * 4), np.float32)))
            rest = described.slice(start, step)
            yield (rest.hstack(part) if others else pl.DataFrame(part)).select(names)


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()


def _is_number(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype))


def _is_index(name: str) -> bool:
    """Whether a column holds the row numbers that pandas stores."""
    return name.startswith("__index_level_")


def _refuse_repeated(names: Sequence[str], path: Path) -> None:
    repeated = sorted({name for name, n in Counter(names).items() if n > 1})
    if repeated:
        raise SchemaError(f"{path} has several columns called {first_few(repeated)}; rename or drop all but one")


def _unreadable(path: Path, error: BaseException) -> SchemaError:
    return SchemaError(f"{path} is not a readable Parquet file: {error}; it may be truncated: copy it again")
