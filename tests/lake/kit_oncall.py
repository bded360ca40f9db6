"""On-call at the meter: actions by name, and what the lake shows after them."""

from headrace.alerts import watcher
from headrace.core.clock import now_us
from headrace.core.permissions import ACTIONS, Grant, PermissionPolicy
from headrace.lake.ingest import ingest_run, reconcile, validator
from headrace.lake.ingest import protocol as ingesting
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger import conservation as status
from headrace.lake.ledger import ledger
from headrace.lake.ledger.conservation import table_status
from headrace.lake.overrides import audit_trail, batch_case, overrides
from headrace.lake.overrides import recall as recalled
from headrace.lake.tables.history import history
from headrace.lake.tables.lake import Lake
from headrace.operations import batch_actions, recall
from tests.lake.kit import balanced

POLICY = PermissionPolicy({"ana": Grant(frozenset(ACTIONS)), "night": Grant(frozenset({"ack"}))})
GIVEN = {"principal": "ana", "reason": "the meter was replaced", "policy": POLICY}


def act(meter, verb, which, table=None, **more):
    given = {**GIVEN, **more}
    return getattr(batch_actions, verb)(meter.home, table or meter.table, which, **given)


def wait(monkeypatch, duration):
    """Let time pass: `duration` microseconds, for all that asks what time it is."""
    for module in (
        audit_trail,
        batch_case,
        ingesting,
        validator,
        ledger,
        overrides,
        reconcile,
        ingest_run,
        status,
        recalled,
        recall,
        batch_actions,
        watcher,
    ):
        monkeypatch.setattr(module, "now_us", lambda: now_us() + duration)


def run(meter, slots, table=None):
    return ingest(table or meter.table, slots, meter.home)


def values(meter):
    """What is published, in order."""
    lake = Lake(meter.home)
    if lake.snapshot_id("meter") is None:
        return []
    return sorted(lake.scan("meter", ["value"])["value"].to_pylist())


def usable(meter):
    """By value, since when it has been published."""
    rows = history(meter.home, "meter", ["value"])
    return dict(zip(rows["value"].to_pylist(), rows["committed_at"].to_pylist(), strict=True))


def counts(meter, table=None):
    """(published, quarantined, pending, rejected), which balance."""
    status = table_status(meter.home, table or meter.table)
    assert balanced(status)
    return tuple(status[f] for f in ("published", "quarantined", "pending", "rejected"))
