"""Public data sets by manifest: list, fetch and verify them.

A manifest (``data_manifests/<name>.toml``) holds the title, licence, channels and layout of a data set and the sha256
of every file. Only :func:`fetch_dataset` downloads anything.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phenoprint.errors import DataError, UnknownNameError, UsageError
from phenoprint.plates import Well
from phenoprint.tables import WELL_KEY

__all__ = [
    "Fetched",
    "LayoutBlock",
    "Manifest",
    "dataset_folder",
    "fetch_dataset",
    "layout_frame",
    "list_manifests",
    "load_manifest",
    "phenoprint_home",
    "verify_dataset",
]


class LayoutBlock(BaseModel):
    """A rectangle of wells with one treatment; ``concentrations`` run along the columns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: str
    columns: str
    pert_type: Literal["trt", "negcon", "poscon", "empty"]
    compound: str
    concentrations: tuple[float, ...] = ()
    unit: str | None = None
    moa: str | None = None
    plate: str | None = None


class Manifest(BaseModel):
    """The manifest of a data set: what it is, where it comes from, and its files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    description: str
    license: str
    citation: str
    homepage: str
    base_url: str | None = None
    plate_format: int
    plates: tuple[str, ...]
    pixel_size_um: float | None = None
    channels: dict[str, str]
    layout: tuple[LayoutBlock, ...] = ()
    files: dict[str, str] = Field(min_length=1)


@dataclass(frozen=True)
class Fetched:
    """Outcome of a fetch: the folder, and how many files were fetched and how many were there already."""

    folder: Path
    placed: int
    held: int


def phenoprint_home() -> Path:
    """Return the folder of fetched data: ``$PHENOPRINT_HOME``, or the platform's user data folder.

    Examples
    --------
    >>> phenoprint_home().is_absolute()
    True
    """
    import platformdirs

    chosen = os.environ.get("PHENOPRINT_HOME")
    return Path(chosen).expanduser().resolve() if chosen else Path(platformdirs.user_data_path("phenoprint", False))


def _manifest_folder() -> Path:
    """Return the folder of manifests: beside the modules when installed, at the root of a checkout otherwise."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "data_manifests"
    return installed if installed.is_dir() else package.parent.parent / "data_manifests"


def list_manifests() -> list[str]:
    """Return the names of the known data sets, sorted.

    Examples
    --------
    >>> "bbbc013" in list_manifests()
    True
    """
    return sorted(path.stem for path in _manifest_folder().glob("*.toml"))


def load_manifest(name: str) -> Manifest:
    """Read the manifest of a data set.

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    DataError
        If the manifest is wrong.

    Examples
    --------
    >>> load_manifest("bbbc013").license
    'CC-BY-3.0'
    """
    path = _manifest_folder() / f"{name}.toml"
    if name not in list_manifests():
        raise UnknownNameError("data set", name, list_manifests())
    try:
        return Manifest.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"the manifest {path} cannot be used: {error}") from error


def dataset_folder(name: str) -> Path:
    """Return the folder of a fetched data set.

    Raises
    ------
    UsageError
        If it has not been fetched; the message gives the command.
    """
    load_manifest(name)
    folder = phenoprint_home() / "datasets" / name
    if not folder.is_dir():
        raise UsageError(
            f"the data set {name!r} is not on this machine (looked in {folder}). "
            f"Fetch it first: phenoprint data fetch {name} [--mirror DIR]"
        )
    return folder


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _span(text: str, *, letters: bool) -> list[int]:
    """Expand ``"A-D"`` or ``"3-11"`` into 0-based indices."""
    ends = [Well.parse(f"{part}1").row if letters else int(part) - 1 for part in text.split("-")]
    return list(range(ends[0], ends[-1] + 1))


