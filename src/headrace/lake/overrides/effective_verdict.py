"""Which verdict holds for a batch: the gate's latest, with what people did about the batch.

A release holds for the rules it was given under, and until it expires. What people took out
(quarantine, reject) holds under any rules: to forget it would let bad rows back in.
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
    """One batch under the table's present rules.

    Attributes:
        gate: the gate's own latest verdict.
        actions: what people did that changes which of its rows are published, in order.
        row: the verdict with those; None if it is still to be derived.
    """

    gate: JudgementRow
    actions: tuple[Action, ...] = ()
    row: JudgementRow | None = None

    @property
    def rule(self) -> str:
        return variant(self.gate.rule_hash, self.actions)


def variant(rule: str, taken: Iterable[Action]) -> str:
    """The rule hash of a verdict under `rule` with these actions, in this order."""
    forms = [[a.action, a.at, dict(a.scope)] for a in taken]
    return digest([rule, forms])[:16] if forms else rule


def releases_batch(action: Action) -> bool:
    """Whether it is about a blocked batch, and not about rows in quarantine."""
    return action.action == "release" and (not action.scope or bool(action.scope.get("batch")))


def in_force(trail: Iterable[Action], base_hash: str, now: int) -> tuple[Action, ...]:
    """Of one batch's trail, what changes which of its rows are published, under these rules."""
    return tuple(
        a
        for a in trail
        if a.in_force(now)
        and (
            (a.action == "release" and a.rule_hash == base_hash)
            or (a.action in {"quarantine", "reject"} and a.scope)
        )
    )


def applicable(gate: JudgementRow, held: tuple[Action, ...]) -> tuple[Action, ...]:
    """What of it has an effect on this verdict of the gate."""
    if gate.verdict == "ERROR":
        return ()
    if gate.verdict != "BLOCK":
        return tuple(a for a in held if not releases_batch(a))
    return held if any(map(releases_batch, held)) else ()


def standings(ledger: Ledger, table: str, base_hash: str, now: int) -> dict[str, Standing]:
    """By batch, what holds under these rules of the table; batches not judged under them lack."""
    rows = ledger.judgements(table, base_hash)
    # Oldest first, so the latest remains.
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
    held = applicable(gate, in_force(trail, base_hash, now))
    if not held:
        return Standing(gate, row=gate)
    found = rows.get((gate.batch_id, variant(gate.rule_hash, held)))
    # The gate may have judged again since.
    return Standing(gate, held, found if found and found.judged_at > gate.judged_at else None)


def lapsed(
    rows: Collection[JudgementRow], effective: Mapping[str, JudgementRow], live: Mapping[str, str]
) -> dict[str, JudgementRow | None]:
    """Batches that the table shows only because of an override that holds no more.

    With each the last verdict that published something of it without one, if its file is there.
    """
    found: dict[str, JudgementRow | None] = {}
    for batch_id, row in effective.items():
        if row.verdict not in BLOCKED:
            continue
        path = live.get(batch_id, "")
        of_batch = [row for row in rows if row.batch_id == batch_id]
        forced = {one.staged_path for one in of_batch if _is_in_by_force(one)}
        if path in forced:
            good = [one for one in of_batch if _was_good(one) and one.staged_path not in forced]
            found[batch_id] = max(good, key=lambda one: one.published_at or 0, default=None)
    return found


def _is_in_by_force(row: JudgementRow) -> bool:
    return bool(row.forced) and row.published_at is not None and row.withdrawn_at is None


def _was_good(row: JudgementRow) -> bool:
    published = row.published_at is not None and bool(row.staged_path) and not row.forced
    return published and Path(row.staged_path).exists()
