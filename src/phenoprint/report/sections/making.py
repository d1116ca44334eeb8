"""Parameters, versions, receipts and tables of the screen."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from phenoprint.report.context import Page, Section
from phenoprint.report.html import Html, details, join, notice, sql_hint, table, tag

__all__ = ["making"]

LIBRARIES = (
    "phenoprint",
    "numpy",
    "scipy",
    "numba",
    "polars",
    "duckdb",
    "scikit-image",
    "scikit-learn",
    "umap-learn",
    "torch",
    "plotly",
)


def installed_version(name: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def making(page: Page) -> Section:
    """Show the configuration, the versions, the receipts and the tables."""
    path = page.source.path
    tables = page.tables
    rows = [(name, tables.height(name), tables.width(name)) for name in tables.names()]
    versions = [(name, installed_version(name)) for name in LIBRARIES]
    software = [("Python", platform.python_version()), *[(n, v) for n, v in versions if v is not None]]
    body = [
        tag(
            "div",
            tag(
                "div",
                tag("h3", "Tables"),
                table(("Table", "Rows", "Columns"), rows, numeric=(1, 2))
                if rows
                else notice("The screen has no tables yet."),
            ),
            tag(
                "div",
                tag("h3", "Software"),
                table(("Package", "Version"), software),
                tag("h3", "Receipts"),
                _receipts(path),
            ),
            class_="split even",
        ),
        tag("h3", "Parameters"),
        _configuration(path),
        sql_hint("SELECT table_name, column_name, data_type FROM information_schema.columns"),
    ]
    lead = f"The screen is in {path}. 'phenoprint verify' hashes its inputs again and repeats a sample of the work."
    return Section(lead, join(body))


def _configuration(path: Path) -> Html:
    file = path / "screen.toml"
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return notice(
            "No screen.toml in the screen folder: no run made this screen, or the file was not moved with it."
        )
    return details("screen.toml", tag("pre", tag("code", text)), open_=len(text.splitlines()) <= 60)


def _receipts(path: Path) -> Html:
    folder = path / "receipts"
    counts: dict[str, int] = {}
    if folder.is_dir():
        for file in folder.rglob("*.json"):
            inside = file.relative_to(folder).parts
            counts[inside[0] if len(inside) > 1 else "run"] = counts.get(inside[0] if len(inside) > 1 else "run", 0) + 1
    if not counts:
        return notice("No receipts in the screen folder: how the tables were made is not recorded.")
    return table(("Step", "Receipts"), sorted(counts.items()), numeric=(1,))
