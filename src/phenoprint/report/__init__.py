"""The report: plotly figures, and one self-contained HTML page about a screen."""

from __future__ import annotations

from phenoprint.report import figures
from phenoprint.report.page import render_report, write_report
from phenoprint.report.source import ReportSource

__all__ = ["ReportSource", "figures", "render_report", "write_report"]
