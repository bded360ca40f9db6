"""Reports of a monitor: as metadata in the orchestrator, and as a separate page."""

from headrace.reports.monitor.inline import markdown
from headrace.reports.monitor.model import MonitorReport
from headrace.reports.monitor.page import render

__all__ = ["MonitorReport", "markdown", "render"]
