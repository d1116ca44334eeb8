"""Plate maps read into one annotated row per well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.plates.columns import one_unit, read_cells, read_doses
from phenoprint.plates.content import Part, read_parts, sheet_plates
from phenoprint.plates.grid import as_grid
from phenoprint.plates.kinds import ColumnRoles, Word, assign_columns, read_kinds
from phenoprint.plates.lists import as_list
from phenoprint.plates.map_wells import check_wells, read_wells
from phenoprint.plates.text_table import LINE, Problems, TextTable, check_identifiers, check_names, metadata_name
from phenoprint.plates.vocabulary import column_key
from phenoprint.plates.well import PlateFormat, Well, well_positions

__all__ = ["PLATE_MAP_SCHEMA", "READING_SCHEMA", "PlateMap", "parse_plate_map", "plate_map_of", "unused_words"]

PLATE_MAP_SCHEMA: dict[str, type[pl.DataType]] = {
    "Metadata_Plate": pl.String,
    "Metadata_Well": pl.String,
    "Metadata_Row": pl.Int32,
    "Metadata_Col": pl.Int32,
    "Metadata_Batch": pl.String,
    "Metadata_pert_type": pl.String,
    "Metadata_compound": pl.String,
    "Metadata_Concentration": pl.Float64,
    "Metadata_Concentration_Unit": pl.String,
    "Metadata_moa": pl.String,
}

# kind, found, read_as, n, place, doubt
_Reading = tuple[str, str | None, str | None, int | None, str | None, str | None]
READING_SCHEMA: dict[str, type[pl.DataType]] = {
    "source": pl.String,
    "kind": pl.String,
    "found": pl.String,
    "read_as": pl.String,
    "n": pl.Int32,
    "place": pl.String,
    "doubt": pl.String,
}


@dataclass(frozen=True)
class PlateMap:
    """A plate map, and how it was read.

    Parameters
    ----------
    wells
        One row per well, see `parse_plate_map`.
    reading
        One row per column, word and line of the file that was understood as something, or was not used; columns
        `READING_SCHEMA`. ``kind`` is ``column``, ``value``, ``sheet`` or ``text``; ``read_as`` is null where it was
        not used.
    """

    wells: pl.DataFrame
    reading: pl.DataFrame


def parse_plate_map(
    content: str | bytes,
    *,
    source: str,
    sheet: str | None = None,
    plate_format: int | PlateFormat | None = None,
    pert_types: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    r"""Read a plate map, as a list of wells or drawn as a grid, from text or a spreadsheet.

    Columns and blocks are recognised by the field's names in English, German, French and Spanish
    (``well_position``, ``broad_sample``, ``mmoles_per_liter``, ``Substanz``, ...), with or without ``Metadata_``; all
    others are kept as ``Metadata_*`` strings. Columns such as ``Type``, ``Role`` and ``Content`` give the kind of a
    well if all their values are words for kinds. Doses may carry their unit (``3.6 µM``); several molar units of one
    compound are brought to the one it uses most. Where a well has no kind it is inferred from the compound
    (see `phenoprint.plates.infer_pert_type`): DMSO and the like are negative controls, blank wells are empty.

    Parameters
    ----------
    content
        The file's content: text, or the bytes of a text file or of a spreadsheet (``.xlsx``, ``.ods``, ``.xls``).
    source
        The file; named in every error.
    sheet
        The sheet of a spreadsheet; None takes all that are plate maps and are not hidden. Several sheets are one
        variable each, or one plate each, named like the sheet unless the sheet names the plate.
    plate_format
        Wells of the plate (96, 384, ...); wells outside are errors. None accepts any well up to AF48.
    pert_types
        Meaning of words for kinds of wells or of compounds, such as ``{"mock": "negcon"}``; case does not matter.
    columns
        Columns by role, where they are not recognised by name: ``{"compound": "Content"}``.

    Returns
    -------
    pl.DataFrame
        One row per well in the order of the file, columns `PLATE_MAP_SCHEMA` and then the map's others. Row and
        column are 1-based; a null ``Metadata_Plate`` means every plate.

    Raises
    ------
    PlateMapError
        For a missing column of wells, a text that is no well, a well outside the format, a well twice, a dose that
        is no number, an unknown unit or pert_type; each with its line.

    Examples
    --------
    >>> wells = parse_plate_map("well,compound,dose\na1,DMSO,\nA2,taxol,10 nM\n", source="map.csv")
    >>> wells.select("Metadata_Well", "Metadata_pert_type", "Metadata_Concentration").rows()
    [('A01', 'negcon', None), ('A02', 'trt', 10.0)]
    """
    parts = read_parts(content, source=source, sheet=sheet)
    return plate_map_of(parts, plate_format=plate_format, pert_types=pert_types or {}, columns=columns or {}).wells


def plate_map_of(
    parts: Sequence[Part],
    *,
    plate_format: int | PlateFormat | None = None,
    pert_types: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
) -> PlateMap:
    """Read the tables of one file; see `parse_plate_map`.

    Parameters
    ----------
    parts
        As `phenoprint.plates.read_parts` returns them.
    plate_format, pert_types, columns
        As of `parse_plate_map`.

    Raises
    ------
    PlateMapError
        As of `parse_plate_map`.
    """
    named = [(part, as_grid(part.rows, source=part.source) if part.is_grid else as_list(part.rows, source=part.source))
             for part in parts]  # fmt: skip
    if len(parts) > 1 and all(table.is_bare and part.variable for part, table in named):
        first, together = parts[0], _join_variables(named)
        named = [(Part(first.source, first.rows, None), together)]
    elif len(parts) == 1 and named[0][1].is_bare and parts[0].variable:
        named = [(parts[0], _call(named[0][1], parts[0].variable))]
    maps = [
        _read_one(table, part, plate_format=plate_format, pert_types=pert_types or {}, columns=columns or {})
        for part, table in named
    ]
    if len(maps) > 1:
        maps = _of_plates(parts, maps)
    wells = one_unit(pl.concat([each.wells for each in maps], how="diagonal_relaxed"))
    keys = wells.select("Metadata_Plate", "Metadata_Well")
    if len(maps) > 1 and keys.is_duplicated().any():
        plate, well = keys.filter(keys.is_duplicated()).row(0)
        raise PlateMapError(
            f"{parts[0].source.rpartition(', sheet ')[0]}: well {well} of plate {plate} is in more than one sheet "
            "of a plate map; keep one, or name the sheet to read"
        )
    skipped = [("sheet", name, None, None, None, why) for part in parts for name, why in part.skipped]
    return PlateMap(wells, pl.concat([*(each.reading for each in maps), _reading(parts[0].source, skipped)]))


def _call(table: TextTable, name: str) -> TextTable:
    """Name the variable of a drawn plate."""
    names = [name if column == "compound" else column for column in table.names]
    return replace(table, names=names, cells=table.cells.rename({"compound": name}), is_bare=False)


def _join_variables(named: list[tuple[Part, TextTable]]) -> TextTable:
    """Join drawn plates that are one variable each, named like their sheets."""
    tables = [_call(table, part.variable or "") for part, table in named]
    keys = [name for name in ("plate", "well") if all(name in table.names for table in tables)]
    joined = tables[0].cells
    for table in tables[1:]:
        joined = joined.join(
            table.cells.drop(LINE), on=keys, how="full", coalesce=True, nulls_equal=True, maintain_order="left_right"
        )
    unused = tuple(text for table in tables for text in table.unused)
    names = [name for name in joined.columns if name != LINE]
    return TextTable(names, joined.with_columns(pl.col(LINE).fill_null(0)), named[0][0].source, unused, is_drawn=True)


def _of_plates(parts: Sequence[Part], maps: list[PlateMap]) -> list[PlateMap]:
    """Set the plates of several sheets: as the sheets name them, else the sheets' names; refuse a mixture."""
    silent = [part for part, each in zip(parts, maps, strict=True) if each.wells["Metadata_Plate"].null_count()]
    if not silent:
        return maps
    if len(silent) < len(maps):
        raise PlateMapError(
            f"{silent[0].source}: this sheet does not name its plate, while others of the file do; name the "
            'sheet to read ([plate_map] sheet = "...", or --sheet)'
        )
    plates = sheet_plates(list(parts))
    return [
        PlateMap(
            each.wells.with_columns(pl.lit(plates[part.sheet or ""]).alias("Metadata_Plate")),
            pl.concat(
                [each.reading, _reading(part.source, [("sheet", part.sheet, f"plate {part.sheet}", None, None, None)])]
            ),
        )
        for part, each in zip(parts, maps, strict=True)
    ]


