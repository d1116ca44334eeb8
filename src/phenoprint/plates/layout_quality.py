"""How even a layout of plates is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from phenoprint.plates.well import PlateFormat

__all__ = ["LayoutQuality", "layout_quality"]


@dataclass(frozen=True)
class LayoutQuality:
    """How even a layout is; every number over all plates.

    Attributes
    ----------
    n_plates
        Plates.
    n_same_position
        Pairs of wells of one treatment in the same position of two plates; 0 wherever that is possible.
    n_edge_controls
        Controls in the outer ring.
    controls_per_quadrant, controls_per_row, controls_per_column
        Fewest and most negative controls in a quadrant, a row and a column of a plate (rows and columns of the edge
        aside, if it holds none).
    median_to_control, largest_to_control
        Distance of a treated well to the nearest negative control of its plate, in wells.
    """

    n_plates: int
    n_same_position: int
    n_edge_controls: int
    controls_per_quadrant: tuple[int, int]
    controls_per_row: tuple[int, int]
    controls_per_column: tuple[int, int]
    median_to_control: float
    largest_to_control: float


def layout_quality(layout: pl.DataFrame, plate_format: int) -> LayoutQuality:
    """Measure how even a layout is.

    Parameters
    ----------
    layout
        A plate map with ``Metadata_Plate``, ``Metadata_Row``, ``Metadata_Col``, ``Metadata_pert_type``,
        ``Metadata_compound`` and ``Metadata_Concentration``.
    plate_format
        Wells of a plate.
    """
    grid = PlateFormat.of(plate_format)
    treated = layout.filter(Metadata_pert_type="trt")
    keys = ["Metadata_compound", "Metadata_Concentration", "Metadata_Concentration_Unit"]
    repeated = treated.group_by(*keys, "Metadata_Row", "Metadata_Col").len()
    pairs = int((repeated["len"] * (repeated["len"] - 1) // 2).sum())
    quadrants, rows, columns, near = [], [], [], []
    n_edge = 0
    for _, plate in layout.group_by("Metadata_Plate", maintain_order=True):
        at = plate.filter(Metadata_pert_type="negcon").select("Metadata_Row", "Metadata_Col").to_numpy() - 1
        own = plate.filter(Metadata_pert_type="trt").select("Metadata_Row", "Metadata_Col").to_numpy() - 1
        n_edge += int(((at[:, 0] % (grid.rows - 1) == 0) | (at[:, 1] % (grid.columns - 1) == 0)).sum())
        counts = np.zeros((grid.rows, grid.columns), dtype=int)
        counts[at[:, 0], at[:, 1]] = 1
        inner = counts[1:-1, 1:-1] if min(counts.shape) > 2 else counts
        rows += inner.sum(axis=1).tolist()
        columns += inner.sum(axis=0).tolist()
        half_row, half_column = grid.rows // 2, grid.columns // 2
        halves = (counts[:half_row], counts[half_row:])
        quadrants += [int(part.sum()) for half in halves for part in (half[:, :half_column], half[:, half_column:])]
        if len(at) and len(own):
            apart = np.sqrt(((own[:, None] - at[None]) ** 2).sum(axis=2)).min(axis=1)
            near += apart.tolist()
    return LayoutQuality(
        n_plates=layout["Metadata_Plate"].n_unique(),
        n_same_position=pairs,
        n_edge_controls=n_edge,
        controls_per_quadrant=(min(quadrants, default=0), max(quadrants, default=0)),
        controls_per_row=(min(rows, default=0), max(rows, default=0)),
        controls_per_column=(min(columns, default=0), max(columns, default=0)),
        median_to_control=float(np.median(near)) if near else float("nan"),
        largest_to_control=float(np.max(near)) if near else float("nan"),
    )