def layout_frame(manifest: Manifest) -> pl.DataFrame:
    """Expand the layout of a manifest into a plate map, one row per well.

    Returns
    -------
    polars.DataFrame
        ``Metadata_Plate`` (NULL: every plate), ``Metadata_Well``, ``Metadata_pert_type``, ``Metadata_compound``,
        ``Metadata_Concentration``, ``Metadata_Concentration_Unit``, ``Metadata_moa``.

    Raises
    ------
    DataError
        If a block has neither one concentration nor one per column, or a well is in two blocks.

    Examples
    --------
    >>> layout_frame(load_manifest("bbbc013")).height
    96
    """
    rows = []
    for block in manifest.layout:
        columns = _span(block.columns, letters=False)
        doses = block.concentrations or (None,)
        if len(doses) not in {1, len(columns)}:
            raise DataError(
                f"manifest {manifest.name}, layout {block.rows} x {block.columns}: "
                f"{len(doses)} concentrations for {len(columns)} columns"
            )
        for row in _span(block.rows, letters=True):
            for position, column in enumerate(columns):
                dose = doses[position % len(doses)]
                rows.append(
                    (block.plate, str(Well(row, column)), block.pert_type, block.compound, dose, block.unit, block.moa)
                )
    schema = {
        "Metadata_Plate": pl.String,
        "Metadata_Well": pl.String,
        "Metadata_pert_type": pl.String,
        "Metadata_compound": pl.String,
        "Metadata_Concentration": pl.Float64,
        "Metadata_Concentration_Unit": pl.String,
        "Metadata_moa": pl.String,
    }
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    twice = frame.filter(frame.select(WELL_KEY).is_duplicated())
    if twice.height:
        raise DataError(f"manifest {manifest.name}: two layout blocks contain {twice['Metadata_Well'][0]}")
    return frame


def _download(url: str, target: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=60) as source, target.open("wb") as stream:  # noqa: S310 - https below
            shutil.copyfileobj(source, stream)
    except (urllib.error.URLError, OSError) as error:
        raise DataError(f"cannot download {url}: {error}. Try again, or give a local copy with --mirror DIR") from error


def _place(manifest: Manifest, name: str, target: Path, mirror: Path | None) -> None:
    """Copy or download one file and verify it before it is renamed to ``target``."""
    digest = manifest.files[name]
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    if mirror is not None:
        origin = mirror / manifest.name / name
        if not origin.is_file():
            raise DataError(
                f"{origin} is missing: expected the {len(manifest.files)} files of {manifest.name!r} below "
                f"{mirror / manifest.name}. Check --mirror"
            )
        shutil.copyfile(origin, partial)
        where = str(origin)
    else:
        where = f"{manifest.base_url}/{name}"
        if not where.startswith("https://"):
            raise DataError(f"{where} is not an https address")
        _download(where, partial)
    found = _sha256(partial)
    if found != digest:
        partial.unlink()
        raise DataError(f"{where} is not the file of the manifest: sha256 {found}, expected {digest}")
    partial.replace(target)


def fetch_dataset(
    name: str, *, mirror: Path | None = None, on_file: Callable[[str, int, int], None] | None = None
) -> Fetched:
    """Place a data set under :func:`phenoprint_home`, each file verified by its sha256.

    Files that are correct are kept, so an interrupted fetch can be repeated. The plate map of the layout is written
    beside them as ``platemap.csv``.

    Parameters
    ----------
    name
        Name of a manifest.
    mirror
        Folder that holds ``<name>/<file>``; without it the files are downloaded from the manifest's address.
    on_file
        Called with (file, number, total) after each file.

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    UsageError
        If the manifest has no download address and no mirror is given.
    DataError
        If a file is missing, or its sha256 differs from the manifest.
    """
    manifest = load_manifest(name)
    if mirror is None and manifest.base_url is None:
        raise UsageError(
            f"the data set {name!r} has no address to download single files from. Get it from {manifest.homepage}, "
            f"put its files into DIR/{name}/ and run: phenoprint data fetch {name} --mirror DIR"
        )
    if mirror is not None and not mirror.is_dir():
        raise UsageError(f"--mirror {mirror} is not a folder")
    folder = phenoprint_home() / "datasets" / name
    placed = 0
    for number, file in enumerate(manifest.files, start=1):
        target = folder / file
        if not (target.is_file() and _sha256(target) == manifest.files[file]):
            _place(manifest, file, target, mirror)
            placed += 1
        if on_file is not None:
            on_file(file, number, len(manifest.files))
    if manifest.layout:
        layout_frame(manifest).write_csv(folder / "platemap.csv")
    return Fetched(folder=folder, placed=placed, held=len(manifest.files) - placed)


def verify_dataset(name: str) -> dict[str, str]:
    """Hash a fetched data set again; return the reason for each file that is wrong."""
    manifest, folder = load_manifest(name), dataset_folder(name)
    wrong = {}
    for file, digest in manifest.files.items():
        path = folder / file
        if not path.is_file():
            wrong[file] = "missing"
        elif _sha256(path) != digest:
            wrong[file] = "changed: sha256 differs from the manifest"
    return wrong
