"""Steps that answer: plate acceptance, activity, mechanisms, dose-response, projection, galleries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from phenoprint.pipeline.exclusions import without_excluded
from phenoprint.pipeline.notes import excluded_plates, reference_verdicts
from phenoprint.pipeline.phenotypes import keep_parameter, phenotypes
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.store import ledger_rows
from phenoprint.tables import WELL_KEY, frame_of

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["Calls", "DoseResponse", "Gallery", "PlateAcceptance", "Project"]


# UMAP joins each well to its 15 nearest. With fewer wells than twice that, it joins each to half of all there are, and
# the map shows nothing that a list does not; loading and compiling it takes 9 to 18 s.
LEAST_PROJECTED = 30


class PlateAcceptance(Step):
    """Judge each plate: controls, edge, counts, flagged fields."""

    name = "plate_acceptance"
    title = "Plate acceptance"
    scope = Scope.SCREEN
    needs = ("well", "exclusion")
    uses = ("profile_normalized", "readout", "image_quality")
    tables = ("plate_acceptance",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return which features are kept whatever they are."""
        return keep_parameter(config)

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Write one row per plate and check."""
        from phenoprint.evaluation import plate_acceptance

        verdicts = plate_acceptance(
            phenotypes(context, "profile_normalized"),
            readouts=_wide_readouts(context),
            image_quality=without_excluded(context.table("image_quality").collect(), context.exclusions()),
        )
        fallback = context.table("feature_status").filter(pl.col("status") == "reference_all").collect()
        others = [reference_verdicts(fallback), excluded_plates(context.table("well").collect(), context.exclusions())]
        return Outcome({"plate_acceptance": pl.concat([verdicts, *others])})


def _wide_readouts(context: Context) -> pl.DataFrame | None:
    """Return the readouts that are configured, one column each, with the role of each well; None without any."""
    named = pl.col("readout").is_in(list(context.config.profiles.readouts))
    readouts = context.table("readout").filter(named).collect()
    if readouts.is_empty():
        return None
    wide = readouts.pivot("readout", index=WELL_KEY, values="value")
    return wide.join(context.table("well").select(*WELL_KEY, "Metadata_pert_type").collect(), on=WELL_KEY, how="left")


class Calls(Step):
    """Say which treatments act and which mechanism they share, beside what chance and counts alone would say."""

    name = "calls"
    title = "Activity and MoA"
    scope = Scope.SCREEN
    needs = ("profile_selected", "profile_consensus", "exclusion")
    tables = ("activity", "moa_prediction", "score")

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the null size and the seed."""
        return {"null_size": config.evaluation.null_size, "seed": config.evaluation.seed, **keep_parameter(config)}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Score activity against the negative controls, then mechanisms of active treatments by their neighbours."""
        from phenoprint.pipeline.calls import activity, also_controls, moa_calls, replicate_score

        section = context.config.evaluation
        profiles = phenotypes(context, "profile_selected")
        active = activity(profiles, null_size=section.null_size, seed=section.seed)
        consensus = phenotypes(context, "profile_consensus")
        predictions, scores = moa_calls(consensus, active, seed=section.seed)
        scores = pl.concat([replicate_score(profiles, seed=section.seed), scores]).with_columns(
            pl.col("value").fill_nan(None)  # a share of nothing
        )
        lost = {"the treatment is a negative control in other wells, and counts as one": also_controls(profiles).height}
        ledger = ledger_rows(self.name, None, unit_of_count="wells", n_in=profiles.height, lost=lost)
        return Outcome({"activity": active, "moa_prediction": predictions, "score": scores}, ledger)


class DoseResponse(Step):
    """Fit Hill curves to the chosen readouts."""

    name = "dose_response"
    title = "Dose-response"
    scope = Scope.SCREEN
    needs = ("readout", "well", "exclusion")
    uses = ("profile_normalized",)
    tables = ("dose_response",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the readouts and features to fit."""
        return {"of": config.evaluation.dose_response}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Fit a curve per compound and readout, through its doses and the plate's negative controls."""
        from phenoprint.pipeline.calls import dose_curves

        wells = context.table("well").collect()
        values = context.table("readout").select(*WELL_KEY, "readout", "value").collect()
        wanted = context.config.evaluation.dose_response
        normalized = context.table("profile_normalized")
        features = [name for name in wanted if name in normalized.collect_schema().names()]
        if features:
            long = (
                normalized.select(*WELL_KEY, *features)
                .unpivot(index=WELL_KEY, variable_name="readout", value_name="value")
                .with_columns(pl.col("value").cast(pl.Float64))
                .collect()
            )
            values = pl.concat([values, without_excluded(long, context.exclusions())])
        return Outcome({"dose_response": dose_curves(values, wells, wanted)})


class Project(Step):
    """Lay wells out in two dimensions and group them."""

    name = "project"
    title = "Projection"
    version = 2
    scope = Scope.SCREEN
    needs = ("profile_selected", "exclusion")
    tables = ("projection", "cluster", "feature_status")
    parts: ClassVar = {"feature_status": "project"}

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the seed."""
        return {"seed": config.evaluation.seed}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Project with PCA and UMAP, but for a handful of wells; cluster the wells."""
        from phenoprint.analysis import cluster_profiles, project

        profiles = phenotypes(context, "profile_selected").sort(WELL_KEY)
        seed = context.config.evaluation.seed
        clusters = cluster_profiles(profiles, seed=seed)
        tables, statuses = {"cluster": clusters}, []
        if profiles.height < LEAST_PROJECTED:
            # Nothing of the data is lost, so this is a status and no row of the ledger.
            reason = f"no projection of fewer than {LEAST_PROJECTED} wells; found {profiles.height}"
            statuses.append((None, "", self.name, "skipped", reason, None))
        else:
            maps = [project(profiles, method=method, seed=seed) for method in ("pca", "umap")]
            tables["projection"] = pl.concat(maps)
        status = frame_of("feature_status", statuses)
        return Outcome(tables | {"feature_status": status})


class Gallery(Step):
    """Cut out typical cells of each treatment."""

    name = "gallery"
    title = "Galleries"
    scope = Scope.SCREEN
    needs = (
        "image",
        "illumination",
        "calibration",
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
        """Crop the cells nearest to the median of their well, for the strongest treatments and the controls."""
        from phenoprint.pipeline.gallery import make_gallery

        return Outcome({"gallery": make_gallery(context)})
