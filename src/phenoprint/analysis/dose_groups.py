"""Distance of wells to the negative controls, over all features and over groups of features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from phenoprint.analysis.effects import FEWEST_CONTROLS, has_profile
from phenoprint.tables import PERT_TYPE, PLATE, WELL, WELL_KEY, channels_of, feature_matrix, median, split_feature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["GLOBAL", "feature_groups", "group_distances"]

GLOBAL: Final = "distance_to_controls"
LEAST_FEATURES: Final = 3
# Leaving out a control of more than so many does not move their median.
_MOST_LEFT_OUT: Final = 64


def feature_groups(features: Sequence[str]) -> dict[str, list[str]]:
    """Group features by compartment, family and channel.

    Parameters
    ----------
    features
        Names of features.

    Returns
    -------
    dict
        Features by name of the group, sorted; ``Cells_Texture_RNA``, without a channel ``Nuclei_AreaShape``. Features
        of groups smaller than three join the group of their compartment and family, and are in none if that is as
        small.

    Examples
    --------
    >>> names = [f"Cells_Intensity_{m}Intensity_{c}" for m in ("Mean", "Median", "Std") for c in ("DNA", "ER")]
    >>> list(feature_groups([*names, "Cells_AreaShape_Area"]))
    ['Cells_Intensity_DNA', 'Cells_Intensity_ER']
    """
    channels = channels_of(features)
    fine: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(features):
        parts = split_feature(name, channels)
        if parts.compartment is None or parts.family is None:
            continue
        channel = () if parts.channel is None else tuple(parts.channel.split(","))
        fine.setdefault((parts.compartment, parts.family, *channel), []).append(name)
    groups: dict[tuple[str, ...], list[str]] = {}
    for key, names in fine.items():
        groups.setdefault(key if len(names) >= LEAST_FEATURES else key[:2], []).extend(names)
    return {"_".join(key): sorted(groups[key]) for key in sorted(groups) if len(groups[key]) >= LEAST_FEATURES}


def group_distances(
    plates: Callable[[], Iterable[pl.DataFrame]], groups: Mapping[str, Sequence[str]], *, pooled: bool
) -> pl.DataFrame:
    """Measure how far each well is from the negative controls, over each group of features.

    Parameters
    ----------
    plates
        Called twice; each time the wells of one plate after the other, with ``Metadata_Plate``, ``Metadata_Well``,
        ``Metadata_pert_type`` and the features.
    groups
        Features of each group.
    pooled
        Compare with the controls of all plates, as for the wells of a fold, which hold few controls per plate; else
        with those of the same plate.

    Returns
    -------
    polars.DataFrame
        ``Metadata_Plate``, ``Metadata_Well``, ``readout`` (name of the group), ``value``: root mean square over the
        group's features of the difference to the median control. A control is compared with the other controls.
        Wells that lack more than half of the features have no value, nor have wells with fewer than three controls.

    Notes
    -----
    The distance has no direction that was chosen from the treated wells. A projection on the direction of the strongest
    dose would: its response is above 0 also where there is no effect, and to fit it on other replicates than those
    projected halves the few wells of a dose. The price is that small effects enter by their square. It is the
    category-level distance of Nyffeler et al. (SLAS Discov 26:292, 2021) without the covariance, which the controls are
    too few to estimate; selection has removed near-copies of features.

    Examples
    --------
    >>> plate = pl.DataFrame(
    ...     {
    ...         "Metadata_Plate": "p",
    ...         "Metadata_Well": ["A01", "A02", "A03", "A04"],
    ...         "Metadata_pert_type": ["negcon"] * 3 + ["trt"],
    ...         "Cells_AreaShape_Area": [-1.0, 0.0, 1.0, 6.0],
    ...     }
    ... )
    >>> group_distances(lambda: [plate], {"size": ["Cells_AreaShape_Area"]}, pooled=False)["value"].to_list()
    [1.5, 0.0, 1.5, 6.0]
    """
    names = sorted({name for own in groups.values() for name in own})
    where = {name: i for i, name in enumerate(names)}
    rows = {group: np.array([where[name] for name in own]) for group, own in groups.items()}
    held: list[Floats] = []
    if pooled:
        held = [_controls(frame, names) for frame in plates()]
        common = np.concatenate(held, axis=1) if held else np.empty((len(names), 0))
    parts = [pl.DataFrame(schema={PLATE: pl.String, WELL: pl.String, "readout": pl.String, "value": pl.Float64})]
    for frame in plates():
        values = feature_matrix(frame, names).astype(np.float64)
        is_control = (frame[PERT_TYPE] == "negcon").fill_null(value=False).to_numpy()
        controls = common if pooled else _controls(frame, names)
        distances = _distances(values, is_control, controls, list(rows.values()))
        parts += [
            frame.select(WELL_KEY).with_columns(
                pl.lit(group).alias("readout"), pl.Series("value", own, nan_to_null=True, dtype=pl.Float64)
            )
            for group, own in zip(rows, distances, strict=True)
        ]
    return pl.concat(parts)


def _controls(frame: pl.DataFrame, names: Sequence[str]) -> Floats:
    """Return the usable negative controls, shape (features, controls)."""
    values = feature_matrix(frame.filter(pl.col(PERT_TYPE) == "negcon"), names).astype(np.float64)
    return values[:, has_profile(values)]


def _distances(
    values: Floats, is_control: NDArray[np.bool_], controls: Floats, groups: Sequence[NDArray[np.intp]]
) -> Floats:
    """Return distances, shape (groups, wells)."""
    found = np.full((len(groups), values.shape[1]), np.nan)
    if controls.shape[1] < FEWEST_CONTROLS:
        return found
    center = median(controls)
    usable = has_profile(values)
    for well in np.flatnonzero(usable):
        middle = center
        if is_control[well] and controls.shape[1] <= _MOST_LEFT_OUT:
            same = (controls == values[:, [well]]) | (np.isnan(controls) & np.isnan(values[:, [well]]))
            itself = int(np.argmax(same.all(axis=0)))
            middle = median(np.delete(controls, itself, axis=1))
        squares = (values[:, well] - middle) ** 2
        for number, rows in enumerate(groups):
            own = squares[rows]
            there = ~np.isnan(own)
            if 2 * there.sum() >= len(rows):
                found[number, well] = np.sqrt(own[there].mean())
    return found
