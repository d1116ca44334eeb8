"""The HTML page: header, navigation and sections in one self-contained file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from string import Template

import polars as pl

from phenoprint.errors import PhenoprintError, ScreenError
from phenoprint.report.context import Page, Section
from phenoprint.report.html import Html, join, number, tag, term
from phenoprint.report.sections import SECTIONS, Entry
from phenoprint.report.sections.making import installed_version
from phenoprint.report.source import ReportSource
from phenoprint.store import incomplete, write_bytes
from phenoprint.tables import SITE_KEY

__all__ = ["render_report", "write_report"]

STYLES = ("base.css", "parts.css")
SCRIPTS = ("core.js", "plates.js")


def write_report(
    screen: ReportSource, *, output: str | os.PathLike[str] | None = None, now: datetime | None = None
) -> Path:
    """Write the report of a screen as one HTML file that needs nothing else.

    The page holds its data, pictures, styles and plotly.js itself, asks the network for nothing (its content policy
    forbids it) and opens from disk. Where a table is absent or empty, the page shows the reason in its place.

    Parameters
    ----------
    screen
        The screen; see `ReportSource`.
    output
        File to write, or an existing folder to write ``report.html`` into; by default ``report/index.html`` in the
        screen folder.
    now
        Time shown in the header; the current time when None.

    Returns
    -------
    Path
        The file written. It is replaced in one move: a reader never finds half a page.

    Raises
    ------
    ScreenError
        The file cannot be written, such as on a read-only medium: give another place. With `output` elsewhere nothing
        is written into the screen.
    """
    target = Path(screen.path) / "report" / "index.html" if output is None else Path(output)
    if target.is_dir():
        target = target / "report.html"
    page = render_report(screen, now=now)
    try:
        write_bytes(target, page.encode())
    except ScreenError as error:
        raise ScreenError(
            f"{error}. The report can be written elsewhere: phenoprint report SCREEN -o FILE (output= in Python); "
            "nothing is then written into the screen"
        ) from error
    return target


def render_report(screen: ReportSource, *, now: datetime | None = None) -> str:
    """Return the report of a screen as the text of an HTML page; see `write_report`."""
    from plotly.offline import get_plotlyjs

    page = Page(screen)
    sections = [(entry.id, _build(page, entry)) for entry in SECTIONS]
    return Template(_asset("page.html")).substitute(
        title=tag("title", f"{screen.name} · Phenoprint report"),
        style=join((Html(_asset(name)) for name in STYLES), "\n"),
        header=_header(page, now or datetime.now(tz=UTC).astimezone()),
        navigation=join(tag("a", section.nav, href=f"#{name}") for name, section in sections if section.body),
        sections=join((_frame(name, section) for name, section in sections), "\n"),
        data=page.data(),
        plotly=get_plotlyjs(),
        script="\n".join(_asset(name) for name in SCRIPTS),
    )


def _asset(name: str) -> str:
    return resources.files("phenoprint.report").joinpath("assets", name).read_text(encoding="utf-8")


def _build(page: Page, entry: Entry) -> Section:
    """Build a section, or one with the reason why there is nothing to show."""
    try:
        section = entry.build(page)
    except PhenoprintError as error:
        section = Section(str(error))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:  # polars may panic on damaged files
        # A table of another version leaves out its section, not the page.
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        section = Section(f"A table does not have the columns or types expected: {first}")
    return replace(section, title=section.title or entry.title, nav=section.nav or entry.nav)


def _frame(identifier: str, section: Section) -> Html:
    if not section.body:
        line = tag("summary", tag("h2", section.title), tag("span", f"Nothing to show: {section.lead}"))
        whole = tag("details", line, tag("p", section.lead))
        return tag("section", whole, id=identifier, aria_label=section.title, class_="none")
    return tag(
        "section",
        tag("h2", tag("a", section.title, href=f"#{identifier}")),
        tag("p", section.lead, class_="lead"),
        section.body,
        id=identifier,
        aria_label=section.title,
    )


def _header(page: Page, now: datetime) -> Html:
    facts: Sequence[tuple[str, str, str]] = [
        ("plates", number(len(page.plates)), "Plates with images or in the plate map."),
        _wells(page),
        *_sites(page),
        *_cells(page),
        ("features", number(_features(page)), "Measurements of each cell."),
    ]
    tiles = (tag("div", tag("b", value), term(label, meaning), class_="tile") for label, value, meaning in facts)
    made = f"Phenoprint {installed_version('phenoprint') or 'of unknown version'}, {now.day} {now:%B %Y, %H:%M}"
    return join(
        [
            tag(
                "div",
                tag("p", "Phenoprint report", class_="brand"),
                tag("h1", page.source.name),
                tag("p", made, class_="quiet"),
            ),
            tag("div", *tiles, class_="tiles"),
            *_incomplete(page),
            *(_warning("A table is left out", f"{why}.") for why in page.tables.damaged.values()),
        ]
    )


def _wells(page: Page) -> tuple[str, str, str]:
    """Count the wells with a profile; a plate map may list many more than were imaged or imported."""
    every = number(page.wells.height)
    if page.profiled is None:
        return ("wells", every, "Wells with images or in the plate map.")
    meaning = f"Wells with a profile. {every} have images or are in the plate map."
    return ("wells with profiles", number(page.profiled.height), meaning)


def _incomplete(page: Page) -> list[Html]:
    """Warn where tables of the screen may be inconsistent."""
    why = incomplete(Path(page.source.path))
    return [_warning("This screen is incomplete", why)] if why else []


def _warning(what: str, why: str) -> Html:
    return tag("p", tag("b", f"{what}: "), why, class_="warning", role="alert")


def _sites(page: Page) -> list[tuple[str, str, str]]:
    """Count the fields; imported profiles do not have this information."""
    keys = SITE_KEY
    for name in ("site", "image_quality", "image"):
        frame = page.tables.columns(name, keys)
        if frame is not None and frame.width == len(SITE_KEY):
            return [("sites", number(frame.unique().height), "Fields of view: places imaged in a well.")]
    return []


def _cells(page: Page) -> list[tuple[str, str, str]]:
    """Count the cells found and the cells in the profiles, as far as tables have these numbers."""
    found = page.tables.height("cell") or page.tables.height("object")
    counts = page.tables.columns("profile_well", ["Metadata_Object_Count"])
    known = None if counts is None else counts["Metadata_Object_Count"].drop_nulls()
    used = None if known is None or known.is_empty() else int(known.sum())
    facts = []
    if found is not None:
        facts.append(("cells found", number(found), "Cells that segmentation found and that were measured."))
    if used is not None:
        about = "Cells that entered the well profiles: without those cut by the border of a field or flagged."
        facts.append(("cells in profiles", number(used), about))
    return facts


def _features(page: Page) -> int | None:
    described = page.tables.columns("feature", ["feature", "compartment"])
    if described is not None and described.height:
        # measurements of whole images are in the dictionary, too
        return described.filter(pl.col("compartment").is_null() | (pl.col("compartment") != "Image")).height
    return len(page.tables.features("profile_well")) or None
