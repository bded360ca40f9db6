"""Rows of the alerts' database as alerts, each with how its messages stand."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.alerts.model import Alert, Condition


def select(connection: sqlite3.Connection, where: str, *values: object) -> list[Alert]:
    """Alerts in the order in which they were opened; `where` is SQL of this package."""
    found = f"(SELECT alert_id FROM alerts WHERE {where})"  # noqa: S608
    counts = _counts(connection, found, values)
    rows = connection.execute(
        "SELECT alert_id, condition, opened_at, notified_at, acknowledged_at, acknowledged_by,"  # noqa: S608
        " closed_at, closed_by, incident,"
        " (SELECT count(*) - 1 FROM alerts b WHERE b.tbl = a.tbl AND b.incident = a.incident"
        f" AND a.incident <> '') FROM alerts a WHERE alert_id IN {found}"
        " ORDER BY opened_at, alert_id",
        values,
    )
    return [_alert(row, *counts.get(row[0], ({}, ""))) for row in rows]


def _counts(
    connection: sqlite3.Connection, found: str, values: Sequence[object]
) -> dict[str, tuple[dict[str, int], str]]:
    """How many messages of each alert are in which state, and an error of one of them."""
    counts: dict[str, tuple[dict[str, int], str]] = {}
    for alert_id, state, number, error in connection.execute(
        "SELECT alert_id, state, count(*), max(error) FROM messages"  # noqa: S608
        f" WHERE alert_id IN {found} GROUP BY alert_id, state",
        values,
    ):
        states, before = counts.get(alert_id, ({}, ""))
        counts[alert_id] = ({**states, state: number}, error or before)
    return counts


def _alert(row: Sequence[Any], messages: Mapping[str, int], error: str) -> Alert:
    alert_id, condition, opened, notified, acknowledged, by, closed, why, incident, more = row
    given = json.loads(condition)
    given["consumers"] = tuple(given["consumers"])
    return Alert(
        alert_id, Condition(**given), opened, notified, acknowledged, by, closed, why,
        incident, max(more, 0), messages, error,
    )  # fmt: skip
