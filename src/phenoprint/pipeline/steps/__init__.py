"""The steps of a run, in order."""

from __future__ import annotations

from phenoprint.pipeline.steps.answers import Calls, DoseResponse, Gallery, PlateAcceptance, Project
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.steps.fields import FlagImages
from phenoprint.pipeline.steps.heterogeneity import Heterogeneity, LearnStates
from phenoprint.pipeline.steps.pixels import Calibrate, Illuminate, Measure, MeasureQuality, Segment, Thumbnail
from phenoprint.pipeline.steps.profiles import ApplyRecipe, Consensus
from phenoprint.pipeline.steps.questions import ClusterSignatures, FeatureEffects, Neighbours, WellReadouts
from phenoprint.pipeline.steps.tables import Aggregate, FlagCells

__all__ = ["STEPS", "Outcome", "Scope", "Step", "Unit"]

STEPS: tuple[Step, ...] = (
    Illuminate(),
    MeasureQuality(),
    Calibrate(),
    Segment(),
    Thumbnail(),
    Measure(),
    FlagImages(),
    FlagCells(),
    Aggregate(),
    ApplyRecipe(),
    Consensus(),
    WellReadouts(),
    Neighbours(),
    FeatureEffects(),
    LearnStates(),
    Heterogeneity(),
    PlateAcceptance(),
    Calls(),
    DoseResponse(),
    Project(),
    ClusterSignatures(),
    Gallery(),
)
