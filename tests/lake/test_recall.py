"""A recalled batch leaves its table and stays away; everything else stays as it is."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.core.errors import RefusedError, StateError
from headrace.lake.ingest.protocol import ingest, outstanding
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action, actions
from headrace.lake.overrides.recall import recall, restore
from headrace.lake.tables import iceberg
from headrace.lake.tables.history import history
from headrace.lake.tables.lake import Lake
from tests.examples import examples
from tests.lake.kit import ROWS, SLOTS, Meter, balanced, meter_suite

REASON = "the sensor was loose"


def act(verb, batch_id, reason=REASON):
    return Action("ana", verb, "meter", reason, batch_id=batch_id)


def batch_of(meter, slot):
    """The latest batch of a slot."""
    with Ledger(meter.home) as ledger:
        return [b for b in ledger.batches("meter").values() if b.slot == slot][-1]


def rows(meter):
    lake = Lake(meter.home)
    if lake.snapshot_id("meter") is None:
        return []
    return lake.scan("meter", ["id", "value", "_batch", "_line"]).to_pylist()


def snapshots(meter):
    return len(iceberg.load(Lake(meter.home)._catalog(), "meter").snapshots())


@pytest.fixture
def published(meter):
    meter.drop_all(SLOTS[:3])
    meter.drop(SLOTS[1], [5, 2000, 6])  # one of its rows is quarantined
    ingest(meter.table, SLOTS[:3], meter.home)
    return meter


def test_one_snapshot_takes_one_file_out_and_counts_its_rows_as_rejected(published):
    bad, before = batch_of(published, SLOTS[1]), Lake(published.home).live("meter")
    done = recall(published.home, act("recall", bad.batch_id))
    assert done.decided
    assert done.committed
    assert snapshots(published) == 2
    live = Lake(published.home).live("meter")
    assert live == {key: path for key, path in before.items() if key != bad.batch_id}
    assert Path(before[bad.batch_id]).exists()  # earlier snapshots still hold it
    now = batch_of(published, SLOTS[1])
    assert (now.state, now.note) == ("recalled", "recalled: the sensor was loose")
    status = table_status(published.home, published.table)
    assert balanced(status)
    assert (status["published"], status["quarantined"], status["rejected"]) == (2 * ROWS, 0, 3)
    assert status["recalled"] == {"batches": 1, "rows": 3}
    summary = iceberg.load(Lake(published.home)._catalog(), "meter").current_snapshot().summary
    assert summary["headrace.recalled"] == bad.batch_id


def test_it_does_not_come_back_by_itself(published):
    bad = batch_of(published, SLOTS[1])
    recall(published.home, act("recall", bad.batch_id))
    without = rows(published)
    again = recall(published.home, act("recall", bad.batch_id, "again"))
    assert (again.decided, again.committed, again.action.reason) == (False, False, REASON)
    published.drop(SLOTS[1], [5, 2000, 6], name="_again")  # the same bytes, delivered anew
    for table in (published.table, published.with_limit(3000)):
        (result,) = ingest(table, [SLOTS[1]], published.home)
        assert (result.state, result.verdict) == ("missing", "MISSING")
        assert "recalled" in result.reasons[0]
        assert outstanding(table, [SLOTS[1]], published.home) == []
    assert rows(published) == without
    with Ledger(published.home) as ledger:
        assert [one.action for one in actions(ledger)] == ["recall"]


def test_a_corrected_delivery_is_published_in_its_stead(published):
    recall(published.home, act("recall", batch_of(published, SLOTS[1]).batch_id))
    published.drop(SLOTS[1], [7, 8], name="_corrected", arrived=5)
    (result,) = ingest(published.table, [SLOTS[1]], published.home)
    assert (result.state, result.published, result.delivered) == ("published", 2, 2)
    assert {row["value"] for row in rows(published) if row["id"] // 1000 == 1} == {7, 8}
    assert balanced(table_status(published.home, published.table))


def test_the_correction_is_recalled_and_what_it_corrected_stays(published):
    before = rows(published)
    values = [row["value"] for row in before if row["id"] // 1000 == 0]
    published.drop(SLOTS[0], [*values, 9], name="_corrected", arrived=5)
    ingest(published.table, [SLOTS[0]], published.home)
    assert rows(published) != before
    recall(published.home, act("recall", batch_of(published, SLOTS[0]).batch_id))
    assert rows(published) == before
    (result,) = ingest(published.table, [SLOTS[0]], published.home)
    assert (result.state, result.changed) == ("published", False)


def test_what_is_not_published_cannot_be_recalled(meter):
    meter.drop(SLOTS[0], [-1])
    ingest(meter.table, SLOTS[:1], meter.home)
    pending = batch_of(meter, SLOTS[0]).batch_id
    with pytest.raises(RefusedError, match="is pending, not published"):
        recall(meter.home, act("recall", pending))
    with pytest.raises(RefusedError, match="is pending, not recalled"):
        restore(meter.home, meter.table, act("restore", pending))
    with pytest.raises(StateError, match="no batch nobody"):
        recall(meter.home, act("recall", "nobody"))
    with Ledger(meter.home) as ledger:
        assert actions(ledger) == ()


def test_restored_rows_are_back_and_usable_from_then_on(published):
    bad, before = batch_of(published, SLOTS[1]).batch_id, rows(published)

    def committed():
        found = history(published.home, "meter", ["id"]).to_pylist()
        return {row["_batch"]: row["committed_at"] for row in found}

    first = committed()
    recall(published.home, act("recall", bad))
    done = restore(published.home, published.table, act("restore", bad, "it was right"))
    assert (done.decided, done.committed) == (True, True)
    assert rows(published) == before
    later = committed()
    assert later.pop(bad) > first.pop(bad)
    assert later == first
    assert not restore(published.home, published.table, act("restore", bad)).decided
    assert batch_of(published, SLOTS[1]).state == "published"
    status = table_status(published.home, published.table)
    assert balanced(status)
    assert (status["rejected"], status["quarantined"]) == (0, 1)
    recall(published.home, act("recall", bad, "it was not"))
    assert batch_of(published, SLOTS[1]).state == "recalled"
    assert len(rows(published)) == len(before) - 2


def test_a_batch_without_a_passing_row(meter):
    table = replace(meter.table, suite=replace(meter_suite(), max_quarantined_share=1.0))
    meter.drop(SLOTS[0], [5000, 2000])
    ingest(table, SLOTS[:1], meter.home)
    bad = batch_of(meter, SLOTS[0])
    assert bad.state == "published"
    assert not recall(meter.home, act("recall", bad.batch_id)).committed
    status = table_status(meter.home, table)
    assert (status["rejected"], status["quarantined"]) == (2, 0)
    restore(meter.home, table, act("restore", bad.batch_id))
    assert table_status(meter.home, table)["quarantined"] == 2
    assert not ingest(table, SLOTS[:1], meter.home)[0].changed


STEPS = ("before the snapshot", "after the snapshot")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("then", ["recall", "ingest"])
def test_what_was_cut_short_is_brought_to_its_end(published, monkeypatch, step, then):
    bad = batch_of(published, SLOTS[1]).batch_id
    real = iceberg.commit

    def dies(*given, **named):
        if step == STEPS[1]:
            real(*given, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(iceberg, "commit", dies)
        with pytest.raises(KeyboardInterrupt):
            recall(published.home, act("recall", bad))
    assert batch_of(published, SLOTS[1]).state == "recalled"
    if then == "recall":
        recall(published.home, act("recall", bad))
    else:
        assert outstanding(published.table, SLOTS[:3], published.home) == (
            [SLOTS[1]] if step == STEPS[0] else []
        )
        ingest(published.table, SLOTS[:2], published.home)
    assert bad not in Lake(published.home).live("meter")
    assert snapshots(published) == 2
    assert batch_of(published, SLOTS[1]).state == "recalled"
    with Ledger(published.home) as ledger:
        assert len(actions(ledger)) == 1
    assert outstanding(published.table, SLOTS[:3], published.home) == []


@pytest.mark.parametrize("step", STEPS)
def test_a_restoration_cut_short_is_brought_to_its_end(published, monkeypatch, step):
    bad, before = batch_of(published, SLOTS[1]).batch_id, rows(published)
    recall(published.home, act("recall", bad))
    real = iceberg.commit

    def dies(*given, **named):
        if step == STEPS[1]:
            real(*given, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(iceberg, "commit", dies)
        with pytest.raises(KeyboardInterrupt):
            restore(published.home, published.table, act("restore", bad))
    restore(published.home, published.table, act("restore", bad))
    assert rows(published) == before
    assert snapshots(published) == 3
    with Ledger(published.home) as ledger:
        assert [one.action for one in actions(ledger)] == ["recall", "restore"]


def test_a_recall_between_the_look_and_the_commit_of_an_ingest_wins(published, monkeypatch):
    """The ingest replaces the batch's file under new rules; its commit meets the recall's."""
    bad, other = batch_of(published, SLOTS[1]).batch_id, published.with_limit(3000)
    real, once = iceberg.commit, threading.Event()

    def interrupted(*given, **named):
        if not once.is_set():
            once.set()
            recall(published.home, act("recall", bad))
        return real(*given, **named)

    monkeypatch.setattr(iceberg, "commit", interrupted)
    ingest(other, SLOTS[:3], published.home)
    assert once.is_set()
    assert bad not in Lake(published.home).live("meter")
    assert batch_of(published, SLOTS[1]).state == "recalled"
    assert balanced(table_status(published.home, other))


def test_two_recalls_at_once_are_one(published):
    bad = batch_of(published, SLOTS[1]).batch_id
    with ThreadPoolExecutor(2) as both:
        done = list(both.map(lambda _: recall(published.home, act("recall", bad)), range(2)))
    assert sorted(one.decided for one in done) == [False, True]
    assert snapshots(published) == 2
    with Ledger(published.home) as ledger:
        assert len(actions(ledger)) == 1


VALUES = st.lists(st.sampled_from([1, 2, 3, 900, 2000, -1]), min_size=1, max_size=4)
STEP = st.one_of(
    st.tuples(st.just("drop"), st.sampled_from(SLOTS[:3]), VALUES),
    st.tuples(st.just("ingest"), st.sampled_from([1000, 3000]), st.none()),
    st.tuples(st.just("recall"), st.integers(0, 5), st.none()),
    st.tuples(st.just("restore"), st.integers(0, 5), st.none()),
)


@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
@given(st.lists(STEP, min_size=4, max_size=12))
def test_the_table_is_as_if_the_batch_had_never_come(steps):
    """The oracle delivers to a home of its own what is not recalled, and nothing else.

    Different values of a slot have different seconds, so that later files correct earlier ones.
    """
    with TemporaryDirectory() as folder:
        meter, files = Meter(Path(folder) / "it"), []
        for number, step in enumerate([*steps, ("ingest", 1000, None)]):
            one(meter, files, number, step)
            assert balanced(table_status(meter.home, meter.table))
        with Ledger(meter.home) as ledger:
            gone = {b.origin for b in ledger.batches("meter").values() if b.state == "recalled"}
            bytes_gone = {Path(name).read_bytes() for name in gone}
        calm = Meter(Path(folder) / "oracle")
        for number, (slot, values) in enumerate(files):
            second = second_of(files, values)
            calm.drop(slot, values, name=f"_{number}", arrived=number, second=second)
        for path in calm.folder.iterdir():
            if path.read_bytes() in bytes_gone:
                path.unlink()
        ingest(calm.table, SLOTS[:3], calm.home)
        assert content(meter) == content(calm)


def second_of(files, values) -> int:
    return [each for _, each in files].index(values)


def one(meter, files, number, step):
    verb, what, values = step
    if verb == "drop":
        files.append((what, values))
        at = len(files) - 1
        meter.drop(what, values, name=f"_{at}", arrived=at, second=second_of(files, values))
    elif verb == "ingest":
        ingest(meter.with_limit(what) if what != 1000 else meter.table, SLOTS[:3], meter.home)
    else:
        state = {"recall": "published", "restore": "recalled"}[verb]
        with Ledger(meter.home) as ledger:
            able = [b for b in ledger.batches("meter").values() if b.state == state]
        if able:
            action = act(verb, able[what % len(able)].batch_id)
            if verb == "recall":
                recall(meter.home, action)
            else:
                restore(meter.home, meter.table, action)


def content(meter):
    return sorted((r["id"], r["value"], r["_batch"], r["_line"]) for r in rows(meter))
