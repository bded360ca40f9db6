"""Alerts: the owner of a contract is told once of each batch and cause, and when it is over."""

from headrace.alerts.config import Config, load_config
from headrace.alerts.model import Alert, Condition
from headrace.alerts.store import AlertStore
from headrace.alerts.watcher import Looked, look, look_quietly, note

__all__ = [
    "Alert",
    "AlertStore",
    "Condition",
    "Config",
    "Looked",
    "load_config",
    "look",
    "look_quietly",
    "note",
]
