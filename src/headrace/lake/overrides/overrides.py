"""Verdict on a batch with overrides: a pure function of the delivered bytes and the actions.

A batch has one published file. An action that approves or removes rows makes a new verdict on the
batch, with a new file that replaces the present one in one snapshot. So `_batch` and `_line` of an
approved row still name its place in the delivery, and `history` has its time of publication.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from headrace.contracts import Contract, conform
from headrace.core.clock import iso, now_us
from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.gates import Judgement, Result, Suite, Verdict
from headrace.gates.event_gate import MALFORMED, as_quarantined, row_suite
from headrace.gates.failing_rows import BLOCK, CONTRACT, QUARANTINE, Failing, failing
from headrace.lake.conflicts.records import CONFLICT, Conflict
from headrace.lake.ingest.staging import quarantine, quarantine_path, stage, staged_path
from headrace.lake.ingest.validator import delivered_rows
from headrace.lake.ledger.ledger import JudgementRow
from headrace.lake.overrides.audit_trail import Action
from headrace.lake.overrides.effective_verdict import Standing, releases_batch, variant
from headrace.sources.base import Delivery
from headrace.sources.rows import RawRows

PASSING, QUARANTINED, REJECTED = 0, 1, 2
NO_CONFLICTS: Mapping[int, Conflict] = MappingProxyType({})


@dataclass
class Fates:
    """Fate of each row of a batch, and the reasons for it.

    Attributes:
        fate: by line, PASSING, QUARANTINED or REJECTED.
        reasons: by line, ids of the checks and actions that keep the row from being published; a
            "contract:" reason cannot be overridden.
        forced: True if a blocked batch was approved.
        effective: the actions that changed which rows pass.
        conflicts: by line, the recorded conflicts.
    """

    fate: dict[int, int]
    reasons: dict[int, list[str]] = field(default_factory=dict)
    forced: bool = False
    effective: list[Action] = field(default_factory=list)
    conflicts: Mapping[int, Conflict] = field(default_factory=dict)

    def lines(self, *fates: int) -> list[int]:
        return [line for line, fate in self.fate.items() if fate in fates]


@dataclass(frozen=True)
class CheckedDelivery:
    """Delivery after the checks: its rows as text, and all failing rows."""

    delivery: Delivery
    rows: RawRows
    failing: Failing
    conflicts: Mapping[int, Conflict] = field(default_factory=dict)

    @property
    def untyped(self) -> list[int]:
        """Lines that cannot be parsed as rows: quarantined in a stream, blocking in a file."""
        events = self.delivery.format == "events"
        return [malformed.line for malformed in self.rows.malformed] if events else []


def check_delivery(
    suite: Suite,
    contract: Contract,
    delivery: Delivery,
    conflicts: Mapping[int, Conflict] = NO_CONFLICTS,
) -> CheckedDelivery:
    """Read a delivery again and find all its failing rows, with the recorded `conflicts`."""
    events = delivery.format == "events"
    rows = delivered_rows(contract, delivery)
    conformed = conform(contract, rows, delivery.batch_id, by_row=events)
    checks = row_suite(suite) if events else suite
    failures = failing(checks, contract, conformed)
    if conflicts:
        does = BLOCK if contract.conflicts == "block" and not events else QUARANTINE
        reasons = {line: conflict.reason for line, conflict in conflicts.items()}
        failures = failures.also(CONFLICT, does, reasons)
    return CheckedDelivery(delivery, rows, failures, conflicts)


def fates(checked: CheckedDelivery, gate: JudgementRow, actions: Iterable[Action]) -> Fates:
    """Return the fate of each row after these actions, in their order.

    Args:
        checked: the delivery of the batch.
        gate: the gate's verdict on it.
        actions: actions on the batch, oldest first.

    Raises:
        StateError: the numbers of rows and of failing rows differ from the gate's.
    """
    failures, untyped = checked.failing, checked.untyped
    lines = failures.lines
    quarantined = {
        int(lines[row]): why for row, why in failures.reasons(CONTRACT, QUARANTINE).items()
    }
    quarantined |= {line: [MALFORMED] for line in untyped}
    everything = sorted({*map(int, lines), *untyped})
    state = Fates(
        {line: QUARANTINED if line in quarantined else PASSING for line in everything},
        {line: list(why) for line, why in quarantined.items()},
        conflicts=checked.conflicts,
    )
    _same_rows(checked, gate, state)
    blocking = {int(lines[row]): why for row, why in failures.reasons(BLOCK).items()}
    blocked = gate.verdict == "BLOCK"
    for action in actions:
        before = state.lines(PASSING)
        if blocked and releases_batch(action) and not state.forced:
            state.forced = True
            _hold(state, blocking)
        if blocked and not state.forced:
            continue
        _apply(state, action)
        if state.lines(PASSING) != before or releases_batch(action):
            state.effective.append(action)
    return state


def _same_rows(checked: CheckedDelivery, gate: JudgementRow, state: Fates) -> None:
    """Raise StateError if the numbers of rows and of failing rows differ from the gate's.

    Without this comparison, a check that crashes now would let its failing rows pass.
    """
    now = (len(state.fate), len(state.lines(QUARANTINED)))
    if now != (gate.delivered, gate.quarantined):
        raise StateError(
            f"batch {gate.batch_id[:12]} has {now[0]} rows and {now[1]} of them fail; it had"
            f" {gate.delivered} and {gate.quarantined} when it was validated",
            where=f"slot {checked.delivery.slot}, {checked.delivery.origin}",
            fix="validate it again: headrace gate rerun",
        )


def _hold(state: Fates, failing_block: Mapping[int, Sequence[str]]) -> None:
    """Quarantine the rows for which an approved batch was blocked."""
    for line, why in failing_block.items():
        state.reasons.setdefault(line, []).extend(why)
        state.fate[line] = QUARANTINED


def _apply(state: Fates, action: Action) -> None:
    if action.action == "release":
        _release(state, action)
    elif action.action == "quarantine":
        for line in action.scope.get("lines", ()):
            if state.fate.get(line) == PASSING:
                state.fate[line] = QUARANTINED
                state.reasons.setdefault(line, []).append(f"quarantine:{action.id}")
    elif action.action == "reject":
        for line in _rejected_lines(state, action):
            state.fate[line] = REJECTED
            state.reasons[line].append(f"reject:{action.id}")


def _release(state: Fates, action: Action) -> None:
    checks, lines = set(action.scope.get("checks", ())), set(action.scope.get("lines", ()))
    all_rows = action.scope.get("rows") == "all"
    for line in state.lines(QUARANTINED):
        remaining = [
            why
            for why in state.reasons[line]
            if why.startswith("contract:")
            or not (all_rows or line in lines or why in checks)
            or (why == CONFLICT and _found_since(state.conflicts[line], action))
        ]
        state.reasons[line] = remaining
        if not remaining:
            state.fate[line] = PASSING


def _found_since(conflict: Conflict, action: Action) -> bool:
    """Return True if the earlier row was still in the table when the action was carried out."""
    return bool(action.id) and action.id <= conflict.after


def _rejected_lines(state: Fates, action: Action) -> list[int]:
    """Return the quarantined lines in the scope of a rejection."""
    checks, lines = set(action.scope.get("checks", ())), set(action.scope.get("lines", ()))
    all_rows = action.scope.get("rows") == "all"
    return [
        line
        for line in state.lines(QUARANTINED)
        if all_rows or line in lines or checks.intersection(state.reasons[line])
    ]


# Files of the verdict, and its row for the ledger


@dataclass(frozen=True)
class Case:
    """Input of a verdict with overrides.

    Attributes:
        suite: the suite of the gate's verdict; checks that were muted then are shadow checks.
        report: the gate's own report on the batch, as JSON.
        conflicts: by line, the conflicts of the gate's verdict.
    """

    home: Home
    contract: Contract
    suite: Suite
    delivery: Delivery
    standing: Standing
    report: str
    conflicts: Mapping[int, Conflict] = field(default_factory=dict)

    @property
    def gate(self) -> JudgementRow:
        return self.standing.gate


def derive(case: Case) -> JudgementRow:
    """Write the files of the verdict with overrides, and return its row; idempotent.

    Raises:
        StateError: the numbers of rows and of failing rows differ from the gate's.
    """
    checked = check_delivery(case.suite, case.contract, case.delivery, case.conflicts)
    state = fates(checked, case.gate, case.standing.actions)
    return _row(case, state, _stage(case, checked.failing, state), _keep(case, checked, state))


def _stage(case: Case, failures: Failing, state: Fates) -> str:
    """Write the file of the passing rows, and return its path; the gate's own file if unchanged."""
    if not state.effective:
        return case.gate.staged_path
    passing = _rows_on(failures, set(state.lines(PASSING)))
    if not passing.num_rows:
        return ""
    rule = variant(case.gate.rule_hash, state.effective)
    stage(case.home, case.contract, case.gate.batch_id, rule, passing)
    return str(staged_path(case.home, case.contract.table, case.gate.batch_id, rule))


