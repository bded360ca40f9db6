"""Sentences of the monitor's report: a short state, and the call to act."""

from collections.abc import Sequence

from headrace.core.clock import DAY, duration_text
from headrace.monitoring.decisions.incidents import Incident
from headrace.monitoring.decisions.ledger import Acceptance
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.evidence.acceptance import open_topics
from headrace.monitoring.evidence.model import day_text
from headrace.reports.monitor.model import Cost, Gap, MonitorReport, RetrainingReport, WindowView
from headrace.web import wording

ENDINGS = {
    "promoted": "The challenger took over.",
    "kept": "The champion stayed.",
    "failed": "It failed.",
    "rolled_back": "The challenger took over and was rolled back.",
    "": "It is under way.",
}
STEPS = {
    "started": "started",
    "released": "released a dataset",
    "trained": "trained",
    "compared": "compared with the champion",
    "promoted": "promoted",
    "kept": "kept the champion",
    "failed": "failed",
    "watching": "watched",
    "confirmed": "confirmed",
    "rolled_back": "rolled back",
}

_MAX_SLOTS = 3  # partitions that a headline names


def headline(report: MonitorReport) -> str:
    """Return the headline: open incidents, and blocked or missing deliveries."""
    lacking = gap_words(report.gaps)
    if not report.windows:
        return f"No window is evaluated yet{lacking and f'; {lacking}'}"
    if not report.open and report.windows[-1].action not in {"retrain", "watch"}:
        return wording.capital(lacking) if lacking else "All is well: nothing is open"
    return f"{_lacking_nothing(report)}{lacking and f'; {lacking}'}"


def _lacking_nothing(report: MonitorReport) -> str:
    """Return the headline without gaps: the state of the evaluated windows."""
    unknown = [incident for incident in report.open if incident.acknowledged is None]
    if unknown:
        return f"{wording.counted(len(unknown), 'open incident')}: {unknown[0].sentence}"
    if report.open:
        return f"Acknowledged: {report.open[0].sentence}"
    if report.windows[-1].action == "retrain":
        return "The last window triggers a retraining"
    return "No incident is open; the last window is watched"


def gap_words(gaps: Sequence[Gap]) -> str:
    """Return the numbers of blocked and missing deliveries, with the first ones; "" if none."""
    parts = []
    for kind, verb in (("blocked", "held"), ("missing", "missing")):
        slots = [f"{gap.table} {slot}" for gap in gaps for slot in getattr(gap, kind)]
        if slots:
            rest = f" and {len(slots) - _MAX_SLOTS} more" if len(slots) > _MAX_SLOTS else ""
            parts.append(
                f"{wording.counted(len(slots), 'delivery', 'deliveries')} {verb}"
                f" ({', '.join(slots[:_MAX_SLOTS])}{rest})"
            )
    return ", ".join(parts)


def tone(report: MonitorReport) -> str:
    """Return the colour class of the page: by open incidents, else by the last window."""
    if report.needs_attention:
        return "investigate"
    if not report.windows:
        return "NONE"
    action = report.windows[-1].action
    if action == "none" and (report.open or report.gaps):
        return "watch"
    return {"none": "PASS", "investigate": "watch"}.get(action, action)


def call(report: MonitorReport) -> tuple[str, str]:
    """Return (what to do, why) for the box under the headline."""
    if not report.windows:
        return "Run the pipeline", "Windows are evaluated once they are over: headrace run"
    unknown = [incident for incident in report.open if incident.acknowledged is None]
    last = report.windows[-1]
    if unknown:
        since = day_text(unknown[0].first.first)
        return "Find the cause", f"Open since {since}. No retraining starts until it is resolved."
    if report.open and (ack := report.open[0].acknowledged):
        return "Nothing to do", f"{ack.principal} acknowledged it: {ack.reason}"
    return "Nothing to do", f"{last.entry.window.text}: {' '.join(last.entry.decision.reasons)}"


