"""The sentences of the report: what a tired person should read first, and what to do."""

from collections.abc import Sequence

from headrace.core.clock import DAY, duration_text
from headrace.monitoring.decisions.incidents import Incident
from headrace.monitoring.decisions.ledger import Acceptance
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.evidence.acceptance import open_topics
from headrace.monitoring.evidence.model import day_text
from headrace.reports.monitor.model import Cost, Gap, MonitorReport, Retraining, WindowView
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

_NAMED = 3  # slots that a headline names


def headline(report: MonitorReport) -> str:
    """Return the headline: what is open, and which data the tables lack."""
    lacking = gap_words(report.gaps)
    if not report.windows:
        return f"Nothing is judged yet{lacking and f'; {lacking}'}"
    if not report.open and report.windows[-1].action not in {"retrain", "watch"}:
        return wording.capital(lacking) if lacking else "All is well: nothing is open"
    return f"{_lacking_nothing(report)}{lacking and f'; {lacking}'}"


def _lacking_nothing(report: MonitorReport) -> str:
    """The state of what was judged."""
    unknown = [one for one in report.open if one.acknowledged is None]
    if unknown:
        return f"{wording.counted(len(unknown), 'thing')} to look at: {unknown[0].sentence}"
    if report.open:
        return f"Somebody is on it: {report.open[0].sentence}"
    if report.windows[-1].action == "retrain":
        return "The last window asks for a retraining"
    return "Nothing is open; the last window is watched"


def gap_words(gaps: Sequence[Gap]) -> str:
    """Days that are not published, counted, with the first ones by name; "" if there are none."""
    told = []
    for kind, verb in (("held", "held"), ("missing", "missing")):
        slots = [f"{gap.table} {slot}" for gap in gaps for slot in getattr(gap, kind)]
        if slots:
            more = f" and {len(slots) - _NAMED} more" if len(slots) > _NAMED else ""
            told.append(
                f"{wording.counted(len(slots), 'delivery', 'deliveries')} {verb}"
                f" ({', '.join(slots[:_NAMED])}{more})"
            )
    return ", ".join(told)


def tone(report: MonitorReport) -> str:
    """The colour of the page: by what is open, else by the last window."""
    if report.needs_attention:
        return "investigate"
    if not report.windows:
        return "NONE"
    action = report.windows[-1].action
    if action == "none" and (report.open or report.gaps):
        return "watch"
    return {"none": "PASS", "investigate": "watch"}.get(action, action)


def call(report: MonitorReport) -> tuple[str, str]:
    """(what to do, why) in the box under the headline."""
    if not report.windows:
        return "Run the pipeline", "Windows are judged once they are over: headrace run"
    unknown = [one for one in report.open if one.acknowledged is None]
    last = report.windows[-1]
    if unknown:
        since = day_text(unknown[0].first.first)
        return "Find the cause", f"It is there since {since}. Nothing retrains meanwhile."
    if report.open and (ack := report.open[0].acknowledged):
        return "Nothing to do", f"{ack.principal} knows of it: {ack.reason}"
    return "Nothing to do", f"{last.entry.window.text}: {' '.join(last.entry.decision.reasons)}"


def next_retraining(report: MonitorReport) -> str:
    """When a retraining may start at the earliest, by cool-down and budget."""
    if report.next_retraining is None:
        return "never: the policy's budget is 0"
    if report.next_retraining == 0:
        return "with any window"
    return wording.moment(report.next_retraining)[:10]


def champion_age(report: MonitorReport) -> str:
    """From the end of what it was taught to the end of the last window."""
    if report.champion is None:
        return "none in charge"
    return f"{max(0, report.state.closes - report.trained_at) // DAY} days"


def budget(report: MonitorReport) -> str:
    period = duration_text(report.policy.budget_period)
    return f"{report.budget_left} of {report.policy.budget} in {period}"


def acknowledgement(incident: Incident, pipeline: str) -> str:
    """The command that says somebody knows."""
    day = day_text(incident.last.first)
    return f'headrace monitor ack {day} --pipeline {pipeline} --reason "..."'


def acceptance(report: MonitorReport, incident: Incident) -> str:
    """The command that says that the data are right; "" where that is not what it is about."""
    view = report.window(incident.first.end)
    if view is None or not open_topics(view.entry.evidence):
        return ""
    day = day_text(incident.first.first)
    return f'headrace monitor accept {day} --pipeline {report.pipeline} --reason "..."'


def accepted(one: Acceptance) -> str:
    """Who said what of a window's data, and why."""
    about = ", ".join(topic.partition(":")[2] for topic in one.about)
    what = "took back that they are right" if one.withdrawn else "they are right"
    return f"{one.principal}: {what} ({about}): {one.reason}"


def incident_words(one: Incident) -> str:
    first = day_text(one.first.first)
    return f"since {first}" if one.is_open else f"seen {first} to {day_text(one.last.end - 1)}"


def cause(view: WindowView) -> str:
    """Whether the data, the relation or both were found to have changed."""
    return {
        "none": "no cause named",
        "data": "data changed",
        "concept": "relation changed",
        "both": "data and relation changed",
    }[view.attribution.cause]


def ending(one: Retraining) -> str:
    return "It waits for its run." if not one.steps else ENDINGS[one.ending]


def cost(one: Cost) -> str:
    parts = []
    if one.wall_s is not None:
        parts.append(f"{one.wall_s:,.0f} s")
    if one.cpu_s is not None:
        parts.append(f"{one.cpu_s:,.0f} CPU seconds")
    if one.rows is not None:
        parts.append(f"{one.rows:,} rows")
    return ", ".join(parts) or "not recorded"


def rules(policy: Policy) -> Sequence[tuple[str, str, str]]:
    """(name, value, meaning) of each rule of a policy."""
    strong = "off" if policy.strong is None else f"{policy.strong:g} times the limit"
    age = "no limit" if policy.max_age is None else duration_text(policy.max_age)
    return (
        ("quorum", f"{policy.quorum}", "moved columns that make a shift of the population"),
        ("hysteresis", f"{policy.hysteresis}", "windows in a row that a cause has to last"),
        ("retrain_on", ", ".join(policy.retrain_on) or "nothing", "kinds of evidence that retrain"),
        ("strong", strong, "a relation that moved so far needs one window only"),
        ("patience", f"{policy.patience}",
         "windows that data and relation move together before that retrains unacknowledged"),
        ("attempts", f"{policy.attempts}", "retrainings without effect before a person looks"),
        ("cool_down", duration_text(policy.cool_down), "between two retrainings"),
        ("budget", f"{policy.budget}",
         f"retrainings in {duration_text(policy.budget_period)}"),
        ("max_age", age, "of the model, from which it is retrained without other evidence"),
    )  # fmt: skip
