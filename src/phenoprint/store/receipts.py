"""Receipts: what a unit of work ran with, what it wrote, and how it ended.

A unit whose receipt has the same key and unchanged outputs need not run again. A receipt is one JSON file,
``receipts/<step>/<plate>/<unit>.json``, written atomically after the outputs of the unit. It ends with a hash of
itself; a damaged receipt is ignored.

Files with rows of many units, or of none, have receipts of the step ``table`` (`record_table`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np

from phenoprint.errors import UsageError
from phenoprint.store._atomic import remove_file, write_bytes
from phenoprint.store.layout import NO_PLATE, decode_name, encode_name
from phenoprint.store.outputs import Output, record_outputs

__all__ = [
    "TABLE",
    "Receipt",
    "hash_key",
    "load_receipts",
    "read_receipt",
    "record_table",
    "remove_receipt",
    "write_receipt",
]

# The step in receipts of table files that no single unit wrote.
TABLE = "table"

_CHECK = "check"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The record of one unit of work.

    Parameters
    ----------
    step, unit
        Name of the step and of its unit (a well, or any name).
    plate
        Plate of the unit; None for a step that runs on the whole screen.
    key
        Hash of everything that the outputs depend on (`hash_key`).
    status
        ``"done"`` or ``"failed"``.
    started
        ISO 8601 in UTC.
    seconds
        Wall-clock time.
    peak_rss_mb
        Largest resident memory of the process, MiB.
    parameters
        Parameters of the step, as JSON can hold them.
    inputs
        Hash of each input, by name.
    outputs
        Files that were written, by path relative to the screen with forward slashes.
    replaced
        Earlier files of the same names, if the receipt is written before its files are renamed into place.
    ledger
        The ledger rows of the unit, as records.
    digest
        Hash of the results, if later steps depend on it; empty if they depend on the key.
    n_unusable
        Number of fields that could not be used because of their files.
    error
        Type and message of the error of a failed unit.
    software
        Version of the software.
    """

    step: str
    unit: str
    plate: str | None
    key: str
    status: Literal["done", "failed"] = "done"
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    seconds: float = 0.0
    peak_rss_mb: float = 0.0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, Output] = field(default_factory=dict)
    replaced: Mapping[str, Output] = field(default_factory=dict)
    ledger: Sequence[Mapping[str, Any]] = ()
    digest: str = ""
    n_unusable: int = 0
    error: tuple[str, str] | None = None
    software: str = ""


def receipt_path(folder: Path, step: str, plate: str | None, unit: str) -> Path:
    """Return the path of the receipt of a unit."""
    place = NO_PLATE if plate is None else encode_name(plate)
    return folder / "receipts" / encode_name(step) / place / f"{encode_name(unit)}.json"


def write_receipt(folder: Path, receipt: Receipt) -> Path:
    """Write a receipt into a screen folder, atomically.

    Raises
    ------
    ScreenError
        If it cannot be written.
    UsageError
        If it holds a value that JSON cannot represent.
    """
    path = receipt_path(folder, receipt.step, receipt.plate, receipt.unit)
    record = _plain(asdict(receipt))
    text = json.dumps(record | {_CHECK: _check(record)}, indent=1, ensure_ascii=False)
    write_bytes(path, text.encode())
    return path


def _check(record: Mapping[str, Any]) -> str:
    return hash_key({name: value for name, value in record.items() if name != _CHECK})


def read_receipt(path: Path) -> Receipt | None:
    """Read a receipt; None if it is missing or damaged, so that the unit runs again."""
    try:
        record = json.loads(path.read_bytes())
        if record.get(_CHECK) != _check(record):
            return None
        names = {item.name for item in dataclasses.fields(Receipt)}
        values = {name: value for name, value in record.items() if name in names}
        for name in ("outputs", "replaced"):
            values[name] = {place: Output(**output) for place, output in values[name].items()}
        values["ledger"] = tuple(values.get("ledger") or ())
        values["error"] = tuple(values["error"]) if values.get("error") else None
        return Receipt(**values)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None


def record_table(folder: Path, unit: str, paths: Iterable[Path]) -> None:
    """Write the receipt of table files that no single unit of a step wrote.

    Parameters
    ----------
    folder
        The screen folder.
    unit
        Name of the receipt: the table, or what wrote several tables, such as ``"ingest"``.
    paths
        The files.

    Raises
    ------
    ScreenError
        If it cannot be written.
    """
    outputs = record_outputs(folder, paths)
    key = hash_key(sorted(item.hash for item in outputs.values()))
    write_receipt(folder, Receipt(TABLE, unit, None, key, outputs=outputs))


def load_receipts(folder: Path, step: str) -> dict[tuple[str | None, str], Receipt]:
    """Return the receipts of a step by plate and unit, sorted.

    Damaged files are left out: their units run again.
    """
    base = folder / "receipts" / encode_name(step)
    found: dict[tuple[str | None, str], Receipt] = {}
    for path in sorted(base.glob("*/*.json")):
        plate = None if path.parent.name == NO_PLATE else decode_name(path.parent.name)
        receipt = read_receipt(path)
        if receipt is not None and (receipt.plate, receipt.unit) == (plate, decode_name(path.stem)):
            found[plate, receipt.unit] = receipt
    return found


def receipt_steps(folder: Path) -> list[str]:
    """List the steps that have receipts, sorted, without the step ``table``."""
    base = folder / "receipts"
    names = {decode_name(path.name) for path in base.iterdir() if path.is_dir()} if base.is_dir() else set()
    return sorted(names - {TABLE})


def remove_receipt(folder: Path, step: str, plate: str | None, unit: str) -> None:
    """Remove the receipt of a unit if it exists, so that the unit runs again."""
    remove_file(receipt_path(folder, step, plate, unit))


def hash_key(*parts: object) -> str:
    """Hash values; equal values have the same hash on every machine and in every process.

    Mappings are hashed without their order, dataclasses by their fields, paths by their text with forward slashes, and
    arrays by type, shape and bytes. ``1``, ``1.0``, ``True`` and ``"1"`` have four different hashes.

    Parameters
    ----------
    *parts
        Text, numbers, booleans, None, paths, enumeration members, dataclasses, numpy values, and
        mappings, sequences and sets of them.

    Returns
    -------
    str
        BLAKE2b-128, 32 hexadecimal digits.

    Raises
    ------
    UsageError
        If a part is of any other kind.

    Examples
    --------
    >>> hash_key("segment", {"a": 1, "b": 2}) == hash_key("segment", {"b": 2, "a": 1})
    True
    >>> hash_key("ab") == hash_key("a", "b")
    False
    """
    text = json.dumps(_plain(parts), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def _plain(value: object) -> Any:  # noqa: PLR0911 - one return per kind is the clearest here
    """Convert a value to types of JSON, or raise an error."""
    if isinstance(value, Enum):
        return _plain(value.value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, np.ndarray):
        digest = hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16).hexdigest()
        return {"array": digest, "dtype": value.dtype.str, "shape": list(value.shape)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        wrong = [key for key in value if not isinstance(key, str)]
        if wrong:
            raise UsageError(f"a mapping in a key or receipt has text keys; found {wrong[0]!r}")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(item) for item in value]
    raise UsageError(
        f"a {type(value).__name__} cannot be part of a key or receipt: {value!r:.60}; give text, numbers, "
        "booleans, paths, dataclasses, arrays, or mappings, sequences and sets of them"
    )
