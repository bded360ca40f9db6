"""Batch with its state, its effective verdict and its rows: the input of an action on it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from headrace.core.clock import now_us
from headrace.core.errors import DeclarationError, RefusedError
from headrace.core.home import Home
from headrace.gates import Judgement
from headrace.lake.conflicts import conflicts_of
from headrace.lake.ingest.landing import landed_delivery
from headrace.lake.ingest.reconcile import reconcile
from headrace.lake.ingest.validator import table_rule
from headrace.lake.ledger.ledger import Batch, Ledger
from headrace.lake.overrides.audit_trail import Action
from headrace.lake.overrides.effective_verdict import (
    Standing,
    applicable,
    releases_batch,
    standings,
)
from headrace.lake.overrides.muted_checks import mutes_of
from headrace.lake.overrides.overrides import PASSING, CheckedDelivery, Fates, check_delivery, fates
from headrace.lake.table import Table
from headrace.lake.tables.lake import Lake


@dataclass(frozen=True)
class BatchCase:
    """Batch under the table's present rules, with its effective verdict if there is one yet."""

    home: Home
    table: Table
    batch: Batch
    standing: Standing | None
    live_path: str | None

    @property
    def is_live(self) -> bool:
        return self.live_path is not None

    @property
    def name(self) -> str:
        return f"batch {self.batch.batch_id[:12]} of {self.table.name}, slot {self.batch.slot}"

    @property
    def required_standing(self) -> Standing:
        """Effective verdict; RefusedError if the batch was not validated under present rules."""
        if self.standing is None:
            raise RefusedError(
                f"{self.name}, was not validated under the present rules",
                where=f"state {self.batch.state}",
                fix="validate it first: headrace run, or headrace gate rerun",
            )
        return self.standing

    @property
    def blocked(self) -> bool:
        """True if no row of the batch may be published now."""
        standing = self.required_standing
        return standing.gate.verdict == "ERROR" or (
            standing.gate.verdict == "BLOCK" and not any(map(releases_batch, standing.actions))
        )

    @cached_property
    def report(self) -> Judgement:
        """The gate's report, without overrides."""
        gate = self.required_standing.gate
        with Ledger(self.home) as ledger:
            return Judgement.from_json(
                ledger.report(self.table.name, gate.batch_id, gate.rule_hash)
            )

    @cached_property
    def checked(self) -> CheckedDelivery:
        """The delivery, read again from its bytes, with all its failing rows."""
        with Ledger(self.home) as ledger:
            gate = self.required_standing.gate
            suite = mutes_of(ledger, gate).suite(self.table.suite)
            conflicts = conflicts_of(ledger, self.table.name, gate.batch_id, gate.rule_hash)
        return check_delivery(
            suite, self.table.contract, landed_delivery(self.home, self.batch), conflicts
        )

    def fates(self, *drafts: Action) -> Fates:
        """Return the fate of each row; with `drafts`, after these further actions."""
        standing = self.required_standing
        return fates(
            self.checked, standing.gate, applicable(standing.gate, (*standing.actions, *drafts))
        )

    def published(self, state: Fates) -> set[int]:
        """Return the published lines of `state`: none if the batch is still blocked."""
        return set() if self.blocked and not state.forced else set(state.lines(PASSING))

    def unchanged(self, ledger: Ledger) -> bool:
        """Return True if no action has changed the batch since it was read."""
        now = find_case(ledger, self.home, self.table, self.batch.batch_id, self.live_path)
        return (now.batch.state, now.standing) == (self.batch.state, self.standing)

    def action(self, verb: str, principal: str, reason: str, **fields: Any) -> Action:  # noqa: ANN401 - fields of an Action
        return Action(
            principal,
            verb,
            self.table.name,
            reason,
            batch_id=self.batch.batch_id,
            slot=self.batch.slot,
            rule_hash=table_rule(self.table),
            suite_hash=self.table.suite.hash,
            at=now_us(),
            **fields,
        )


def open_case(home: Home, table: Table, slot_or_id: str, states: Sequence[str] = ()) -> BatchCase:
    """Return the batch of a partition, or the batch whose id starts with `slot_or_id`.

    If several batches match, only those in the first of the `states` that one of them has count.

    Raises:
        DeclarationError: no batch or several batches match.
    """
    with Ledger(home) as ledger:
        live = reconcile(ledger, Lake(home), table.name)
        batch = _pick(ledger, table, slot_or_id, states)
        case = find_case(ledger, home, table, batch.batch_id, live.get(batch.batch_id))
        return replace(case, batch=batch)


def find_case(
    ledger: Ledger, home: Home, table: Table, batch_id: str, live_path: str | None
) -> BatchCase:
    batch = ledger.batches(table.name)[batch_id]
    standing = standings(ledger, table.name, table_rule(table), now_us()).get(batch_id)
    return BatchCase(home, table, batch, standing, live_path)


def _pick(ledger: Ledger, table: Table, slot_or_id: str, states: Sequence[str]) -> Batch:
    batches = ledger.batches(table.name).values()
    matches = [
        b
        for b in batches
        if slot_or_id and (b.slot == slot_or_id or b.batch_id.startswith(slot_or_id))
    ]
    for state in states if len(matches) > 1 else ():
        fitting = [b for b in matches if b.state == state]
        if fitting:
            matches = fitting
            break
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise DeclarationError(
            f"table {table.name} has no batch in slot {slot_or_id}",
            where=str(ledger.path),
            fix=f"list its batches: headrace gate ls --table {table.name} --all",
        )
    listing = ", ".join(f"{b.batch_id[:12]} ({b.state}, {b.origin})" for b in matches)
    raise DeclarationError(
        f"{len(matches)} batches of {table.name} match {slot_or_id}: {listing}",
        fix="name one of them by the start of its id",
    )
