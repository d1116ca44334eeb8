"""Read and check the plate maps of a screen, and count its wells by kind."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from phenoprint.errors import ConfigError, PlateMapError, first_few
from phenoprint.exchange import read_barcode_platemap, read_map_file
from phenoprint.pipeline.config import ScreenConfig
from phenoprint.pipeline.imported import imported_tables
from phenoprint.plates import (
    PERT_TYPES,
    PlateFormat,
    PlateMap,
    plate_map_of,
    read_parts,
    unused_words,
)
from phenoprint.store import Screen
from phenoprint.tables import WELL_KEY

__all__ = ["check_plate_map", "count_kinds", "read_plate_maps", "wells_by_kind"]


def _find(name: str, base: Path, root: Path) -> Path:
    """Find a plate map beside the configuration or in the folder of the images."""
    given = Path(name).expanduser()
    places = [given] if given.is_absolute() else [base / given, root / given]
    for place in places:
        if place.is_file():
            return place
    raise ConfigError(f"plate map {name} not found; looked for {' and '.join(str(place) for place in places)}")


def read_plate_maps(config: ScreenConfig, base: Path, root: Path) -> PlateMap | None:
    """Read the plate maps that the configuration names; None where it names none.

    Raises
    ------
    ConfigError
        If a file is absent.
    PlateMapError
        If a file cannot be understood, or a well is in two files.
    """
    section = config.plate_map
    plate_format = None if section.format is None else PlateFormat.of(section.format)

    def read(path: Path) -> PlateMap:
        parts = read_parts(read_map_file(path), source=str(path), sheet=section.sheet)
        return plate_map_of(
            parts,
            plate_format=plate_format,
            pert_types=section.pert_types,
            columns={str(role): name for role, name in section.columns.items()},
        )

    maps = [read(_find(name, base, root)) for name in section.files]
    if section.barcode_platemap is not None:
        maps.append(read_barcode_platemap(_find(section.barcode_platemap, base, root), read))
    if not maps:
        return None
    joined = pl.concat([one.wells for one in maps], how="diagonal_relaxed")
    twice = joined.filter(joined.select(WELL_KEY).is_duplicated())
    if twice.height:
        first = twice.row(0, named=True)
        raise PlateMapError(
            f"well {first['Metadata_Well']} of plate {first['Metadata_Plate'] or '(every plate)'} is in more than "
            f"one plate map ({', '.join(section.files)}); keep one"
        )
    unused = unused_words(section.pert_types, maps, source="screen.toml")
    return PlateMap(joined, pl.concat([*(one.reading for one in maps), unused]))


def count_kinds(wells: pl.DataFrame) -> dict[str, int]:
    """Count the wells with images of each kind, and those without annotation.

    Parameters
    ----------
    wells
        The table ``well``.

    Returns
    -------
    dict
        ``trt``, ``negcon``, ``poscon``, ``empty``, ``not_annotated``, and ``not_imaged``: wells of the plate map
        without images.
    """
    used = wells.filter(pl.col("has_images").fill_null(value=True))
    counted = dict(used["Metadata_pert_type"].value_counts().iter_rows())
    kinds = {kind: int(counted.get(kind, 0)) for kind in PERT_TYPES}
    return {**kinds, "not_annotated": int(counted.get(None, 0)), "not_imaged": wells.height - used.height}


def wells_by_kind(screen: Screen) -> dict[str, int]:
    """Count the wells of a screen as `count_kinds` does, with imported rows in place of images where there are any."""
    wells = screen.table("well").collect()
    tables = [screen.table(name) for name in sorted(imported_tables(screen)) if name != "profile_consensus"]
    if tables:
        imported = pl.concat([table.select(WELL_KEY).unique() for table in tables]).unique().collect()
        wells = wells.drop("has_images").join(imported.with_columns(has_images=True), on=WELL_KEY, how="left")
        wells = wells.with_columns(pl.col("has_images").fill_null(value=False))
    return count_kinds(wells)


def check_plate_map(wells: pl.DataFrame, reading: pl.DataFrame, *, reference: str) -> None:
    """Refuse a plate map from which no profile could be computed.

    Parameters
    ----------
    wells
        The table ``well``.
    reading
        How the plate maps were read. Without plate maps it is empty, and nothing is refused.
    reference
        ``negcon`` or ``all``, as configured.

    Raises
    ------
    PlateMapError
        If no imaged well is in the plate map, all of them are empty, or none is a negative control and profiles are to
        be compared with those.
    """
    if reading.is_empty():
        return
    source = reading["source"][0]
    imaged = wells.filter("has_images")
    counts = count_kinds(wells)
    if not imaged["is_annotated"].any():
        raise PlateMapError(
            f"none of the {imaged.height} imaged wells is in the plate map {source}. The images are of "
            f"{_shown(imaged)}; the map names {_shown(wells.filter('is_annotated'))}. Correct the plates or wells of "
            "the map; without a plate column it applies to every plate"
        )
    named = counts["trt"] + counts["negcon"] + counts["poscon"]
    if not named:
        raise PlateMapError(
            f"every imaged well of the plate map {source} is empty ({counts['empty']}): {_columns(reading)}. Name the "
            'column of compounds in screen.toml: [plate_map] columns = { compound = "..." }'
        )
    if reference == "negcon" and not counts["negcon"]:
        raise PlateMapError(
            f"no imaged well is a negative control ({counts['trt']} trt, {counts['poscon']} poscon, {counts['empty']} "
            f"empty, {counts['not_annotated']} not annotated), but profiles are compared with them: "
            f"{_columns(reading)}. Name your controls in screen.toml: [plate_map] pert_types = "
            '{ "name of the control" = "negcon" }, or compare with all wells: [profiles] reference = "all"'
        )


def _shown(wells: pl.DataFrame) -> str:
    """Return the names of a few plates and wells."""
    plates = wells["Metadata_Plate"].drop_nulls().unique().sort().to_list()
    some = wells["Metadata_Well"].unique().sort().to_list()
    return (
        f"{'plates' if len(plates) > 1 else 'plate'} {first_few(plates, 3)} with wells {some[0]} to {some[-1]}"
        if some
        else "no well"
    )


def _columns(reading: pl.DataFrame) -> str:
    """Describe the roles of the columns, the columns that are not used, and the words to check."""
    columns = reading.filter(kind="column").unique(["found", "read_as"], maintain_order=True)
    used = [f"{row['found']} is {row['read_as']}" for row in columns.drop_nulls("read_as").iter_rows(named=True)]
    left = [
        f"{name} ({doubt})" if doubt else str(name)
        for name, doubt in columns.filter(pl.col("read_as").is_null()).select("found", "doubt").iter_rows()
    ]
    is_doubtful = (pl.col("kind") == "value") & pl.col("place").is_not_null() & pl.col("doubt").is_not_null()
    doubts = [f"{word!r} {doubt}" for word, doubt in reading.filter(is_doubtful).select("found", "doubt").iter_rows()]
    text = f"{', '.join(used) or 'no column was recognised'}"
    text += f"; not used: {first_few(left)}" if left else ""
    return text + (f"; to check: {first_few(doubts)}" if doubts else "")
