"""Reports of a monitor: in the orchestrator's metadata, and as a page of its own."""

from headrace.reports.monitor.inline import markdown
from headrace.reports.monitor.model import MonitorReport
from headrace.reports.monitor.page import render

__all__ = ["MonitorReport", "markdown", "render"]
