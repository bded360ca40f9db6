"""Text of a message: a title that fits a phone's lock screen, a few lines, and links."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.alerts.model import BLOCKING, CLOSED, INVESTIGATE, Alert, Condition
from headrace.web.dagster_links import asset_url, model_url
from headrace.web.report_address import decide_url, monitor_url, report_url, table_url

TITLE, LINE = 70, 180
LISTED = 20


@dataclass(frozen=True)
class Text:
    """Message to send; programs read `facts`, with the ids of its alerts for deduplication."""

    title: str
    body: str
    ids: tuple[str, ...]
    verdict: str
    facts: Mapping[str, Any]


def message(alerts: Sequence[Alert], kind: str) -> Text:
    """Return one alert as a message of its own, several as one combined message."""
    return _single(alerts[0], kind) if len(alerts) == 1 else _several(alerts, kind)


def _single(alert: Alert, kind: str) -> Text:
    condition = alert.condition
    related = (
        f"Other alerts of {condition.table} with this cause: {alert.related}."
        if alert.related
        else ""
    )
    lines = [condition.reason, impact(condition), related]
    title = f"{condition.verdict} {condition.table} {condition.slot}"
    if kind == CLOSED:
        lines, title = (
            [f"Resolved: {alert.closed_by.rstrip('.')}."],
            f"Closed: {condition.table} {condition.slot}",
        )
    title = f"{title}: {condition.words}" if condition.words else title
    lines += [*_links(condition), f"alert {alert.alert_id}"]
    return Text(
        _cut(title, TITLE),
        "\n".join(_cut(line, LINE) if "://" not in line else line for line in lines if line),
        (alert.alert_id,),
        condition.verdict,
        {
            "alert": alert.alert_id,
            "kind": kind,
            "table": condition.table,
            "slot": condition.slot,
            "batch": condition.batch_id if condition.has_batch else "",
            "verdict": condition.verdict,
            "cause": condition.cause,
        },
    )


def _several(alerts: Sequence[Alert], kind: str) -> Text:
    tables = sorted({alert.condition.table for alert in alerts})
    lines = [
        f"{a.condition.verdict} {a.condition.table} {a.condition.slot} {a.condition.words}".strip()
        for a in alerts[:LISTED]
    ]
    remaining = [f"and {len(alerts) - LISTED} more"] if len(alerts) > LISTED else []
    links = list(dict.fromkeys(_page(alert.condition) for alert in alerts))
    ids = tuple(alert.alert_id for alert in alerts)
    prefix = "Closed: " if kind == CLOSED else ""
    verdict = next((v for v in BLOCKING if v in {a.condition.verdict for a in alerts}), "WARN")
    return Text(
        _cut(f"{prefix}{len(alerts)} alerts: {', '.join(tables)}", TITLE),
        "\n".join([*lines, *remaining, *links, f"alerts {' '.join(ids)}"]),
        ids,
        verdict,
        {"alert": ids[0], "alerts": " ".join(ids), "kind": kind},
    )


def impact(condition: Condition) -> str:
    """Describe the rows and readers affected, and what happens until a person acts."""
    if condition.about_model:
        return "The current champion keeps serving; this trigger starts no further retraining."
    read = f" Read by {', '.join(condition.consumers)}." if condition.consumers else ""
    if condition.verdict in BLOCKING and condition.has_batch:
        return f"Rows held: {condition.rows:,}. Readers keep the last good version.{read}"
    if condition.verdict == "QUARANTINE":
        return f"Rows quarantined: {condition.rows:,}. The other rows are published.{read}"
    if condition.verdict == "WARN":
        return f"Published with this warning.{read}"
    if condition.verdict == INVESTIGATE:
        return (
            f"No model is retrained on faulty data. See headrace monitor explain {condition.slot}"
        )
    return f"No rows of this partition can be read.{read}"


def _links(condition: Condition) -> list[str]:
    """Return links to the condition's page, its form for decisions, and its day in Dagster."""
    if condition.verdict == INVESTIGATE:
        return [monitor_url(condition.table), f"Decide: {monitor_url(condition.table)}#act"]
    if condition.about_model:
        return [model_url(condition.table)]
    day = f"In Dagster: {asset_url(condition.table, condition.slot)}"
    if not condition.has_batch:
        return [table_url(condition.table), day]
    decide = f"Decide: {decide_url(condition.table, condition.batch_id)}"
    return [report_url(condition.table, condition.batch_id), decide, day]


def _page(condition: Condition) -> str:
    """Return the URL of the page of the model, monitor or table."""
    if condition.about_model:
        return model_url(condition.table)
    is_monitor = condition.verdict == INVESTIGATE
    return monitor_url(condition.table) if is_monitor else table_url(condition.table)


def _cut(text: str, limit: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
