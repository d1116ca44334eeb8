"""Which features effects and signatures are about, and what is known of features and treatments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from phenoprint.pipeline.phenotypes import left_out
from phenoprint.store import read_table, strict_join
from phenoprint.tables import WELL_KEY

if TYPE_CHECKING:
    from phenoprint.pipeline.context import Context

__all__ = ["TREATMENT", "Explained", "describe_features", "describe_treatments", "feature_blocks"]

TREATMENT = "Metadata_perturbation"
ABOUT_TREATMENT = (
    "Metadata_compound",
    "Metadata_Concentration",
    "Metadata_Concentration_Unit",
    "Metadata_moa",
    "Metadata_pert_type",
)
ABOUT_FEATURE = ("compartment", "family", "channel")
# Values that are in memory at a time: 80 MB as 64-bit floats.
_BLOCK_VALUES = 10_000_000


@dataclass(frozen=True)
class Explained:
    """The table and the features that effects and signatures are about.

    The features that selection kept, since each stands for all its near-copies and nuisance is gone; with their values
    before selection (level 4a), since whitening or batch correction after it mixes features, which then no longer mean
    what their names say.
    """

    table: str
    features: tuple[str, ...]
    schema: Mapping[str, pl.DataType]

    @classmethod
    def of(cls, context: Context) -> Explained:
        """Find them for a screen; level 4b itself where there is no level 4a of every plate, as after an import."""
        selected = context.table("profile_selected").collect_schema()
        normalized = context.table("profile_normalized").collect_schema()
        nuisance = left_out(context, "profile_selected", selected.names())
        names = [name for name in selected.names() if not name.startswith("Metadata_") and name not in nuisance]
        both = tuple(name for name in names if name in normalized)
        plates = (_plates(context, table) for table in ("profile_selected", "profile_normalized"))
        if both and next(plates) <= next(plates):
            return cls("profile_normalized", both, normalized)
        return cls("profile_selected", tuple(names), selected)

    def read(self, context: Context, wells: pl.DataFrame, features: Sequence[str], plate: str | None) -> pl.DataFrame:
        """Give wells their values of some features, on one plate or on all."""
        # the schema is given, or the footers of all plates would be read again for each
        values = (
            read_table(context.path, self.table, plate=plate, schema=self.schema).select(*WELL_KEY, *features).collect()
        )
        return strict_join(wells, values, on=WELL_KEY, expect="m:1")


def _plates(context: Context, table: str) -> set[str]:
    return set(context.table(table).select("Metadata_Plate").unique().collect()["Metadata_Plate"])


def describe_treatments(context: Context) -> pl.DataFrame:
    """Return what is known of each treatment, one row per treatment, with every column that describes one."""
    table = context.table("perturbation").select(TREATMENT, *ABOUT_TREATMENT).collect()
    return table.filter(pl.col(TREATMENT).is_not_null()).unique(TREATMENT, keep="first", maintain_order=True)


def describe_features(context: Context) -> pl.DataFrame:
    """Return the compartment, family and channel of each feature."""
    table = context.table("feature").select("feature", *ABOUT_FEATURE).collect()
    return table.unique("feature", keep="first", maintain_order=True)


def feature_blocks(features: Sequence[str], n_wells: int) -> Iterator[Sequence[str]]:
    """Split features so that the values of so many wells stay within bounds.

    Examples
    --------
    >>> [len(block) for block in feature_blocks(["F"] * 800, 20_000)]
    [500, 300]
    """
    step = max(1, _BLOCK_VALUES // max(1, n_wells))
    return (features[start : start + step] for start in range(0, len(features), step))
