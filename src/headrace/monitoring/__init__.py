"""Monitoring: daily profiles, evidence of drift and faults, decisions on an append-only ledger."""

from headrace.monitoring.decisions.ledger import (
    Acceptance,
    Ack,
    DecisionLedger,
    Entry,
    Step,
    StepName,
)
from headrace.monitoring.decisions.policy import Detection, Policy, load_policy
from headrace.monitoring.decisions.retraining_decision import (
    Action,
    Decision,
    State,
    advance,
    decide,
)
from headrace.monitoring.evidence.attribution import Attribution, Cause, attribute
from headrace.monitoring.evidence.model import Evidence, Window
from headrace.monitoring.profiles.profiles import Profile, Profiles, merge, profile, profile_days
from headrace.monitoring.run import monitor
from headrace.monitoring.spec import MonitorRun, MonitorSpec, WindowResult

__all__ = [
    "Acceptance",
    "Ack",
    "Action",
    "Attribution",
    "Cause",
    "Decision",
    "DecisionLedger",
    "Detection",
    "Entry",
    "Evidence",
    "MonitorRun",
    "MonitorSpec",
    "Policy",
    "Profile",
    "Profiles",
    "State",
    "Step",
    "StepName",
    "Window",
    "WindowResult",
    "advance",
    "attribute",
    "decide",
    "load_policy",
    "merge",
    "monitor",
    "profile",
    "profile_days",
]
