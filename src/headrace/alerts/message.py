"""What is sent: a title that fits a phone's lock screen, a few lines, and where to go next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.alerts.model import CLOSED, HELD, INVESTIGATE, Alert, Condition
from headrace.web.dagster_links import asset_url, model_url
from headrace.web.report_address import decide_url, monitor_url, report_url, table_url

TITLE, LINE = 70, 180
LISTED = 20


@dataclass(frozen=True)
class Text:
    """`facts` are for machines: the ids of the alerts in it tell a message that came before."""

    title: str
    body: str
    ids: tuple[str, ...]
    verdict: str
    facts: Mapping[str, Any]


def message(alerts: Sequence[Alert], kind: str) -> Text:
    """One alert as a message of its own; several as one, so that nobody gets fifty."""
    return _single(alerts[0], kind) if len(alerts) == 1 else _several(alerts, kind)


def _single(alert: Alert, kind: str) -> Text:
    given = alert.condition
    others = f"{alert.more} more of {given.table} are like it." if alert.more else ""
    lines = [given.reason, radius(given), others]
    title = f"{given.verdict} {given.table} {given.slot}"
    if kind == CLOSED:
        lines, title = (
            [f"Over: {alert.closed_by.rstrip('.')}."],
            f"Closed: {given.table} {given.slot}",
        )
    title = f"{title}: {given.words}" if given.words else title
    lines += [*_links(given), f"alert {alert.alert_id}"]
    return Text(
        _cut(title, TITLE),
        "\n".join(_cut(line, LINE) if "://" not in line else line for line in lines if line),
        (alert.alert_id,),
        given.verdict,
        {
            "alert": alert.alert_id,
            "kind": kind,
            "table": given.table,
            "slot": given.slot,
            "batch": given.batch_id if given.has_batch else "",
            "verdict": given.verdict,
            "cause": given.cause,
        },
    )


def _several(alerts: Sequence[Alert], kind: str) -> Text:
    tables = sorted({alert.condition.table for alert in alerts})
    lines = [
        f"{a.condition.verdict} {a.condition.table} {a.condition.slot} {a.condition.words}".strip()
        for a in alerts[:LISTED]
    ]
    more = [f"and {len(alerts) - LISTED} more"] if len(alerts) > LISTED else []
    links = list(dict.fromkeys(_page(alert.condition) for alert in alerts))
    ids = tuple(alert.alert_id for alert in alerts)
    done = "Closed: " if kind == CLOSED else ""
    verdict = next((v for v in HELD if v in {a.condition.verdict for a in alerts}), "WARN")
    return Text(
        _cut(f"{done}{len(alerts)} alerts: {', '.join(tables)}", TITLE),
        "\n".join([*lines, *more, *links, f"alerts {' '.join(ids)}"]),
        ids,
        verdict,
        {"alert": ids[0], "alerts": " ".join(ids), "kind": kind},
    )


def radius(given: Condition) -> str:
    """What it touches, and what happens as long as nobody acts."""
    if given.about_model:
        return "The champion in charge answers on; this trigger retrains nothing more."
    read = f" Read by {', '.join(given.consumers)}." if given.consumers else ""
    if given.verdict in HELD and given.has_batch:
        return f"{given.rows:,} rows held back; readers keep the last good state.{read}"
    if given.verdict == "QUARANTINE":
        return f"{given.rows:,} rows set aside, the rest is published.{read}"
    if given.verdict == "WARN":
        return f"Published all the same.{read}"
    if given.verdict == INVESTIGATE:
        return f"Nothing retrains on a fault. headrace monitor explain {given.slot}"
    return f"Nothing of this slot can be read.{read}"


def _links(given: Condition) -> list[str]:
    """The page that shows it, the part of that page where to decide, and the day in Dagster."""
    if given.verdict == INVESTIGATE:
        return [monitor_url(given.table), f"Decide: {monitor_url(given.table)}#act"]
    if given.about_model:
        return [model_url(given.table)]
    day = f"In Dagster: {asset_url(given.table, given.slot)}"
    if not given.has_batch:
        return [table_url(given.table), day]
    decide = f"Decide: {decide_url(given.table, given.batch_id)}"
    return [report_url(given.table, given.batch_id), decide, day]


def _page(given: Condition) -> str:
    """The page that lists it: of a monitor, or of the table."""
    if given.about_model:
        return model_url(given.table)
    named = given.verdict == INVESTIGATE
    return monitor_url(given.table) if named else table_url(given.table)


def _cut(text: str, limit: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
