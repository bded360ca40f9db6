"""A clock that was set back: a small step is waited for, a great one refuses what comes."""

import pytest
from kit import SLOTS, Meter

from headrace.core.clock import DAY, SECOND, forward, iso, machine_us, now_us
from headrace.core.errors import StateError
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action, actions, record
from headrace.lake.tables.lake import Lake

PAST = 2 * DAY


def set_back(monkeypatch, by: int) -> None:
    """Show an earlier time from now on wherever something is about to be recorded."""
    for module in ("ingest.ingest_run", "overrides.audit_trail"):
        monkeypatch.setattr(f"headrace.lake.{module}.now_us", lambda: now_us() - by)


def test_a_small_step_is_waited_for():
    ticks = iter([10, 10 + SECOND // 100, 10 + SECOND])
    assert forward(10 + SECOND // 50, "here", lambda: next(ticks)) == 10 + SECOND


def test_nothing_is_ingested_and_nothing_decided_before_the_latest_record(tmp_path, monkeypatch):
    meter = Meter(tmp_path)
    meter.drop(SLOTS[0], range(5))
    ingest(meter.table, [SLOTS[0]], meter.home)
    meter.drop(SLOTS[1], range(5))
    with Ledger(meter.home) as ledger:
        last = ledger.latest()
    set_back(monkeypatch, PAST)
    with pytest.raises(StateError) as error:
        ingest(meter.table, [SLOTS[1]], meter.home)
    assert iso(last) in error.value.what
    assert iso(now_us() - PAST)[:10] in error.value.what
    assert "set the clock right" in error.value.fix
    assert error.value.where == str(meter.home.ledger)
    with Ledger(meter.home) as ledger, pytest.raises(StateError, match="was set back"):
        record(ledger, Action("ann", "mute", "meter", "noisy"))
    with Ledger(meter.home) as ledger:
        assert actions(ledger) == ()
        assert {batch.slot for batch in ledger.batches("meter").values()} == {SLOTS[0]}
    monkeypatch.undo()
    assert ingest(meter.table, [SLOTS[1]], meter.home)[0].state == "published"


def test_no_commit_is_dated_before_the_one_it_follows(tmp_path, monkeypatch):
    meter = Meter(tmp_path)
    meter.drop(SLOTS[0], range(5))
    ingest(meter.table, [SLOTS[0]], meter.home)
    lake = Lake(meter.home)
    (batch,) = lake.live("meter")
    before = lake.snapshot_id("meter")
    monkeypatch.setattr("headrace.lake.tables.lake.machine_us", lambda: machine_us() - PAST)
    with pytest.raises(StateError, match="was set back"):
        lake.withdraw("meter", lambda: [batch])
    assert Lake(meter.home).snapshot_id("meter") == before
