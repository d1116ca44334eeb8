"""The page: header, navigation, sections, and everything they need inside one file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from string import Template

import polars as pl

from phenoprint.errors import PhenoprintError, ScreenError
from phenoprint.report.context import Context, Section
from phenoprint.report.html import Html, join, number, tag, term
from phenoprint.report.sections import SECTIONS
from phenoprint.report.sections.making import version
from phenoprint.report.source import ReportSource, feature_names
from phenoprint.store import incomplete

__all__ = ["render_report", "write_report"]

STYLES = ("base.css", "parts.css")
SCRIPTS = ("core.js", "plates.js")


def write_report(
    screen: ReportSource, *, output: str | os.PathLike[str] | None = None, now: datetime | None = None
) -> Path:
    """Write the report of a screen as one HTML file that needs nothing else.

    The page holds its data, pictures, styles and plotly.js itself, asks the network for nothing (its content policy
    forbids it) and opens from disk. A table that is absent or empty is said to be so in its place, with the reason.

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
        _write(page, target)
    except OSError as error:
        raise ScreenError(
            f"the report cannot be written to {target}: {error.strerror or error}. Name a file in a folder that can be "
            "written: phenoprint report SCREEN -o FILE (output= in Python); nothing else is then written"
        ) from error
    return target


def _write(page: str, target: Path) -> None:
    """Write the page beside its place and move it there."""
    from phenoprint.store import temporary_path

    target.parent.mkdir(parents=True, exist_ok=True)
    partial = temporary_path(target)
    try:
        partial.write_text(page, encoding="utf-8", newline="\n")
        partial.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def render_report(screen: ReportSource, *, now: datetime | None = None) -> str:
    """Return the report of a screen as the text of an HTML page; see `write_report`."""
    from plotly.offline import get_plotlyjs

    context = Context(screen)
    sections = [_build(context, *entry) for entry in SECTIONS]
    page = Template(_asset("page.html"))
    return page.substitute(
        title=tag("title", f"{screen.name} · Phenoprint report"),
        style=join((Html(_asset(name)) for name in STYLES), "\n"),
        header=_header(context, now or datetime.now(tz=UTC).astimezone()),
        navigation=join(tag("a", s.nav or s.title, href=f"#{s.id}") for s in sections if not s.is_empty),
        sections=join((_frame(section) for section in sections), "\n"),
        data=context.data(),
        plotly=get_plotlyjs(),
        script="\n".join(_asset(name) for name in SCRIPTS),
    )


def _asset(name: str) -> str:
    return resources.files("phenoprint.report").joinpath("assets", name).read_text(encoding="utf-8")


def _build(context: Context, id_: str, title: str, nav: str, builder: object) -> Section:
    """Build a section, or the sentence that stands in its place."""
    try:
        return builder(context)  # type: ignore[operator,no-any-return]
    except PhenoprintError as error:
        return Section(id_, title, str(error), Html(), nav=nav, is_empty=True)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:  # damage may make polars panic
        # a table written by another version: its section cannot be drawn, the rest of the page can
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        why = f"A table does not have the columns or types expected: {first}"
        return Section(id_, title, why, Html(), nav=nav, is_empty=True)


def _frame(section: Section) -> Html:
    if section.is_empty:
        line = tag("summary", tag("h2", section.title), tag("span", f"Nothing to show: {section.lead}"))
        whole = tag("details", line, tag("p", section.lead))
        return tag("section", whole, id=section.id, aria_label=section.title, class_="none")
    return tag(
        "section",
        tag("h2", tag("a", section.title, href=f"#{section.id}")),
        tag("p", section.lead, class_="lead"),
        section.body,
        id=section.id,
        aria_label=section.title,
    )


def _header(context: Context, now: datetime) -> Html:
    facts: Sequence[tuple[str, str, str]] = [
        ("plates", number(len(context.plates)), "Plates with images or in the plate map."),
        _wells(context),
        *_sites(context),
        *_cells(context),
        ("features", number(_features(context)), "Measurements of each cell."),
    ]
    tiles = (tag("div", tag("b", value), term(label, meaning), class_="tile") for label, value, meaning in facts)
    made = f"Phenoprint {version('phenoprint') or 'of unknown version'}, {now.day} {now:%B %Y, %H:%M}"
    return join(
        [
            tag(
                "div",
                tag("p", "Phenoprint report", class_="brand"),
                tag("h1", context.source.name),
                tag("p", made, class_="quiet"),
            ),
            tag("div", *tiles, class_="tiles"),
            *_incomplete(context),
            *(_warning("A table is left out", f"{why}.") for why in context.tables.damaged.values()),
        ]
    )


def _wells(context: Context) -> tuple[str, str, str]:
    """Count the wells that have a profile; a plate map may name many more than were imaged or imported."""
    every = number(context.wells.height)
    if context.profiled is None:
        return ("wells", every, "Wells with images or in the plate map.")
    meaning = f"Wells with a profile. {every} have images or stand in the plate map."
    return ("wells with profiles", number(context.profiled.height), meaning)


def _incomplete(context: Context) -> list[Html]:
    """Warn where tables of the screen may not fit each other."""
    why = incomplete(Path(context.source.path))
    return [_warning("This screen is incomplete", why)] if why else []


def _warning(what: str, why: str) -> Html:
    return tag("p", tag("b", f"{what}: "), why, class_="warning", role="alert")


def _sites(context: Context) -> list[tuple[str, str, str]]:
    """Tell how many fields there are; profiles of other tools do not say."""
    keys = ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]
    for name in ("site", "image_quality", "image"):
        frame = context.tables.columns(name, keys)
        if frame is not None and frame.columns == keys:
            return [("sites", number(frame.unique().height), "Fields of view: places imaged in a well.")]
    return []


def _cells(context: Context) -> list[tuple[str, str, str]]:
    """Say how many cells were found and how many entered the profiles, where tables hold it."""
    found = context.tables.height("cell") or context.tables.height("object")
    counts = context.tables.columns("profile_well", ["Metadata_Object_Count"])
    known = None if counts is None else counts["Metadata_Object_Count"].drop_nulls()
    used = None if known is None or known.is_empty() else int(known.sum())
    facts = []
    if found is not None:
        facts.append(("cells found", number(found), "Cells that segmentation found and that were measured."))
    if used is not None:
        about = "Cells that entered the well profiles: without those cut by the border of a field or flagged."
        facts.append(("cells in profiles", number(used), about))
    return facts


def _features(context: Context) -> int | None:
    described = context.tables.columns("feature", ["feature", "compartment"])
    if described is not None and described.height:
        # what was measured on whole images has a dictionary entry, too
        return described.filter(pl.col("compartment").is_null() | (pl.col("compartment") != "Image")).height
    profile = context.tables.find("profile_well")
    return len(feature_names(profile)) if profile is not None else None
