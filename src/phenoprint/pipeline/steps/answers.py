"""Steps that answer questions: plate acceptance, galleries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from phenoprint.pipeline.exclusions import without_excluded
from phenoprint.pipeline.notes import excluded_plates, reference_verdicts
from phenoprint.pipeline.phenotypes import keep_parameter
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.tables import WELL_KEY, frame_of

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["Gallery", "PlateAcceptance"]


class PlateAcceptance(Step):
    """Judge each plate: controls, edge, counts, flagged fields."""

    name = "plate_acceptance"
    title = "Plate acceptance"
    scope = Scope.SCREEN
    needs = ("well", "exclusion")
    uses = ("profile_normalized", "readout", "image_quality")
    tables = ("plate_acceptance",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return which features count as phenotypes."""
        return keep_parameter(config)

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Write one row per plate and check."""
        from phenoprint.evaluation import plate_acceptance

        given = WellProfiles.of(context, "profile_normalized")
        has_controls = bool((given.wells["Metadata_pert_type"] == "negcon").any())
        readouts = _wide_readouts(context)
        fields = without_excluded(context.table("image_quality").collect(), context.exclusions())
        verdicts = [frame_of("plate_acceptance")]
        for plate, profiles in given.plates():
            here = pl.col("Metadata_Plate") == plate
            own = None if readouts is None else readouts.filter(here)
            verdicts.append(
                plate_acceptance(profiles, readouts=own, image_quality=fields.filter(here), has_controls=has_controls)
            )
        fallback = context.table("feature_status").filter(pl.col("status") == "reference_all").collect()
        others = [reference_verdicts(fallback), excluded_plates(context.table("well").collect(), context.exclusions())]
        return Outcome({"plate_acceptance": pl.concat([*verdicts, *others])})


def _wide_readouts(context: Context) -> pl.DataFrame | None:
    """Return the readouts that are configured, one column each, with the role of each well; None without any."""
    named = pl.col("readout").is_in(list(context.config.profiles.readouts))
    readouts = context.table("readout").filter(named).collect()
    if readouts.is_empty():
        return None
    wide = readouts.pivot("readout", index=WELL_KEY, values="value")
    return wide.join(context.table("well").select(*WELL_KEY, "Metadata_pert_type").collect(), on=WELL_KEY, how="left")


class Gallery(Step):
    """Cut out typical cells of each treatment."""

    name = "gallery"
    title = "Galleries"
    scope = Scope.SCREEN
    needs = (
        "image",
        "illumination",
        "nucleus_size",
        "object",
        "cell",
        "cell_quality",
        "profile_well",
        "profile_consensus",
        "activity",
        "exclusion",
    )
    tables = ("gallery",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return how many cells and how large."""
        return config.section("report")

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Crop the cells nearest to the median of their treatment, for the strongest treatments and the controls."""
        from phenoprint.pipeline.gallery import make_gallery

        return Outcome({"gallery": make_gallery(context)})
