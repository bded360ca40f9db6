"""Recall a batch everywhere: table, online stores, releases, models; and take a recall back.

The order fails closed. A recall taints first, then the ledger decides, then the table and the
online stores follow; a restoration goes the other way. Each step may be repeated, so that the same
call again brings to its end what was cut short.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from headrace.clock import iso, now_us
from headrace.datasets.store import Store
from headrace.datasets.taint import Recall, note, standing
from headrace.errors import DeclarationError, HeadraceError, RefusedError
from headrace.gates.policy import load_policy
from headrace.home import Home
from headrace.lake import recall as lake_recall
from headrace.lake.actions import Action, record
from headrace.lake.inspect import batch_rows
from headrace.lake.ledger import Ledger
from headrace.lake.recall import Withdrawal
from headrace.lake.reconcile import reconcile
from headrace.lake.table import Table
from headrace.lake.tables import Lake
from headrace.lineage.impact import impact
from headrace.pipeline.declare import Pipeline
from headrace.pipeline.reach import readers, stores


@dataclass(frozen=True)
class _Case:
    """One batch of a table of these pipelines, as `batch_rows` tells of it."""

    home: Home
    pipelines: Sequence[Pipeline]
    table: Table
    batch: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.batch["batch"])

    def action(self, verb: str, principal: str, reason: str) -> Action:
        return Action(
            principal, verb, self.table.name, reason, batch_id=self.id, slot=self.batch["slot"]
        )

    def event(self, action: Action, refs: Sequence[str]) -> Recall:
        return Recall(
            "recalled" if action.action == "recall" else "restored",
            action.table,
            self.id,
            str(self.batch["slot"]),
            now_us(),
            action.principal,
            action.reason,
            tuple(refs),
        )


def reach(home: Home, pipelines: Sequence[Pipeline], table: str, which: str) -> dict[str, Any]:
    """What a recall would reach, as plain JSON values; nothing is changed.

    Args:
        home: where the state is.
        pipelines: of the project.
        table: the table's name.
        which: a slot with one published batch, or the start of a batch id.
    """
    return _reach(_case(home, pipelines, table, which, ("published", "recalled")))


def recall(
    home: Home,
    pipelines: Sequence[Pipeline],
    table: str,
    which: str,
    *,
    principal: str,
    reason: str,
) -> dict[str, Any]:
    """Recall a published batch; what it reached and what was done, as plain JSON values.

    `incomplete` says in words what has yet to be done; it is empty if nothing. Running it again
    changes nothing, or does the rest.

    Raises:
        DeclarationError: no batch, or more than one, is meant.
        RefusedError: the policy does not allow it, or the batch is not published.
    """
    case = _case(home, pipelines, table, which, ("published", "recalled"))
    action = case.action("recall", principal, reason)
    _permit(home, action)
    found = _reach(case)
    refs = [one["ref"] for one in found["releases"]]
    note(Store.find(home.store), case.event(action, refs))
    done = lake_recall.recall(home, action)
    found["releases"] = [{**one, "tainted": True} for one in found["releases"]]
    return {**found, **_done(case, done)}


def restore(
    home: Home,
    pipelines: Sequence[Pipeline],
    table: str,
    which: str,
    *,
    principal: str,
    reason: str,
) -> dict[str, Any]:
    """Take a recall back: the batch is shown again, and what it had tainted opens again.

    Raises:
        DeclarationError: no batch, or more than one, is meant.
        RefusedError: the policy does not allow it, or the batch is not recalled.
    """
    store = Store.find(home.store)
    marked = {batch for _, batch in standing(store, [table])}
    case = _case(home, pipelines, table, which, ("recalled",), marked)
    action = case.action("restore", principal, reason)
    _permit(home, action)
    if case.batch["state"] == "published" and not _was_restored(case):
        # A recall that was cut short between the taint and the ledger: there is only that to lift.
        with Ledger(home) as ledger:
            done = Withdrawal(record(ledger, action), True, Lake(home).snapshot_id(table), False)
    else:
        done = lake_recall.restore(home, case.table, action)
    note(store, case.event(action, ()))
    return {**_reach(case), **_done(case, done)}


def _was_restored(case: _Case) -> bool:
    with Ledger(case.home) as ledger:
        last = lake_recall.last_action(ledger, case.table.name, case.id)
    return last is not None and last.action == "restore"


def _permit(home: Home, action: Action) -> None:
    """Raises RefusedError, on the record, where the policy does not allow it."""
    policy = load_policy()
    refused = policy.refusal(action.principal, action.action, action.table)
    if refused:
        with Ledger(home) as ledger:
            record(ledger, replace(action, allowed=False, note=refused))
    policy.check(action.principal, action.action, action.table)


def _case(  # noqa: PLR0917
    home: Home,
    pipelines: Sequence[Pipeline],
    table: str,
    which: str,
    states: tuple[str, ...],
    marked: set[str] | None = None,
) -> _Case:
    """The one batch that is meant: of these states, or marked in the store."""
    known = {one.name: one for pipeline in pipelines for one in pipeline.tables}
    if table not in known:
        raise DeclarationError(f"no table {table!r}", fix=f"one of {', '.join(sorted(known))}")
    with Ledger(home) as ledger:  # what a crashed ingest has committed is published, too
        reconcile(ledger, Lake(home), table)
    rows = [
        row
        for row in batch_rows(home, known[table])
        if row["slot"] == which or str(row["batch"]).startswith(which)
    ]
    able = [row for row in rows if row["state"] in states or row["batch"] in (marked or ())]
    if len(able) == 1:
        return _Case(home, pipelines, known[table], able[0])
    where = f"table {table}, {which}"
    if able:
        listed = ", ".join(f"{str(row['batch'])[:12]} ({row['state']})" for row in able)
        raise DeclarationError(
            f"{len(able)} batches may be meant: {listed}", where=where, fix="name one of them"
        )
    if not rows:
        raise DeclarationError(
            "there is no such batch", where=where, fix=f"headrace gate ls --table {table} --all"
        )
    listed = ", ".join(f"{str(row['batch'])[:12]} is {row['state']}" for row in rows)
    raise RefusedError(
        f"no batch here is {' or '.join(states)}: {listed}",
        where=where,
        fix="what is pending can be rejected: headrace gate reject",
    )


# What it reaches


def _reach(case: _Case) -> dict[str, Any]:
    home, table = case.home, case.table.name
    found = impact(home, case.id, table)
    files = {file.batch_id: file for file in Lake(home).files(table)}
    live = files.get(case.id)
    return {
        "table": table,
        "slot": case.batch["slot"],
        "batch": case.id,
        "origin": case.batch["origin"],
        "state": case.batch["state"],
        "published_rows": live.rows if live else 0,
        "releases": [
            {"ref": one.ref, "content_hash": one.content_hash, "tainted": one.tainted}
            for one in found.releases
        ],
        "models": [{"ref": ref, "champion": ref in found.champions} for ref in found.models],
        "readers": readers(case.pipelines, table),
        "stores": [one.name for one in stores(case.pipelines, home, table)],
    }


# What was done


def _done(case: _Case, done: Withdrawal) -> dict[str, Any]:
    renewed = [
        _renewed(one, case.home) for one in stores(case.pipelines, case.home, case.table.name)
    ]
    with Ledger(case.home) as ledger:
        state = ledger.batches(case.table.name)[case.id].state
    return {
        "action": done.action.document(),
        "decided_now": done.decided,
        "state": state,
        "snapshot_id": done.snapshot_id,
        "committed_now": done.moved,
        "stores": renewed,
        "incomplete": [one["error"] for one in renewed if one["error"]],
        "at": iso(now_us()),
    }


def _renewed(pipeline: Pipeline, home: Home) -> dict[str, Any]:
    """Bring an online store up to the table. One that cannot be does not undo the recall."""
    from headrace.pipeline.serve import materialise_online, online_store

    try:
        with closing(online_store(pipeline, home)) as store:
            done = materialise_online(pipeline, home, store)
    except HeadraceError as error:
        told = f"the online store of {pipeline.name} still answers with it: {error.what}"
        return {
            "pipeline": pipeline.name,
            "keys_renewed": 0,
            "error": f"{told}; then: headrace online fill {pipeline.name}",
        }
    return {
        "pipeline": pipeline.name,
        "keys_renewed": sum(done.renewed.values()),
        "error": "",
    }
