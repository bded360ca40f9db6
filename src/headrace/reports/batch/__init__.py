"""The gate report: one page per batch for the person who is paged."""

from headrace.reports.batch.model import Report
from headrace.reports.batch.page import render

__all__ = ["Report", "render"]
