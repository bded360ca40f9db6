"""The gate report: one page per batch, for the person on call."""

from headrace.reports.batch.model import Report
from headrace.reports.batch.page import render

__all__ = ["Report", "render"]
