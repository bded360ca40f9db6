"""Facts of a monitor as JSON values, for scripts; times in RFC 3339."""

from typing import Any

from headrace.core.clock import DAY, iso
from headrace.monitoring.decisions.incidents import Incident
from headrace.monitoring.decisions.ledger import Acceptance
from headrace.reports.monitor import sentences
from headrace.reports.monitor.model import Figures, MonitorReport, Spread, WindowView


def status_json(report: MonitorReport, max_windows: int) -> dict[str, Any]:
    """Return a summary: newest windows, open incidents, champion, next possible retraining."""
    reign, state = report.champion, report.state
    next_at = report.next_retraining
    return {
        "monitor": report.monitor,
        "pipeline": report.pipeline,
        "says": sentences.headline(report),
        "needs_attention": report.needs_attention,
        "gaps": [
            {"table": gap.table, "held": list(gap.blocked), "missing": list(gap.missing)}
            for gap in report.gaps
        ],
        "windows": len(report.windows),
        "latest": [_brief(view) for view in report.windows[-max_windows:]],
        "open": [incident_json(incident) for incident in report.open],
        "champion": None
        if reign is None
        else {"ref": reign.ref, "since": iso(reign.since), "reason": reign.reason},
        "trained_until": None if reign is None else iso(report.trained_at),
        "champion_age_days": None
        if reign is None
        else max(0, state.closes - report.trained_at) // DAY,
        "next_retraining": None
        if next_at is None or not report.windows
        else iso(max(next_at, state.closes)),
        "budget": {"left": report.budget_left, "of": report.policy.budget},
        "retrainings": len(report.retrainings),
        "policy": {"path": str(report.policy_path), "hash": report.policy.hash},
        "figures": figures_json(report.figures),
        "notes": list(report.notes),
    }


def _brief(view: WindowView) -> dict[str, Any]:
    return {
        "window_text": view.entry.window.text,
        "window": [view.entry.window.first, view.entry.window.end],
        "action": view.action,
        "cause": view.attribution.cause,
        "reasons": list(view.entry.decision.reasons),
    }


def incident_json(incident: Incident) -> dict[str, Any]:
    ack = incident.acknowledged
    return {
        "since": incident.first.text,
        "last": incident.last.text,
        "open": incident.is_open,
        "about": sorted(incident.topics),
        "sentence": incident.sentence,
        "acknowledged": None
        if ack is None
        else {"principal": ack.principal, "reason": ack.reason, "at": iso(ack.recorded_at)},
    }


def window_json(report: MonitorReport, view: WindowView) -> dict[str, Any]:
    """Return all facts about one window."""
    entry = view.entry
    return {
        "monitor": report.monitor,
        **entry.to_json(),
        "attribution": view.attribution.to_json(),
        "recorded_at": iso(entry.recorded_at),
        "rows": None if view.details is None else view.details.rows,
        "acknowledged": [
            {"principal": ack.principal, "reason": ack.reason, "at": iso(ack.recorded_at)}
            for ack in view.acks
        ],
        "accepted": [acceptance_json(acceptance) for acceptance in view.accepted],
        "alternatives": dict(view.alternatives),
        "later": [later_entry.to_json() for later_entry in view.later],
    }


def acceptance_json(acceptance: Acceptance) -> dict[str, Any]:
    return {
        "principal": acceptance.principal,
        "reason": acceptance.reason,
        "about": list(acceptance.about),
        "withdrawn": acceptance.withdrawn,
        "at": iso(acceptance.recorded_at),
    }


def figures_json(figures: Figures) -> dict[str, Any]:
    """Return the business figures, with durations in seconds."""
    return {
        "windows": figures.windows,
        "judged": figures.evaluated,
        "labelled": figures.labelled,
        "incidents": figures.incidents,
        "acknowledged": figures.acknowledged,
        "pages": figures.pages,
        "pages_per_month": round(figures.pages_per_month, 3),
        "delivery_to_model_s": _spread(figures.lead_time),
        "alarm_to_acknowledgement_s": _spread(figures.diagnose),
        "retrainings": [
            {"trigger_id": c.trigger_id, "wall_s": c.wall_s, "cpu_s": c.cpu_s, "rows": c.rows}
            for c in figures.costs
        ],
    }


def _spread(spread: Spread | None) -> dict[str, Any] | None:
    if spread is None:
        return None
    second = 1_000_000
    return {
        "count": spread.count,
        "median": spread.median / second,
        "longest": spread.longest / second,
    }
