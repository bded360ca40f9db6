"""Section on windows with an action: reasons, decisions and plots."""

from collections.abc import Sequence

from headrace.monitoring.evidence.model import Evidence
from headrace.reports.batch.summary import chip
from headrace.reports.monitor import charts, sentences
from headrace.reports.monitor.model import MonitorReport, WindowView
from headrace.web import wording
from headrace.web.html import Child, Html, element
from headrace.web.tables import TableRow, table

OPENED = 1  # number of windows whose details are open initially
_LISTED = 12
_PICTURES = 6
_REASONS = 3
_COLUMNS = 3  # number of segment columns that are plotted


def loud_windows(report: MonitorReport) -> Html:
    """Show the windows with an action, the newest first, and the number of the others."""
    loud = [view for view in reversed(report.windows) if view.loud]
    quiet = len(report.windows) - len(loud)
    intro = f"The newest first. {wording.counted(quiet, 'other window')} had no action."
    return element(
        "section",
        element("h2", "Windows with an action"),
        element("p", intro if loud else "No window had an action.", class_="small soft"),
        [_window(report, view, opened=at < OPENED) for at, view in enumerate(loud)],
        id="windows",
    )


def _window(report: MonitorReport, view: WindowView, *, opened: bool) -> Html:
    head = element(
        "span",
        element("strong", view.entry.window.text),
        chip(view.action),
        element("span", sentences.cause(view), class_="tag"),
        class_="when",
    )
    reason = element("span", wording.shortened(_first(view), 400), class_="small soft")
    return element(
        "details",
        element("summary", head, reason),
        _why(view),
        _pictures(view),
        _segments(view),
        _evidence(view),
        _alternatives(view),
        _on_record(report, view),
        class_=f"late {view.action}",
        open=opened or None,
        id=charts.anchor(view),
    )


def _first(view: WindowView) -> str:
    """Return the sentence on the attributed cause; without a cause the first reason."""
    if view.attribution.cause != "none":
        return view.attribution.sentence
    return view.entry.decision.reasons[0] if view.entry.decision.reasons else ""


def _why(view: WindowView) -> list[Child]:
    reasons = view.entry.decision.reasons
    where = [
        element("span", " and ".join(f"{column} = {level}" for column, level in segment),
                class_="tag")
        for segment in view.attribution.segments
    ]  # fmt: skip
    return [
        element("h3", f"Decided: {view.action}"),
        element("ul", [element("li", reason) for reason in _shortened_reasons(reasons)]),
        element("p", "Where: ", where) if where else None,
    ]


def _shortened_reasons(reasons: Sequence[str]) -> list[str]:
    """Return the first reasons, the number of omitted ones, and the last: the deciding rule."""
    if len(reasons) <= _REASONS + 2:
        return list(reasons)
    rest = f"and {len(reasons) - _REASONS - 1} more like these"
    return [*reasons[:_REASONS], rest, reasons[-1]]


def _pictures(view: WindowView) -> Html | None:
    """Plot the distributions of the columns that the attribution names, before and now."""
    shapes = list((view.details.shapes if view.details else {}).items())
    if not shapes:
        return None
    legend = _legend("this window", "earlier windows")
    cards = [
        element("article", element("h3", element("bdi", name)), charts.shape(name, distribution),
                class_="card")
        for name, distribution in shapes[:_PICTURES]
    ]  # fmt: skip
    return element("div", legend, element("div", cards, class_="cards"))


def _legend(first: str, second: str) -> Html:
    """Show the meaning of the two colours of a plot."""
    return element(
        "p",
        element("span", class_="key t"), first,
        element("span", class_="key o"), second,
        class_="small",
    )  # fmt: skip


def _segments(view: WindowView) -> Html | None:
    """Plot observed and predicted rates of the segments with the largest differences."""
    rates = view.details.rates if view.details else {}
    columns = [column for segment in view.attribution.segments for column, _ in segment]
    by_name = [name for name in dict.fromkeys(columns) if name in rates]
    remaining = [n for n in charts.most_apart(rates, _COLUMNS) if n not in {*by_name, "all"}]
    selected = ["all"] * ("all" in rates) + [*by_name, *remaining][:_COLUMNS]
    if not selected:
        return None
    legend = _legend("observed outcomes", "predicted by the model")
    cards = [
        element("article",
                element("h3", element("bdi", "all rows" if name == "all" else name)),
                charts.rates(rates[name]), class_="card wide")
        for name in selected
    ]  # fmt: skip
    return element("div", legend, element("div", cards, class_="cards"))


def _evidence(view: WindowView) -> Html | None:
    findings = charts.loudest(view.entry.evidence)
    if not findings:
        return None
    heads = ["about", "kind", "statistic", "limit", "in words"]
    evidence_table = table(
        f"evidence of {view.entry.window.text}",
        heads,
        [_row(finding) for finding in findings[:_LISTED]],
    )
    rest = len(findings) - _LISTED
    label = f"{wording.counted(len(findings), 'finding')}, with numbers"
    return element(
        "details",
        element("summary", label),
        evidence_table,
        element("p", f"and {rest} more: headrace monitor explain --json", class_="soft")
        if rest > 0
        else None,
    )


def _row(finding: Evidence) -> TableRow:
    subject = element("bdi", wording.shortened(finding.subject, 60))
    return TableRow(
        subject,
        (
            ("kind", f"{finding.kind}, {finding.severity}"),
            ("statistic", wording.number(finding.statistic)),
            ("limit", wording.number(finding.threshold)),
            ("", element("span", finding.sentence, class_="small")),
        ),
    )


def _alternatives(view: WindowView) -> Html | None:
    """Show the decisions of alternative policies that differ from the recorded decision."""
    decisions = [
        f"{name}: {action}" for name, action in view.alternatives.items() if action != view.action
    ]
    if not decisions:
        return element("p", "All alternative policies decide the same.", class_="small soft")
    return element(
        "p",
        "Other policies would decide: ",
        [element("span", decision, class_="tag") for decision in decisions],
    )


def _on_record(report: MonitorReport, view: WindowView) -> list[Child]:
    acks = [
        element("li", f"{wording.moment(ack.recorded_at)}, {ack.principal}: {ack.reason}")
        for ack in view.acks
    ]
    accepted = [
        element("li", f"{wording.moment(acceptance.recorded_at)}, {sentences.accepted(acceptance)}")
        for acceptance in view.accepted
    ]
    incidents = [
        incident
        for incident in report.incidents
        if incident.first <= view.entry.window <= incident.last
    ]
    record = (
        f"Recorded {wording.moment(view.entry.recorded_at)} under policy "
        f"{view.entry.policy_hash[:12]}"
    )
    sentence = f"{record}; {sentences.incident_words(incidents[0])}." if incidents else f"{record}."
    later = len(view.later)
    return [
        element("p", "Acknowledged:") if acks else None,
        element("ul", acks) if acks else None,
        element("p", "Acceptances of its data:") if accepted else None,
        element("ul", accepted) if accepted else None,
        element("p", sentence, class_="small soft"),
        element("p", f"Later evidence was recorded {wording.counted(later, 'time')}; "
                "it triggers no action.", class_="small soft") if later else None,
    ]  # fmt: skip