def unused_words(pert_types: Mapping[str, str], maps: Sequence[PlateMap], *, source: str) -> pl.DataFrame:
    """List the words that the user defines in `source` and no plate map contains: rows of a reading.

    Examples
    --------
    >>> unused_words({"Medium": "empty"}, [], source="screen.toml")["doubt"].to_list()
    ["no well has 'Medium', which pert_types defines as empty"]
    """
    used = {str(text).strip().casefold() for one in maps for text in one.reading.filter(kind="value")["found"]}
    rows = [
        ("value", word, None, 0, None, f"no well has {word!r}, which pert_types defines as {kind}")
        for word, kind in pert_types.items()
        if word.strip().casefold() not in used
    ]
    return _reading(source, rows)


def _read_one(
    table: TextTable,
    part: Part,
    *,
    plate_format: int | PlateFormat | None,
    pert_types: Mapping[str, str],
    columns: Mapping[str, str],
) -> PlateMap:
    """Read one table."""
    source = part.source
    assigned = assign_columns(table, columns=columns, pert_types=pert_types, source=source)
    roles = assigned.roles
    problems = Problems(source)
    for role in ("plate", "batch"):
        if role in roles:
            check_identifiers(table, roles[role], problems)
    if "compound" in roles:
        check_names(table, roles["compound"], problems)
    wells = read_wells(table, roles, problems, first_line=part.rows[0][0])
    plate_of = table.cells[roles["plate"]] if "plate" in roles else pl.Series([None] * len(wells), dtype=pl.String)
    check_wells(table, wells, plate_of, plate_format, problems)
    value, unit = read_doses(table, roles, problems)
    kinds, words = read_kinds(table, assigned, problems, pert_types=pert_types)
    problems.raise_any()
    at = well_positions(wells)
    frame = pl.DataFrame(
        {
            "Metadata_Plate": plate_of,
            "Metadata_Well": wells,
            "Metadata_Row": at["row"] + 1,
            "Metadata_Col": at["col"] + 1,
            "Metadata_Batch": read_cells(table, roles, "batch"),
            "Metadata_pert_type": kinds,
            "Metadata_compound": read_cells(table, roles, "compound"),
            "Metadata_Concentration": value,
            "Metadata_Concentration_Unit": unit,
            "Metadata_moa": read_cells(table, roles, "moa"),
        },
        schema=PLATE_MAP_SCHEMA,
    )
    # a control well with no sample holds its solvent
    unnamed = pl.col("Metadata_compound").is_null() & (pl.col("Metadata_pert_type") == "negcon")
    solvent = read_cells(table, roles, "solvent")
    frame = frame.with_columns(
        pl.when(unnamed).then(solvent).otherwise(pl.col("Metadata_compound")).alias("Metadata_compound")
    )
    frame, kept = _other_columns(frame, table, roles, source)
    agree = "well" not in roles or _agree(frame, table, roles)
    return PlateMap(frame, _reading(source, _uses(table, assigned, kept, words, agree=agree)))


