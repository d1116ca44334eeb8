"""Calls of mechanisms of a screen, and their evaluation by each protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from phenoprint.pipeline.explained import describe_treatments
from phenoprint.pipeline.found_cells import FOUND_COUNT, with_found_cells
from phenoprint.pipeline.phenotypes import treatment_profiles
from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.tables import BATCH, MOA, PERT_TYPE, PERTURBATION, PLATE, feature_columns

if TYPE_CHECKING:
    from phenoprint.pipeline.context import Context

__all__ = ["MechanismRun"]

# Each takes as long as the calls themselves.
_SHUFFLED_CALLS = 3


@dataclass(frozen=True)
class MechanismRun:
    """What calls and scores of a screen are made from.

    Attributes
    ----------
    context
        The screen.
    treatments
        Treatment profiles with their annotation.
    active
        Table ``activity``.
    given
        Well profiles.
    wells
        Their metadata, with the cells that were found in each.
    """

    context: Context
    treatments: pl.DataFrame
    active: pl.DataFrame
    given: WellProfiles
    wells: pl.DataFrame

    @classmethod
    def of(cls, context: Context) -> MechanismRun:
        """Read what calls and scores need, except the values of wells."""
        from phenoprint.evaluation import treatments_of

        profiles = treatment_profiles(context)
        about = describe_treatments(context)
        described = about.join(profiles.select(PERTURBATION, *feature_columns(profiles)), on=PERTURBATION)
        given = WellProfiles.of(context, "profile_selected")
        wells, _ = with_found_cells(context, given.wells)
        return cls(context, treatments_of(described), context.table("activity").collect(), given, wells)

    def calls(self) -> pl.DataFrame:
        """Return table ``moa_call``."""
        from phenoprint.evaluation import moa_calls

        return self._calls(self.treatments, moa_calls)

    def evaluation(self, calls: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Return the tables ``moa_prediction`` and ``moa_confusion``, and the rows of ``score``."""
        from phenoprint.evaluation import (
            MECHANISM_PROTOCOLS,
            call_scores,
            mechanism_scores,
            moa_calls,
            with_shuffled_labels,
        )

        section, seed = self.context.config.mechanisms, self.context.config.evaluation.seed
        active = self.active.filter(pl.col("below_corrected_p").fill_null(value=False))[PERTURBATION].to_list()
        n_total = self.treatments.filter(pl.col(PERT_TYPE) == "trt").height
        about = self.treatments.select(pl.col("^Metadata_.*$"))
        labelled = self.wells.filter(
            pl.col(PERTURBATION).is_in(about.filter(pl.col(MOA).is_not_null())[PERTURBATION].implode())
        )
        rows = self._apart(labelled)
        rows[None] = self.treatments
        found = [
            mechanism_scores(
                protocol,
                about.join(rows[protocol.apart].drop(about.columns[1:], strict=False), on=PERTURBATION),
                self._baselines(labelled, protocol.apart),
                active,
                n_total=n_total,
                k=section.neighbours,
                seed=seed,
            )
            for protocol in MECHANISM_PROTOCOLS
        ]
        beside = {}
        for name, frame in self._baselines(labelled, None).items():
            own = about.join(frame.select(PERTURBATION, *feature_columns(frame)), on=PERTURBATION)
            beside[name] = [self._calls(own, moa_calls)]
        beside["shuffled_labels"] = [
            self._calls(with_shuffled_labels(self.treatments, seed=seed + number), moa_calls)
            for number in range(_SHUFFLED_CALLS)
        ]
        of_calls = call_scores(calls, beside, coverage=section.coverage, n_total=n_total, seed=seed)
        return (
            pl.concat([own.predictions for own in found]),
            pl.concat([own.confusion for own in found]),
            pl.concat([of_calls, *(own.scores for own in found)]),
        )

    def _calls(self, profiles: pl.DataFrame, call: Callable[..., pl.DataFrame]) -> pl.DataFrame:
        section, seed = self.context.config.mechanisms, self.context.config.evaluation.seed
        return call(profiles, self.active, coverage=section.coverage, seed=seed)

    def _baselines(self, wells: pl.DataFrame, apart: str | None) -> dict[str, pl.DataFrame]:
        """Make profiles without morphology of the labelled treatments, by batch or plate where asked for."""
        from phenoprint.evaluation import baseline_profiles

        by = [PERTURBATION, *([apart] if apart else [])]
        controls = self.wells.filter(pl.col(PERT_TYPE) == "negcon")
        known = wells.drop_nulls(by) if set(by) <= set(wells.columns) else wells.head(0)
        return baseline_profiles(known, by=by, count=FOUND_COUNT, reference=controls) if known.height else {}

    def _apart(self, wells: pl.DataFrame) -> dict[str | None, pl.DataFrame]:
        """Make profiles of the labelled treatments by batch and by plate, a block of treatments at a time."""
        from phenoprint.profiles import consensus

        statistic = self.context.config.profiles.consensus
        made: dict[str, list[pl.DataFrame]] = {BATCH: [], PLATE: []}
        for block in self._blocks(wells):
            for name, frames in made.items():
                if name in block.columns:
                    own = block.drop_nulls(name).select(PERTURBATION, name, *self.given.features)
                    frames.append(consensus(own, [PERTURBATION, name], statistic))
        empty = self.treatments.head(0)
        return {
            name: pl.concat(frames) if frames else empty.with_columns(pl.lit(None, pl.String).alias(name))
            for name, frames in made.items()
        }

    def _blocks(self, wells: pl.DataFrame) -> Iterator[pl.DataFrame]:
        return self.given.treatments(wells) if wells.height else iter(())
