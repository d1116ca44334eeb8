"""Export of a screen's profiles to files with the layout and names of the Cell Painting Gallery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from phenoprint.errors import DataError, UnknownNameError
from phenoprint.exchange.exports.files import FORMS, Form, check_float_format, write_profiles
from phenoprint.exchange.levels import LEVELS, TABLES, family, gallery_name, parse_gallery_name, table_of
from phenoprint.store import STEP_COLUMNS, Screen, encode_name, load_receipts, plate_of, table_files
from phenoprint.store import open as open_screen
from phenoprint.tables import PLATE

__all__ = ["export_profiles"]

_FAMILIES = [level for level in TABLES if level != "2"]


def export_profiles(
    screen: str | Path | Screen,
    folder: str | Path,
    *,
    levels: Sequence[str] | None = None,
    form: Form = "csv.gz",
    float_format: str | None = "%.5g",
    plates: Sequence[str] | None = None,
) -> list[Path]:
    """Write the profiles of a screen for other tools, one plate at a time.

    Parameters
    ----------
    screen
        The screen or its folder.
    folder
        Where to write: ``<batch>/<plate>/<plate><suffix>``, without the batch where plates have none;
        ``<screen>_consensus`` for level 5.
    levels
        ``"3"``, ``"4a"``, ``"4b"``, ``"5"``; all that the screen has by default. The suffix states whether profiles
        were normalized to the controls (``_negcon``) and whether they are annotated (``_augmented``), according to
        the screen's receipts; give the whole name of a level (``"4a_negcon"``) to choose it.
    form
        ``"csv.gz"``, ``"csv"``, ``"tsv.gz"``, ``"tsv"``, ``"parquet"``, ``"gct"``, ``"gct.gz"`` or ``"h5ad"``.
    float_format
        How features are written in text files; None for all digits.
    plates
        Plates to write; all by default.

    Returns
    -------
    list of pathlib.Path
        Files written. The file of a plate holds the features of that plate only.

    Raises
    ------
    DataError
        If the screen has no profiles of a requested level.
    UnknownNameError
        If there is no such level, form or plate.
    MissingExtraError
        For h5ad without anndata.
    ScreenError
        If a file cannot be written.
    """
    source = screen if isinstance(screen, Screen) else open_screen(screen)
    if form not in FORMS:
        raise UnknownNameError("form", form, FORMS)
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
        full = _stored_level(source, level) if level in _FAMILIES else level
        scope: Literal["all"] | None = "all" if full.startswith("4b") and load_receipts(source.path, "recipe") else None
        for place, stem, rows in _tables(source, full, plates):
            name = gallery_name(encode_name(stem), full, scope=scope, extension=f".{form}")
            path = target / place / name
            written.append(write_profiles(rows, path, float_format=float_format, features=features))
    return written


def _stored_level(screen: Screen, level: str) -> str:
    """Return a stored level with its variant: annotated or not, normalized to the controls or to all wells."""
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


def _tables(screen: Screen, level: str, plates: Sequence[str] | None) -> Iterator[tuple[Path, str, pl.DataFrame]]:
    """Read the profiles of a level file by file: the folder to write to, the plate or screen, and the rows."""
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
            yield place, plate, pl.concat(frames, how="diagonal_relaxed").drop(STEP_COLUMNS, strict=False)