def _uses(
    table: TextTable, assigned: ColumnRoles, kept: Mapping[str, str], words: Mapping[Word, int], *, agree: bool
) -> list[_Reading]:
    """List how columns, words and lines beside the table were read."""
    role_of = {column: role for role, column in assigned.roles.items()}
    role_of |= dict.fromkeys(assigned.kinds, "pert_type")
    rows: list[_Reading] = []
    for name in table.names:
        if table.is_drawn and name in {"plate", "well"}:
            continue
        role, n = role_of.get(name), table.cells[name].count()
        doubt = assigned.reasons.get(name)
        if role in {"row", "col"} and not agree:
            role, doubt = None, "its values are not those of the wells"
        place = f"kept as {kept[name]}" if name in kept and not role else None
        rows.append(("column", name, role, n, place, None if role else doubt))
    for (column, text, kind, note), n in words.items():
        where = f"in {column}" if column else "no compound is named"
        rows.append(("value", text or "(blank)", kind, n, where, note or None))
    rows += [("text", text, None, None, f"line {line}, beside the table", None) for line, text in table.unused]
    return rows


def _reading(source: str, rows: Sequence[_Reading]) -> pl.DataFrame:
    return pl.DataFrame([(source, *row) for row in rows], schema=READING_SCHEMA, orient="row")


def _other_columns(
    frame: pl.DataFrame, table: TextTable, roles: Mapping[str, str], source: str
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Append the map's other columns as strings, such as mmoles_per_liter; return them and their names."""
    consumed = {roles[role] for role in ("well", "plate", "batch", "unit") if role in roles}
    if "_per_" not in column_key(roles.get("concentration", "")):
        consumed.add(roles.get("concentration", ""))
    if "well" not in roles or _agree(frame, table, roles):
        consumed |= {roles[role] for role in ("row", "col") if role in roles}
    extra: dict[str, str] = {}
    for name in table.names:
        target = metadata_name(name)
        if name in consumed or target.casefold() in {column.casefold() for column in frame.columns}:
            continue
        if target in extra:
            raise PlateMapError(
                f"{source}: columns {extra[target]!r} and {name!r} would both become {target}; rename one"
            )
        extra[target] = name
    appended = frame.with_columns([table.cells[name].alias(target) for target, name in extra.items()])
    return appended, {name: target for target, name in extra.items()}


def _agree(frame: pl.DataFrame, table: TextTable, roles: Mapping[str, str]) -> bool:
    """Whether the map's rows and columns, as numbers or letters, agree with its wells."""
    pairs = [(roles[role], f"Metadata_{role.title()}") for role in ("row", "col") if role in roles]
    letters = {str(Well(row, 0))[:-2]: row + 1 for row in range(32)}
    return all(
        table.cells[name].str.to_uppercase().replace(letters).cast(pl.Int32, strict=False).eq_missing(frame[at]).all()
        for name, at in pairs
    )
