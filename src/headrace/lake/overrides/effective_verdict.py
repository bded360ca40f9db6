"""Effective verdict of a batch: the gate's latest verdict, combined with actions of people.

An approval holds only under the rules at its time, and until it expires. A removal (quarantine,
reject) holds under all rules; otherwise bad rows would be published again.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace.core.files import digest
from headrace.lake.ledger.ledger import JudgementRow, Ledger
from headrace.lake.overrides.audit_trail import Action, actions

BLOCKED = ("BLOCK", "ERROR")


@dataclass(frozen=True)
class Standing:
    """Effective verdict of one batch under the table's present rules.

    Attributes:
        gate: the gate's own latest verdict.
        actions: people's actions that change which rows of the batch are published, in order.
        row: the verdict with these actions; None if it is not derived yet.
    """

    gate: JudgementRow
    actions: tuple[Action, ...] = ()
    row: JudgementRow | None = None

    @property
    def rule(self) -> str:
        return variant(self.gate.rule_hash, self.actions)


def variant(rule: str, applied: Iterable[Action]) -> str:
    """Return the rule hash of a verdict under `rule` with these actions, in this order."""
    forms = [[a.action, a.at, dict(a.scope)] for a in applied]
    return digest([rule, forms])[:16] if forms else rule


def releases_batch(action: Action) -> bool:
    """Return True if an action approves a blocked batch, not quarantined rows."""
    return action.action == "release" and (not action.scope or bool(action.scope.get("batch")))


def in_force(trail: Iterable[Action], base_hash: str, now: int) -> tuple[Action, ...]:
    """Return the actions on a batch that change which rows are published under these rules."""
    return tuple(
        a
        for a in trail
        if a.in_force(now)
        and (
            (a.action == "release" and a.rule_hash == base_hash)
            or (a.action in {"quarantine", "reject"} and a.scope)
        )
    )


def applicable(gate: JudgementRow, active: tuple[Action, ...]) -> tuple[Action, ...]:
    """Return the active actions that have an effect on this verdict of the gate."""
    if gate.verdict == "ERROR":
        return ()
    if gate.verdict != "BLOCK":
        return tuple(a for a in active if not releases_batch(a))
    return active if any(map(releases_batch, active)) else ()


def standings(ledger: Ledger, table: str, base_hash: str, now: int) -> dict[str, Standing]:
    """Return the effective verdict of each batch that was validated under these rules."""
    rows = ledger.judgements(table, base_hash)
    # The rows are sorted, oldest first, so the latest one of each batch remains.
    gates = {row.batch_id: row for row in rows.values() if not row.derived_from}
    trails: dict[str, list[Action]] = {}
    for action in actions(ledger, table):
        trails.setdefault(action.batch_id, []).append(action)
    return {
        batch_id: _standing(gate, trails[batch_id], rows, base_hash, now)
        if batch_id in trails
        else Standing(gate, row=gate)
        for batch_id, gate in gates.items()
    }


def _standing(
    gate: JudgementRow,
    trail: Iterable[Action],
    rows: Mapping[tuple[str, str], JudgementRow],
    base_hash: str,
    now: int,
) -> Standing:
    applied = applicable(gate, in_force(trail, base_hash, now))
    if not applied:
        return Standing(gate, row=gate)
    derived = rows.get((gate.batch_id, variant(gate.rule_hash, applied)))
    # A derived verdict is outdated if the gate has validated the batch again.
    return Standing(
        gate, applied, derived if derived and derived.judged_at > gate.judged_at else None
    )


def lapsed(
    rows: Collection[JudgementRow], effective: Mapping[str, JudgementRow], live: Mapping[str, str]
) -> dict[str, JudgementRow | None]:
    """Return the batches that are published only because of an override that no longer applies.

    The value is the last verdict that published the batch without an override, if its file exists.
    """
    last_good: dict[str, JudgementRow | None] = {}
    for batch_id, row in effective.items():
        if row.verdict not in BLOCKED:
            continue
        path = live.get(batch_id, "")
        of_batch = [row for row in rows if row.batch_id == batch_id]
        forced = {verdict.staged_path for verdict in of_batch if _is_in_by_force(verdict)}
        if path in forced:
            good = [
                verdict
                for verdict in of_batch
                if _was_good(verdict) and verdict.staged_path not in forced
            ]
            last_good[batch_id] = max(
                good, key=lambda verdict: verdict.published_at or 0, default=None
            )
    return last_good


def _is_in_by_force(row: JudgementRow) -> bool:
    return bool(row.forced) and row.published_at is not None and row.withdrawn_at is None


def _was_good(row: JudgementRow) -> bool:
    published = row.published_at is not None and bool(row.staged_path) and not row.forced
    return published and Path(row.staged_path).exists()
