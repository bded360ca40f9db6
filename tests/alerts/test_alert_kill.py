"""kill -9 around the send: nobody misses a page, and a double is told by its id."""

import os

import pytest

from headrace.alerts import AlertStore
from headrace.alerts.store import LEASE
from headrace.lake.ingest.protocol import ingest
from tests.alerts.killed_sender import main
from tests.killing import forked
from tests.lake.kit import ROWS, SLOTS


def start(meter, when, later=0):
    environment = {name: os.environ[name] for name in ("HEADRACE_ALERTS", "PAGER")}
    process = forked().Process(target=main, args=(meter.root, when, later, environment))
    process.start()
    return process


def code(process):
    process.join()
    return process.exitcode


@pytest.fixture
def blocked(meter, hook, written):
    written()
    meter.drop(SLOTS[0], [-5] * ROWS)
    ingest(meter.table, [SLOTS[0]], meter.home)
    return meter


@pytest.mark.parametrize(("when", "arrivals"), [("before", 1), ("after", 2)])
def test_killed_around_the_send(blocked, hook, when, arrivals):
    assert code(start(blocked, when)) == -9
    assert code(start(blocked, "never")) == 0
    assert len(hook.ids) == arrivals - 1, "the claim of the dead still holds"
    assert code(start(blocked, "never", 2 * LEASE)) == 0
    assert code(start(blocked, "never", 9 * LEASE)) == 0
    assert len(hook.ids) == arrivals
    assert len(set(hook.ids)) == 1, "a double is known by its id"
    with AlertStore(blocked.home) as store:
        (alert,) = store.alerts()
    assert alert.messages == {"sent": 1}


def test_several_processes_at_once_send_once(blocked, hook):
    running = [start(blocked, "never") for _ in range(4)]
    assert [code(process) for process in running] == [0, 0, 0, 0]
    assert len(hook.ids) == 1
