"""kill -9 at random moments, then run again: the same rows, nothing lost, nothing doubled."""

import itertools
import random
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.lake.ingest.protocol import ingest, outstanding
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables import iceberg
from headrace.lake.tables.lake import Lake
from tests.killing import child
from tests.lake.kit import SLOTS, Meter, balanced


def deliver(meter):
    """All fates: passing, quarantined, blocked, superseded, redelivered, in conflict, missing."""
    meter.drop_all(SLOTS[:-1])
    meter.drop(SLOTS[1], [1, 900_000, 2])
    meter.drop(SLOTS[2], [-1, 2])
    meter.drop(SLOTS[3], [-1, 2], arrived=1)
    meter.drop(SLOTS[3], [1, 2], name="_again", arrived=2)
    meter.drop(SLOTS[4], [1, 2], name="_a", arrived=1)
    meter.drop(SLOTS[4], [1, 2], name="_b", arrived=2)
    meter.drop(SLOTS[5], [1, 2, 30, 4], name="_late", arrived=10_000)
    meter.drop(SLOTS[5], range(5, 10), arrived=5_000)
    meter.drop(SLOTS[6], [*range(6, 10), 11], name="_late", arrived=10_000)


def run(root: Path) -> None:
    meter = Meter(root)
    ingest(meter.table, SLOTS, meter.home)


def content(meter):
    """All that must not depend on how often a run was killed."""
    lake = Lake(meter.home)
    with Ledger(meter.home) as ledger:
        states = {key: batch.state for key, batch in ledger.batches("meter").items()}
    rows = lake.scan("meter", ["id", "value", "_batch", "_line"]).to_pylist()
    return rows, sorted(lake.live("meter")), states, table_status(meter.home, meter.table)


@pytest.mark.parametrize("count", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_change_nothing(tmp_path, count):
    calm = Meter(tmp_path / "calm")
    deliver(calm)
    assert child(run, calm.root) == 0
    calls = int((calm.root / "calls").read_text())
    expected = content(calm)
    assert balanced(expected[-1])
    moments, kills = random.Random(20), 0
    for number in itertools.count():
        meter = Meter(tmp_path / str(number))
        deliver(meter)
        codes = [child(run, meter.root, moments.randrange(calls)) for _ in range(3)]
        assert set(codes) <= {0, -signal.SIGKILL}
        run(meter.root)
        assert content(meter) == expected
        assert outstanding(meter.table, SLOTS, meter.home) == []
        assert snapshots(meter) == 1
        kills += codes.count(-signal.SIGKILL)
        if kills >= count:
            return


def snapshots(meter) -> int:
    return len(iceberg.load(Lake(meter.home)._catalog(), "meter").snapshots())


def test_two_runs_at_once_lose_and_double_nothing(tmp_path):
    calm, meter = Meter(tmp_path / "calm"), Meter(tmp_path / "raced")
    for one in (calm, meter):
        deliver(one)
    run(calm.root)
    with ThreadPoolExecutor(2) as both:
        codes = list(both.map(child, [run] * 2, [meter.root] * 2))
    assert codes == [0, 0]
    assert content(meter) == content(calm)
