"""Append-only audit trail of actions on batches, including refused actions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from headrace.core.clock import forward, iso, now_us, parse_iso
from headrace.core.errors import DeclarationError
from headrace.core.files import canonical_json
from headrace.core.permissions import ACTIONS, recorded_name
from headrace.gates.exemptions.scopes import ENDED, exemption_words
from headrace.lake.ledger.ledger import Ledger

_FIELDS = (
    "id", "at", "principal", "action", "table", "batch_id", "slot", "rule_hash", "suite_hash",
    "scope", "reason", "expires_at", "allowed", "note",
)  # fmt: skip
_LINES = 5
_COLUMNS = ", ".join("tbl" if name == "table" else name for name in _FIELDS)


@dataclass(frozen=True)
class Action:
    """One line of the audit trail. Times are int64 microseconds UTC.

    Attributes:
        principal: who acts; the permission policy is checked for this name.
        action: one of `ACTIONS`.
        batch_id, slot: empty for an action on a whole table, such as a mute.
        rule_hash, suite_hash: rules of the batch's verdict at the time of the action; an approval
            holds only under these rules.
        scope: {} is the whole batch; else {"checks": [ids]} and {"lines": [numbers]} narrow it.
        reason: why, in the principal's words.
        expires_at: when the action ends; None for never.
        allowed: False if the action was refused; then `note` says why, and nothing was changed.
        note: the result, or why the action was refused.
        id, at: assigned when the action is recorded.
    """

    principal: str
    action: str
    table: str
    reason: str
    batch_id: str = ""
    slot: str = ""
    rule_hash: str = ""
    suite_hash: str = ""
    scope: Mapping[str, Any] = field(default_factory=dict, hash=False)
    expires_at: int | None = None
    allowed: bool = True
    note: str = ""
    id: int = 0
    at: int = 0

    def in_force(self, now: int) -> bool:
        return self.allowed and (self.expires_at is None or now < self.expires_at)

    @property
    def what(self) -> str:
        """Scope of the action in words."""
        return scope_words(self.scope)

    def document(self) -> dict[str, Any]:
        """Return the action as JSON values, times in RFC 3339."""
        until = None if self.expires_at is None else iso(self.expires_at)
        return {
            "id": self.id,
            "at": iso(self.at),
            "principal": self.principal,
            "action": self.action,
            "table": self.table,
            "slot": self.slot,
            "batch": self.batch_id,
            "rules": self.rule_hash,
            "suite_hash": self.suite_hash,
            "scope": dict(self.scope),
            "reason": self.reason,
            "expires_at": until,
            "allowed": self.allowed,
            "note": self.note,
        }


def scope_words(scope: Mapping[str, Any]) -> str:
    """Return a scope in words: "the whole batch", "lines 3, 4", "checks limit"."""
    parts = exemption_words(scope)
    if ended := scope.get(ENDED):
        parts.append(f"mutes {', '.join(map(str, ended))}")
    if scope.get("rows") == "all":
        parts.append("all rows in quarantine")
    if checks := scope.get("checks"):
        parts.append(f"checks {', '.join(checks)}")
    if where := scope.get("where"):
        parts.append(" and ".join(f"{name} = {value}" for name, value in where.items()))
    if lines := scope.get("lines"):
        rest = f" and {len(lines) - _LINES} more" if len(lines) > _LINES else ""
        parts.append(f"lines {', '.join(map(str, lines[:_LINES]))}{rest}")
    return "; ".join(parts) or "the whole batch"


def record(ledger: Ledger, action: Action) -> Action:
    """Append an action, and return it with its `id` and `at`; `at` defaults to the present time.

    Raises:
        DeclarationError: principal or reason is empty, there is no such action, or `expires_at` is
            not a valid time.
    """
    if action.action not in ACTIONS:
        raise DeclarationError(f"no action {action.action!r}", fix=f"one of {', '.join(ACTIONS)}")
    for what in ("principal", "reason"):
        if not getattr(action, what).strip():
            raise DeclarationError(
                f"{action.action} of {action.table} has no {what}",
                fix="give a principal and a reason: both are kept permanently",
            )
    if action.expires_at is not None and not 0 < action.expires_at < parse_iso("9999-12-31"):
        raise DeclarationError(
            f"{action.expires_at} is not a time in microseconds since 1970",
            fix="name a day before the year 9999, or none",
        )
    values = {
        **asdict(action),
        "principal": recorded_name(action.principal),
        "at": action.at or forward(ledger.latest(), str(ledger.path), now_us),
        "scope": canonical_json(dict(action.scope)).decode(),
        "allowed": int(action.allowed),
    }
    columns = _FIELDS[1:]
    cursor = ledger.connection.execute(
        f"INSERT INTO actions ({_COLUMNS.removeprefix('id, ')})"  # noqa: S608
        f" VALUES ({', '.join('?' * len(columns))})",
        [values[name] for name in columns],
    )
    return replace(
        action, id=int(cursor.lastrowid or 0), at=values["at"], principal=values["principal"]
    )


def actions(
    ledger: Ledger, table: str | None = None, batch_id: str | None = None
) -> tuple[Action, ...]:
    """Return the audit trail, oldest first: of all tables, of one table, or of one batch."""
    filters = {"tbl": table, "batch_id": batch_id}
    conditions = {column: value for column, value in filters.items() if value is not None}
    where = " AND ".join(f"{column} = ?" for column in conditions) or "1"
    rows = ledger.connection.execute(
        f"SELECT {_COLUMNS} FROM actions WHERE {where} ORDER BY id",  # noqa: S608
        tuple(conditions.values()),
    )
    return tuple(_action(row) for row in rows)


def _action(row: Sequence[Any]) -> Action:
    fields = dict(zip(_FIELDS, row, strict=True))
    scope, allowed = json.loads(fields["scope"]), bool(fields["allowed"])
    return Action(**{**fields, "scope": scope, "allowed": allowed})
