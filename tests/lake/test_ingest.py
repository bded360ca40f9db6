import json
import shutil
import time
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace.lake.ingest.validator as judging
from headrace.core.errors import SourceError
from headrace.gates import Judgement
from headrace.lake.ingest.protocol import ingest, outstanding
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.history import history
from headrace.lake.tables.lake import Lake
from tests.lake.kit import ROWS, SLOTS, balanced, meter_csv

DAY = SLOTS[0]


def run(meter, slots=SLOTS, table=None):
    return ingest(table or meter.table, slots, meter.home)


def ids(meter):
    return sorted(Lake(meter.home).scan("meter", ["id"]).column("id").to_pylist())


def test_a_run_publishes_every_slot_in_one_snapshot(meter):
    meter.drop_all()
    seen = []
    results = ingest(meter.table, SLOTS, meter.home, on_slot=seen.append)
    assert [r.slot for r in results] == SLOTS
    assert {r.state for r in results} == {"published"}
    assert {r.verdict for r in results} == {"PASS"}
    assert {(r.delivered, r.published, r.changed) for r in results} == {(ROWS, ROWS, True)}
    assert len({r.snapshot_id for r in results}) == 1
    assert [(p.slot, p.verdict, p.finished, p.total) for p in seen] == [
        (slot, "PASS", n + 1, len(SLOTS)) for n, slot in enumerate(SLOTS)
    ]
    assert Judgement.from_json(json.dumps(results[0].judgement)).verdict == "PASS"
    assert len(Lake(meter.home).live("meter")) == len(SLOTS)


def test_running_again_changes_nothing(meter):
    meter.drop_all()
    first = run(meter)
    assert outstanding(meter.table, SLOTS, meter.home) == []
    again = run(meter)
    assert [replace(r, changed=False) for r in first] == again
    assert table_status(meter.home, meter.table)["redelivered"] == {"batches": 0, "rows": 0}


def test_only_new_slots_are_outstanding(meter):
    meter.drop_all(SLOTS[:3])
    run(meter, SLOTS[:3])
    meter.drop(SLOTS[5], [1, 2])
    assert outstanding(meter.table, SLOTS, meter.home) == [SLOTS[5]]
    result = run(meter, [SLOTS[5]])[0]
    assert (result.state, result.published) == ("published", 2)


def test_an_expected_slot_without_a_delivery_is_missing(meter):
    meter.drop_all(SLOTS[1:])
    result, *_ = run(meter)
    assert (result.state, result.verdict, result.changed) == ("missing", "MISSING", False)
    assert result.reasons
    assert table_status(meter.home, meter.table)["missing"] == [DAY]
    beyond = run(meter, ["2030-01-01"])[0]
    assert beyond.state == "not_expected"


def test_failing_rows_are_quarantined_with_their_reasons(meter):
    meter.drop(DAY, [1, 2000, 3])
    result = run(meter, [DAY])[0]
    assert (result.state, result.verdict) == ("published", "QUARANTINE")
    assert (result.published, result.quarantined, result.delivered) == (2, 1, 3)
    assert result.reasons
    (path,) = (meter.home.quarantine / "meter").glob("*.parquet")
    kept = pq.read_table(path).to_pylist()
    assert [(row["value"], row["_line"], row["_reasons"]) for row in kept] == [(2000, 3, ["limit"])]


def test_a_blocked_slot_stays_pending_and_the_others_publish(meter):
    meter.drop_all()
    meter.drop(DAY, [1, -5])
    results = run(meter)
    assert (results[0].state, results[0].verdict, results[0].pending) == ("pending", "BLOCK", 2)
    assert {r.state for r in results[1:]} == {"published"}
    status = table_status(meter.home, meter.table)
    assert (status["pending"], status["delivered"]) == (2, 2 + ROWS * (len(SLOTS) - 1))
    assert status["batches"] == {"BLOCK": 1, "PASS": len(SLOTS) - 1}
    assert outstanding(meter.table, SLOTS, meter.home) == []


def test_a_broken_contract_blocks(meter):
    meter.drop(DAY, [1])
    path = next(meter.folder.iterdir())
    path.write_bytes(meter_csv(DAY, [1]).replace(b"value", b"valve"))
    assert run(meter, [DAY])[0].verdict == "BLOCK"


