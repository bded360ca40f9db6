"""One batch as on-call sees it: its state, the verdict that holds, and each of its rows."""

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
from headrace.lake.overrides.overrides import PASSING, Fates, Seen, fates, look
from headrace.lake.table import Table
from headrace.lake.tables.lake import Lake


@dataclass(frozen=True)
class BatchCase:
    """A batch under the table's present rules; `standing` is None if it was not judged by them."""

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
    def judged(self) -> Standing:
        """Raises RefusedError if it was not judged under the present rules."""
        if self.standing is None:
            raise RefusedError(
                f"{self.name}, was not judged under the present rules",
                where=f"state {self.batch.state}",
                fix="judge it first: headrace run, or headrace gate rerun",
            )
        return self.standing

    @property
    def blocked(self) -> bool:
        """Whether nothing of it may be published, as things stand."""
        one = self.judged
        return one.gate.verdict == "ERROR" or (
            one.gate.verdict == "BLOCK" and not any(map(releases_batch, one.actions))
        )

    @cached_property
    def report(self) -> Judgement:
        """The gate's own report."""
        gate = self.judged.gate
        with Ledger(self.home) as ledger:
            return Judgement.from_json(
                ledger.report(self.table.name, gate.batch_id, gate.rule_hash)
            )

    @cached_property
    def seen(self) -> Seen:
        """The delivery read anew, with all its failing rows."""
        with Ledger(self.home) as ledger:
            gate = self.judged.gate
            suite = mutes_of(ledger, gate).suite(self.table.suite)
            held = conflicts_of(ledger, self.table.name, gate.batch_id, gate.rule_hash)
        return look(suite, self.table.contract, landed_delivery(self.home, self.batch), held)

    def fates(self, *more: Action) -> Fates:
        """Where each row is, or would be after these actions as well."""
        one = self.judged
        return fates(self.seen, one.gate, applicable(one.gate, (*one.actions, *more)))

    def published(self, state: Fates) -> set[int]:
        """Lines of `state` that are published: none of a batch that is blocked still."""
        return set() if self.blocked and not state.forced else set(state.lines(PASSING))

    def unchanged(self, ledger: Ledger) -> bool:
        """Whether nobody did anything about it since it was looked at."""
        now = find_case(ledger, self.home, self.table, self.batch.batch_id, self.live_path)
        return (now.batch.state, now.standing) == (self.batch.state, self.standing)

    def action(self, verb: str, principal: str, reason: str, **more: Any) -> Action:  # noqa: ANN401 - fields of an Action
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
            **more,
        )


def open_case(home: Home, table: Table, which: str, states: Sequence[str] = ()) -> BatchCase:
    """The batch of a slot, or whose id starts with `which`.

    Where there are several, the one in the first of `states` that any is in.

    Raises:
        DeclarationError: there is none, or more than one.
    """
    with Ledger(home) as ledger:
        live = reconcile(ledger, Lake(home), table.name)
        batch = _pick(ledger, table, which, states)
        case = find_case(ledger, home, table, batch.batch_id, live.get(batch.batch_id))
        return replace(case, batch=batch)


def find_case(
    ledger: Ledger, home: Home, table: Table, batch_id: str, live_path: str | None
) -> BatchCase:
    batch = ledger.batches(table.name)[batch_id]
    found = standings(ledger, table.name, table_rule(table), now_us()).get(batch_id)
    return BatchCase(home, table, batch, found, live_path)


def _pick(ledger: Ledger, table: Table, which: str, states: Sequence[str]) -> Batch:
    known = ledger.batches(table.name).values()
    found = [b for b in known if which and (b.slot == which or b.batch_id.startswith(which))]
    for state in states if len(found) > 1 else ():
        fitting = [b for b in found if b.state == state]
        if fitting:
            found = fitting
            break
    if len(found) == 1:
        return found[0]
    if not found:
        raise DeclarationError(
            f"table {table.name} has no batch in slot {which}",
            where=str(ledger.path),
            fix=f"list what there is: headrace gate ls --table {table.name} --all",
        )
    told = ", ".join(f"{b.batch_id[:12]} ({b.state}, {b.origin})" for b in found)
    raise DeclarationError(
        f"{len(found)} batches of {table.name} are meant by {which}: {told}",
        fix="name one of them by the start of its id",
    )
