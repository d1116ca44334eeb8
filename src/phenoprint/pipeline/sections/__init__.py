"""The sections of ``screen.toml``, one module per subject."""

from phenoprint.pipeline.sections.acceptance import PlateAcceptanceSection
from phenoprint.pipeline.sections.base import Section
from phenoprint.pipeline.sections.cells import CellQualitySection, CellRuleSection, LimitSection
from phenoprint.pipeline.sections.clusters import ClustersSection
from phenoprint.pipeline.sections.doses import DosesSection
from phenoprint.pipeline.sections.evaluation import EvaluationSection
from phenoprint.pipeline.sections.heterogeneity import HeterogeneitySection
from phenoprint.pipeline.sections.hits import HitsSection
from phenoprint.pipeline.sections.images import ImagesSection, PlateMapSection, ScreenSection
from phenoprint.pipeline.sections.mechanisms import MechanismsSection
from phenoprint.pipeline.sections.pixels import (
    FeaturesSection,
    IlluminationSection,
    QualitySection,
    SegmentationSection,
)
from phenoprint.pipeline.sections.profiles import ProfilesSection
from phenoprint.pipeline.sections.report import ReportSection
from phenoprint.pipeline.sections.retrieval import RetrievalSection

__all__ = [
    "CellQualitySection",
    "CellRuleSection",
    "ClustersSection",
    "DosesSection",
    "EvaluationSection",
    "FeaturesSection",
    "HeterogeneitySection",
    "HitsSection",
    "IlluminationSection",
    "ImagesSection",
    "LimitSection",
    "MechanismsSection",
    "PlateAcceptanceSection",
    "PlateMapSection",
    "ProfilesSection",
    "QualitySection",
    "ReportSection",
    "RetrievalSection",
    "ScreenSection",
    "Section",
    "SegmentationSection",
]