def test_a_later_delivery_that_passes_supersedes_a_blocked_one(meter):
    meter.drop(DAY, [1, -5], arrived=1)
    run(meter, [DAY])
    meter.drop(DAY, [1, 5, 6], name="_again", arrived=2)
    result = run(meter, [DAY])[0]
    assert (result.state, result.verdict, result.published) == ("published", "PASS", 3)
    status = table_status(meter.home, meter.table)
    assert status["superseded"] == {"batches": 1, "rows": 2}
    assert (status["delivered"], status["pending"]) == (3, 0)
    assert run(meter, [DAY])[0] == replace(result, changed=False)


def test_a_good_file_put_back_supersedes_the_bad_one_that_replaced_it(meter):
    meter.drop(DAY, [1, 5], arrived=1)
    run(meter, [DAY])
    meter.drop(DAY, [1, -5], arrived=2)
    assert run(meter, [DAY])[0].state == "pending"
    meter.drop(DAY, [1, 5], arrived=1)
    assert outstanding(meter.table, [DAY], meter.home) == [DAY]
    result = run(meter, [DAY])[0]
    assert (result.state, result.verdict, result.published) == ("published", "PASS", 2)
    assert table_status(meter.home, meter.table)["superseded"] == {"batches": 1, "rows": 2}
    assert outstanding(meter.table, [DAY], meter.home) == []


def test_an_earlier_delivery_does_not_supersede(meter):
    meter.drop(DAY, [1, -5], arrived=9)
    run(meter, [DAY])
    meter.drop(DAY, [1, 5], name="_late_but_older", arrived=2)
    result = run(meter, [DAY])[0]
    assert (result.state, result.published, result.pending) == ("pending", 2, 2)


def test_a_later_delivery_leaves_the_earlier_rows(meter):
    meter.drop(DAY, [1, 2], arrived=1)
    run(meter, [DAY])
    meter.drop(DAY, [1, 2, 3], name="_more", arrived=2)
    result = run(meter, [DAY])[0]
    assert (result.published, len(result.batches)) == (5, 2)
    assert len(ids(meter)) == 5


def test_the_same_file_under_another_name_is_a_redelivery(meter):
    meter.drop(DAY, [1, 2, 3], arrived=1)
    run(meter, [DAY])
    meter.drop(DAY, [1, 2, 3], name="_copy", arrived=2)
    assert outstanding(meter.table, [DAY], meter.home) == [DAY]
    result = run(meter, [DAY])[0]
    assert (result.published, len(result.batches)) == (3, 1)
    for _ in range(2):
        status = table_status(meter.home, meter.table)
        assert status["redelivered"] == {"batches": 1, "rows": 3}
        assert (status["delivered"], status["published"]) == (3, 3)
        run(meter, [DAY])


def test_exact_repeats_inside_a_delivery_are_counted_apart(meter):
    meter.drop(DAY, [1, 2])
    path = next(meter.folder.iterdir())
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[-1])
    result = run(meter, [DAY])[0]
    assert (result.delivered, result.published, result.repeated) == (2, 2, 1)


def test_a_new_rule_replaces_the_files_of_the_same_batches(meter):
    meter.drop_all()
    before = run(meter)
    strict = meter.with_limit(13)
    assert outstanding(strict, SLOTS, meter.home) == SLOTS
    after = run(meter, table=strict)
    assert [r.batches for r in after] == [r.batches for r in before]
    assert sum(r.quarantined for r in after) == 3
    status = table_status(meter.home, strict)
    assert (status["published"], status["quarantined"]) == (ROWS * len(SLOTS) - 3, 3)
    assert status["delivered"] == ROWS * len(SLOTS)
    assert Lake(meter.home).scan("meter", ["value"]).num_rows == status["published"]
    assert not any(r.changed for r in run(meter, table=strict))


def test_a_new_rule_that_blocks_leaves_the_last_good_file(meter):
    meter.drop(DAY, [5, 6, 7])
    run(meter, [DAY])
    strict = meter.with_limit(5)
    result = run(meter, [DAY], strict)[0]
    assert (result.state, result.verdict, result.published) == ("pending", "BLOCK", 3)
    assert any("stays published" in reason for reason in result.reasons)
    assert balanced(table_status(meter.home, strict))
    assert outstanding(strict, [DAY], meter.home) == []


