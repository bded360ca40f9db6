"""Query of the alert database: alerts with the states of their messages."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.alerts.model import Alert, Condition


def select(connection: sqlite3.Connection, where: str, *values: object) -> list[Alert]:
    """Return the alerts that match `where`, oldest first; `where` must be trusted SQL."""
    matching_ids = f"(SELECT alert_id FROM alerts WHERE {where})"  # noqa: S608
    counts = _counts(connection, matching_ids, values)
    rows = connection.execute(
        "SELECT alert_id, condition, opened_at, notified_at, acknowledged_at, acknowledged_by,"  # noqa: S608
        " closed_at, closed_by, incident,"
        " (SELECT count(*) - 1 FROM alerts b WHERE b.tbl = a.tbl AND b.incident = a.incident"
        f" AND a.incident <> '') FROM alerts a WHERE alert_id IN {matching_ids}"
        " ORDER BY opened_at, alert_id",
        values,
    )
    return [_alert(row, *counts.get(row[0], ({}, ""))) for row in rows]


def _counts(
    connection: sqlite3.Connection, matching_ids: str, values: Sequence[object]
) -> dict[str, tuple[dict[str, int], str]]:
    """Return {alert id: ({message state: count}, one of the messages' errors or "")}."""
    counts: dict[str, tuple[dict[str, int], str]] = {}
    for alert_id, state, number, error in connection.execute(
        "SELECT alert_id, state, count(*), max(error) FROM messages"  # noqa: S608
        f" WHERE alert_id IN {matching_ids} GROUP BY alert_id, state",
        values,
    ):
        states, before = counts.get(alert_id, ({}, ""))
        counts[alert_id] = ({**states, state: number}, error or before)
    return counts


def _alert(row: Sequence[Any], messages: Mapping[str, int], error: str) -> Alert:
    alert_id, condition, opened, notified, acknowledged, by, closed, why, incident, related = row
    fields = json.loads(condition)
    fields["consumers"] = tuple(fields["consumers"])
    return Alert(
        alert_id, Condition(**fields), opened, notified, acknowledged, by, closed, why,
        incident, max(related, 0), messages, error,
    )  # fmt: skip
