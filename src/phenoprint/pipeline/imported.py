"""The tables that a run starts from: those of images, or imported ones, with the configuration for these."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from phenoprint.errors import ConfigError, DataError
from phenoprint.store import (
    TABLE,
    Screen,
    Scrutiny,
    check_outputs,
    hash_key,
    load_receipts,
    read_receipt,
    receipt_path,
    remove_file,
    remove_receipt,
    table_files,
    write_bytes,
)
from phenoprint.tables import WELL_KEY

__all__ = [
    "GIVEN",
    "adapt_reference",
    "forget",
    "given_tables",
    "import_config",
    "imported_keys",
    "imported_tables",
    "refuse_damaged",
    "require_all_plates",
    "write_import_config",
]

# The tables of a screen of images before any step has run. ``image`` includes the table ``site``; ``well`` includes
# ``plate``, ``perturbation`` and ``feature``.
GIVEN = frozenset({"image", "well", "exclusion"})
_WITH_CONTROLS = '# reference = "negcon"      # or "all", for plates without negative controls'
_WITHOUT_CONTROLS = 'reference = "all"           # no well is known as a negative control; "negcon" once some are'


def imported_tables(screen: Screen) -> frozenset[str]:
    """Return the tables of cells and profiles that were imported into a screen."""
    return frozenset(table for _, table in load_receipts(screen.path, "import"))


def given_tables(screen: Screen) -> frozenset[str]:
    """Return the tables that a run of a screen starts from: those of images, or those that were imported.

    Imported treatments (level 5) come without wells.
    """
    imported = imported_tables(screen)
    if not imported:
        return GIVEN
    return imported | (GIVEN - {"image"} if table_files(screen.path, "well") else {"exclusion"})


def refuse_damaged(screen: Screen, scrutiny: Scrutiny) -> None:
    """Refuse to run on damaged imported tables or exclusions, which no step can make again.

    Raises
    ------
    DataError
        If a file is damaged. The message names it, the damage, and what to do.
    """
    own = [read_receipt(receipt_path(screen.path, TABLE, None, unit)) for unit in ("import", "exclusion")]
    wrong: dict[str, str] = {}
    for receipt in [*own, *load_receipts(screen.path, "import").values()]:
        if receipt is not None:
            wrong |= check_outputs(screen.path, receipt.outputs, scrutiny).wrong
    for name, what in wrong.items():
        more = f" ({len(wrong) - 1} more files were damaged)" if len(wrong) > 1 else ""
        again = (
            "enter the exclusions again ('phenoprint exclude')"
            if name.startswith("tables/exclusion/")
            else "import its plate again"
        )
        raise DataError(f"{screen.path / name} {what}{more}. No step of a run makes it: delete it and {again}")


def imported_keys(screen: Screen) -> dict[tuple[str, str], str]:
    """Return a key for every imported table and plate.

    It changes with what was imported and with the annotation of the wells of the plate.
    """
    receipts = load_receipts(screen.path, "import")
    if not receipts:
        return {}
    wells = screen.table("well").collect().sort(WELL_KEY)
    annotation = {
        str(plate): hash_key(rows.columns, rows.rows()) for (plate,), rows in wells.group_by("Metadata_Plate")
    }
    return {
        (table, plate or ""): hash_key(receipt.key, annotation.get(plate or "", ""))
        for (plate, table), receipt in receipts.items()
    }


def require_all_plates(screen: Screen, table: str) -> None:
    """Require that a table, where it was imported, was imported for all plates.

    Raises
    ------
    DataError
        If some plates were imported without it; a run would leave them out.
    """
    receipts = list(load_receipts(screen.path, "import"))
    there = {plate for plate, unit in receipts if unit == table}
    missing = sorted({plate for plate, _ in receipts if plate is not None} - there)
    if there and missing:
        others = sorted({unit for plate, unit in receipts if plate in missing})
        raise DataError(
            f"{table} was imported for {len(there)} plates and not for {len(missing)}, such as "
            f"{', '.join(missing[:3])}, of which there is {', '.join(others)}: import {table} of these, too, or "
            "import plates of other levels into a screen of their own"
        )


def forget(screen: Screen, steps: Iterable[str]) -> None:
    """Remove the results and receipts of steps that no longer run, but no imported table.

    Parameters
    ----------
    screen
        The screen, locked by the caller.
    steps
        The names of the steps.
    """
    imported = {name for receipt in load_receipts(screen.path, "import").values() for name in receipt.outputs}
    for step in steps:
        for (plate, unit), receipt in load_receipts(screen.path, step).items():
            for name in set(receipt.outputs) - imported:
                remove_file(screen.path / name)
            remove_receipt(screen.path, step, plate, unit)


def write_import_config(screen: Screen) -> Path | None:
    """Write a commented ``screen.toml`` for imported tables, unless the screen has one.

    Parameters
    ----------
    screen
        A screen that is not locked.

    Returns
    -------
    Path or None
        The file; None if the screen has one already, or nothing was imported.

    Raises
    ------
    ScreenLockedError
        If another run holds the screen.
    """
    path = screen.path / "screen.toml"
    with screen.lock():
        if (path.is_file() and path.stat().st_size) or not imported_tables(screen):
            return None
        write_bytes(path, import_config(screen).encode())
    return path


def import_config(screen: Screen) -> str:
    """Return a commented ``screen.toml`` for imported tables.

    Raises
    ------
    ConfigError
        Where nothing was imported.
    """
    if not imported_tables(screen):
        raise ConfigError(
            f"{screen.path} holds no configuration and no imported tables: import some with 'phenoprint import SOURCE "
            f"-o {screen.path}', or start from images with 'phenoprint init DIR'"
        )
    has_controls = _has_controls(screen)
    name = re.sub(r"[^\w .-]+", "_", screen.path.resolve().name).strip() or "screen"
    lines = [
        "# What to do with the imported tables. Lines with a # are optional; the values shown are the defaults.",
        "",
        "[screen]",
        f"name = {json.dumps(name, ensure_ascii=False)}",
        "",
        "[profiles]",
        '# recipe = "phenoprint"     # or "phenoprint-sphering", "profiling-recipe", "jump-production", or steps of',
        "#                           # your own: [[profiles.recipe]] with operation = ... and its parameters",
        _WITH_CONTROLS if has_controls else _WITHOUT_CONTROLS,
        "# min_reference = 3         # controls a plate needs; with fewer, all its wells serve as the reference",
        "",
    ]
    return "\n".join(lines)


def _has_controls(screen: Screen) -> bool:
    is_control = pl.col("Metadata_pert_type") == "negcon"
    return bool(screen.table("well").select(is_control.any()).collect().item())


def adapt_reference(screen: Screen) -> str | None:
    """Make ``screen.toml`` use negative controls that were annotated after `import_config` wrote it without any.

    Only the line that `import_config` wrote is replaced.

    Parameters
    ----------
    screen
        The screen, locked by the caller.

    Returns
    -------
    str or None
        The new text; None if nothing changed.
    """
    text = screen.config_text
    if _WITHOUT_CONTROLS not in text.splitlines() or not _has_controls(screen):
        return None
    adapted = text.replace(_WITHOUT_CONTROLS, _WITH_CONTROLS)
    write_bytes(screen.path / "screen.toml", adapted.encode())
    return adapted
