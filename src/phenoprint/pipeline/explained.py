"""The profiles that effects and signatures describe, and the annotation of features and treatments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.tables import PERTURBATION

if TYPE_CHECKING:
    from phenoprint.pipeline.context import Context

__all__ = ["describe_features", "describe_treatments", "explained", "feature_blocks"]

TREATMENT_COLUMNS = (
    "Metadata_compound",
    "Metadata_Concentration",
    "Metadata_Concentration_Unit",
    "Metadata_moa",
    "Metadata_pert_type",
)
FEATURE_COLUMNS = ("compartment", "family", "channel")
# Values that are in memory at a time; what is made of them fills 100 times that many bytes.
_BLOCK_VALUES = 5_000_000


def explained(context: Context) -> WellProfiles:
    """Take the well profiles that effects and signatures describe.

    These are the features that selection kept, since each represents its near-copies and nuisance is gone, with their
    values before selection (level 4a), since whitening or batch correction after it mixes features, which then no
    longer mean what they are named after. Where there is no level 4a of every plate, as after an import, the values are
    those of level 4b.
    """
    selected = WellProfiles.of(context, "profile_selected")
    normalized = context.table("profile_normalized").collect_schema()
    both = tuple(name for name in selected.features if name in normalized)
    plates = (_plates(context, table) for table in ("profile_selected", "profile_normalized"))
    if both and next(plates) <= next(plates):
        return replace(selected, table="profile_normalized", features=both, schema=normalized)
    return selected


def _plates(context: Context, table: str) -> set[str]:
    return set(context.table(table).select("Metadata_Plate").unique().collect()["Metadata_Plate"])


def describe_treatments(context: Context) -> pl.DataFrame:
    """Return the annotation of each treatment, one row per treatment."""
    table = context.table("perturbation").select(PERTURBATION, *TREATMENT_COLUMNS).collect()
    return table.filter(pl.col(PERTURBATION).is_not_null()).unique(PERTURBATION, keep="first", maintain_order=True)


def describe_features(context: Context) -> pl.DataFrame:
    """Return the compartment, family and channel of each feature."""
    table = context.table("feature").select("feature", *FEATURE_COLUMNS).collect()
    return table.unique("feature", keep="first", maintain_order=True)


def feature_blocks(features: Sequence[str], n_wells: int) -> Iterator[Sequence[str]]:
    """Split features into blocks, so that the values of `n_wells` wells fit into a fixed amount of memory.

    Examples
    --------
    >>> [len(block) for block in feature_blocks(["F"] * 800, 20_000)]
    [250, 250, 250, 50]
    """
    step = max(1, _BLOCK_VALUES // max(1, n_wells))
    return (features[start : start + step] for start in range(0, len(features), step))
