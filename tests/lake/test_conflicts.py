"""Rows of two deliveries with one key and known-at and other values: the table never holds both."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.load import parse_contract
from headrace.core.errors import RefusedError
from headrace.gates import Judgement, Result, Verdict
from headrace.lake.conflicts import search
from headrace.lake.conflicts.resolve import RowVersion, resolve
from headrace.lake.conflicts.search import Arriving
from headrace.lake.ingest import protocol as ingest_module
from headrace.lake.ingest.protocol import ingest, outstanding, rejudge
from headrace.lake.ledger.batch_listing import batch_rows, find_batches
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.batch_case import open_case
from headrace.lake.overrides.failing_rows import failing_rows
from headrace.lake.tables.history import history
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.snapshot_files import LiveFile
from headrace.operations import batch_actions
from headrace.reports.batch.failing_rows import failing_rows as reported_rows
from tests.examples import examples
from tests.lake.kit import CONTRACT, SLOTS, Meter, balanced, meter_contract, meter_csv
from tests.lake.kit_oncall import GIVEN

DAY = SLOTS[0]


@pytest.fixture
def meter(tmp_path):
    return Meter(tmp_path)


def run(meter, *slots):
    return ingest(meter.table, slots or [DAY], meter.home)


def rows(meter):
    """Published (id, value), in order."""
    if not Lake(meter.home).files("meter"):
        return []
    table = Lake(meter.home).scan("meter", ["id", "value"])
    return sorted(zip(table["id"].to_pylist(), table["value"].to_pylist(), strict=True))


def batches(meter):
    return sorted(batch_rows(meter.home, meter.table), key=lambda row: row["arrived_at"])


def correct(meter, values=(0, 1, 20, 3, 40, *range(5, 12)), first=range(12)):
    """Two deliveries of one day; the second has other values on lines 4 and 6."""
    meter.drop(DAY, first, arrived=1)
    run(meter)
    meter.drop(DAY, values, name="_b", arrived=2)
    return run(meter)


def test_later_values_are_quarantined_with_both_versions(meter):
    (result,) = correct(meter)
    assert (result.verdict, result.published, result.quarantined) == ("QUARANTINE", 22, 2)
    assert {value for key, value in rows(meter) if key in {2, 4}} == {2, 4}
    first, second = batches(meter)
    assert [first["conflicts"], second["conflicts"]] == [0, 2]
    (check,) = [
        c
        for c in find_batches(meter.home, meter.table, second["batch"])[0]["judgement"]["results"]
        if c["id"] == "conflict"
    ]
    assert "later known-at or sequence" in check["reason"]
    assert check["sample"][0] == {
        "line": 4,
        "key": {"id": 2},
        "values": {"value": 20},
        "earlier": {"batch": first["batch"], "line": 4, "values": {"value": 2}},
    }
    assert "(line 4: value 20, before 2)" in check["reason"]
    judgement = Judgement(Verdict.QUARANTINE, (Result.of(check),))
    (values, *_) = [row.values for row in reported_rows(judgement, "headrace gate rows").rows]
    assert values == (("value", 20), (f"value in batch {first['batch'][:12]}, line 4", 2))
    shown = failing_rows(open_case(meter.home, meter.table, second["batch"]))
    assert [(row["line"], row["values"]["value"], row["earlier"]["values"]) for row in shown] == [
        (4, 20, {"value": 2}),
        (6, 40, {"value": 4}),
    ]
    kept = pq.read_table(second["quarantine_path"])
    assert kept["_reasons"].to_pylist() == [["conflict"]] * 2
    assert balanced(table_status(meter.home, meter.table))
    assert outstanding(meter.table, [DAY], meter.home) == []
    assert not run(meter)[0].changed


def test_two_slots_and_two_deliveries_of_one_run_keep_the_earlier_arrival(meter):
    meter.drop(DAY, [7, 1, 2, 3], arrived=2)
    meter.drop(DAY, [0, 1, 2, 3], name="_early", arrived=1)
    run(meter)
    assert {value for key, value in rows(meter) if key == 0} == {0}


def test_contract_may_declare_that_conflicts_block(meter):
    text = CONTRACT.replace(
        "      - property: coverage",
        "      - {property: conflicts, value: block}\n      - property: coverage",
    )
    meter.table = replace(meter.table, contract=parse_contract(text, meter.root / "meter.yaml"))
    (result,) = correct(meter)
    assert (result.verdict, result.state, result.published) == ("BLOCK", "pending", 12)
    assert [row["conflicts"] for row in batches(meter)] == [0, 2]
    release(meter, batches(meter)[1]["batch"])
    assert len(rows(meter)) == 22
    assert balanced(table_status(meter.home, meter.table))


def test_without_the_declaration_no_hash_moves():
    assert meter_contract().conflicts == "quarantine"
    assert meter_contract().meaning_hash == parse_contract(CONTRACT, "x").meaning_hash


def test_a_delivery_of_which_every_row_conflicts_is_quarantined_whatever_the_share(meter):
    (result,) = correct(meter, [n + 100 for n in range(12)])
    assert (result.verdict, result.published, result.quarantined) == ("QUARANTINE", 12, 12)
    assert batches(meter)[1]["conflicts"] == 12
    assert outstanding(meter.table, [DAY], meter.home) == []


def release(meter, batch, **scope):
    return batch_actions.release(meter.home, meter.table, batch, scope=scope, **GIVEN)


def test_approval_is_refused_while_the_earlier_row_is_published(meter):
    correct(meter)
    first, second = [row["batch"] for row in batches(meter)]
    for scope in ({"lines": [4]}, {"checks": ["conflict"]}, {}):
        with pytest.raises(RefusedError, match="other values than published rows"):
            release(meter, second, **scope)
    batch_actions.quarantine(meter.home, meter.table, first, scope={"lines": [4]}, **GIVEN)
    release(meter, second, lines=[4])
    assert {value for key, value in rows(meter) if key in {2, 4}} == {20, 4}
    assert [row["conflicts"] for row in batches(meter)] == [0, 1]
    assert balanced(table_status(meter.home, meter.table))
    with pytest.raises(RefusedError, match="other values than published rows"):
        release(meter, first, lines=[4])


def test_approval_that_was_recorded_against_the_table_publishes_no_second_version(
    meter, monkeypatch
):
    correct(meter)
    second = batches(meter)[1]["batch"]
    monkeypatch.setattr("headrace.lake.overrides.scopes.rows_in_conflict", lambda *_: {})
    release(meter, second, lines=[4])
    assert {value for key, value in rows(meter) if key == 2} == {2}
    assert batches(meter)[1]["conflicts"] == 2


def test_recalled_batch_comes_back_without_rows_that_others_replaced(meter):
    correct(meter)
    first, second = [row["batch"] for row in batches(meter)]
    who = {**GIVEN, "pipelines": ()}
    batch_actions.recall(meter.home, meter.table, first, **who)
    release(meter, second, checks=["conflict"])
    assert {value for key, value in rows(meter) if key in {2, 4}} == {20, 40}
    batch_actions.restore(meter.home, meter.table, first, **who)
    assert {value for key, value in rows(meter) if key in {2, 4}} == {20, 40}
    assert [row["conflicts"] for row in batches(meter)] == [2, 0]
    assert balanced(table_status(meter.home, meter.table))


def test_judging_the_earlier_delivery_again_does_not_make_it_the_later(meter):
    correct(meter)
    first, second = batches(meter)
    with Ledger(meter.home) as ledger:
        known = ledger.batches("meter")
    before = rows(meter)
    for row in (first, second):
        rejudge(meter.table, known[row["batch"]], meter.home)
    assert rows(meter) == before
    meter.table = meter.with_limit(900)  # other rules: both are judged again
    run(meter)
    assert rows(meter) == before
    assert [row["conflicts"] for row in batches(meter)] == [0, 2]


def test_rows_that_other_rules_let_in_do_not_replace_published_ones(meter):
    meter.table = meter.with_limit(50)
    meter.drop(DAY, [0, 1, 99, 3, 4], arrived=1)
    run(meter)
    meter.drop(DAY, [0, 1, 2, 3, 4], name="_b", arrived=2)
    run(meter)
    meter.table = meter.with_limit(1000)  # line 4 of the first delivery passes now
    run(meter)
    assert {value for key, value in rows(meter) if key == 2} == {2}
    assert [row["conflicts"] for row in batches(meter)] == [1, 0]


def test_rows_sent_again_unchanged_keep_their_first_commit(meter):
    meter.drop(DAY, range(5), arrived=1)
    run(meter)
    first = history(meter.home, "meter", ["id"])["committed_at"][0].as_py()
    meter.drop(DAY, range(6), name="_b", arrived=2)
    run(meter)
    table = history(meter.home, "meter", ["id", "value"])
    again = [row for row in table.to_pylist() if row["id"] == 0]
    assert len(again) == 2
    assert min(row["committed_at"] for row in again) == first


def test_commit_of_another_run_is_compared_before_this_one_commits(meter, monkeypatch):
    meter.drop(DAY, range(5), arrived=2)
    publish = Lake.publish

    def race(self, *args, **options):
        monkeypatch.setattr(Lake, "publish", publish)
        meter.drop(SLOTS[1], [], arrived=1)
        path = meter.folder / f"meter_{SLOTS[1]}.csv"
        path.write_bytes(meter_csv(DAY, [50]))
        run(meter, SLOTS[1])
        return publish(self, *args, **options)

    monkeypatch.setattr(Lake, "publish", race)
    run(meter)
    assert {value for key, value in rows(meter) if key == 0} == {50}
    assert sum(row["conflicts"] for row in batches(meter)) == 1
    assert balanced(table_status(meter.home, meter.table))


def test_table_that_holds_both_from_before_the_rule_says_so(meter, monkeypatch):
    monkeypatch.setattr(ingest_module, "hold_conflicts", lambda *_: False)
    monkeypatch.setattr(ingest_module, "find_conflicts", lambda *_: {})
    correct(meter)
    monkeypatch.undo()
    assert table_status(meter.home, meter.table)["held_twice"] == 2
    meter.drop(SLOTS[1], range(5))
    run(meter, *SLOTS[:2])
    assert len(rows(meter)) == 29  # nothing is taken out
    assert table_status(meter.home, meter.table)["held_twice"] == 2
    assert sorted(row["held_twice"] for row in batches(meter)) == [0, 2, 2]
    with Ledger(meter.home) as ledger:
        (named,) = ledger.connection.execute("SELECT batches FROM surveys").fetchall()
    assert len(json.loads(named[0])) == 2


# Against an oracle in plain Python

STEP = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2)),
    min_size=1,
    max_size=4,
    unique_by=lambda v: v[0],
)


@settings(deadline=None, max_examples=examples(200))
@given(st.lists(STEP, min_size=1, max_size=6), st.data())
def test_whatever_is_published_together_the_first_version_stays(deliveries, data):
    """Deliveries of (key, content), cut into runs at random, give what one at a time gives."""
    first: dict[int, int] = {}
    for delivery in deliveries:
        for key, content in delivery:
            first.setdefault(key, content)
    published: list[tuple[str, int, int, int]] = []
    at = 0
    while at < len(deliveries):
        size = data.draw(st.integers(1, len(deliveries) - at))
        new = [
            (f"b{n}", line, key, content)
            for n in range(at, at + size)
            for line, (key, content) in enumerate(deliveries[n])
        ]
        versions = [
            RowVersion(key, content, b, line) for b, line, key, content in (*published, *new)
        ]
        order = [f"b{n}" for n in range(at, at + size)]
        held = resolve(versions, order, (), lambda *_: False)
        gone = {(batch, loser.line) for batch, losers in held.items() for loser in losers}
        published += [row for row in new if row[:2] not in gone]
        at += size
    assert {(key, content) for _, _, key, content in published} == set(first.items())


def test_rows_of_a_batch_that_conflicts_block_are_no_reason_against_later_ones():
    versions = [RowVersion(1, 0, "a", 1), RowVersion(1, 1, "b", 1), RowVersion(2, 0, "b", 2)]
    versions.append(RowVersion(2, 1, "c", 1))
    held = resolve(versions, ["a", "b", "c"], (), lambda batch, _: batch == "b")
    assert set(held) == {"b"}


RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), max_size=6)


@settings(deadline=None)
@given(RANGES, RANGES)
def test_only_files_whose_known_at_meets_are_read(new, old):
    ranges = [(low, low + size) for low, size in new]
    files = [Arriving(str(n), Path(str(n))) for n in range(len(new))]
    others = [
        LiveFile(str(n), str(n), 1, 1, 1, low, low + size) for n, (low, size) in enumerate(old)
    ]
    meet = lambda one, other: one[0] <= other[1] and other[0] <= one[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "known_range", lambda path: ranges[int(str(path))])
        some, near = search.contested(files, others)
    olds = [(file.known_from, file.known_to) for file in others]
    wanted = [
        n
        for n, one in enumerate(ranges)
        if any(meet(one, other) for m, other in enumerate(ranges) if m != n)
        or any(meet(one, other) for other in olds)
    ]
    assert [int(file.batch_id) for file in some] == wanted
    assert [file.path for file in near] == [
        str(n) for n, one in enumerate(olds) if any(meet(one, ranges[m]) for m in wanted)
    ]


def test_files_of_unknown_range_are_read():
    old = [LiveFile("old", "old", 1, 1, 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "known_range", lambda _: (1, 2))
        assert search.contested([Arriving("a", Path("a"))], old)[1] == old
        patch.setattr(search, "known_range", lambda _: None)
        files = [Arriving("a", Path("a"))]
        assert search.contested(files, []) == (files, [])


def test_published_files_have_their_range_of_known_at(meter):
    meter.drop(DAY, range(5))
    run(meter)
    plan = Lake(meter.home).ranged_plan("meter")
    known = Lake(meter.home).scan("meter", ["known_at"])["known_at"].cast(pa.int64()).to_pylist()
    assert (plan.files[0].known_from, plan.files[0].known_to) == (min(known), max(known))
