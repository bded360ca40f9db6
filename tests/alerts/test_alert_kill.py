"""kill -9 around the send: nobody misses a page, and a double is told by its id."""

import subprocess
import sys
from pathlib import Path

import pytest

from headrace.alerts import AlertStore
from headrace.alerts.store import LEASE
from headrace.lake.ingest.protocol import ingest
from tests.lake.kit import ROWS, SLOTS

ROOT = Path(__file__).parents[2]


def start(meter, when, later=0):
    command = [sys.executable, "-m", "tests.alerts.killed_sender", str(meter.root), when]
    return subprocess.Popen([*command, str(later)], cwd=ROOT)


@pytest.fixture
def blocked(meter, hook, written):
    written()
    meter.drop(SLOTS[0], [-5] * ROWS)
    ingest(meter.table, [SLOTS[0]], meter.home)
    return meter


@pytest.mark.parametrize(("when", "arrivals"), [("before", 1), ("after", 2)])
def test_killed_around_the_send(blocked, hook, when, arrivals):
    assert start(blocked, when).wait() == -9
    assert start(blocked, "never").wait() == 0
    assert len(hook.ids) == arrivals - 1, "the claim of the dead still holds"
    assert start(blocked, "never", 2 * LEASE).wait() == 0
    assert start(blocked, "never", 9 * LEASE).wait() == 0
    assert len(hook.ids) == arrivals
    assert len(set(hook.ids)) == 1, "a double is known by its id"
    with AlertStore(blocked.home) as store:
        (alert,) = store.alerts()
    assert alert.messages == {"sent": 1}


def test_several_processes_at_once_send_once(blocked, hook):
    running = [start(blocked, "never") for _ in range(4)]
    assert [one.wait() for one in running] == [0, 0, 0, 0]
    assert len(hook.ids) == 1
