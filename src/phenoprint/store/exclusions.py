"""Exclusions: plates, wells, sites and cells that are left out by hand, with reason, person and date.

Nothing is deleted: the rows of the table ``exclusion`` list what is left out, and the next run of the screen computes
well profiles and everything after them without it. Removing a row undoes its exclusion.
"""

from __future__ import annotations

import difflib
import getpass
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from phenoprint.errors import PlateMapError, UsageError
from phenoprint.plates import Well
from phenoprint.store.journal import undo_killed_imports
from phenoprint.store.opening import open  # noqa: A004
from phenoprint.store.receipts import TABLE, record_table, remove_receipt
from phenoprint.store.screen import Screen
from phenoprint.tables import CELL_KEY, SITE_KEY, WELL_KEY, get_table

__all__ = ["ExclusionChange", "change_exclusions", "describe_place", "exclude"]

_SCOPES = ("plate", "well", "site", "object")
_SCHEMA = get_table("exclusion").schema_of((*CELL_KEY, "reason"))


@dataclass(frozen=True, slots=True)
class ExclusionChange:
    """The result of a change of exclusions; every frame has the columns of the table ``exclusion``.

    Attributes
    ----------
    added
        New rows.
    already
        Earlier rows for the given places; they are kept unchanged.
    removed
        Rows that were undone.
    everything
        All exclusions of the screen after the change.
    """

    added: pl.DataFrame
    already: pl.DataFrame
    removed: pl.DataFrame
    everything: pl.DataFrame


def exclude(
    screen: str | os.PathLike[str] | Screen,
    plate: str,
    well: str | None = None,
    *,
    site: str | int | None = None,
    object_number: int | None = None,
    reason: str = "",
    undo: bool = False,
    who: str | None = None,
) -> ExclusionChange:
    """Leave a plate, a well, a site or a cell out of everything that is computed after the measurement.

    The decision is written to the table ``exclusion`` with reason, person and date. Run the screen again to apply it:
    well profiles, everything that is fitted (normalization, selection, sphering, limits of cell quality, references),
    scores, calls, curves, plate acceptance and consensus are then computed without it, and the ledger lists the
    reason. Cells and imported tables keep their rows.

    Parameters
    ----------
    screen
        A screen folder or a screen.
    plate
        The plate.
    well
        The well, such as ``"A01"``, ``"A1"`` or ``"a1"``; None: the whole plate.
    site
        The site (field of view) of the well; None: the whole well.
    object_number
        The number of a cell within the site, as in the masks; None: the whole site.
    reason
        The reason, in a sentence; required unless `undo` is given.
    undo
        Undo the exclusion of exactly this place.
    who
        Person who decided; None: the name of the current user.

    Returns
    -------
    ExclusionChange
        New, earlier and undone exclusions, and all exclusions after the change.

    Raises
    ------
    UsageError
        If the screen has no such plate, well, site or cell, or `undo` finds no such exclusion: lists the closest.
        If there is no reason, a text is not a well, or a site is given without a well.
    ScreenLockedError
        If another process holds the lock of the screen.

    Examples
    --------
    >>> import tempfile
    >>> from phenoprint.store import create
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     screen = create(Path(folder) / "pilot")
    ...     wells = pl.DataFrame({"Metadata_Plate": ["P1"] * 2, "Metadata_Well": ["A01", "B03"]})
    ...     _ = screen.write("well", wells)
    ...     change = exclude(screen, "P1", "b3", reason="pipetting error")
    ...     change.added.select("scope", "Metadata_Well", "reason").rows()
    [('well', 'B03', 'pipetting error')]
    """
    place = (plate, well, None if site is None else str(site), object_number, reason)
    return change_exclusions(screen, pl.DataFrame([place], schema=_SCHEMA, orient="row"), undo=undo, who=who)


def change_exclusions(
    screen: str | os.PathLike[str] | Screen, places: pl.DataFrame, *, undo: bool = False, who: str | None = None
) -> ExclusionChange:
    """Exclude many places, or undo their exclusions; after an error nothing has changed.

    Parameters
    ----------
    screen
        A screen folder or a screen.
    places
        One row per place: ``Metadata_Plate``, ``Metadata_Well``, ``Metadata_Site``, ``Metadata_ObjectNumber`` (NULL or
        absent for a whole plate, well or site) and ``reason``.
    undo, who
        As in `exclude`.

    Raises
    ------
    UsageError, ScreenLockedError
        As `exclude`.
    """
    held = screen if isinstance(screen, Screen) else open(Path(screen))
    wanted = _scoped(_on_plate(held, places))
    with held.lock():
        undo_killed_imports(held.path)
        before = held.table("exclusion").collect()
        known = wanted.join(before, on=CELL_KEY, how="semi", nulls_equal=True)
        if undo:
            missing = wanted.join(before, on=CELL_KEY, how="anti", nulls_equal=True)
            if missing.height:
                excluded = [describe_place(row) for row in before.iter_rows(named=True)]
                raise _unknown("exclusion", describe_place(missing.row(0, named=True)), excluded)
            return _write(held, before, removed=before.join(wanted, on=CELL_KEY, how="semi", nulls_equal=True))
        _check_there(held, wanted)
        new = wanted.join(known, on=CELL_KEY, how="anti", nulls_equal=True)
        bare = new.filter(pl.col("reason").fill_null("") == "")
        if bare.height:
            raise UsageError(f"{describe_place(bare.row(0, named=True))}: give a reason, such as --reason dust")
        stamped = new.with_columns(
            who=pl.lit(who or _user()), date=pl.lit(datetime.now(UTC).isoformat(timespec="seconds"))
        )
        already = before.join(wanted, on=CELL_KEY, how="semi", nulls_equal=True)
        return _write(held, before, added=stamped, already=already)


