"""Plate maps: text in, one annotated row a well out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.plates.columns import one_unit, read_cells, read_doses, read_pert_types
from phenoprint.plates.grid import as_grid, is_grid
from phenoprint.plates.sheet import (
    LINE,
    Problems,
    Sheet,
    as_sheet,
    check_identifiers,
    metadata_name,
    read_rows,
)
from phenoprint.plates.vocabulary import column_key, match_columns
from phenoprint.plates.well import PlateFormat, Well, normalize_wells

__all__ = ["PLATE_MAP_SCHEMA", "parse_plate_map"]

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


def parse_plate_map(
    text: str,
    *,
    source: str,
    plate_format: int | PlateFormat | None = None,
    pert_types: Mapping[str, str] | None = None,
    controls: Mapping[str, Sequence[str]] | None = None,
) -> pl.DataFrame:
    r"""Read a plate map, as a list of wells or drawn as a grid.

    Columns and blocks are recognised by the field's names (``well_position``, ``broad_sample``,
    ``mmoles_per_liter``, ``control_type``, ...), with or without ``Metadata_``; all others are kept as
    ``Metadata_*`` strings. Doses may carry their unit (``3.6 µM``); several molar units of one compound are
    brought to the one it uses most. Where no ``pert_type`` is given for a well it follows from the compound
    (see `phenoprint.plates.infer_pert_type`): DMSO and the like are negative controls, blank wells are empty.

    Parameters
    ----------
    text
        The file's content.
    source
        Where it came from; named in every error.
    plate_format
        Wells of the plate (96, 384, ...); wells outside are errors. None accepts any well up to AF48.
    pert_types
        The map's own words for the roles, such as ``{"mock": "negcon"}``.
    controls
        Compounds with a role of their own, such as ``{"poscon": ["Wortmannin"]}``; used where the map gives
        no pert_type. Upper and lower case are the same.

    Returns
    -------
    pl.DataFrame
        A row a well in the order of the text, columns `PLATE_MAP_SCHEMA` and then the map's others. Row and
        column are 1-based; a null ``Metadata_Plate`` stands for every plate.

    Raises
    ------
    PlateMapError
        No well column, a text that is no well, a well outside the format, a well twice, a dose that is no
        number, an unknown unit or pert_type; each with its line.

    Examples
    --------
    >>> wells = parse_plate_map("well,compound,dose\na1,DMSO,\nA2,taxol,10 nM\n", source="map.csv")
    >>> wells.select("Metadata_Well", "Metadata_pert_type", "Metadata_Concentration").rows()
    [('A01', 'negcon', None), ('A02', 'trt', 10.0)]
    """
    rows = read_rows(text, source=source)
    sheet = as_grid(rows, source=source) if is_grid(rows) else as_sheet(rows, source=source)
    roles = match_columns(sheet.names)
    problems = Problems(source)
    for role in ("plate", "batch"):
        if role in roles:
            check_identifiers(sheet, roles[role], problems)
    wells = _wells(sheet, roles, problems, first_line=rows[0][0])
    plate_of = sheet.cells[roles["plate"]] if "plate" in roles else pl.Series([None] * len(wells), dtype=pl.String)
    _check_wells(sheet, wells, plate_of, plate_format, problems)
    value, unit = read_doses(sheet, roles, problems)
    compound = read_cells(sheet, roles, "compound")
    pert_type = read_pert_types(sheet, roles, problems, pert_types=pert_types or {}, controls=controls or {})
    problems.raise_any()
    solvent = read_cells(sheet, roles, "solvent")
    frame = pl.DataFrame(
        {
            "Metadata_Plate": plate_of,
            "Metadata_Well": wells,
            "Metadata_Row": [Well.parse(well).row + 1 for well in wells],
            "Metadata_Col": [Well.parse(well).col + 1 for well in wells],
            "Metadata_Batch": read_cells(sheet, roles, "batch"),
            "Metadata_pert_type": pert_type,
            "Metadata_compound": compound,
            "Metadata_Concentration": value,
            "Metadata_Concentration_Unit": unit,
            "Metadata_moa": read_cells(sheet, roles, "moa"),
        },
        schema=PLATE_MAP_SCHEMA,
    )
    # a control well with no sample holds its solvent
    unnamed = pl.col("Metadata_compound").is_null() & (pl.col("Metadata_pert_type") == "negcon")
    frame = frame.with_columns(
        pl.when(unnamed).then(solvent).otherwise(pl.col("Metadata_compound")).alias("Metadata_compound")
    )
    return _other_columns(one_unit(frame), sheet, roles, source)


def _wells(sheet: Sheet, roles: Mapping[str, str], problems: Problems, *, first_line: int) -> pl.Series:
    """Wells as ``A01`` from the well column, or from row and column."""
    frame = sheet.cells
    if "well" in roles:
        text = frame[roles["well"]]
    elif "row" in roles and "col" in roles:
        row, col = frame[roles["row"]], frame[roles["col"]]
        numeric = pl.lit("r") + row + "c" + col
        text = frame.select(
            pl.when(row.str.contains(r"^\d+$")).then(numeric).otherwise(row + col).alias("well")
        ).to_series()
    else:
        problems.add(
            first_line,
            f"no column of wells among {', '.join(sheet.names) or 'nothing'}; expected 'well' (or "
            "well_position, Metadata_Well), or 'row' and 'column', or a grid with column numbers above rows",
        )
        problems.raise_any()
        raise AssertionError  # raise_any has raised
    wells = normalize_wells(text, strict=False)
    for line, found in frame.select(LINE, text.alias("found")).filter(wells.is_null()).iter_rows():
        shown = "a blank" if found is None else repr(found)
        problems.add(line, f"well {shown} is not a well; write it like A01")
    problems.raise_any()
    return wells.alias("Metadata_Well")


def _check_wells(
    sheet: Sheet,
    wells: pl.Series,
    plates: pl.Series,
    plate_format: int | PlateFormat | None,
    problems: Problems,
) -> None:
    """Note wells outside the format, wells given twice, and rows without a plate among rows with one."""
    frame = sheet.cells.select(LINE).with_columns(wells.alias("well"), plates.alias("plate"))
    if plate_format is not None:
        plate = PlateFormat.of(plate_format) if isinstance(plate_format, int) else plate_format
        outside = [well for well in wells.unique().to_list() if Well.parse(well) not in plate]
        last = Well(plate.rows - 1, plate.columns - 1)
        for line, well in frame.filter(pl.col("well").is_in(outside)).select(LINE, "well").iter_rows():
            problems.add(line, f"well {well} is not on a {plate} plate (A01 to {last}); correct it or the format")
    first = frame.with_columns(pl.col(LINE).min().over("plate", "well").alias("first"))
    for line, well, name, other in first.filter(pl.col(LINE) != pl.col("first")).select(
        LINE, "well", "plate", "first"
    ).iter_rows():  # fmt: skip
        on = f" of plate {name}" if name else ""
        problems.add(line, f"well {well}{on} already stands at line {other}; keep one of the two")
    if 0 < plates.null_count() < len(plates):
        for line in frame.filter(pl.col("plate").is_null())[LINE]:
            problems.add(line, "no plate, while other lines name one; fill in the plate, or remove the column")


def _other_columns(frame: pl.DataFrame, sheet: Sheet, roles: Mapping[str, str], source: str) -> pl.DataFrame:
    """Append the map's other columns as strings, names of the field (mmoles_per_liter) included."""
    consumed = {roles[role] for role in ("well", "plate", "batch", "unit") if role in roles}
    if "_per_" not in column_key(roles.get("concentration", "")):
        consumed.add(roles.get("concentration", ""))
    if "well" not in roles or _agree(frame, sheet, roles):
        consumed |= {roles[role] for role in ("row", "col") if role in roles}
    extra: dict[str, str] = {}
    for name in sheet.names:
        target = metadata_name(name)
        if name in consumed or target.casefold() in {column.casefold() for column in frame.columns}:
            continue
        if target in extra:
            raise PlateMapError(
                f"{source}: columns {extra[target]!r} and {name!r} would both become {target}; rename one"
            )
        extra[target] = name
    return frame.with_columns([sheet.cells[name].alias(target) for target, name in extra.items()])


def _agree(frame: pl.DataFrame, sheet: Sheet, roles: Mapping[str, str]) -> bool:
    """Whether the map's own row and column numbers say what its wells say."""
    pairs = [(roles[role], f"Metadata_{role.title()}") for role in ("row", "col") if role in roles]
    return all(sheet.cells[name].cast(pl.Int32, strict=False).eq_missing(frame[target]).all() for name, target in pairs)
