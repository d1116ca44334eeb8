"""An import under way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from phenoprint.exchange.annotation.treatments import Treatments
from phenoprint.exchange.cleaning.columns import ColumnOptions
from phenoprint.exchange.findings import Findings
from phenoprint.store import Screen

__all__ = ["ImportJob"]


@dataclass(slots=True)
class ImportJob:
    """An import under way: its target, its options and what was found and counted so far.

    Parameters
    ----------
    screen, staging
        The screen, and a folder in it for files that are not in place yet.
    options
        The user's options for columns.
    plate_map
        The wells of the plate map; None takes the annotation from the tables.
    treatments
        The table of treatments; None if there is none.
    partial
        Whether incomplete data are taken.
    findings
        Notes and differences.
    ledgers
        Ledger rows by table.
    losses
        Objects that CellProfiler's tables lack, one row per image and compartment.
    images
        Measurements of images, one row per image.
    inputs
        Sources by table and plate.
    """

    screen: Screen
    staging: Path
    options: ColumnOptions
    plate_map: pl.DataFrame | None
    treatments: Treatments | None
    partial: bool
    findings: Findings = field(default_factory=Findings)
    ledgers: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    losses: list[pl.DataFrame] = field(default_factory=list)
    images: list[pl.DataFrame] = field(default_factory=list)
    inputs: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
