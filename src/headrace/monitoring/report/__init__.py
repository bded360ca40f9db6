"""The monitor for people: in the orchestrator's metadata, and as a page of its own."""

from headrace.monitoring.report.inline import markdown
from headrace.monitoring.report.model import MonitorReport
from headrace.monitoring.report.page import render

__all__ = ["MonitorReport", "markdown", "render"]