def _keep(case: Case, checked: CheckedDelivery, state: Fates) -> str:
    """Write the file of the other rows, including the rejected ones, and return its path."""
    rows = _rows_on(checked.failing, {*state.lines(QUARANTINED, REJECTED)})
    reasons = [state.reasons[line] for line in rows["_line"].to_pylist()]
    rows = rows.append_column("_reasons", pa.array(reasons, pa.list_(pa.string())))
    if case.delivery.format == "events":
        rows = as_quarantined(rows, checked.rows, case.delivery)
    if not rows.num_rows:
        return ""
    at = (case.home, case.contract.table, case.gate.batch_id, case.standing.rule)
    quarantine(case.home, case.contract, case.gate.batch_id, case.standing.rule, rows)
    return str(quarantine_path(*at))


def _rows_on(failures: Failing, lines: set[int]) -> pa.Table:
    assert failures.table is not None  # a batch without typed rows cannot be released
    keep = np.flatnonzero(np.isin(failures.lines, list(lines)))
    return failures.table.take(pa.array(keep))


def _row(case: Case, state: Fates, staged: str, quarantine_file: str) -> JudgementRow:
    gate, actions = case.gate, case.standing.actions
    passing, quarantined = len(state.lines(PASSING)), len(state.lines(QUARANTINED))
    verdict = Verdict.QUARANTINE if quarantined else Verdict.WARN
    results = [_result(action) for action in actions]
    report = Judgement.from_json(case.report)
    judgement = replace(
        report, verdict=verdict, quarantined_count=quarantined, results=(*results, *report.results)
    )
    ids = [*json.loads(gate.action_ids), *(action.id for action in actions)]
    return replace(
        gate,
        rule_hash=case.standing.rule,
        verdict=verdict.value,
        passing=passing,
        quarantined=quarantined,
        rejected=len(state.lines(REJECTED)),
        staged_path=staged,
        quarantine_path=quarantine_file,
        judged_at=max(now_us(), gate.judged_at + 1),
        summary=f"{verdict}: {results[-1].reason} (the gate said {gate.summary})",
        judgement=judgement.to_json(),
        derived_from=gate.rule_hash,
        action_ids=json.dumps(ids),
        forced=int(bool(gate.forced) or state.forced),
        published_at=None,
        snapshot_id=None,
        withdrawn_at=None,
    )


def _result(action: Action) -> Result:
    """Return an action in the form of a check result."""
    past_tense = {"release": "released", "quarantine": "quarantined", "reject": "rejected"}
    until = f", until {iso(action.expires_at)}" if action.expires_at else ""
    return Result(
        id=f"{action.action}:{action.id}",
        kind="override",
        type=action.action,
        severity="warning",
        action="warn",
        status="fail",
        expected=action.what,
        reason=f"{past_tense[action.action]} by {action.principal}{until}: {action.reason}",
    )
