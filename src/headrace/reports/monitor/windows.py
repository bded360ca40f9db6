"""The windows that were not quiet: why, what was decided, and what that looks like."""

from collections.abc import Sequence

from headrace.monitoring.evidence.model import Evidence
from headrace.reports.batch.summary import chip
from headrace.reports.monitor import charts, sentences
from headrace.reports.monitor.model import MonitorReport, WindowView
from headrace.web import wording
from headrace.web.html import Child, Html, element
from headrace.web.tables import TableRow, table

OPENED = 1  # windows whose details are open when the page is
_LISTED = 12
_PICTURES = 6
_REASONS = 3
_COLUMNS = 3  # segment columns that are drawn


def loud_windows(report: MonitorReport) -> Html:
    """The newest first; of the others one line says how many there are."""
    loud = [view for view in reversed(report.windows) if view.loud]
    quiet = len(report.windows) - len(loud)
    told = f"The newest first. {wording.counted(quiet, 'window')} had nothing beyond its limits."
    return element(
        "section",
        element("h2", "Windows that were not quiet"),
        element("p", told if loud else "There was none.", class_="small soft"),
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
    said = element("span", wording.shortened(_first(view), 400), class_="small soft")
    return element(
        "details",
        element("summary", head, said),
        _why(view),
        _pictures(view),
        _segments(view),
        _evidence(view),
        _others(view),
        _known(report, view),
        class_=f"late {view.action}",
        open=opened or None,
        id=charts.anchor(view),
    )


def _first(view: WindowView) -> str:
    """The sentence that names the cause, or the first reason where none is named."""
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
        element("ul", [element("li", reason) for reason in _told(reasons)]),
        element("p", "Where: ", where) if where else None,
    ]


def _told(reasons: Sequence[str]) -> list[str]:
    """The first of them, how many are between, and the last, which is the rule that decided."""
    if len(reasons) <= _REASONS + 2:
        return list(reasons)
    more = f"and {len(reasons) - _REASONS - 1} more like these"
    return [*reasons[:_REASONS], more, reasons[-1]]


def _pictures(view: WindowView) -> Html | None:
    """The columns that carry it, before and in this window."""
    shapes = list((view.seen.shapes if view.seen else {}).items())
    if not shapes:
        return None
    legend = _legend("this window", "the windows before")
    cards = [
        element("article", element("h3", element("bdi", name)), charts.shape(name, shown),
                class_="card")
        for name, shown in shapes[:_PICTURES]
    ]  # fmt: skip
    return element("div", legend, element("div", cards, class_="cards"))


def _legend(first: str, second: str) -> Html:
    """What the two colours of a picture stand for."""
    return element(
        "p",
        element("span", class_="key t"), first,
        element("span", class_="key o"), second,
        class_="small",
    )  # fmt: skip


def _segments(view: WindowView) -> Html | None:
    """Outcomes seen and scored, by the segments in which they are furthest apart."""
    rates = view.seen.rates if view.seen else {}
    named = [column for segment in view.attribution.segments for column, _ in segment]
    by_name = [name for name in dict.fromkeys(named) if name in rates]
    others = [n for n in charts.most_apart(rates, _COLUMNS) if n not in {*by_name, "all"}]
    chosen = ["all"] * ("all" in rates) + [*by_name, *others][:_COLUMNS]
    if not chosen:
        return None
    legend = _legend("outcomes seen", "as the model scored them")
    cards = [
        element("article",
                element("h3", element("bdi", "all rows" if name == "all" else name)),
                charts.rates(rates[name]), class_="card wide")
        for name in chosen
    ]  # fmt: skip
    return element("div", legend, element("div", cards, class_="cards"))


def _evidence(view: WindowView) -> Html | None:
    found = charts.loudest(view.entry.evidence)
    if not found:
        return None
    heads = ["about", "kind", "statistic", "limit", "in words"]
    shown = table(
        f"evidence of {view.entry.window.text}", heads, [_row(one) for one in found[:_LISTED]]
    )
    more = len(found) - _LISTED
    label = f"{wording.counted(len(found), 'finding')}, with numbers"
    return element(
        "details",
        element("summary", label),
        shown,
        element("p", f"and {more} more: headrace monitor explain --json", class_="soft")
        if more > 0
        else None,
    )


def _row(one: Evidence) -> TableRow:
    subject = element("bdi", wording.shortened(one.subject, 60))
    return TableRow(
        subject,
        (
            ("kind", f"{one.kind}, {one.severity}"),
            ("statistic", wording.number(one.statistic)),
            ("limit", wording.number(one.threshold)),
            ("", element("span", one.sentence, class_="small")),
        ),
    )


def _others(view: WindowView) -> Html | None:
    """What other policies would have decided here, where they would have decided otherwise."""
    told = [f"{name}: {action}" for name, action in view.others.items() if action != view.action]
    if not told:
        return element("p", "Every policy held against it decides the same.", class_="small soft")
    return element("p", "By other policies: ", [element("span", one, class_="tag") for one in told])


def _known(report: MonitorReport, view: WindowView) -> list[Child]:
    acks = [
        element("li", f"{wording.moment(ack.recorded_at)}, {ack.principal}: {ack.reason}")
        for ack in view.acks
    ]
    accepted = [
        element("li", f"{wording.moment(one.recorded_at)}, {sentences.accepted(one)}")
        for one in view.accepted
    ]
    mine = [
        incident
        for incident in report.incidents
        if incident.first <= view.entry.window <= incident.last
    ]
    record = (
        f"Recorded {wording.moment(view.entry.recorded_at)} under policy "
        f"{view.entry.policy_hash[:12]}"
    )
    told = f"{record}; {sentences.incident_words(mine[0])}." if mine else f"{record}."
    later = len(view.later)
    return [
        element("p", "Acknowledged:") if acks else None,
        element("ul", acks) if acks else None,
        element("p", "Said of its data:") if accepted else None,
        element("ul", accepted) if accepted else None,
        element("p", told, class_="small soft"),
        element("p", f"Evidence that came later is on record {wording.counted(later, 'time')}; "
                "it starts nothing.", class_="small soft") if later else None,
    ]  # fmt: skip
