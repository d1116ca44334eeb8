"""Screens that start from imported tables instead of images: what is there, and which steps go on from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    write_bytes,
)
from phenoprint.tables import WELL_KEY

if TYPE_CHECKING:
    from phenoprint.pipeline.steps.base import Step

__all__ = [
    "adapt_reference",
    "forget_replaced",
    "import_config",
    "imported_keys",
    "imported_tables",
    "refuse_damaged",
    "require_all_plates",
    "steps_after_import",
    "write_import_config",
]

# Which step makes a table when a run starts from images.
MADE_BY = {
    "cell": "measure",
    "profile_well": "aggregate",
    "profile_normalized": "recipe",
    "profile_selected": "recipe",
    "profile_consensus": "consensus",
}
_WITH_CONTROLS = '# reference = "negcon"      # or "all", for plates without negative controls'
_WITHOUT_CONTROLS = 'reference = "all"           # no well is known as a negative control; "negcon" once some are'
_FROM_CELLS = ("flag_cells", "aggregate", "learn_states", "heterogeneity")
_FROM_WELLS = (
    "recipe",
    "consensus",
    "well_readouts",
    "neighbours",
    "feature_effects",
    "plate_acceptance",
    "calls",
    "dose_response",
    "project",
    "cluster_signatures",
)


def imported_tables(screen: Screen) -> frozenset[str]:
    """Return the tables of cells and profiles that were imported into a screen."""
    return frozenset(unit for _, unit in load_receipts(screen.path, "import") if unit in MADE_BY)


def refuse_damaged(screen: Screen, scrutiny: Scrutiny) -> None:
    """Refuse to go on from damaged tables that came from the user: nothing in the screen can make them again.

    Raises
    ------
    DataError
        Names the first file, what is wrong with it, and what to do.
    """
    own = [read_receipt(receipt_path(screen.path, TABLE, None, unit)) for unit in ("import", "exclusion")]
    wrong: dict[str, str] = {}
    for receipt in [*own, *load_receipts(screen.path, "import").values()]:
        if receipt is not None:
            wrong |= check_outputs(screen.path, receipt.outputs, scrutiny).wrong
    for name, what in wrong.items():
        more = f" ({len(wrong) - 1} more files were damaged)" if len(wrong) > 1 else ""
        again = (
            "say again what is excluded ('phenoprint exclude')"
            if name.startswith("tables/exclusion/")
            else "import its plate again"
        )
        raise DataError(f"{screen.path / name} {what}{more}. No step of a run makes it: delete it and {again}")


def imported_keys(screen: Screen) -> dict[tuple[str, str], str]:
    """Return a key for every plate of every imported table, by table and plate, and by the step it stands for.

    It changes with what was imported and with the annotation of the plate's wells. A step of which several tables were
    imported rests on all of them; one that still runs, such as the recipe after level 4a, has a key of its own.
    """
    receipts = {place: r for place, r in load_receipts(screen.path, "import").items() if place[1] in MADE_BY}
    wells = screen.table("well").collect().sort(WELL_KEY)
    annotation = {
        str(plate): hash_key(rows.columns, rows.rows()) for (plate,), rows in wells.group_by("Metadata_Plate")
    }
    has_selected = any(unit == "profile_selected" for _, unit in receipts)
    keys: dict[tuple[str, str], list[str]] = {}
    for (plate, unit), receipt in receipts.items():
        key = f"{unit} {receipt.key} {annotation.get(plate or '', '')}"
        keys[unit, plate or ""] = [key]
        if unit != "profile_normalized" or has_selected:
            keys.setdefault((MADE_BY[unit], plate or ""), []).append(key)
    return {place: hash_key(sorted(found)) for place, found in keys.items()}


def require_all_plates(screen: Screen, table: str) -> None:
    """Raise where a table was imported for some plates only, so that the others would be left out without a word.

    Raises
    ------
    DataError
        Names the plates.
    """
    receipts = [(plate, unit) for plate, unit in load_receipts(screen.path, "import") if unit in MADE_BY]
    there = {plate for plate, unit in receipts if unit == table}
    missing = sorted({plate for plate, _ in receipts if plate is not None} - there)
    if there and missing:
        others = sorted({unit for plate, unit in receipts if plate in missing})
        raise DataError(
            f"{table} was imported for {len(there)} plates and not for {len(missing)}, such as "
            f"{', '.join(missing[:3])}, of which there is {', '.join(others)}: import {table} of these, too, or "
            "import plates of other levels into a screen of their own"
        )


def steps_after_import(steps: Sequence[Step], imported: frozenset[str]) -> tuple[Step, ...]:
    """Return the steps that go on from imported tables; none of them replaces what was imported.

    Raises
    ------
    ConfigError
        Where only treatments (level 5) were imported, from which no step goes on.

    Examples
    --------
    >>> from phenoprint.pipeline.steps import STEPS
    >>> [step.name for step in steps_after_import(STEPS, frozenset({"profile_well"}))][:3]
    ['recipe', 'consensus', 'well_readouts']
    """
    if not imported & {"cell", "profile_well", "profile_normalized", "profile_selected"}:
        raise ConfigError(
            "only treatments (level 5) were imported, and no step of a run goes on from these: query and export work "
            "without a run; import cells or wells (levels 2 to 4b) to have them profiled and called"
        )
    wanted = set(_FROM_WELLS)
    if "cell" in imported:
        wanted |= set(_FROM_CELLS)
    if "profile_well" in imported:
        wanted -= {"flag_cells", "aggregate"} if "cell" not in imported else {"aggregate"}
    if "profile_selected" in imported:
        wanted -= {"recipe"}
    if "profile_consensus" in imported:
        wanted -= {"consensus"}
    return tuple(step for step in steps if step.name in wanted)


def forget_replaced(screen: Screen, steps: Iterable[Step]) -> None:
    """Remove what steps made that do not run any more, since what they would make was imported.

    Else the ledger would go on telling of it, and their tables of profiles that are not those of the screen.

    Parameters
    ----------
    screen
        The screen, held by the caller.
    steps
        The steps that do not run.
    """
    imported = {name for receipt in load_receipts(screen.path, "import").values() for name in receipt.outputs}
    for step in steps:
        for (plate, unit), receipt in load_receipts(screen.path, step.name).items():
            for name in set(receipt.outputs) - imported:
                remove_file(screen.path / name)
            remove_receipt(screen.path, step.name, plate, unit)


def write_import_config(screen: Screen) -> Path | None:
    """Write the commented ``screen.toml`` of imported tables, where there is none yet.

    Parameters
    ----------
    screen
        A screen that nobody holds.

    Returns
    -------
    Path or None
        The file; None where one was there, or nothing was imported that a run goes on from.

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
    """Have ``screen.toml`` use negative controls that were annotated after it was written without knowing any.

    Only the line that `import_config` wrote is replaced; what a user wrote in its place stays.

    Parameters
    ----------
    screen
        The screen, held by the caller.

    Returns
    -------
    str or None
        The new text; None where nothing changed.
    """
    text = screen.config_text
    if _WITHOUT_CONTROLS not in text.splitlines() or not _has_controls(screen):
        return None
    adapted = text.replace(_WITHOUT_CONTROLS, _WITH_CONTROLS)
    write_bytes(screen.path / "screen.toml", adapted.encode())
    return adapted
