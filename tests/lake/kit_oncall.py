"""On-call at the meter: actions by name, and what the lake shows after them."""

from headrace.alerts import watch
from headrace.clock import now_us
from headrace.gates.policy import ACTIONS, Grant, Policy
from headrace.lake import actions, cases, judging, ledger, overrides, reconcile, running, status
from headrace.lake import ingest as ingesting
from headrace.lake import recall as recalled
from headrace.lake.history import history
from headrace.lake.ingest import ingest
from headrace.lake.status import table_status
from headrace.lake.tables import Lake
from headrace.pipeline import oncall, recalling
from tests.lake.kit import balanced

POLICY = Policy({"ana": Grant(frozenset(ACTIONS)), "night": Grant(frozenset({"ack"}))})
GIVEN = {"principal": "ana", "reason": "the meter was replaced", "policy": POLICY}


def act(meter, verb, which, table=None, **more):
    given = {**GIVEN, **more}
    return getattr(oncall, verb)(meter.home, table or meter.table, which, **given)


def wait(monkeypatch, duration):
    """Let time pass: `duration` microseconds, for all that asks what time it is."""
    for module in (
        actions,
        cases,
        ingesting,
        judging,
        ledger,
        overrides,
        reconcile,
        running,
        status,
        recalled,
        recalling,
        oncall,
        watch,
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
