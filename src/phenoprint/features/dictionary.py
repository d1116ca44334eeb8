"""The feature dictionary: a description of every column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from phenoprint.errors import UsageError, first_few
from phenoprint.features._prepare import prepare_field
from phenoprint.features.family import Definition, FeatureFamily
from phenoprint.features.presets import chosen_families
from phenoprint.tables import frame_of, split_channels

__all__ = ["feature_dictionary"]


def feature_dictionary(
    channels: Sequence[str],
    *,
    preset: str = "cell-painting-full",
    families: Sequence[FeatureFamily] | None = None,
    image: bool = False,
) -> pl.DataFrame:
    """Describe every feature that :func:`measure` returns for these channels.

    Parameters
    ----------
    channels
        One name per channel, as for :func:`measure`.
    preset
        A name in :func:`presets`.
    families
        Families with their parameters, in place of a preset.
    image
        Whether to describe what :func:`measure_field` returns for the whole image; the compartment is then ``"Image"``.

    Returns
    -------
    polars.DataFrame
        One row per feature, in the order of the columns: ``feature``, ``compartment``, ``family``, ``measure``,
        ``channel`` (``"DNA"``, ``"DNA,ER"`` for a pair, NULL for none), ``parameters`` (the rest of the name),
        ``unit``, ``version``, ``alias`` (the name in other versions of CellProfiler, if it differs), ``description``
        (one line), ``source``, ``difference`` (a known difference from CellProfiler's value, NULL for none).

    Raises
    ------
    UsageError
        If channel names repeat, the preset is unknown, or two families give a feature of the same name.

    Examples
    --------
    >>> table = feature_dictionary(["DNA", "ER"], preset="minimal")
    >>> table.filter(pl.col("feature") == "Cells_Correlation_Correlation_DNA_ER")["channel"].item()
    'DNA,ER'
    """
    if not channels:
        raise UsageError("channels must name at least one channel")
    chosen = chosen_families(preset) if families is None else tuple(families)
    # Names depend on compartment, channels and parameters only, so a field without objects has all of them.
    empty = np.zeros((8, 8), np.int32)
    field = prepare_field(np.zeros((len(channels), 8, 8), np.float32), {"Nuclei": empty, "Cells": empty}, channels)
    if image:
        rows = [_row("Image", name, family, channels) for family in chosen for name in family.measure_image(field)]
    else:
        rows = [
            _row(objects.compartment, name, family, channels)
            for objects in field.compartments.values()
            for family in chosen
            for name in family.measure(objects)
        ]
    field.close()
    table = frame_of("feature", rows)
    twice = table.filter(pl.col("feature").is_duplicated())["feature"].unique(maintain_order=True).to_list()
    if twice:
        raise UsageError(f"two of the feature families measure {first_few(twice)}; remove one of them")
    return table


def _row(compartment: str, name: str, family: FeatureFamily, channels: Sequence[str]) -> tuple[str | None, ...]:
    definitions = {**family.definitions, **(family.image_definitions if compartment == "Image" else {})}
    keys = [key for key in definitions if name == key or name.startswith(f"{key}_")]
    key = max(keys, key=len, default="_".join(name.split("_")[:2]))
    definition = definitions.get(key, Definition(""))
    alias = family.alias(name)
    group, _, measure = key.partition("_")
    tail = split_channels(name[len(key) :].lstrip("_"), channels)
    return (
        f"{compartment}_{name}",
        compartment,
        group,
        measure or group,
        ",".join(word for word, is_channel in tail if is_channel) or None,
        "_".join(word for word, is_channel in tail if not is_channel) or None,
        definition.unit,
        family.version,
        f"{compartment}_{alias}" if alias else None,
        definition.text or None,
        family.source or None,
        definition.difference,
    )
