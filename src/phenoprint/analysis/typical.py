"""The cells that represent a treatment, and the treatments worth showing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from phenoprint.tables import CELL_KEY, SITE_KEY, feature_columns

__all__ = ["choose_treatments", "look_features", "typical_cells"]

# What makes a cell look typical: its size and shape, and how bright it is in each stain.
_LOOKS = ("AreaShape_Area", "AreaShape_Eccentricity", "AreaShape_FormFactor", "AreaShape_Solidity", "_Intensity_")
_MOST_SPREADS = 10.0


def look_features(names: Iterable[str]) -> list[str]:
    """Return the features that decide how a cell looks: size, shape and brightness, no positions.

    Examples
    --------
    >>> look_features(["Cells_AreaShape_Area", "Cells_AreaShape_Center_X", "Cells_Texture_Contrast_DNA_3_00_256"])
    ['Cells_AreaShape_Area']
    """
    return [name for name in names if any(word in name for word in _LOOKS) and "Center" not in name]


def choose_treatments(consensus: pl.DataFrame, activity: pl.DataFrame, limit: int) -> list[str]:
    """Return the controls and the most active treatments, one dose per compound, strongest first.

    Parameters
    ----------
    consensus
        Treatment profiles.
    activity
        The ``activity`` table; may be empty.
    limit
        How many treatments at most.

    Examples
    --------
    >>> profiles = pl.DataFrame(
    ...     {
    ...         "Metadata_perturbation": ["DMSO", "a@1", "a@9", "b@1"],
    ...         "Metadata_compound": ["DMSO", "a", "a", "b"],
    ...         "Metadata_Concentration": [None, 1.0, 9.0, 1.0],
    ...         "Metadata_pert_type": ["negcon", "trt", "trt", "trt"],
    ...     }
    ... )
    >>> scores = pl.DataFrame({"Metadata_perturbation": ["a@1", "a@9"], "mean_average_precision": [0.2, 0.9]})
    >>> choose_treatments(profiles, scores, 2)
    ['DMSO', 'a@9']
    """
    if not {"Metadata_pert_type", "Metadata_compound", "Metadata_Concentration"} <= set(consensus.columns):
        return []  # a consensus over wells without annotation has no treatments
    controls = consensus.filter(pl.col("Metadata_pert_type").is_in(["negcon", "poscon"]))["Metadata_perturbation"]
    scored = consensus.filter(pl.col("Metadata_pert_type") == "trt").join(
        activity.select("Metadata_perturbation", "mean_average_precision"), on="Metadata_perturbation", how="left"
    )
    best = (
        scored.sort(
            ["mean_average_precision", "Metadata_Concentration", "Metadata_perturbation"],
            descending=[True, True, False],
            nulls_last=True,
        )
        .unique("Metadata_compound", keep="first", maintain_order=True)["Metadata_perturbation"]
        .to_list()
    )
    return [*controls.sort().to_list(), *best][:limit]


def typical_cells(cells: pl.DataFrame, count: int) -> pl.DataFrame:
    """Return the ``count`` cells nearest to the median of their treatment, at most half of them from one field.

    Distance is the sum over features without missing values of the absolute deviation from the median, in units of
    the treatment's own MAD; no feature counts more than ten of these.

    Parameters
    ----------
    cells
        Cells of one treatment with ``Metadata_Plate``, ``Metadata_Well``, ``Metadata_Site``,
        ``Metadata_ObjectNumber`` and the features that decide, see `look_features`.
    count
        How many cells at most.

    Returns
    -------
    polars.DataFrame
        The keys of the chosen cells, the most typical first.
    """
    complete = [name for name, n in zip(cells.columns, cells.null_count().row(0), strict=True) if n == 0]
    features = feature_columns(cells.select(complete))
    matrix = cells.select(features).to_numpy().astype(np.float64)
    middle = np.median(matrix, axis=0)
    spread = np.median(np.abs(matrix - middle), axis=0)
    varies = spread > 0
    distance = np.minimum(np.abs(matrix[:, varies] - middle[varies]) / spread[varies], _MOST_SPREADS).sum(axis=1)
    ordered = cells.select(CELL_KEY).with_columns(pl.Series("_distance", distance)).sort("_distance", *CELL_KEY)
    share = max(1, count // 2)
    spread_out = ordered.filter(pl.int_range(pl.len()).over(SITE_KEY) < share)
    rest = ordered.join(spread_out.select(CELL_KEY), on=CELL_KEY, how="anti")
    return pl.concat([spread_out, rest]).head(count).drop("_distance")
