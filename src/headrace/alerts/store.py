"""Database of alerts, their messages and acknowledgements: SQLite, safe for many processes.

A message to one target is claimed before it is sent and marked after. If the process is killed in
between, its claim expires and the message is sent again, with the same id. So every message is sent
at least once, and twice only after such a crash: a duplicate page is better than a lost one.
Receivers can drop duplicates by the id.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

from headrace.alerts.alert_rows import select
from headrace.alerts.model import CLOSED, OPENED, Alert, Condition
from headrace.core.clock import DAY, MINUTE, SECOND
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.core.sqlite import open_database, transaction

# Duration of a claim, longer than any attempt to send: notifiers time out after seconds.
LEASE = 2 * MINUTE
BACKOFF, LONGEST = 30 * SECOND, 60 * MINUTE
# A fault that appears again within this time is part of the same incident.
SAME_INCIDENT = 7 * DAY

# `state` of a message: waiting until sent, or dropped because the alert was closed or acknowledged.
MIGRATIONS = (
    """
    CREATE TABLE alerts (
        alert_id TEXT PRIMARY KEY, tbl TEXT NOT NULL, slot TEXT NOT NULL, batch_id TEXT NOT NULL,
        condition TEXT NOT NULL, opened_at INTEGER NOT NULL, notified_at INTEGER,
        acknowledged_at INTEGER, acknowledged_by TEXT NOT NULL DEFAULT '',
        closed_at INTEGER, closed_by TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
    CREATE INDEX alerts_open ON alerts (tbl, closed_at);
    CREATE TABLE messages (
        alert_id TEXT NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting', attempts INTEGER NOT NULL DEFAULT 0,
        due_at INTEGER NOT NULL, claimed_until INTEGER NOT NULL DEFAULT 0, sent_at INTEGER,
        error TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (alert_id, kind, target)) WITHOUT ROWID;
    CREATE INDEX messages_waiting ON messages (state, due_at);
    CREATE TABLE looked (tbl TEXT PRIMARY KEY, judged_at INTEGER NOT NULL) WITHOUT ROWID
    """,
    # Each older alert is an incident of its own: its fault is empty, and new alerts have a fault.
    """
    ALTER TABLE alerts ADD COLUMN fault TEXT NOT NULL DEFAULT '';
    ALTER TABLE alerts ADD COLUMN incident TEXT NOT NULL DEFAULT '';
    CREATE INDEX alerts_incident ON alerts (incident)
    """,
)


@dataclass(frozen=True)
class Message:
    """Message that this process has claimed; `attempts` counts the current attempt."""

    alert: Alert
    kind: str
    target: str
    attempts: int


def backoff(attempts: int) -> int:
    """Return the delay in microseconds after so many failures: 30 s, 1, 2, 4 min ... 1 hour."""
    return int(min(BACKOFF * 2 ** min(attempts - 1, 20), LONGEST))


class AlertStore:
    """Alerts of one home. Close it, or use it as a context manager."""

    def __init__(self, home: Home) -> None:
        self.path = home.alerts
        self._connection = open_database(self.path, MIGRATIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with transaction(self._connection):
            yield

    # Recording

    def open(
        self, condition: Condition, targets: Iterable[str], now: int, *, wait: int = 0
    ) -> bool:
        """Open an alert, with one message per target; return False if it was opened before.

        If an alert of the same table and fault is open, and was opened within `SAME_INCIDENT`, the
        new alert joins its incident and sends no message.

        Args:
            condition: the condition that the owner is alerted to.
            targets: variables with the addresses of the recipients.
            now: int64 microseconds UTC.
            wait: microseconds until the message is sent, unless the alert is closed before.
        """
        incident = self._incident(condition, now)
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO alerts"
            " (alert_id, tbl, slot, batch_id, condition, opened_at, fault, incident)"
            " VALUES (?,?,?,?,?,?,?,?)",
            (
                condition.alert_id, condition.table, condition.slot, condition.batch_id,
                json.dumps(asdict(condition)), now, condition.fault, incident,
            ),
        )  # fmt: skip
        if not cursor.rowcount:
            return False
        if incident == condition.alert_id:
            self._queue(condition.alert_id, OPENED, targets, now + wait)
        return True

    def _incident(self, condition: Condition, now: int) -> str:
        """Return the id of the incident that the condition joins; its alert id if there is none."""
        row = self._connection.execute(
            "SELECT incident FROM alerts WHERE tbl = ? AND fault = ? AND closed_at IS NULL"
            " AND opened_at > ? ORDER BY opened_at DESC LIMIT 1",
            (condition.table, condition.fault, now - SAME_INCIDENT),
        ).fetchone()
        return str(row[0]) if row else condition.alert_id

    def close_alert(self, alert_id: str, by: str, now: int) -> None:
        """Close an alert. The all-clear goes only to recipients of the original alert.

        An incident ends with the last of its alerts: until then no all-clear is sent, and a message
        that still waits is moved to an open alert. An opening message that a killed process may
        have sent counts as sent.
        """
        cursor = self._connection.execute(
            "UPDATE alerts SET closed_at = ?, closed_by = ? WHERE alert_id = ?"
            " AND closed_at IS NULL",
            (now, by, alert_id),
        )
        if not cursor.rowcount:
            return
        still_open = self._connection.execute(
            "SELECT alert_id FROM alerts WHERE closed_at IS NULL AND incident ="
            " (SELECT incident FROM alerts WHERE alert_id = ?) AND incident <> ''"
            " ORDER BY opened_at, alert_id LIMIT 1",
            (alert_id,),
        ).fetchone()
        if still_open is not None:
            self._hand_over(alert_id, still_open[0])
            return
        recipients = self._connection.execute(
            "SELECT alert_id, target FROM messages WHERE kind = ?"
            " AND (state = 'sent' OR claimed_until > 0) AND (alert_id = ? OR alert_id IN"
            " (SELECT a.alert_id FROM alerts a JOIN alerts b ON a.incident = b.incident"
            " WHERE b.alert_id = ? AND b.incident <> ''))",
            (OPENED, alert_id, alert_id),
        ).fetchall()
        self._drop(alert_id)
        for sent_id, target in recipients:
            self._queue(sent_id, CLOSED, [target], now)

    def acknowledge(self, alert_id: str, by: str, now: int) -> bool:
        """Acknowledge an alert, drop its unsent messages; return False if it was acknowledged."""
        cursor = self._connection.execute(
            "UPDATE alerts SET acknowledged_at = ?, acknowledged_by = ? WHERE alert_id = ?"
            " AND acknowledged_at IS NULL",
            (now, by, alert_id),
        )
        if cursor.rowcount:
            self._drop(alert_id)
        return bool(cursor.rowcount)

    def _queue(self, alert_id: str, kind: str, targets: Iterable[str], now: int) -> None:
        self._connection.executemany(
            "INSERT OR IGNORE INTO messages (alert_id, kind, target, due_at) VALUES (?,?,?,?)",
            [(alert_id, kind, target, now) for target in dict.fromkeys(targets)],
        )

    def _hand_over(self, alert_id: str, to: str) -> None:
        """Move the waiting, unclaimed message to another open alert of the incident."""
        self._connection.execute(
            "UPDATE OR IGNORE messages SET alert_id = ?"
            " WHERE alert_id = ? AND kind = ? AND state = 'waiting' AND claimed_until = 0",
            (to, alert_id, OPENED),
        )

    def _drop(self, alert_id: str) -> None:
        """Drop the unsent opening message. Claims stay: a killed process may have sent it."""
        self._connection.execute(
            "UPDATE messages SET state = 'dropped'"
            " WHERE alert_id = ? AND kind = ? AND state = 'waiting'",
            (alert_id, OPENED),
        )

    # Sending

    def due_targets(self, now: int) -> list[str]:
        """Return targets with messages to send now."""
        rows = self._connection.execute(
            "SELECT DISTINCT target FROM messages WHERE state = 'waiting' AND due_at <= ?"
            " AND claimed_until <= ? ORDER BY target",
            (now, now),
        )
        return [target for (target,) in rows]

    def claim(self, target: str, now: int) -> list[Message]:
        """Claim all due messages of a target, so that no other process sends them meanwhile."""
        with transaction(self._connection):
            rows = self._connection.execute(
                "UPDATE messages SET claimed_until = ?, attempts = attempts + 1"
                " WHERE target = ? AND state = 'waiting' AND due_at <= ? AND claimed_until <= ?"
                " RETURNING alert_id, kind, attempts",
                (now + LEASE, target, now, now),
            ).fetchall()
            by_id = {alert.alert_id: alert for alert in self.alerts([row[0] for row in rows])}
        claimed = [Message(by_id[key], kind, target, tries) for key, kind, tries in rows]
        return sorted(
            claimed,
            key=lambda message: (message.alert.opened_at, message.alert.alert_id, message.kind),
        )

    def sent(self, messages: Iterable[Message], now: int) -> None:
        """Mark messages as sent, also those that were dropped in the meantime."""
        with transaction(self._connection):
            for message in messages:
                key = (message.alert.alert_id, message.kind, message.target)
                self._connection.execute(
                    "UPDATE messages SET state = 'sent', sent_at = ?, claimed_until = 0, error = ''"
                    " WHERE alert_id = ? AND kind = ? AND target = ?",
                    (now, *key),
                )
                if message.kind == OPENED:
                    self._connection.execute(
                        "UPDATE alerts SET notified_at = coalesce(notified_at, ?)"
                        " WHERE alert_id = ?",
                        (now, message.alert.alert_id),
                    )

    def postpone(self, messages: Iterable[Message], until: int, error: str = "") -> None:
        """Schedule unsent messages for `until`; without an error, no attempt is counted."""
        with transaction(self._connection):
            for message in messages:
                self._connection.execute(
                    "UPDATE messages SET claimed_until = 0, due_at = ?, error = ?, attempts = ?"
                    " WHERE alert_id = ? AND kind = ? AND target = ? AND state <> 'sent'",
                    (
                        until, error, message.attempts if error else message.attempts - 1,
                        message.alert.alert_id, message.kind, message.target,
                    ),
                )  # fmt: skip

    # Reading

    def last_checked(self, table: str) -> int | None:
        """Return the time (microseconds UTC) of the last verdict that was checked, or None."""
        row = self._connection.execute(
            "SELECT judged_at FROM looked WHERE tbl = ?", (table,)
        ).fetchone()
        return None if row is None else int(row[0])

    def mark_checked(self, table: str, judged_at: int) -> None:
        self._connection.execute(
            "INSERT INTO looked VALUES (?,?) ON CONFLICT (tbl) DO UPDATE"
            " SET judged_at = max(judged_at, excluded.judged_at)",
            (table, judged_at),
        )

    def alerts(self, ids: Sequence[str] | None = None) -> list[Alert]:
        """Return all alerts, or those with these ids, in the order in which they were opened."""
        if ids is None:
            return select(self._connection, "1")
        listed = json.dumps(list(ids))
        return select(self._connection, "alert_id IN (SELECT value FROM json_each(?))", listed)

    def open_alerts(self, table: str | None = None) -> list[Alert]:
        """Return the open alerts of one table or of all."""
        return select(self._connection, "closed_at IS NULL AND tbl = coalesce(?, tbl)", table)

    def find(self, start: str) -> Alert:
        """Return the alert whose id starts with `start`.

        Raises:
            DeclarationError: no alert has such an id, or several have.
        """
        matches = [alert for alert in self.alerts() if alert.alert_id.startswith(start)]
        if not start or len(matches) != 1:
            raise DeclarationError(
                f"{len(matches) if start else 'no'} alerts have an id that starts with {start!r}",
                where=str(self.path),
                fix="see headrace alert ls --all",
            )
        return matches[0]
