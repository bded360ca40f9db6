"""A release or a quarantine that dies anywhere, and is run again: done once, and nothing lost."""

import itertools
import random
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.lake.ingest import protocol as ingesting
from headrace.lake.ingest.protocol import outstanding
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides import overrides
from headrace.lake.overrides.audit_trail import actions
from headrace.lake.tables import iceberg
from headrace.lake.tables.lake import Lake
from headrace.operations import batch_actions
from tests.killing import child
from tests.lake.kit import SLOTS, Meter, balanced
from tests.lake.kit_oncall import act, counts, run, values

DAYS = SLOTS[:3]


def deliver(meter):
    meter.drop(DAYS[0], [1, -5, 2000, 3])
    meter.drop(DAYS[1], [4, 5000, 6, 6000])
    meter.drop(DAYS[2], [7, 8, 9])
    run(meter, DAYS)


def script(meter):
    """Each of these may be repeated."""
    act(meter, "release", DAYS[0])
    act(meter, "release", DAYS[1], scope={"lines": [3]})
    act(meter, "reject", DAYS[1], scope={"lines": [5]})
    act(meter, "quarantine", DAYS[2], scope={"where": {"value": "8"}})


def content(meter):
    lake = Lake(meter.home)
    rows = lake.scan("meter", ["id", "value", "_batch", "_line"]).to_pylist()
    with Ledger(meter.home) as ledger:
        states = {key: batch.state for key, batch in ledger.batches("meter").items()}
        done = [(a.action, a.slot, dict(a.scope), a.allowed) for a in actions(ledger)]
    return rows, states, done, table_status(meter.home, meter.table)


def at(root: Path) -> None:
    script(Meter(root))


@pytest.mark.parametrize("count", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_kills_change_nothing(tmp_path, count):
    calm = Meter(tmp_path / "calm")
    deliver(calm)
    assert child(at, calm.root) == 0
    calls = int((calm.root / "calls").read_text())
    expected = content(calm)
    assert balanced(expected[-1])
    assert len(expected[2]) == 4
    moments, kills = random.Random(4), 0
    for number in itertools.count():
        meter = Meter(tmp_path / str(number))
        deliver(meter)
        codes = [child(at, meter.root, moments.randrange(calls)) for _ in range(2)]
        assert set(codes) <= {0, -signal.SIGKILL}
        if number % 2:  # the next run of the pipeline comes first
            run(meter, DAYS)
        script(meter)
        assert content(meter) == expected
        assert outstanding(meter.table, DAYS, meter.home) == []
        kills += codes.count(-signal.SIGKILL)
        if kills >= count:
            return


def die(*_args, **_more):
    raise KeyboardInterrupt


STEPS = {
    "before the record": (batch_actions, "record"),
    "after the record": (batch_actions, "settle"),
    "while the file is written": (overrides, "stage"),
    "after the file": (overrides, "quarantine"),
    "before the verdict": (ingesting.Ledger, "judge"),
    "before the commit": (iceberg, "commit"),
    "after the commit": (ingesting.Ledger, "mark_published"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("then", ["the same again", "the pipeline runs"])
def test_a_release_that_dies_at_any_step(meter, monkeypatch, step, then):
    deliver(meter)
    with monkeypatch.context() as patch:
        patch.setattr(*STEPS[step], die)
        with pytest.raises(KeyboardInterrupt):
            act(meter, "release", DAYS[0])
    assert balanced(table_status(meter.home, meter.table))
    assert not {-5, 2000} & set(values(meter))
    if then == "the pipeline runs":
        run(meter, DAYS)
        decided = step != "before the record"
        assert values(meter) == ([1, 3, 4, 6, 7, 8, 9] if decided else [4, 6, 7, 8, 9])
    act(meter, "release", DAYS[0])
    assert values(meter) == [1, 3, 4, 6, 7, 8, 9]
    assert counts(meter) == (7, 4, 0, 0)
    with Ledger(meter.home) as ledger:
        assert [a.action for a in actions(ledger)] == ["release"]


@pytest.mark.parametrize("step", STEPS)
def test_a_quarantine_that_dies_at_any_step(meter, monkeypatch, step):
    deliver(meter)
    with monkeypatch.context() as patch:
        patch.setattr(*STEPS[step], die)
        with pytest.raises(KeyboardInterrupt):
            act(meter, "quarantine", DAYS[2], scope={"lines": [3]})
    assert balanced(table_status(meter.home, meter.table))
    act(meter, "quarantine", DAYS[2], scope={"lines": [3]})
    assert values(meter) == [4, 6, 7, 9]
    assert counts(meter) == (4, 3, 4, 0)


def test_two_of_the_same_at_once_are_one(tmp_path):
    calm, meter = Meter(tmp_path / "calm"), Meter(tmp_path / "raced")
    for one in (calm, meter):
        deliver(one)
    script(calm)
    with ThreadPoolExecutor(2) as both:
        codes = list(both.map(child, [at] * 2, [meter.root] * 2))
    # The one that found it changed under its hands says so, and is done by saying it again.
    assert 0 in codes
    script(meter)
    rows, states, done, status = content(meter)
    expected = content(calm)
    assert (rows, states, status) == (expected[0], expected[1], expected[3])
    assert [one for one in done if one[3]] == expected[2]
