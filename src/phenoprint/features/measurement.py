"""Measurement of the objects, and of the whole images, of one field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoprint.features._compilation import announce_compilation
from phenoprint.features._field import Field
from phenoprint.features._prepare import prepare_field
from phenoprint.features.family import FeatureFamily
from phenoprint.features.presets import chosen_families

__all__ = ["measure", "measure_field", "warm_up"]


def measure(
    pixels: npt.NDArray[np.generic],
    labels: Mapping[str, npt.NDArray[np.integer]],
    *,
    channels: Sequence[str],
    preset: str = "cell-painting-full",
    families: Sequence[FeatureFamily] | None = None,
) -> pl.DataFrame:
    """Measure nuclei, cells and cytoplasm of one field, with CellProfiler 4.2.8's names and values.

    Parameters
    ----------
    pixels
        Channels ``(C, Y, X)``. Integer types are divided by their maximum, as CellProfiler's *rescale* does; floats
        are taken as they are, with full scale 1, in single precision.
    labels
        ``{"Nuclei": (Y, X), "Cells": (Y, X)}`` of whole numbers, 0 is background. A nucleus and its cell share a
        number; the cytoplasm is the cell without its nucleus, not shrunk.
    channels
        One name per channel, such as ``["DNA", "ER", "RNA", "AGP", "Mito"]``.
    preset
        Named choice of families; :func:`presets` lists them.
    families
        Families with their parameters, in place of a preset.

    Returns
    -------
    polars.DataFrame
        One row per number in either label image, ascending: ``Metadata_ObjectNumber`` (Int32) and the features
        (Float32), named ``Compartment_Family_Measure[_Channel][_parameters]``. Undefined values are NULL: all features
        of an absent nucleus or an empty cytoplasm, a correlation with a constant channel.

    Raises
    ------
    UsageError
        If shapes or counts do not fit, a compartment is missing, numbers are negative, pixels are not finite, or
        the preset is unknown.

    Notes
    -----
    The first call in a fresh installation compiles the kernels and stores them on disk. It takes half a minute on an
    idle core and is logged by ``phenoprint.features`` at level INFO. Call :func:`warm_up` once before starting worker
    processes.

    Examples
    --------
    >>> labels = np.zeros((8, 8), np.int32)
    >>> labels[2:6, 2:6] = 1
    >>> frame = measure(np.ones((1, 8, 8)), {"Nuclei": labels, "Cells": labels}, channels=["DNA"], preset="minimal")
    >>> frame["Cells_AreaShape_Area"].to_list(), frame["Cytoplasm_AreaShape_Area"].to_list()
    ([16.0], [None])
    """
    field, chosen = _begin(pixels, labels, channels, preset, families)
    cells = _measure_objects(field, chosen)
    field.close()
    return cells


def measure_field(
    pixels: npt.NDArray[np.generic],
    labels: Mapping[str, npt.NDArray[np.integer]],
    *,
    channels: Sequence[str],
    preset: str = "cell-painting-full",
    families: Sequence[FeatureFamily] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Measure the objects and the whole images of one field, with CellProfiler 4.2.8's names and values.

    Parameters
    ----------
    pixels, labels, channels, preset, families
        As for :func:`measure`.

    Returns
    -------
    objects : polars.DataFrame
        What :func:`measure` returns.
    image : polars.DataFrame
        One row of Float32 columns ``Image_Family_Measure[_Channel][_parameters]``: counts of objects, intensities,
        correlation and colocalization with the slope, textures, granularity and image quality, as far as the families
        measure them. Undefined values are NULL.

    Raises
    ------
    UsageError
        As :func:`measure`.

    Examples
    --------
    >>> labels = np.zeros((8, 8), np.int32)
    >>> labels[2:6, 2:6] = 1
    >>> ramp = np.arange(64.0).reshape(1, 8, 8) / 64
    >>> _, image = measure_field(ramp, {"Nuclei": labels, "Cells": labels}, channels=["DNA"], preset="minimal")
    >>> image.select("Image_Count_Cells", "Image_Intensity_MaxIntensity_DNA").row(0)
    (1.0, 0.984375)
    """
    field, chosen = _begin(pixels, labels, channels, preset, families)
    tables = _measure_objects(field, chosen), _measure_image(field, chosen)
    field.close()
    return tables


def _begin(
    pixels: npt.NDArray[np.generic],
    labels: Mapping[str, npt.NDArray[np.integer]],
    channels: Sequence[str],
    preset: str,
    families: Sequence[FeatureFamily] | None,
) -> tuple[Field, tuple[FeatureFamily, ...]]:
    chosen = chosen_families(preset) if families is None else tuple(families)
    announce_compilation(family.name for family in chosen)
    return prepare_field(np.asarray(pixels), labels, channels), chosen


def _measure_objects(field: Field, families: Sequence[FeatureFamily]) -> pl.DataFrame:
    names: list[str] = []
    columns: list[npt.NDArray[np.float64]] = []
    for objects in field.compartments.values():
        absent = objects.area == 0
        for family in families:
            for name, values in family.measure(objects).items():
                names.append(f"{objects.compartment}_{name}")
                columns.append(np.where(absent, np.nan, values) if absent.any() else values)
        objects.release()
    number = pl.Series("Metadata_ObjectNumber", field.numbers, dtype=pl.Int32)
    return pl.DataFrame([number, *_series(names, columns, field.n)])


def _measure_image(field: Field, families: Sequence[FeatureFamily]) -> pl.DataFrame:
    values = {f"Image_{name}": value for family in families for name, value in family.measure_image(field).items()}
    return pl.DataFrame(_series(list(values), [np.array([value]) for value in values.values()], 1))


def _series(names: Sequence[str], columns: Sequence[npt.NDArray[np.float64]], n: int) -> list[pl.Series]:
    """Return Float32 columns of ``n`` rows, NULL where a value is not finite.

    All columns are slices of one series: making thousands one by one takes longer than measuring some families.
    """
    with np.errstate(over="ignore"):
        table = np.array(columns, np.float32).reshape(-1)
    table[~np.isfinite(table)] = np.nan
    whole = pl.Series("", table, nan_to_null=True)
    return [whole.slice(k * n, n).alias(name) for k, name in enumerate(names)]


def warm_up(
    n_channels: int = 5, *, preset: str = "cell-painting-full", families: Sequence[FeatureFamily] | None = None
) -> float:
    """Compile the kernels of a preset, or load them from disk, by measuring a tiny image.

    Parameters
    ----------
    n_channels
        Number of channels; the measures of channel pairs need two.
    preset
        A name in :func:`presets`.
    families
        Families with their parameters, in place of a preset.

    Returns
    -------
    float
        Elapsed seconds.

    Examples
    --------
    >>> warm_up(1, preset="minimal") > 0
    True
    """
    start = perf_counter()
    ramp = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint16)
    pixels = np.stack([ramp * (c + 1) + (ramp * 7919) % 101 for c in range(n_channels)]).astype(np.uint16) * 64
    cells = np.zeros((32, 32), np.int32)
    cells[2:15, 2:15], cells[15:29, 10:30] = 1, 2
    nuclei = np.zeros_like(cells)
    nuclei[5:10, 5:10], nuclei[19:25, 15:22] = 1, 2
    labels = {"Nuclei": nuclei, "Cells": cells}
    measure(pixels, labels, channels=[f"C{c}" for c in range(n_channels)], preset=preset, families=families)
    return perf_counter() - start
