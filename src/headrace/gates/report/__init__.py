"""The gate report: one page per batch for the person who is paged, and where it is served."""

from headrace.gates.report.address import report_url, reports_url

__all__ = ["report_url", "reports_url"]
