"""Cells of DeepProfiler: one ``.npz`` file per site with the vectors of its cells."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.names import prefixed

__all__ = ["read_npz"]

# Classes that numpy needs to unpickle an array of objects; all others are refused.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
_WELL = r"(?P<well>[A-Za-z]{1,2}\d{1,2})"
_PLACES = (
    rf"(?P<plate>[^/]+)/{_WELL}[/-](?P<site>[^/]+)/embedding",
    rf"(?P<plate>[^/]+)/{_WELL}/(?P<site>[^/]+)",
    rf"(?P<plate>[^/]+)/{_WELL}[_-](?P<site>[^/_]+)",
    rf"(?P<plate>[^/]+)_{_WELL}_(?P<site>[^/_]+)",
)


def read_npz(path: Path, findings: Findings) -> pl.DataFrame:
    """Read the vectors of one site.

    The file holds ``features`` (or ``f``), one row per cell; often ``metadata``, a dictionary with plate, well, site
    and model, and ``locations``. Missing metadata are read from the path: ``<plate>/<well>/<site>.npz``,
    ``<plate>/<well>_<site>.npz`` or ``<plate>_<well>_<site>.npz``. Metadata are pickled; only plain values are
    unpickled, so that an untrusted file cannot run code.

    Parameters
    ----------
    path
        The file.
    findings
        Takes a note that cells were numbered in the order of the file.

    Returns
    -------
    polars.DataFrame
        ``Metadata_*`` as text, ``Metadata_ObjectNumber`` from 1, ``Location_Center_X`` and ``_Y`` where the file has
        them, px, then ``Cells_Embedding_<model>_<k>``, Float32.

    Raises
    ------
    SchemaError
        If the file cannot be read, or its arrays disagree on the number of cells.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            held = set(archive.files)
            name = next((n for n in ("features", "f") if n in held), None)
            if name is None and len(held - {"metadata", "locations"}) == 1:
                name = next(iter(held - {"metadata", "locations"}))
            if name is None:
                raise SchemaError(f"{path}: no array 'features'; found {', '.join(sorted(held)) or 'none'}")
            features = np.asarray(archive[name])
            locations = _plain_array(archive, "locations") if "locations" in held else None
        described = _metadata(path) if "metadata" in held else {}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise SchemaError(f"{path} is not a readable .npz file: {error}; it may be truncated: copy it again") from error
    if features.ndim != 2 or not np.issubdtype(features.dtype, np.number):
        raise SchemaError(f"{path}: expected features as cells x values, found {features.dtype} {features.shape}")
    described = _place(path) | described
    model = re.sub(r"\W+", "", described.get("Metadata_Model") or "DeepProfiler")
    with np.errstate(over="ignore"):
        values = features.astype(np.float32)
    vectors = pl.from_numpy(values, schema=[f"Cells_Embedding_{model}_{k}" for k in range(values.shape[1])])
    findings.note(
        "derived_column", "Metadata_ObjectNumber", len(values), source=str(path), detail="numbered in the file's order"
    )
    head = [pl.Series(key, [value] * len(values), dtype=pl.String) for key, value in described.items()]
    head.append(pl.Series("Metadata_ObjectNumber", np.arange(1, len(values) + 1, dtype=np.int32)))
    if locations is not None and locations.ndim == 2 and locations.shape[1] >= 2:
        if len(locations) != len(values):
            raise SchemaError(f"{path}: {len(values)} cells but {len(locations)} locations; profile the site again")
        head += [
            pl.Series(f"Location_Center_{axis}", locations[:, place].astype(np.float32))
            for place, axis in enumerate("XY")
        ]
    return pl.DataFrame(head).hstack(vectors)


def _plain_array(archive: Any, name: str) -> np.ndarray | None:
    try:
        return np.asarray(archive[name])
    except ValueError:  # pickled, and optional
        return None


def _place(path: Path) -> dict[str, str]:
    """Read plate, well and site from a path."""
    text = path.with_suffix("").as_posix()
    match = next((m for pattern in _PLACES if (m := re.search(rf"(?:^|/){pattern}$", text))), None)
    return {f"Metadata_{name.title()}": value for name, value in match.groupdict().items()} if match else {}


def _metadata(path: Path) -> dict[str, str]:
    """Read the dictionary of metadata, plain values only."""
    with zipfile.ZipFile(path) as archive, archive.open("metadata.npy") as stream:
        content = io.BytesIO(stream.read())
    version = np.lib.format.read_magic(content)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read(content)
    if not dtype.hasobject:
        return {}
    try:
        found = _PlainUnpickler(content).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, TypeError, IndexError) as error:
        raise SchemaError(f"{path}: its metadata cannot be read safely: {error}") from error
    record = found.item() if isinstance(found, np.ndarray) and found.size == 1 else found
    if not isinstance(record, Mapping):
        return {}
    plain = {key: value for key, value in record.items() if not isinstance(value, (list, dict, tuple, type(None)))}
    return {prefixed(key): str(value) for key, value in plain.items()}


class _PlainUnpickler(pickle.Unpickler):
    """Unpickles dictionaries, text, numbers and arrays of them; refuses everything else."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return an allowed class."""
        if (module_name, global_name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it holds a {module_name}.{global_name}, which is no plain value")
        return super().find_class(module_name, global_name)