def describe_place(row: dict[str, object]) -> str:
    """Return the name of a place for messages.

    Examples
    --------
    >>> describe_place({"Metadata_Plate": "P1", "Metadata_Well": "A01", "Metadata_Site": "2"})
    'P1 A01 site 2'
    """
    plate, well, site, number = (row.get(name) for name in CELL_KEY)
    parts = (plate, well, None if site is None else f"site {site}", None if number is None else f"cell {number}")
    return " ".join(str(part) for part in parts if part is not None)


def _on_plate(screen: Screen, places: pl.DataFrame) -> pl.DataFrame:
    """Fill in the plate of places without one if the screen has a single plate."""
    plates = screen.table("well").select("Metadata_Plate").unique().collect().to_series()
    if plates.len() != 1 or places.get_column("Metadata_Plate", default=pl.Series([None])).null_count() == 0:
        return places
    return places.with_columns(Metadata_Plate=pl.lit(plates[0], pl.String))


def _scoped(places: pl.DataFrame) -> pl.DataFrame:
    """Normalize wells to ``A01``, add the scope of each place, and keep one row per place."""
    full = places.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in _SCHEMA.items() if name not in places.columns
    )
    rows = full.select(pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items())
    wells = {text: _well(text) for text in rows["Metadata_Well"].drop_nulls().unique()}
    rows = rows.with_columns(
        pl.col("Metadata_Well").replace_strict(wells, default=None, return_dtype=pl.String),
        pl.col("reason").str.strip_chars(),
    )
    if rows["Metadata_Plate"].null_count():
        raise UsageError("a place to exclude has no plate, and the screen has several: give the plate")
    filled = [pl.col(name).is_not_null() for name in CELL_KEY]
    for name, wider in zip(CELL_KEY[1:], CELL_KEY, strict=False):
        gap = rows.filter(pl.col(name).is_not_null() & pl.col(wider).is_null())
        if gap.height:
            what, of = (text.removeprefix("Metadata_") for text in (name, wider))
            raise UsageError(f"{what} {gap[name][0]!r} is given without a {of.lower()}: give the {of.lower()}")
    depth = pl.sum_horizontal(filled) - 1
    scope = depth.replace_strict(dict(enumerate(_SCOPES)), return_dtype=pl.String).alias("scope")
    return rows.with_columns(scope).unique(CELL_KEY, keep="first", maintain_order=True)


def _well(text: str) -> str:
    try:
        return str(Well.parse(text))
    except PlateMapError as error:
        raise UsageError(str(error)) from error


def _check_there(screen: Screen, places: pl.DataFrame) -> None:
    """Raise an error for the first place that the screen does not have."""
    wells = screen.table("well").select(WELL_KEY).collect()
    by_plate = {plate: set(rows["Metadata_Well"]) for (plate,), rows in wells.group_by("Metadata_Plate")}
    for row in places.iter_rows(named=True):
        plate, well, site, number = (row[name] for name in CELL_KEY)
        if plate not in by_plate:
            raise _unknown("plate", plate, by_plate)
        if well is not None and well not in by_plate[plate]:
            raise _unknown("well", well, by_plate[plate], of=f" of plate {plate}")
        if site is not None and site not in (sites := _sites(screen, plate, well)):
            raise _unknown("site", site, sites, of=f" of well {well} of plate {plate}")
        if number is not None:
            here = {name: row[name] for name in SITE_KEY}
            rows = screen.table("cell").filter(**here).select("Metadata_ObjectNumber").collect()
            cells = rows["Metadata_ObjectNumber"].sort().to_list()
            if number not in cells:
                range_ = f"numbered from {cells[0]} to {cells[-1]}" if cells else "not measured yet"
                raise UsageError(
                    f"plate {plate}, well {well}, site {site} has no cell {number}; its {len(cells)} cells are {range_}"
                )


def _unknown(kind: str, name: str, known: Iterable[str], *, of: str = "") -> UsageError:
    """Return the error for an unknown place, with the closest names: a plate has too many wells to list them."""
    names = sorted(known)
    close: list[str] = difflib.get_close_matches(name, names, n=3, cutoff=0.0)
    if not names:
        return UsageError(f"unknown {kind} {name!r}{of}: there is none at all")
    return UsageError(f"unknown {kind} {name!r}{of}; the closest of {len(names)} there are: {', '.join(close)}")


def _sites(screen: Screen, plate: str, well: str) -> set[str]:
    """Return the sites of a well, from its images or its imported cells."""
    found: set[str] = set()
    for table in ("site", "cell"):
        if table in screen.tables():
            rows = screen.table(table).filter(Metadata_Plate=plate, Metadata_Well=well).select("Metadata_Site")
            found |= set(rows.unique().collect().to_series())
    return found


def _write(
    screen: Screen,
    before: pl.DataFrame,
    *,
    added: pl.DataFrame | None = None,
    already: pl.DataFrame | None = None,
    removed: pl.DataFrame | None = None,
) -> ExclusionChange:
    """Write the exclusions after a change, and rebuild the catalog."""
    nothing = before.clear()
    kept = before if removed is None else before.join(removed, on=CELL_KEY, how="anti", nulls_equal=True)
    new = pl.concat([nothing] if added is None else [nothing, added], how="diagonal")
    everything = pl.concat([kept, new])
    if not everything.equals(before):
        remove_receipt(screen.path, TABLE, None, "exclusion")  # no receipt may exist while its file is replaced
        record_table(screen.path, "exclusion", screen.write("exclusion", everything))
        screen.rebuild_catalog()
    return ExclusionChange(
        new, nothing if already is None else already, nothing if removed is None else removed, everything
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # in a container the user may have no name
        return "unknown"
