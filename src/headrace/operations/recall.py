"""Recall of a batch in tables, online stores, releases and models, and its restoration.

The order of the steps fails closed. A recall first taints the releases, then records itself in the
ledger, then changes the table and the online stores; a restoration takes the steps in reverse
order. Every step can be repeated, so calling the function again completes an interrupted call.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from headrace.core.clock import now_us
from headrace.core.errors import DeclarationError, HeadraceError, RefusedError
from headrace.core.home import Home
from headrace.core.permissions import PermissionPolicy, recorded_name
from headrace.datasets.store.store import Store
from headrace.datasets.taint import Recall, active_recalls, note
from headrace.lake.ingest.protocol import settle
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides import recall as lake_recall
from headrace.lake.overrides.audit_trail import Action, record
from headrace.lake.overrides.batch_case import BatchCase, open_case
from headrace.lake.overrides.recall import Withdrawal
from headrace.lake.overrides.scopes import recall_scope
from headrace.lake.table import Table
from headrace.lake.tables.lake import Lake
from headrace.lineage.batch_holders import Impact, impact
from headrace.lineage.downstream import readers, stores
from headrace.operations.authorization import permit
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.load import project_pipelines

_STATES = ("published", "recalled")


def reach(
    home: Home, table: Table, batch: str, *, pipelines: Sequence[Pipeline] | None = None
) -> dict[str, Any]:
    """Return the effects that a recall would have, as plain JSON values; nothing is changed.

    Args:
        home: where the state lives.
        table: as the pipeline declares it.
        batch: its partition, or the start of its id.
        pipelines: pipelines whose views and stores are checked; by default the project's.
    """
    return _reach(open_case(home, table, batch, _STATES), _readers(pipelines, table))


def recall(
    home: Home,
    table: Table,
    batch: str,
    *,
    principal: str,
    reason: str,
    policy: PermissionPolicy | None = None,
    pipelines: Sequence[Pipeline] | None = None,
) -> dict[str, Any]:
    """Recall a published batch; return affected objects and completed steps, as JSON values.

    `incomplete` lists, as sentences, the steps still to be done. Calling the function again
    completes them.

    Args:
        home: where the state lives.
        table: as the pipeline declares it.
        batch: its partition, or the start of its id.
        principal: who acts.
        reason: why, for the record.
        policy: by default the project's.
        pipelines: as in `reach`.

    Raises:
        DeclarationError: no batch or several batches match, or the reason is empty.
        RefusedError: the policy does not allow it, or the batch is not published.
    """
    case = open_case(home, table, batch, _STATES)
    affected = _readers(pipelines, table)
    action = _draft(case, "recall", principal, reason)
    with Ledger(home) as ledger:
        permit(ledger, action, policy)
        try:
            recall_scope(case, action)
        except RefusedError as refused:
            record(ledger, replace(action, allowed=False, note=refused.what))
            raise
    report = _reach(case, affected)
    refs = [release["ref"] for release in report["releases"]]
    note(Store.find(home.store), _event(action, refs))
    withdrawal = lake_recall.recall(home, action)
    report["releases"] = [{**release, "tainted": True} for release in report["releases"]]
    ended = _effects(case, affected, withdrawal)
    return {**report, **ended, "incomplete": [*ended["incomplete"], *report["problems"]]}


def restore(
    home: Home,
    table: Table,
    batch: str,
    *,
    principal: str,
    reason: str,
    policy: PermissionPolicy | None = None,
    pipelines: Sequence[Pipeline] | None = None,
) -> dict[str, Any]:
    """Withdraw a recall: the batch is published again, and releases are no longer tainted by it.

    Arguments and result are as for `recall`.

    Raises:
        DeclarationError: no batch or several batches match, or the reason is empty.
        RefusedError: the policy does not allow it, or the batch is not recalled.
        StateError: the batch's file is gone.
    """
    store = Store.find(home.store)
    case = open_case(home, table, batch, ("recalled", "judged", "pending", "published"))
    affected = _readers(pipelines, table)
    action = _draft(case, "restore", principal, reason)
    with Ledger(home) as ledger:
        permit(ledger, action, policy)
        last = lake_recall.last_action(ledger, table.name, case.batch.batch_id)
    marked = (table.name, case.batch.batch_id) in active_recalls(store, [table.name])
    if marked and case.batch.state == "published" and (last is None or last.action == "recall"):
        # A recall was interrupted before the ledger recorded it: only a taint has to be lifted.
        with Ledger(home) as ledger:
            withdrawal = Withdrawal(
                record(ledger, action), True, Lake(home).snapshot_id(table.name), False
            )
    else:
        withdrawal = _restored(home, table, action)
        settle(table, [case.batch.slot], home)  # approvals may have expired meanwhile
    note(store, _event(action, ()))
    return {**_reach(case, affected), **_effects(case, affected, withdrawal)}


def _restored(home: Home, table: Table, action: Action) -> Withdrawal:
    try:
        return lake_recall.restore(home, table, action)
    except RefusedError as refused:
        with Ledger(home) as ledger:
            record(ledger, replace(action, allowed=False, note=refused.what))
        raise


def _readers(pipelines: Sequence[Pipeline] | None, table: Table) -> list[Pipeline]:
    candidates = project_pipelines() if pipelines is None else pipelines
    return [pipeline for pipeline in candidates if table.name in pipeline.contracts]


def _draft(case: BatchCase, verb: str, principal: str, reason: str) -> Action:
    if not reason.strip():
        raise DeclarationError(
            f"{verb} of {case.name}, has no reason", fix="give a reason; it is kept permanently"
        )
    batch = case.batch
    identity = (batch.batch_id, batch.slot)
    return Action(recorded_name(principal), verb, case.table.name, reason, *identity, at=now_us())


def _event(action: Action, refs: Sequence[str]) -> Recall:
    return Recall(
        "recalled" if action.action == "recall" else "restored",
        action.table,
        action.batch_id,
        action.slot,
        action.at,
        action.principal,
        action.reason,
        tuple(refs),
    )


# Affected releases, models and stores


def _reach(case: BatchCase, pipelines: Sequence[Pipeline]) -> dict[str, Any]:
    home, table, batch = case.home, case.table.name, case.batch
    problems = []
    try:
        affected = impact(home, batch.batch_id, table)
    except HeadraceError as error:  # a damaged release must not hold up a recall
        affected = Impact(batch.batch_id, (), (), ())
        problems = [f"the releases and models with the batch cannot be determined: {error.what}"]
    files = {file.batch_id: file for file in Lake(home).files(table)}
    live = files.get(batch.batch_id)
    return {
        "table": table,
        "slot": batch.slot,
        "batch": batch.batch_id,
        "origin": batch.origin,
        "state": batch.state,
        "published_rows": live.rows if live else 0,
        "releases": [
            {"ref": release.ref, "content_hash": release.content_hash, "tainted": release.tainted}
            for release in affected.releases
        ],
        "models": [{"ref": ref, "champion": ref in affected.champions} for ref in affected.models],
        "readers": readers(pipelines, table),
        "stores": [store.name for store in stores(pipelines, home, table)],
        "problems": problems,
    }


# Effects


def _effects(
    case: BatchCase, pipelines: Sequence[Pipeline], withdrawal: Withdrawal
) -> dict[str, Any]:
    holding = stores(pipelines, case.home, case.table.name)
    renewed = [_renewed(pipeline, case.home) for pipeline in holding]
    with Ledger(case.home) as ledger:
        state = ledger.batches(case.table.name)[case.batch.batch_id].state
    return {
        "action": withdrawal.action.document(),
        "decided_now": withdrawal.decided,
        "state": state,
        "snapshot_id": withdrawal.snapshot_id,
        "committed_now": withdrawal.committed,
        "stores": renewed,
        "incomplete": [store["error"] for store in renewed if store["error"]],
    }


def _renewed(pipeline: Pipeline, home: Home) -> dict[str, Any]:
    """Update an online store from the published tables; a failure does not undo the recall."""
    from headrace.pipeline.serving.services import materialise_online, online_store

    try:
        with closing(online_store(pipeline, home)) as store:
            update = materialise_online(pipeline, home, store)
    except HeadraceError as error:
        problem = f"the online store of {pipeline.name} still serves the batch: {error.what}"
        return {
            "pipeline": pipeline.name,
            "keys_renewed": 0,
            "error": f"{problem}; then run: headrace online sync {pipeline.name}",
        }
    return {
        "pipeline": pipeline.name,
        "keys_renewed": sum(update.renewed.values()),
        "error": "",
    }
