"""Feature effects of a screen, in blocks of treatments whose size does not depend on that of the screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.analysis import FEWEST_CONTROLS, Controls, feature_effects, fit_controls, has_profile
from phenoprint.pipeline.explained import TREATMENT, Explained, describe_features, describe_treatments
from phenoprint.store import strict_join
from phenoprint.tables import WELL_KEY, feature_matrix

if TYPE_CHECKING:
    from phenoprint.pipeline.context import Context

__all__ = ["EffectRun"]

KIND = "Metadata_pert_type"
_NO_PROFILE = "the well lacks more than half of the features"
# Values of treated wells that are in memory at a time: 20 MB as 64-bit floats; what is found fills 15 times that.
_BLOCK_VALUES = 2_500_000


class EffectRun:
    """Measures the effects of all treatments of a screen, a bounded number of wells at a time.

    Parameters
    ----------
    context
        The screen.
    top
        Features kept of each treatment; 0 keeps all.

    Attributes
    ----------
    lost
        After `parts`: wells of treatments that take no part, by reason.
    n_wells
        Wells that are not negative controls.
    """

    def __init__(self, context: Context, *, top: int) -> None:
        self.context = context
        self.top = top
        self.explained = Explained.of(context)
        about = context.profiles("profile_selected", columns="^Metadata_.*$").select(*WELL_KEY, TREATMENT, KIND)
        is_control = (pl.col(KIND) == "negcon").fill_null(value=False)
        self._controls = about.filter(is_control)
        self._treated = about.filter(~is_control)
        self.n_wells = self._treated.height
        self.lost: dict[str, int] = {}

    def parts(self) -> Iterator[pl.DataFrame]:
        """Measure one block of treatments after the other: rows of table ``feature_effect``."""
        controls = fit_controls(self._control_values())
        known = self._treated.filter(pl.col(TREATMENT).is_not_null())
        judged = known.filter(pl.col("Metadata_Plate").is_in(list(controls)))
        few = f"fewer than {FEWEST_CONTROLS} negative controls with a profile on the plate"
        self.lost = {
            "not annotated, or annotated as empty": self._treated.height - known.height,
            few: known.height - judged.height,
            _NO_PROFILE: 0,
        }
        for block in self._blocks(judged):
            yield self._describe(self._effects(block, controls))

    def _control_values(self) -> Iterator[tuple[str, np.ndarray]]:
        for (plate,), wells in self._controls.sort(WELL_KEY).group_by("Metadata_Plate", maintain_order=True):
            frame = self.explained.read(self.context, wells, self.explained.features, str(plate))
            yield str(plate), feature_matrix(frame, self.explained.features)

    def _blocks(self, wells: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Split the wells by treatment; those that begin on one plate stay together, so that it is read once."""
        by_treatment = (
            wells.group_by(TREATMENT)
            .agg(pl.col("Metadata_Plate").min().alias("_first"), pl.len().alias("_n"))
            .sort("_first", TREATMENT)
        )
        most = max(1, _BLOCK_VALUES // max(1, len(self.explained.features)))
        block = ((pl.col("_n").cum_sum() - pl.col("_n")) // most).alias("_block")
        for _, names in by_treatment.with_columns(block).group_by("_block", maintain_order=True):
            yield wells.filter(pl.col(TREATMENT).is_in(names[TREATMENT].implode())).sort(WELL_KEY)

    def _effects(self, wells: pl.DataFrame, controls: dict[str, Controls]) -> pl.DataFrame:
        features = self.explained.features
        frames = [
            self.explained.read(self.context, rows, features, str(plate))
            for (plate,), rows in wells.group_by("Metadata_Plate", maintain_order=True)
        ]
        frame = pl.concat(frames)
        unusable = int((~has_profile(feature_matrix(frame, features))).sum())
        self.lost[_NO_PROFILE] += unusable
        return feature_effects(frame, features=features, controls=controls, top=self.top)

    def _describe(self, effects: pl.DataFrame) -> pl.DataFrame:
        treatments = describe_treatments(self.context).drop(KIND)
        features = describe_features(self.context)
        named = strict_join(effects, treatments, on=[TREATMENT], expect="m:1")
        return strict_join(named, features, on=["feature"], expect="m:1")