def test_a_batch_the_source_no_longer_shows_is_judged_from_its_landed_bytes(meter):
    meter.drop(DAY, [5, 6, 70])
    run(meter, [DAY])
    next(meter.folder.iterdir()).unlink()
    result = run(meter, [DAY], meter.with_limit(50))[0]
    assert (result.published, result.quarantined) == (2, 1)


def test_a_batch_of_which_every_row_fails_is_settled_without_a_file(meter):
    generous = replace(meter.table, suite=replace(meter.table.suite, max_quarantined_share=1.0))
    meter.drop(DAY, [2000, 3000])
    result = run(meter, [DAY], generous)[0]
    assert (result.state, result.published, result.quarantined) == ("published", 0, 2)
    assert outstanding(generous, [DAY], meter.home) == []
    assert balanced(table_status(meter.home, generous))
    assert not run(meter, [DAY], generous)[0].changed
    assert Lake(meter.home).live("meter") == {}


def test_a_crashing_check_is_an_error_that_is_tried_again(meter, monkeypatch):
    meter.drop_all()

    def crash(suite, contract, conformed):
        raise ZeroDivisionError("oh")

    with monkeypatch.context() as patch:
        patch.setattr(judging, "judge", crash)
        results = run(meter)
    assert {(r.state, r.verdict, r.pending) for r in results} == {("pending", "ERROR", ROWS)}
    assert "crashed: ZeroDivisionError: oh" in results[0].reasons[0]
    assert outstanding(meter.table, SLOTS, meter.home) == SLOTS
    assert {r.state for r in run(meter)} == {"published"}
    assert table_status(meter.home, meter.table)["published"] == ROWS * len(SLOTS)


def test_a_gate_that_loses_a_row_publishes_nothing(meter, monkeypatch):
    meter.drop(DAY, [1, 2, 3])
    real = judging.judge

    def careless(suite, contract, conformed):
        judgement = real(suite, contract, conformed)
        return replace(judgement, passing=judgement.passing.slice(1))

    monkeypatch.setattr(judging, "judge", careless)
    result = run(meter, [DAY])[0]
    assert (result.verdict, result.published, result.pending) == ("ERROR", 0, 3)
    assert "3 rows were delivered and 2 came out" in result.reasons[0]


@dataclass(frozen=True)
class Flaky:
    """A source that cannot be read for one slot."""

    inner: object
    broken: str

    @property
    def name(self):
        return self.inner.name

    def deliveries(self, slot):
        if slot == self.broken:
            raise SourceError("the line is down", fix="call them")
        return self.inner.deliveries(slot)


def test_one_failing_slot_does_not_lose_the_others(meter):
    meter.drop_all()
    flaky = replace(meter.table, source=Flaky(meter.table.source, SLOTS[4]))
    results = run(meter, table=flaky)
    assert results[4].state == "failed"
    assert "the line is down" in results[4].reasons[0]
    assert [r.state for r in results].count("published") == len(SLOTS) - 1
    assert outstanding(flaky, SLOTS, meter.home) == [SLOTS[4]]
    assert run(meter, [SLOTS[4]])[0].state == "published"


def test_a_rejected_batch_is_counted_as_rejected(meter):
    meter.drop(DAY, [1, -5])
    batch = run(meter, [DAY])[0].batches[0]
    with Ledger(meter.home) as ledger:
        ledger.reject("meter", batch, "the meter was broken")
    status = table_status(meter.home, meter.table)
    assert (status["rejected"], status["pending"], status["delivered"]) == (2, 0, 2)
    result = run(meter, [DAY])[0]
    assert (result.state, result.changed) == ("missing", False)
    assert outstanding(meter.table, [DAY], meter.home) == []


def test_a_commit_that_the_ledger_missed_is_found_in_the_table(meter, monkeypatch):
    meter.drop_all()
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "mark_published", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(meter)
    lake = Lake(meter.home)
    snapshot = lake.snapshot_id("meter")
    assert table_status(meter.home, meter.table)["published"] == ROWS * len(SLOTS)
    assert not any(r.changed for r in run(meter))
    assert lake.snapshot_id("meter") == snapshot
    with Ledger(meter.home) as ledger:
        assert {b.state for b in ledger.batches("meter").values()} == {"published"}


def test_a_table_that_was_lost_is_published_again(meter):
    meter.drop_all()
    run(meter)
    shutil.rmtree(meter.home.warehouse)
    assert table_status(meter.home, meter.table)["pending"] == ROWS * len(SLOTS)
    assert {r.state for r in run(meter)} == {"published"}
    assert len(ids(meter)) == ROWS * len(SLOTS)


