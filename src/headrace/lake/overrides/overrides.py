"""The verdict on a batch with what people did about it: a pure function of bytes and actions.

A batch has one published file. What people release or take out is another verdict on the same batch
with another file, which takes the place of the present one in one snapshot. So `_batch` and `_line`
of a released row lead to its delivery, rows are counted as those of any verdict, and `history`
knows of each row since when it has been published.
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
    """Each row of a batch by line: where it is, and which reasons keep it there.

    Attributes:
        fate: by line, one of the constants above.
        reasons: by line, ids of what keeps it from being published; "contract:" ones for good.
        forced: whether a blocked batch was released.
        moved: the actions that changed which rows pass.
        conflicts: by line, the conflicts on record.
    """

    fate: dict[int, int]
    reasons: dict[int, list[str]] = field(default_factory=dict)
    forced: bool = False
    moved: list[Action] = field(default_factory=list)
    conflicts: Mapping[int, Conflict] = field(default_factory=dict)

    def lines(self, *fates: int) -> list[int]:
        return [line for line, fate in self.fate.items() if fate in fates]


@dataclass(frozen=True)
class Seen:
    """A delivery as the gate sees it: its rows as text, and all that fail anything."""

    delivery: Delivery
    rows: RawRows
    failing: Failing
    conflicts: Mapping[int, Conflict] = field(default_factory=dict)

    @property
    def untyped(self) -> list[int]:
        """Lines that are no rows at all; of a file they block, of a stream they are quarantined."""
        events = self.delivery.format == "events"
        return [one.line for one in self.rows.malformed] if events else []


def look(
    suite: Suite,
    contract: Contract,
    delivery: Delivery,
    conflicts: Mapping[int, Conflict] = NO_CONFLICTS,
) -> Seen:
    """Read a delivery anew, and find all its failing rows; `conflicts` are those on record."""
    events = delivery.format == "events"
    rows = delivered_rows(contract, delivery)
    conformed = conform(contract, rows, delivery.batch_id, by_row=events)
    checks = row_suite(suite) if events else suite
    found = failing(checks, contract, conformed)
    if conflicts:
        does = BLOCK if contract.conflicts == "block" and not events else QUARANTINE
        told = {line: conflict.reason for line, conflict in conflicts.items()}
        found = found.also(CONFLICT, does, told)
    return Seen(delivery, rows, found, conflicts)


def fates(seen: Seen, gate: JudgementRow, taken: Iterable[Action]) -> Fates:
    """Where each row is after these actions, in their order.

    Args:
        seen: the batch.
        gate: the gate's verdict on it.
        taken: what people did about it, oldest first.

    Raises:
        StateError: the rows read from the delivered bytes are not those that the gate counted.
    """
    found, untyped = seen.failing, seen.untyped
    lines = found.lines
    kept = {int(lines[row]): why for row, why in found.reasons(CONTRACT, QUARANTINE).items()}
    kept |= {line: [MALFORMED] for line in untyped}
    everything = sorted({*map(int, lines), *untyped})
    state = Fates(
        {line: QUARANTINED if line in kept else PASSING for line in everything},
        {line: list(why) for line, why in kept.items()},
        conflicts=seen.conflicts,
    )
    _same_rows(seen, gate, state)
    blocking = {int(lines[row]): why for row, why in found.reasons(BLOCK).items()}
    blocked = gate.verdict == "BLOCK"
    for action in taken:
        before = state.lines(PASSING)
        if blocked and releases_batch(action) and not state.forced:
            state.forced = True
            _hold(state, blocking)
        if blocked and not state.forced:
            continue
        _apply(state, action)
        if state.lines(PASSING) != before or releases_batch(action):
            state.moved.append(action)
    return state


def _same_rows(seen: Seen, gate: JudgementRow, state: Fates) -> None:
    """What a check cannot find again (it crashes now, say) must not be let in for that."""
    now = (len(state.fate), len(state.lines(QUARANTINED)))
    if now != (gate.delivered, gate.quarantined):
        raise StateError(
            f"batch {gate.batch_id[:12]} has {now[0]} rows of which {now[1]} fail, and had"
            f" {gate.delivered} and {gate.quarantined} when it was judged",
            where=f"slot {seen.delivery.slot}, {seen.delivery.origin}",
            fix="judge it again: headrace gate rerun",
        )


def _hold(state: Fates, failing_block: Mapping[int, Sequence[str]]) -> None:
    """Rows for which a released batch was blocked stay behind, unless they are named."""
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
        for line in _named(state, action):
            state.fate[line] = REJECTED
            state.reasons[line].append(f"reject:{action.id}")


def _release(state: Fates, action: Action) -> None:
    checks, lines = set(action.scope.get("checks", ())), set(action.scope.get("lines", ()))
    every = action.scope.get("rows") == "all"
    for line in state.lines(QUARANTINED):
        left = [
            why
            for why in state.reasons[line]
            if why.startswith("contract:")
            or not (every or line in lines or why in checks)
            or (why == CONFLICT and _found_since(state.conflicts[line], action))
        ]
        state.reasons[line] = left
        if not left:
            state.fate[line] = PASSING


def _found_since(conflict: Conflict, action: Action) -> bool:
    """Return True if the earlier row was still in the table when the action was carried out."""
    return bool(action.id) and action.id <= conflict.after


def _named(state: Fates, action: Action) -> list[int]:
    """Quarantined lines that the scope of a rejection names."""
    checks, lines = set(action.scope.get("checks", ())), set(action.scope.get("lines", ()))
    every = action.scope.get("rows") == "all"
    return [
        line
        for line in state.lines(QUARANTINED)
        if every or line in lines or checks.intersection(state.reasons[line])
    ]


# to files and a row for the ledger


@dataclass(frozen=True)
class Case:
    """What a verdict with actions is made of.

    Attributes:
        suite: as the gate judged the batch, its mutes of then in shadow.
        report: the gate's own report on the batch, as JSON.
        conflicts: by line, those that the gate's verdict holds.
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
    """Write the files of the verdict with actions, and give its row; idempotent.

    Raises:
        StateError: the rows read from the delivered bytes are not those the gate counted.
    """
    seen = look(case.suite, case.contract, case.delivery, case.conflicts)
    state = fates(seen, case.gate, case.standing.actions)
    return _row(case, state, _stage(case, seen.failing, state), _keep(case, seen, state))


