"""Profiles as GCT 1.3, the text form that Morpheus and the Connectivity Map's tools read."""

from __future__ import annotations

import polars as pl

from phenoprint.errors import UsageError
from phenoprint.exchange.names import measured_columns
from phenoprint.exchange.sources.gct import VERSION
from phenoprint.tables import metadata_columns

__all__ = ["gct_bytes"]


def gct_bytes(frame: pl.DataFrame, *, float_format: str | None = None) -> bytes:
    r"""Write profiles as GCT 1.3: features down, wells across; missing values are ``NaN``.

    Wells are named ``SAMPLE_0`` ... and features described by ``cp_feature_name``, as pycytominer's ``write_gct`` does;
    metadata lose their prefix.

    Raises
    ------
    UsageError
        If a metadata value holds a tab or a line break, which GCT cannot hold.

    Examples
    --------
    >>> frame = pl.DataFrame({"Metadata_Well": ["A01"], "Cells_A": [0.5]})
    >>> gct_bytes(frame).decode().splitlines()
    ['#1.3', '1\t1\t1\t1', 'id\tcp_feature_name\tSAMPLE_0', 'Well\tNaN\tA01', 'Cells_A\tCells_A\t0.5']
    """
    described, features = metadata_columns(frame), measured_columns(frame)
    lines = [
        [VERSION],
        [str(len(features)), str(frame.height), "1", str(len(described))],
        ["id", "cp_feature_name", *(f"SAMPLE_{k}" for k in range(frame.height))],
    ]
    for name in described:
        texts = ["NaN" if v is None else v for v in frame[name].cast(pl.String).to_list()]
        broken = next((text for text in texts if any(c in text for c in "\t\r\n")), None)
        if broken is not None:
            raise UsageError(f"{name} holds {broken!r}: GCT cannot hold tabs or line breaks; write CSV or Parquet")
        lines.append([name.removeprefix("Metadata_"), "NaN", *texts])
    for name in features:
        # Without a format the shortest text that is the same 32-bit float, as in CSV.
        shortest = float_format is None
        texts = frame[name].cast(pl.String).to_list() if shortest else [_text(v, float_format) for v in frame[name]]
        lines.append([name, name, *("NaN" if text is None else text for text in texts)])
    return "".join("\t".join(line) + "\n" for line in lines).encode()


def _text(value: float | None, float_format: str | None) -> str | None:
    return None if value is None or float_format is None else float_format % value
