"""Well profiles as the answers of a run use them: read one plate or one block of treatments at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.pipeline.phenotypes import left_out
from phenoprint.store import read_table, strict_join, table_files
from phenoprint.tables import FOLD, METADATA_PREFIX, PERTURBATION, PLATE, WELL_KEY, feature_matrix, find_gaps

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from phenoprint.evaluation import Vectors
    from phenoprint.pipeline.context import Context
    from phenoprint.tables import Blocks, FloatArray, Gaps, IntArray

__all__ = ["WellProfiles", "fold_part"]

_CROSS_FITTED = "profile_cross_fitted"

# Values of a block of treatments; 10 MB as 32-bit floats, and what is made of them may be 30 times that.
_BLOCK_VALUES = 2_500_000


def fold_part(fold: int) -> str:
    """Name the files of a fold of the cross-fitted profiles.

    Examples
    --------
    >>> fold_part(0)
    'fold_0'
    """
    return f"fold_{fold}"


@dataclass(frozen=True)
class WellProfiles:
    """Well profiles of a screen: metadata of all wells in memory, values read where they are needed.

    Attributes
    ----------
    context
        The screen.
    table
        The table that holds the values.
    schema
        Its columns over all plates.
    features
        The features that are used.
    wells
        Metadata of the wells that are used, sorted by plate and well.
    fold
        The fold of cross-fitted profiles; None for other tables.
    """

    context: Context
    table: str
    schema: Mapping[str, pl.DataType]
    features: tuple[str, ...]
    wells: pl.DataFrame
    fold: int | None = None

    @classmethod
    def of(cls, context: Context, table: str) -> WellProfiles:
        """Take a table without its excluded wells and without the features that are not phenotypes.

        Raises
        ------
        UsageError
            If no feature would be left.
        """
        schema = context.table(table).collect_schema()
        out = left_out(context, table, schema.names())
        features = tuple(name for name in schema.names() if not name.startswith(METADATA_PREFIX) and name not in out)
        wells = context.profiles(table, columns="^Metadata_.*$").sort(WELL_KEY)
        return cls(context, table, schema, features, wells)

    @classmethod
    def folds(cls, context: Context) -> list[WellProfiles]:
        """Take the cross-fitted profiles of each fold: all treatments, and the negative controls that it holds out.

        Wells of different folds cannot be compared; each fold may have kept other features.
        """
        whole = cls.of(context, _CROSS_FITTED)
        files: dict[str, list[Path]] = {}
        for file in table_files(context.path, _CROSS_FITTED):
            files.setdefault(file.stem, []).append(file)
        found = []
        for fold in whole.wells.get_column(FOLD).unique().sort().to_list():
            own = {name for file in files[fold_part(fold)] for name in pl.read_parquet_schema(file)}
            features = tuple(name for name in whole.features if name in own)
            found.append(replace(whole, features=features, wells=whole.wells.filter(pl.col(FOLD) == fold), fold=fold))
        return found

    def read(
        self, wells: pl.DataFrame, features: Sequence[str] | None = None, *, plate: str | None = None
    ) -> pl.DataFrame:
        """Join wells with their values.

        Parameters
        ----------
        wells
            Rows of wells, with any columns.
        features
            The features to read; None: all that are used.
        plate
            The plate of the wells; None: of all plates.
        """
        names = self.features if features is None else features
        # With the schema given, the footers of all plates are not read again for each plate.
        table = read_table(self.context.path, self.table, plate=plate, schema=self.schema)
        if self.fold is not None:
            table = table.filter(pl.col(FOLD) == self.fold)
        return strict_join(wells, table.select(*WELL_KEY, *names).collect(), on=WELL_KEY, expect="m:1")

    def plates(self, wells: pl.DataFrame | None = None) -> Iterator[tuple[str, pl.DataFrame]]:
        """Read the wells, or some of them, one plate after the other."""
        rows = self.wells if wells is None else wells
        for (plate,), own in rows.group_by(PLATE, maintain_order=True):
            yield str(plate), self.read(own, plate=str(plate))

    def treatments(self, wells: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Read wells in blocks of whole treatments, of a size that does not depend on that of the screen.

        Treatments that begin on one plate are in one block as far as it holds them, so that a plate is read once or a
        few times. A treatment in more wells than a block holds is a block of its own.
        """
        counted = wells.group_by(PERTURBATION).agg(pl.col(PLATE).min().alias("_first"), pl.len().alias("_n"))
        by_treatment = counted.sort("_first", PERTURBATION)
        most = max(1, _BLOCK_VALUES // max(1, len(self.features)))
        block = ((pl.col("_n").cum_sum() - pl.col("_n")) // most).alias("_block")
        for _, names in by_treatment.with_columns(block).group_by("_block", maintain_order=True):
            own = wells.filter(pl.col(PERTURBATION).is_in(names[PERTURBATION].implode())).sort(WELL_KEY)
            yield pl.concat([frame for _, frame in self.plates(own)])

    def vectors(self, wells: pl.DataFrame, *, metric: str) -> Vectors:
        """Make vectors of wells; these are kept in a temporary file within the screen folder.

        Raises
        ------
        SchemaError
            Where no feature has a value in all wells.
        """
        from phenoprint.evaluation import blocks_to_vectors

        return blocks_to_vectors(self._blocks(wells), self.features, metric, allocate=self._on_disk)

    def gaps(self) -> Gaps:
        """Find the wells and features that lack values; rows are those of `wells`."""
        return find_gaps(self._blocks(self.wells), len(self.features))

    def _blocks(self, wells: pl.DataFrame) -> Blocks:
        numbered = wells.select(WELL_KEY).with_row_index("_row")

        def blocks() -> Iterator[tuple[IntArray, FloatArray]]:
            for _, frame in self.plates(numbered):
                yield frame["_row"].to_numpy().astype(np.intp), feature_matrix(frame, self.features)

        return blocks

    def _on_disk(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        if not np.prod(shape):
            return np.empty(shape, np.float32)
        with tempfile.TemporaryFile(dir=self.context.path) as file:  # gone once the array is
            return np.asarray(np.memmap(file, np.float32, "w+", shape=shape))
