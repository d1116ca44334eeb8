"""The object table: positions of the cells and nuclei of a field."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoprint.features._prepare import number_rows
from phenoprint.pixels import check_labels

__all__ = ["object_table"]


def object_table(labels: Mapping[str, npt.NDArray[np.integer]]) -> pl.DataFrame:
    """Return centres and bounding boxes of the cells and nuclei of one field.

    Parameters
    ----------
    labels
        ``{"Nuclei": (Y, X), "Cells": (Y, X)}`` of whole numbers, 0 is background.

    Returns
    -------
    polars.DataFrame
        One row per number in either label image, ascending: ``Metadata_ObjectNumber`` (Int32);
        ``Location_Center_Y``, ``Location_Center_X`` of the cell and ``nucleus_center_y``, ``nucleus_center_x``
        (Float32, pixels); ``cell_box_y0``, ``x0``, ``y1``, ``x1`` and ``nucleus_box_...`` (Int32, half open);
        ``touches_border`` (Boolean): whether the cell, or the nucleus if there is no cell, touches the border of the
        image. Values of an absent cell or nucleus are NULL.

    Raises
    ------
    UsageError
        If a compartment is missing or the label images do not fit together.

    Examples
    --------
    >>> labels = np.zeros((8, 8), np.int32)
    >>> labels[0:4, 2:6] = 1
    >>> object_table({"Nuclei": labels, "Cells": labels}).select("cell_box_y1", "touches_border").row(0)
    (4, True)
    """
    from phenoprint.features._kernels_pixels import group_pixels
    from phenoprint.features._kernels_shape import moments

    numbers, rows = number_rows(check_labels(labels))
    n = len(numbers)
    columns: list[pl.Series] = [pl.Series("Metadata_ObjectNumber", numbers, dtype=pl.Int32)]
    border: dict[str, npt.NDArray[np.bool_]] = {}
    present: dict[str, npt.NDArray[np.bool_]] = {}
    for kind, names, prefix in (
        ("Cells", ("Location_Center_Y", "Location_Center_X"), "cell"),
        ("Nuclei", ("nucleus_center_y", "nucleus_center_x"), "nucleus"),
    ):
        image = np.ascontiguousarray(rows[kind], np.int32)
        height, width = image.shape
        _, lines, columns_of, offsets, box = group_pixels(image, n)
        spatial, _ = moments(lines, columns_of, offsets, box)
        here = np.diff(offsets) > 0
        area = np.where(here, spatial[:, 0, 0], np.nan)
        for name, sums, corner in zip(names, (spatial[:, 1, 0], spatial[:, 0, 1]), (0, 1), strict=True):
            centre = (sums / area + box[:, corner]).astype(np.float32)
            columns.append(pl.Series(name, centre, nan_to_null=True))
        for k, side in enumerate(("y0", "x0", "y1", "x1")):
            column = pl.Series(f"{prefix}_box_{side}", box[:, k], dtype=pl.Int32)
            columns.append(column.zip_with(pl.Series(here), pl.Series([None], dtype=pl.Int32)))
        edge = (box[:, 0] == 0) | (box[:, 1] == 0) | (box[:, 2] == height) | (box[:, 3] == width)
        border[kind] = edge & here
        present[kind] = here
    touches = np.where(present["Cells"], border["Cells"], border["Nuclei"])
    order = [0, 1, 2, 7, 8, 3, 4, 5, 6, 9, 10, 11, 12]
    return pl.DataFrame([*(columns[k] for k in order), pl.Series("touches_border", touches, dtype=pl.Boolean)])
