"""Results of days, read from the ledger: for checks run without an ingest, and after decisions."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg

from headrace.core.home import Home
from headrace.dagster import asset_names, metadata
from headrace.dagster.checks import verdicts
from headrace.dagster.instance import open_instance
from headrace.dagster.partitions import RANGE_END, RANGE_START
from headrace.lake.ledger.partition_state import SETTLED_STATES, SlotResult
from headrace.lake.table import Table

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline

log = logging.getLogger(__name__)
PARTITION = "dagster/partition"
_ORDER = ("PASS", "WARN", "QUARANTINE", "UNJUDGED", "BLOCK", "ERROR")


def ingested_span(run: dg.DagsterRun, table: Table) -> tuple[str, str] | None:
    """Return the first and last partition of the table that this run ingests; None if none."""
    if asset_names.table_key(table.name) not in (run.asset_selection or ()):
        return None
    if not table.partitioned:
        return "", "~"  # includes every partition name: a snapshot table has one
    single = run.tags.get(PARTITION, "")
    return run.tags.get(RANGE_START, single), run.tags.get(RANGE_END, single)


def ledger_results(
    home: Home, table: Table, span: tuple[str, str] | None
) -> tuple[SlotResult, ...]:
    """Return one result per partition of `span` (ends included), else for the newest partition.

    A partition with several open batches is represented by the most severe one.
    """
    from headrace.lake.ledger.batch_listing import batch_rows, find_batches

    open_rows: dict[str, dict[str, Any]] = {}
    for row in batch_rows(home, table):
        if row["state"] in SETTLED_STATES:
            continue
        before = open_rows.get(row["slot"])
        if before is None or _gravity(row) >= _gravity(before):
            open_rows[row["slot"]] = row
    slots = sorted(open_rows)
    slots = slots[-1:] if span is None else [slot for slot in slots if span[0] <= slot <= span[1]]
    if len(slots) == 1:
        batch = open_rows[slots[0]]["batch"]
        return tuple(map(result_of, find_batches(home, table, batch)))
    return tuple(result_of(open_rows[slot]) for slot in slots)


def _gravity(row: Mapping[str, Any]) -> tuple[bool, int]:
    return row["state"] == "pending", _ORDER.index(row["verdict"])


def result_of(row: Mapping[str, Any]) -> SlotResult:
    """Convert a batch row of the ledger to the result of its partition."""
    state = str(row["state"])
    published = state == metadata.PUBLISHED
    waiting = state in {"pending", "received", "judged"}
    return SlotResult(
        table=row["table"],
        slot=row["slot"],
        state="published" if published else "pending" if waiting else "missing",
        verdict=row["verdict"] if published or waiting else "MISSING",
        delivered=row["delivered"],
        published=row["passing"] if published else 0,
        quarantined=row["quarantined"] if published else 0,
        pending=row["delivered"] if waiting else 0,
        batches=(row["batch"],),
        batch=row["batch"],
        reasons=(row["summary"],) if row["summary"] else (),
        judgement=row.get("judgement"),
    )


def decision_events(
    instance: dg.DagsterInstance, home: Home, table: Table, decision: Mapping[str, Any]
) -> Sequence[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """Return the asset's events after a decision: a materialisation, and check evaluations.

    Args:
        instance: the Dagster instance; its event log has the previous states of the checks.
        home: the home with the ledger.
        table: the table as the pipeline declares it.
        decision: return value of an action of `headrace.operations.batch_actions`.
    """
    from headrace.lake.ledger.batch_listing import find_batches
    from headrace.lake.ledger.conservation import table_status

    if not decision.get("batch"):
        return []
    (row, *_) = find_batches(home, table, str(decision["batch"]))
    result = result_of(row)
    events: list[dg.AssetMaterialization | dg.AssetCheckEvaluation] = []
    if result.state == metadata.PUBLISHED:
        events.append(
            dg.AssetMaterialization(
                asset_names.table_key(table.name),
                partition=result.slot if table.partitioned else None,
                description=sentence(decision),
                metadata=metadata.slot_metadata(result),
            )
        )
    before = verdicts.state_before(instance, table)
    return [*events, *verdicts.evaluations(table, [result], table_status(home, table), before)]


def sentence(decision: Mapping[str, Any]) -> str:
    """Return the action as text: "release by ana: looked at it"; "" if nothing was done."""
    action = decision.get("action") or {}
    return f"{action['action']} by {action['principal']}: {action['reason']}" if action else ""


def report_decision(
    home: Home, pipelines: "Sequence[Pipeline]", table: str, decision: Mapping[str, Any]
) -> None:
    """Record a decision made outside Dagster in its event log, if there is one; never raises."""
    changed = decision.get("changed", decision.get("decided_now", True))
    if not changed or not (home.dagster / "dagster.yaml").exists():
        return
    try:
        (declared,) = (t for p in pipelines for t in p.tables if t.name == table)
        with open_instance(home) as instance:
            for event in decision_events(instance, home, declared, decision):
                _report(instance, event)
    except Exception:
        # The ledger has the decision, and it is effective; the next run shows it in Dagster.
        log.exception("the decision could not be recorded in Dagster")


def _report(
    instance: dg.DagsterInstance, event: dg.AssetMaterialization | dg.AssetCheckEvaluation
) -> None:
    """Record an event outside of a run.

    Dagster stores one evaluation per check, partition and run, and treats all evaluations without
    a run as one run. So each evaluation gets a new run id.
    """
    if not isinstance(event, dg.AssetCheckEvaluation):
        instance.report_runless_asset_event(event)
        return
    dagster_event = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
        event_specific_data=event,
        job_name="decision",
    )
    instance.report_dagster_event(dagster_event, run_id=str(uuid4()))
