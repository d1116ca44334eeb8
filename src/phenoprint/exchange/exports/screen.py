"""Handing the profiles of a screen to other tools, in files laid out and named as the Cell Painting Gallery does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from phenoprint.errors import DataError, UnknownNameError
from phenoprint.exchange.exports.files import check_float_format, gallery_name, write_profiles
from phenoprint.exchange.sources.levels import LEVELS, family, parse_gallery_name, table_of
from phenoprint.store import Screen, encode_name, load_receipts, plate_of, table_files
from phenoprint.store import open as open_screen
from phenoprint.tables import PLATE

__all__ = ["Form", "export_profiles", "stored_level"]

Form = Literal["csv.gz", "csv", "tsv.gz", "tsv", "parquet", "gct", "gct.gz", "h5ad"]
_FORMS = ("csv.gz", "csv", "tsv.gz", "tsv", "parquet", "gct", "gct.gz", "h5ad")
_FAMILIES = ("3", "4a", "4b", "5")


def export_profiles(
    screen: str | Path | Screen,
    folder: str | Path,
    *,
    levels: Sequence[str] | None = None,
    form: Form = "csv.gz",
    float_format: str | None = "%.5g",
    plates: Sequence[str] | None = None,
) -> list[Path]:
    """Write the profiles of a screen for other tools, a plate at a time.

    Parameters
    ----------
    screen
        The screen or its folder.
    folder
        Where to write: ``<batch>/<plate>/<plate><suffix>``, without the batch where plates have none;
        ``<screen>_consensus`` for level 5.
    levels
        ``"3"``, ``"4a"``, ``"4b"``, ``"5"``; all the screen has by default. The suffix says what profiles were
        normalized to (``_negcon``) and whether they are annotated (``_augmented``), as the screen's receipts say;
        give the whole name of a level (``"4a_negcon"``) to say so yourself.
    form
        ``"csv.gz"``, ``"csv"``, ``"tsv.gz"``, ``"tsv"``, ``"parquet"``, ``"gct"``, ``"gct.gz"`` or ``"h5ad"``.
    float_format
        How features are written in text files; None for all digits.
    plates
        Plates to write; all by default.

    Returns
    -------
    list of pathlib.Path
        Files written. A plate holds the features that it has itself.

    Raises
    ------
    DataError
        If the screen has no profiles of a level or plate that is asked for.
    UnknownNameError
        If there is no such level or form.
    MissingExtraError
        For h5ad without anndata.
    ScreenError
        If a file cannot be written.
    """
    source = screen if isinstance(screen, Screen) else open_screen(screen)
    if form not in _FORMS:
        raise UnknownNameError("form", form, _FORMS)
    check_float_format(float_format)
    for level in levels or ():
        if level not in LEVELS:
            raise UnknownNameError("profile level", level, LEVELS)
    target = Path(folder).expanduser()
    held = [level for level in _FAMILIES if table_files(source.path, table_of(level))]
    asked = list(levels) if levels else held
    if not asked:
        raise DataError(f"{source.path} holds no profiles; it has {', '.join(source.tables()) or 'no tables'}")
    features = source.table("feature").collect() if form == "h5ad" and "feature" in source.tables() else None
    written: list[Path] = []
    for level in asked:
        if family(level) not in held:
            raise DataError(f"{source.path} holds no profiles of level {level}; it has {', '.join(held) or 'none'}")
        full = stored_level(source, level) if level in _FAMILIES else level
        scope: Literal["all"] | None = "all" if full.startswith("4b") and _is_own(source, "recipe") else None
        for place, stem, rows in _tables(source, full, plates):
            name = gallery_name(encode_name(stem), full, scope=scope, extension=f".{form}")
            path = target / place / name
            written.append(write_profiles(rows, path, float_format=float_format, features=features))
    return written


def stored_level(screen: Screen, level: str) -> str:
    """Say what a level of a screen is exactly: annotated or not, normalized to the controls or to all wells.

    Parameters
    ----------
    screen
        The screen.
    level
        ``"3"``, ``"4a"``, ``"4b"`` or ``"5"``.

    Returns
    -------
    str
        Such as ``"3_augmented"`` or ``"4a_negcon"``.
    """
    if level == "3":
        names = screen.table("profile_well").collect_schema().names()
        return "3_augmented" if {"Metadata_compound", "Metadata_pert_type"} & set(names) else "3"
    if level not in ("4a", "4b"):
        return level
    for receipt in load_receipts(screen.path, "recipe").values():
        return f"{level}_negcon" if receipt.parameters.get("reference") == "negcon" else level
    for (_, unit), receipt in load_receipts(screen.path, "import").items():
        if unit == table_of(level):
            found = [parse_gallery_name(Path(name).name).level for name in receipt.inputs]
            return f"{level}_negcon" if any(f is not None and f.endswith("negcon") for f in found) else level
    return level


def _is_own(screen: Screen, step: str) -> bool:
    """Whether the screen made its profiles itself."""
    return bool(load_receipts(screen.path, step))


def _tables(screen: Screen, level: str, plates: Sequence[str] | None) -> Iterator[tuple[Path, str, pl.DataFrame]]:
    """Give the profiles of a level file by file: in which folder each shall be, what it is of, and its rows."""
    table = table_of(level)
    if level == "5":
        yield Path(), screen.name, screen.table(table).collect()
        return
    files: dict[str, list[Path]] = {}
    for file in table_files(screen.path, table):
        files.setdefault(str(plate_of(screen.path, file)), []).append(file)
    absent = sorted(set(plates or ()) - set(files))
    if absent:
        raise UnknownNameError("plate", absent[0], files)
    batches = dict(screen.table("plate").select(PLATE, "Metadata_Batch").collect().iter_rows())
    for plate, found in sorted(files.items()):
        if plates is None or plate in plates:
            frames = [pl.read_parquet(file, glob=False) for file in found]
            batch = batches.get(plate)
            place = Path(encode_name(batch), encode_name(plate)) if batch else Path(encode_name(plate))
            yield place, plate, pl.concat(frames, how="diagonal_relaxed")
