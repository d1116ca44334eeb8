"""Features of imported tables: their entries in the dictionary, and features that are empty, infinite or extreme."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from phenoprint.exchange.findings import Findings
from phenoprint.exchange.names import measured_columns
from phenoprint.tables import channels_of, frame_of, split_feature

__all__ = ["feature_status", "imported_features", "note_extremes", "note_nuisance"]


def imported_features(features: Sequence[str], aliases: dict[str, str] | None = None) -> pl.DataFrame:
    """Make rows of table ``feature`` for columns that another tool measured, as far as their names give the parts.

    `aliases` are the names of features in their source, where they were renamed.

    Examples
    --------
    >>> table = imported_features(["Cells_Intensity_MeanIntensity_DNA", "Cells_Texture_Contrast_DNA_3_00_256"])
    >>> table.select("family", "measure", "channel", "parameters").row(1)
    ('Texture', 'Contrast', 'DNA', '3_00_256')
    """
    channels = channels_of(features)
    rows = [(name, *split_feature(name, channels), (aliases or {}).get(name), "imported") for name in features]
    names = ("feature", "compartment", "family", "measure", "channel", "parameters", "alias", "source")
    return frame_of("feature", (dict(zip(names, row, strict=True)) for row in rows))


def feature_status(profiles: pl.DataFrame, plate: str, *, is_normalized: bool) -> pl.DataFrame:
    """List the features of an imported plate without a value, or with infinite ones: rows of table ``feature_status``.

    Extreme values are listed where values are in spreads of the controls (`is_normalized`), which limits credible ones.
    """
    names = measured_columns(profiles)
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
    return frame_of("feature_status", rows)


def note_extremes(status: pl.DataFrame, n_rows: int, findings: Findings, *, source: str) -> None:
    """Note the features with extreme values among the rows that `feature_status` returned for a plate."""
    for name, value in status.filter(status="extreme").select("feature", "value").iter_rows():
        plate = status["Metadata_Plate"][0]
        detail = f"to {value:.3g} spreads on plate {plate}: it outweighs all others and is left out of answers"
        findings.note("extreme", name, n_rows, source=source, detail=detail)


def note_nuisance(features: Iterable[str], findings: Findings, *, source: str) -> None:
    """Note the columns that are not phenotypes: they are stored, but left out of selected profiles by default."""
    from phenoprint.profiles import nuisance_features

    for name, reason in nuisance_features(features).items():
        detail = f"{reason}; stored, but left out of selected profiles (profiles.keep_features keeps it)"
        findings.note("nuisance", name, 1, source=source, detail=detail)