def test_a_ledger_that_was_lost_is_filled_again(meter):
    meter.drop_all()
    run(meter)
    before = Lake(meter.home).live("meter")
    for path in meter.home.root.glob("ledger.sqlite*"):
        path.unlink()
    run(meter)
    assert Lake(meter.home).live("meter") == before
    assert table_status(meter.home, meter.table)["published"] == ROWS * len(SLOTS)


def test_history_says_when_each_row_was_committed(meter):
    meter.drop_all()
    run(meter, SLOTS[:2])
    early = Lake(meter.home).snapshot_id("meter")
    run(meter)
    rows = history(meter.home, "meter", ["value", "event_time"])
    assert rows.column_names == [
        "value",
        "event_time",
        "known_at",
        "_batch",
        "_line",
        "committed_at",
    ]
    assert rows.num_rows == ROWS * len(SLOTS)
    times = dict(
        zip(*(rows.column(c).to_pylist() for c in ("_batch", "committed_at")), strict=True)
    )
    first = {r.batches[0] for r in run(meter, SLOTS[:2])}
    assert max(times[b] for b in first) < min(times[b] for b in set(times) - first)
    old = history(meter.home, "meter", ["value"], snapshot_id=early)
    assert set(old.column("_batch").to_pylist()) == first
    assert set(old.column("committed_at").to_pylist()) == {times[b] for b in first}


def test_going_back_to_earlier_rules_shows_what_they_let_through(meter):
    """The earlier verdict is on record as published, and its file is not what the table shows."""
    meter.drop(DAY, [1, 50, 3])
    first = run(meter, [DAY])[0]
    assert run(meter, [DAY], meter.with_limit(10))[0].published == 2
    assert outstanding(meter.table, [DAY], meter.home) == [DAY]
    again = run(meter, [DAY])[0]
    assert (again.published, again.quarantined, again.changed) == (3, 0, True)
    assert again == replace(first, snapshot_id=again.snapshot_id)
    assert len(ids(meter)) == 3
    assert outstanding(meter.table, [DAY], meter.home) == []
    assert not run(meter, [DAY])[0].changed


def test_going_back_to_rules_that_let_nothing_through(meter):
    """Then there is no file at all, and there has to be none again."""
    none = meter.with_limit(0)
    none = replace(none, suite=replace(none.suite, max_quarantined_share=1.0))
    meter.drop(DAY, [1, 50, 3])
    for _ in range(2):
        assert run(meter, [DAY], none)[0].quarantined == 3
        assert Lake(meter.home).live("meter") == {}
        assert not run(meter, [DAY], none)[0].changed
        assert balanced(table_status(meter.home, none))
        assert run(meter, [DAY])[0].published == len(ids(meter)) == 3


def test_a_row_keeps_the_time_of_its_first_commit(meter):
    """A batch judged again is published anew: what was there all along was usable all along."""
    meter.drop(DAY, [1, 50, 3])
    run(meter, [DAY], meter.with_limit(10))

    def times():
        return history(meter.home, "meter", ["id"]).column("committed_at").to_pylist()

    first = times()
    time.sleep(0.002)  # commits are dated in milliseconds
    run(meter, [DAY])
    early, released, also_early = times()
    assert [early, also_early] == first
    assert released > early
    run(meter, [DAY], meter.with_limit(900))
    assert times() == [early, released, also_early]


def test_an_archive_that_cannot_be_read_is_blocked_and_holds_up_nothing(meter):
    whole = pa.compress(meter_csv(DAY, [1, 2]), codec="gzip", asbytes=True)
    (meter.folder / f"meter_{DAY}.csv.gz").write_bytes(whole[:-9])
    meter.drop(SLOTS[1], [3])
    bad, good = run(meter, SLOTS[:2])
    assert (bad.state, bad.verdict, good.state) == ("pending", "BLOCK", "published")
    assert "the .gz file is cut short" in bad.reasons[0]
    (meter.folder / f"meter_{DAY}.csv.gz").write_bytes(whole)
    (result,) = run(meter, [DAY])
    assert (result.state, result.published) == ("published", 2)
    assert ids(meter) == [0, 1, 1000]
    assert balanced(table_status(meter.home, meter.table))
