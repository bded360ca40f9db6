"""Alerts notify a contract's owner once per batch and cause, and again when it is resolved."""

from headrace.alerts.config import Config, load_config
from headrace.alerts.model import Alert, Condition
from headrace.alerts.store import AlertStore
from headrace.alerts.watcher import (
    AlertUpdate,
    report_unreadable_sources,
    update_alerts,
    update_alerts_quietly,
)

__all__ = [
    "Alert",
    "AlertStore",
    "AlertUpdate",
    "Condition",
    "Config",
    "load_config",
    "report_unreadable_sources",
    "update_alerts",
    "update_alerts_quietly",
]
