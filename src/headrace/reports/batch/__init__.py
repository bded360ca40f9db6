"""The gate report: one page per batch for the person who is paged, and where it is served."""

from headrace.reports.batch.model import Report
from headrace.reports.batch.page import render
from headrace.web.report_address import report_url, reports_url

__all__ = ["Report", "render", "report_url", "reports_url"]
