"""A recall of a batch about which people did something: all of it leaves, all of it comes back."""

import pytest

from headrace.core.clock import MINUTE, now_us
from headrace.core.errors import RefusedError
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import actions
from tests.lake.kit import SLOTS
from tests.lake.kit_oncall import act, counts, run, usable, values, wait

DAY = SLOTS[0]


def recall(meter):
    return act(meter, "recall", DAY, pipelines=[])


def restore(meter):
    return act(meter, "restore", DAY, pipelines=[])


@pytest.fixture
def released(meter):
    """One row of the day had been in quarantine."""
    meter.drop(DAY, [1, 2000, 3])
    meter.drop(SLOTS[1], [7])
    run(meter, SLOTS[:2])
    act(meter, "release", DAY)
    assert values(meter) == [1, 3, 7, 2000]
    return meter


def test_released_rows_are_recalled_with_their_batch(released):
    found = recall(released)
    assert (found["state"], found["published_rows"]) == ("recalled", 3)
    assert values(released) == [7]
    assert counts(released) == (1, 0, 0, 3)
    assert not run(released, SLOTS[:2])[0].changed
    assert values(released) == [7]


def test_a_restoration_brings_released_rows_back_usable_from_then_on(released):
    before = usable(released)
    recall(released)
    restore(released)
    assert values(released) == [1, 3, 7, 2000]
    assert counts(released) == (4, 0, 0, 0)
    after = usable(released)
    assert after.pop(7) == before.pop(7)
    assert min(after.values()) > max(before.values())
    assert not any(r.changed for r in run(released, SLOTS[:2]))


def test_rows_that_people_took_out_stay_out(meter):
    meter.drop(DAY, [1, 2, 3])
    run(meter, [DAY])
    act(meter, "quarantine", DAY, scope={"where": {"value": "2"}})
    recall(meter)
    assert counts(meter) == (0, 0, 0, 3)
    restore(meter)
    assert values(meter) == [1, 3]
    assert counts(meter) == (2, 1, 0, 0)


def test_a_release_that_ends_while_its_batch_is_recalled_has_ended_when_it_is_restored(
    meter, monkeypatch
):
    meter.drop(DAY, [1, -5, 3])
    run(meter, [DAY])
    act(meter, "release", DAY, expires=now_us() + MINUTE)
    assert values(meter) == [1, 3]
    recall(meter)
    wait(monkeypatch, 2 * MINUTE)
    restore(meter)
    assert values(meter) == []
    assert counts(meter) == (0, 0, 3, 0)
    assert not run(meter, [DAY])[0].changed


@pytest.mark.parametrize("verb", ["release", "quarantine", "reject", "rerun"])
def test_nothing_else_can_be_done_about_a_recalled_batch(released, verb):
    recall(released)
    more = {"scope": {"lines": [1]}} if verb == "quarantine" else {}
    with pytest.raises(RefusedError):
        act(released, verb, DAY, **more)
    assert values(released) == [7]
    with Ledger(released.home) as ledger:
        last = actions(ledger)[-1]
    assert (last.action, last.allowed) == (verb, False)


def test_an_action_that_was_begun_before_the_recall_does_not_bring_it_back(released, monkeypatch):
    """The release is decided, the recall comes in between, then the release is carried out."""
    from headrace.operations import batch_actions

    real = batch_actions.settle

    def late(table, slots, home):
        recall(released)
        return real(table, slots, home)

    monkeypatch.setattr(batch_actions, "settle", late)
    act(released, "quarantine", DAY, scope={"where": {"value": "1"}})
    assert values(released) == [7]
    assert counts(released) == (1, 0, 0, 3)
