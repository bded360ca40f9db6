"""The gate report: one page per batch for the person who is paged, and where it is served."""

from headrace.gates.report.address import report_url, reports_url
from headrace.gates.report.model import Report
from headrace.gates.report.page import render

__all__ = ["Report", "render", "report_url", "reports_url"]
