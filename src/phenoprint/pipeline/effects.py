"""Feature effects of a screen, in blocks of treatments whose size does not depend on that of the screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl

from phenoprint.analysis import FEWEST_CONTROLS, Controls, feature_effects, fit_controls, has_profile
from phenoprint.pipeline.explained import describe_features, describe_treatments, explained
from phenoprint.store import strict_join
from phenoprint.tables import PERT_TYPE, PERTURBATION, WELL_KEY, feature_matrix

if TYPE_CHECKING:
    from phenoprint.pipeline.context import Context
    from phenoprint.tables import FloatArray

__all__ = ["EffectRun"]

_NO_PROFILE = "the well lacks more than half of the features"


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
        self.given = explained(context)
        about = self.given.wells.select(*WELL_KEY, PERTURBATION, PERT_TYPE)
        is_control = (pl.col(PERT_TYPE) == "negcon").fill_null(value=False)
        self._controls = about.filter(is_control)
        self._treated = about.filter(~is_control)
        self.n_wells = self._treated.height
        self.lost: dict[str, int] = {}

    def parts(self) -> Iterator[pl.DataFrame]:
        """Measure one block of treatments after the other: rows of table ``feature_effect``."""
        controls = fit_controls(self._control_values)
        known = self._treated.filter(pl.col(PERTURBATION).is_not_null())
        judged = known.filter(pl.col("Metadata_Plate").is_in(list(controls)))
        few = f"fewer than {FEWEST_CONTROLS} negative controls with a profile on the plate"
        self.lost = {
            "not annotated, or annotated as empty": self._treated.height - known.height,
            few: known.height - judged.height,
            _NO_PROFILE: 0,
        }
        for block in self.given.treatments(judged):
            yield self._describe(self._effects(block, controls))

    def _control_values(self) -> Iterator[tuple[str, FloatArray]]:
        for plate, frame in self.given.plates(self._controls):
            yield plate, feature_matrix(frame, self.given.features)

    def _effects(self, frame: pl.DataFrame, controls: dict[str, Controls]) -> pl.DataFrame:
        features = self.given.features
        unusable = int((~has_profile(feature_matrix(frame, features))).sum())
        self.lost[_NO_PROFILE] += unusable
        return feature_effects(frame, features=features, controls=controls, top=self.top)

    def _describe(self, effects: pl.DataFrame) -> pl.DataFrame:
        treatments = describe_treatments(self.context).drop(PERT_TYPE)
        features = describe_features(self.context)
        named = strict_join(effects, treatments, on=[PERTURBATION], expect="m:1")
        return strict_join(named, features, on=["feature"], expect="m:1")