def _stage(case: Case, found: Failing, state: Fates) -> str:
    """The file of the rows that pass; the gate's own if they are the same."""
    if not state.moved:
        return case.gate.staged_path
    passing = _taken(found, set(state.lines(PASSING)))
    if not passing.num_rows:
        return ""
    rule = variant(case.gate.rule_hash, state.moved)
    stage(case.home, case.contract, case.gate.batch_id, rule, passing)
    return str(staged_path(case.home, case.contract.table, case.gate.batch_id, rule))


def _keep(case: Case, seen: Seen, state: Fates) -> str:
    """The file of the other rows, those that were rejected included."""
    rows = _taken(seen.failing, {*state.lines(QUARANTINED, REJECTED)})
    reasons = [state.reasons[line] for line in rows["_line"].to_pylist()]
    rows = rows.append_column("_reasons", pa.array(reasons, pa.list_(pa.string())))
    if case.delivery.format == "events":
        rows = as_quarantined(rows, seen.rows, case.delivery)
    if not rows.num_rows:
        return ""
    at = (case.home, case.contract.table, case.gate.batch_id, case.standing.rule)
    quarantine(case.home, case.contract, case.gate.batch_id, case.standing.rule, rows)
    return str(quarantine_path(*at))


def _taken(found: Failing, lines: set[int]) -> pa.Table:
    assert found.table is not None  # a batch without typed rows cannot be released
    keep = np.flatnonzero(np.isin(found.lines, list(lines)))
    return found.table.take(pa.array(keep))


def _row(case: Case, state: Fates, staged: str, kept: str) -> JudgementRow:
    gate, taken = case.gate, case.standing.actions
    passing, held = len(state.lines(PASSING)), len(state.lines(QUARANTINED))
    verdict = Verdict.QUARANTINE if held else Verdict.WARN
    told = [_result(action) for action in taken]
    said = Judgement.from_json(case.report)
    judgement = replace(
        said, verdict=verdict, quarantined_count=held, results=(*told, *said.results)
    )
    ids = [*json.loads(gate.action_ids), *(action.id for action in taken)]
    return replace(
        gate,
        rule_hash=case.standing.rule,
        verdict=verdict.value,
        passing=passing,
        quarantined=held,
        rejected=len(state.lines(REJECTED)),
        staged_path=staged,
        quarantine_path=kept,
        judged_at=max(now_us(), gate.judged_at + 1),
        summary=f"{verdict}: {told[-1].reason} (the gate said {gate.summary})",
        judgement=judgement.to_json(),
        derived_from=gate.rule_hash,
        action_ids=json.dumps(ids),
        forced=int(bool(gate.forced) or state.forced),
        published_at=None,
        snapshot_id=None,
        withdrawn_at=None,
    )


def _result(action: Action) -> Result:
    """What was done, among the checks."""
    done = {"release": "released", "quarantine": "quarantined", "reject": "rejected"}
    until = f", until {iso(action.expires_at)}" if action.expires_at else ""
    return Result(
        id=f"{action.action}:{action.id}",
        kind="override",
        type=action.action,
        severity="warning",
        action="warn",
        status="fail",
        expected=action.what,
        reason=f"{done[action.action]} by {action.principal}{until}: {action.reason}",
    )
