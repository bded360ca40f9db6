"""Business figures of a monitor, computed from the ledgers."""

from collections.abc import Iterable, Sequence

from headrace.core.clock import DAY
from headrace.monitoring.decisions.incidents import Incident
from headrace.reports.monitor.model import Cost, Figures, RetrainingReport, Spread, WindowView

MONTH = 365.25 * DAY / 12


def figures(
    windows: Sequence[WindowView],
    incidents: Sequence[Incident],
    retrainings: Iterable[RetrainingReport],
    lead_times: Sequence[int] = (),
) -> Figures:
    """Return the figures; `lead_times` are microseconds from a delivery to its first model."""
    recorded = {window.entry.window: window.entry.recorded_at for window in windows}
    waits = [
        max(0, incident.acknowledged.recorded_at - recorded[incident.first])
        for incident in incidents
        if incident.acknowledged is not None and incident.first in recorded
    ]
    covered = sum(window.entry.window.end - window.entry.window.first for window in windows) * DAY
    return Figures(
        windows=len(windows),
        evaluated=sum(
            window.details is not None and bool(window.details.heat) for window in windows
        ),
        labelled=sum(
            window.details is not None and window.details.loss is not None for window in windows
        ),
        incidents=len(incidents),
        pages=sum(incident.paged for incident in incidents),
        acknowledged=sum(incident.acknowledged is not None for incident in incidents),
        months=covered / MONTH,
        lead_time=spread(lead_times),
        diagnose=spread(waits),
        costs=tuple(cost(retraining) for retraining in retrainings),
    )


def spread(spans: Sequence[int]) -> Spread | None:
    """Return count, median and maximum of the spans; None if there is none.

    For an even count, the median is the lower one of the two middle spans.
    """
    ordered = sorted(spans)
    if not ordered:
        return None
    return Spread(len(ordered), ordered[(len(ordered) - 1) // 2], ordered[-1])


def cost(retraining: RetrainingReport) -> Cost:
    """Return the total wall and CPU time of a retraining's steps, and its training rows."""
    details = {step.step: step.detail for step in retraining.steps}
    walls = [float(d["seconds"]) for d in details.values() if d.get("seconds") is not None]
    cpus = [float(d["cpu_s"]) for d in details.values() if d.get("cpu_s") is not None]
    rows = details.get("trained", {}).get("rows")
    return Cost(
        retraining.trigger_id,
        sum(walls) if walls else None,
        sum(cpus) if cpus else None,
        int(rows) if rows is not None else None,
    )
