"""The steps of a run. Those that could run next run in the order of this list (see `phenoprint.pipeline.schedule`)."""

from __future__ import annotations

from phenoprint.pipeline.steps.acceptance import PlateAcceptance
from phenoprint.pipeline.steps.activity import Activity, Calibration, Consistency
from phenoprint.pipeline.steps.aggregation import Aggregate
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.steps.cell_rules import JudgeCellRules
from phenoprint.pipeline.steps.cells import FlagCells
from phenoprint.pipeline.steps.clusters import ClusterProfiles, ClusterSignatures, Project
from phenoprint.pipeline.steps.cross_fit import CrossFit
from phenoprint.pipeline.steps.doses import DoseResponse
from phenoprint.pipeline.steps.gallery import Gallery
from phenoprint.pipeline.steps.heterogeneity import Heterogeneity, LearnStates
from phenoprint.pipeline.steps.heterogeneity_gain import HeterogeneityGain
from phenoprint.pipeline.steps.hits import FindHits
from phenoprint.pipeline.steps.illumination import Illuminate
from phenoprint.pipeline.steps.image_quality import FlagImages, MeasureQuality
from phenoprint.pipeline.steps.measurement import Measure, Thumbnail
from phenoprint.pipeline.steps.mechanisms import Mechanisms
from phenoprint.pipeline.steps.profiles import ApplyRecipe, Consensus
from phenoprint.pipeline.steps.questions import FeatureEffects, WellReadouts
from phenoprint.pipeline.steps.retrieval import Retrieve
from phenoprint.pipeline.steps.segmentation import Calibrate, Segment
from phenoprint.pipeline.steps.similarity import Neighbours

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
    JudgeCellRules(),
    Aggregate(),
    PlateAcceptance(),
    LearnStates(),
    Heterogeneity(),
    ApplyRecipe(),
    CrossFit(),
    Consensus(),
    WellReadouts(),
    Neighbours(),
    FeatureEffects(),
    HeterogeneityGain(),
    Activity(),
    Calibration(),
    Consistency(),
    Retrieve(),
    Mechanisms(),
    FindHits(),
    DoseResponse(),
    Project(),
    ClusterProfiles(),
    ClusterSignatures(),
    Gallery(),
)
