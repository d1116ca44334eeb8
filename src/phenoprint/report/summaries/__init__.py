"""Numbers of the report: functions from the tables of a screen to small frames."""

from __future__ import annotations

from phenoprint.report.summaries.controls import best_readouts, control_statistics
from phenoprint.report.summaries.ledger import ledger_steps, ledger_wells
from phenoprint.report.summaries.replicates import ReplicateAgreement, replicate_agreement
from phenoprint.report.summaries.wells import Measure, well_annotations, well_measures

__all__ = [
    "Measure",
    "ReplicateAgreement",
    "best_readouts",
    "control_statistics",
    "ledger_steps",
    "ledger_wells",
    "replicate_agreement",
    "well_annotations",
    "well_measures",
]
