"""What is known of the features of imported tables: the dictionary, read off the names, and what is odd in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from phenoprint.exchange.cleaning.names import COMPARTMENTS
from phenoprint.exchange.findings import Findings
from phenoprint.tables import get_table

__all__ = ["channels_of", "describe_features", "feature_status", "note_features", "note_nuisance"]

_CHANNEL = re.compile(r"[A-Za-z]+_Intensity_(?:MeanIntensity|IntegratedIntensity|MedianIntensity)_(?P<channel>.+)")
_IN_CARTA = re.compile(r".+_(?P<channel>wv\d+)")


def channels_of(features: Iterable[str]) -> tuple[str, ...]:
    """Find the channels that features are named after: those whose mean intensity is measured.

    Examples
    --------
    >>> channels_of(["Cells_Intensity_MeanIntensity_DNA", "Nuclei_Texture_Contrast_ER_3_00_256"])
    ('DNA',)
    """
    found = (match["channel"] for name in features if (match := _CHANNEL.fullmatch(name)))
    return tuple(dict.fromkeys(found))


def describe_features(features: Sequence[str], aliases: dict[str, str] | None = None) -> pl.DataFrame:
    """Make rows of table ``feature`` for columns that another tool measured.

    Parameters
    ----------
    features
        Column names, ``Compartment_Family_Measure[_Channel][_parameters]`` where they are CellProfiler's.
    aliases
        Names that features had in their source, where they had another.

    Returns
    -------
    polars.DataFrame
        One row per feature, in order: compartment, family, measure, channel and parameters as far as the name gives
        them, ``source`` ``"imported"``. What is measured is CellProfiler's definition and not repeated here.

    Examples
    --------
    >>> table = describe_features(["Cells_Intensity_MeanIntensity_DNA", "Cells_Texture_Contrast_DNA_3_00_256"])
    >>> table.select("family", "measure", "channel", "parameters").row(1)
    ('Texture', 'Contrast', 'DNA', '3_00_256')
    """
    channels = sorted(channels_of(features), key=len, reverse=True)
    rows = [(name, *_split(name, channels), (aliases or {}).get(name), "imported") for name in features]
    names = ("feature", "compartment", "family", "measure", "channel", "parameters", "alias", "source")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    schema = get_table("feature").schema
    return frame.with_columns(pl.lit(None, t).alias(n) for n, t in schema.items() if n not in names).select(
        list(schema)
    )


def feature_status(profiles: pl.DataFrame, plate: str, *, is_normalized: bool) -> pl.DataFrame:
    """Say which features of an imported plate have no value, or infinite or extreme ones: rows of ``feature_status``.

    Parameters
    ----------
    profiles
        One row per well.
    plate
        Its name.
    is_normalized
        Whether values are in spreads of the controls, so that there is a largest one that can be believed.
    """
    names = [name for name in profiles.columns if not name.startswith("Metadata_")]
    values = profiles[names].to_numpy()
    n_infinite = np.isinf(values).sum(axis=0)
    is_empty = np.isnan(values).all(axis=0)
    n = profiles.height
    rows = [
        (plate, names[k], "import", "all_null", f"no value in any of {n} rows", float(n))
        for k in np.flatnonzero(is_empty)
    ]
    rows += [
        (plate, names[k], "import", "infinite", f"infinite in {n_infinite[k]} of {n} rows", float(n_infinite[k]))
        for k in np.flatnonzero(n_infinite)
    ]
    if is_normalized:
        from phenoprint.profiles import EXTREME, extreme_features

        reason = f"values of {EXTREME:,.0f} spreads or more, which outweigh all others"
        rows += [
            (plate, name, "import", "extreme", reason, value) for name, value in extreme_features(profiles).items()
        ]
    return pl.DataFrame(rows, schema=get_table("feature_status").schema, orient="row")


def note_features(status: pl.DataFrame, n_rows: int, findings: Findings, *, source: str) -> None:
    """Note the features of a plate that hold extreme values; `status` is what `feature_status` says of it."""
    for name, value in status.filter(status="extreme").select("feature", "value").iter_rows():
        plate = status["Metadata_Plate"][0]
        detail = f"to {value:.3g} spreads on plate {plate}: it outweighs all others and is left out of answers"
        findings.note("extreme", name, n_rows, source=source, detail=detail)


def note_nuisance(features: Iterable[str], findings: Findings, *, source: str) -> None:
    """Note the columns that are no phenotype: they are stored, but no features of a profile by default."""
    from phenoprint.profiles import nuisance_features

    for name, reason in nuisance_features(features).items():
        detail = f"{reason}; stored, but left out of selected profiles (profiles.keep_features keeps it)"
        findings.note("nuisance", name, 1, source=source, detail=detail)


def _split(name: str, channels: Sequence[str]) -> tuple[str | None, str | None, str | None, str | None, str | None]:
    """Compartment, family, measure, channel and parameters of a name."""
    compartment, _, rest = name.partition("_")
    if compartment not in (*COMPARTMENTS, "Image") or not rest:
        match = _IN_CARTA.fullmatch(name)
        return None, None, name, match["channel"] if match else None, None
    family, _, tail = rest.partition("_")
    words = tail.split("_") if tail else []
    found: list[str] = []
    for channel in channels:
        parts = channel.split("_")
        places = [k for k in range(len(words) - len(parts) + 1) if words[k : k + len(parts)] == parts]
        for place in reversed(places):
            found.append(channel)
            words[place : place + len(parts)] = [""] * len(parts)
    ordered = sorted(found, key=lambda channel: f"_{tail}_".find(f"_{channel}_"))
    first = words.index("") if "" in words else next((k for k, w in enumerate(words) if w[:1].isdigit()), len(words))
    measure = "_".join(words[:first]) or None
    parameters = "_".join(w for w in words[first:] if w) or None
    return compartment, family, measure, ",".join(ordered) or None, parameters