def next_retraining(report: MonitorReport) -> str:
    """Return the earliest start of a retraining, by cool-down and budget."""
    if report.next_retraining is None:
        return "never: the policy's budget is 0"
    if report.next_retraining == 0:
        return "at the close of any window"
    return wording.moment(report.next_retraining)[:10]


def champion_age(report: MonitorReport) -> str:
    """Return the days from the champion's training cutoff to the close of the last window."""
    if report.champion is None:
        return "no champion"
    return f"{max(0, report.state.closes - report.trained_at) // DAY} days"


def budget(report: MonitorReport) -> str:
    period = duration_text(report.policy.budget_period)
    return f"{report.budget_left} of {report.policy.budget} in {period}"


def acknowledgement(incident: Incident, options: str) -> str:
    """Return the command that acknowledges the incident; the options name the monitor."""
    day = day_text(incident.last.first)
    return f'headrace monitor ack {day} {options} --reason "..."'


def acceptance(report: MonitorReport, incident: Incident) -> str:
    """Return the command that accepts the data; "" if the incident is not about data."""
    view = report.window(incident.first.end)
    if view is None or not open_topics(view.entry.evidence):
        return ""
    day = day_text(incident.first.first)
    return f'headrace monitor accept {day} {report.options} --reason "..."'


def accepted(statement: Acceptance) -> str:
    """Return a sentence on an acceptance or its withdrawal: person, topics and reason."""
    topics = ", ".join(topic.partition(":")[2] for topic in statement.about)
    what = "withdrew the acceptance" if statement.withdrawn else "accepted the data"
    return f"{statement.principal} {what} ({topics}): {statement.reason}"


def incident_words(incident: Incident) -> str:
    first = day_text(incident.first.first)
    return (
        f"since {first}"
        if incident.is_open
        else f"seen {first} to {day_text(incident.last.end - 1)}"
    )


def cause(view: WindowView) -> str:
    """Return the attributed cause as text, such as "data changed" or "relation changed"."""
    return {
        "none": "no cause named",
        "data": "data changed",
        "concept": "relation changed",
        "both": "data and relation changed",
    }[view.attribution.cause]


def ending(retraining: RetrainingReport) -> str:
    return "Waiting for its run." if not retraining.steps else ENDINGS[retraining.ending]


def cost(sums: Cost) -> str:
    parts = []
    if sums.wall_s is not None:
        parts.append(f"{sums.wall_s:,.0f} s")
    if sums.cpu_s is not None:
        parts.append(f"{sums.cpu_s:,.0f} CPU seconds")
    if sums.rows is not None:
        parts.append(f"{sums.rows:,} rows")
    return ", ".join(parts) or "not recorded"


def rules(policy: Policy) -> Sequence[tuple[str, str, str]]:
    """Return (name, value, meaning) of each rule of a policy."""
    strong = "off" if policy.strong is None else f"{policy.strong:g} times the limit"
    age = "no limit" if policy.max_age is None else duration_text(policy.max_age)
    return (
        ("quorum", f"{policy.quorum}", "moved columns that count as a population shift"),
        ("hysteresis", f"{policy.hysteresis}", "consecutive windows for which a cause must last"),
        ("retrain_on", ", ".join(policy.retrain_on) or "nothing",
         "kinds of evidence that can trigger a retraining"),
        ("strong", strong, "change of the relation that retrains after a single window"),
        ("patience", f"{policy.patience}",
         "consecutive windows in which data and relation move before an unacknowledged retraining"),
        ("attempts", f"{policy.attempts}", "retrainings without effect before a person looks"),
        ("cool_down", duration_text(policy.cool_down), "between two retrainings"),
        ("budget", f"{policy.budget}",
         f"retrainings in {duration_text(policy.budget_period)}"),
        ("max_age", age, "age at which the model is retrained without other evidence"),
    )  # fmt: skip
