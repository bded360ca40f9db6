"""The facts of a monitor as JSON values, for scripts; moments in RFC 3339."""

from typing import Any

from headrace.core.clock import DAY, iso
from headrace.monitoring.decisions.incidents import Incident
from headrace.monitoring.decisions.ledger import Acceptance
from headrace.reports.monitor import sentences
from headrace.reports.monitor.model import Figures, MonitorReport, Spread, WindowView


def status_json(report: MonitorReport, most: int) -> dict[str, Any]:
    """One screen of it: the newest `most` windows, what is open, what may retrain and when."""
    reign, state = report.champion, report.state
    next_at = report.next_retraining
    return {
        "monitor": report.monitor,
        "pipeline": report.pipeline,
        "says": sentences.headline(report),
        "needs_attention": report.needs_attention,
        "gaps": [
            {"table": gap.table, "held": list(gap.held), "missing": list(gap.missing)}
            for gap in report.gaps
        ],
        "windows": len(report.windows),
        "latest": [_brief(view) for view in report.windows[-most:]],
        "open": [incident_json(one) for one in report.open],
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


def incident_json(one: Incident) -> dict[str, Any]:
    ack = one.acknowledged
    return {
        "since": one.first.text,
        "last": one.last.text,
        "open": one.is_open,
        "about": sorted(one.topics),
        "sentence": one.sentence,
        "acknowledged": None
        if ack is None
        else {"principal": ack.principal, "reason": ack.reason, "at": iso(ack.recorded_at)},
    }


def window_json(report: MonitorReport, view: WindowView) -> dict[str, Any]:
    """Everything about one window."""
    entry = view.entry
    return {
        "monitor": report.monitor,
        **entry.to_json(),
        "attribution": view.attribution.to_json(),
        "recorded_at": iso(entry.recorded_at),
        "rows": None if view.seen is None else view.seen.rows,
        "acknowledged": [
            {"principal": ack.principal, "reason": ack.reason, "at": iso(ack.recorded_at)}
            for ack in view.acks
        ],
        "accepted": [acceptance_json(one) for one in view.accepted],
        "alternatives": dict(view.others),
        "later": [one.to_json() for one in view.later],
    }


def acceptance_json(one: Acceptance) -> dict[str, Any]:
    return {
        "principal": one.principal,
        "reason": one.reason,
        "about": list(one.about),
        "withdrawn": one.withdrawn,
        "at": iso(one.recorded_at),
    }


def figures_json(found: Figures) -> dict[str, Any]:
    """The business figures; spans in seconds."""
    return {
        "windows": found.windows,
        "judged": found.judged,
        "labelled": found.labelled,
        "incidents": found.incidents,
        "acknowledged": found.acknowledged,
        "pages": found.pages,
        "pages_per_month": round(found.pages_per_month, 3),
        "delivery_to_model_s": _spread(found.lead_time),
        "alarm_to_acknowledgement_s": _spread(found.diagnose),
        "retrainings": [
            {"trigger_id": c.trigger_id, "wall_s": c.wall_s, "cpu_s": c.cpu_s, "rows": c.rows}
            for c in found.costs
        ],
    }


def _spread(found: Spread | None) -> dict[str, Any] | None:
    if found is None:
        return None
    second = 1_000_000
    return {
        "count": found.count,
        "median": found.median / second,
        "longest": found.longest / second,
    }
