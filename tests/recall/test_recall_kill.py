"""kill -9 at random moments of a recall, then the same call: once, whole, and marked."""

import itertools
import random
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import headrace
from headrace.core.errors import TaintedError
from headrace.datasets import release
from headrace.datasets.store.store import Store
from headrace.datasets.taint import active_recalls
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import actions
from headrace.lake.tables import iceberg
from headrace.lake.tables.lake import Lake
from headrace.operations import batch_actions
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC, frame
from tests.killing import child
from tests.lake.kit import SLOTS, Meter
from tests.lake.kit_oncall import POLICY, values

FRAME = frame(200)


def prepared(root: Path) -> Meter:
    """Two days published, and a release that holds both."""
    meter = Meter(root)
    meter.drop(SLOTS[0], [1, 2])
    meter.drop(SLOTS[1], [3, 4])
    ingest(meter.table, SLOTS[:2], meter.home)
    given = {"meter": replace(INPUTS["weather"], batches=tuple(Lake(meter.home).live("meter")))}
    release(
        SPEC,
        FRAME,
        inputs={**INPUTS, **given},
        definitions=DEFINITIONS,
        mode="declared",
        code_revision="r1",
        store=meter.home.store,
    )
    return meter


def run(root: Path, verb: str) -> None:
    meter = Meter(root)
    who = {"principal": "ana", "reason": "a loose sensor", "policy": POLICY, "pipelines": []}
    getattr(batch_actions, verb)(meter.home, meter.table, SLOTS[0], **who)


def state(meter):
    """Rows, what opens, what stands, what is on the record, snapshots."""
    try:
        opens = headrace.open("delays", meter.home.store) is not None
    except TaintedError:
        opens = False
    with Ledger(meter.home) as ledger:
        told = [(one.action, one.allowed) for one in actions(ledger)]
        states = sorted(b.state for b in ledger.batches("meter").values())
    marks = [event.table for event in active_recalls(Store(meter.home.store)).values()]
    snapshots = len(iceberg.load(Lake(meter.home)._catalog(), "meter").snapshots())
    return values(meter), opens, marks, told, states, snapshots


@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("verb", ["recall", "restore"])
def test_kills_change_nothing(tmp_path, monkeypatch, verb, count):
    monkeypatch.delenv("HEADRACE_STORE", raising=False)

    def started(name):
        meter = prepared(tmp_path / name)
        if verb == "restore":
            run(meter.root, "recall")
        return meter

    calm = started("calm")
    assert child(partial(run, verb=verb), calm.root) == 0
    expected = state(calm)
    moments, kills = random.Random(8), 0
    total = int((calm.root / "calls").read_text())
    for number in itertools.count():
        meter = started(str(number))
        codes = [
            child(partial(run, verb=verb), meter.root, moments.randrange(total)) for _ in range(2)
        ]
        assert set(codes) <= {0, -signal.SIGKILL}
        run(meter.root, verb)
        assert state(meter) == expected
        kills += codes.count(-signal.SIGKILL)
        if kills >= count:
            return
