"""Release, quarantine, reject, rerun, mute: what they publish, refuse and put on the record."""

import time
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.core.clock import HOUR, now_us
from headrace.core.errors import DeclarationError, RefusedError, StateError
from headrace.features import Column, Count, FeatureView, Window, shape_of, training_frame
from headrace.gates import failing_rows as failing
from headrace.gates import parse_suite
from headrace.lake.ingest.protocol import outstanding
from headrace.lake.ledger.batch_listing import batch_rows
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import actions
from headrace.lake.overrides.batch_case import open_case
from headrace.lake.overrides.failing_rows import failing_rows
from headrace.lake.tables.history import history
from headrace.lake.tables.lake import Lake
from headrace.operations import batch_actions
from headrace.sources.base import Delivery
from headrace.sources.objects import ParquetObjects
from tests.lake.kit import SLOTS
from tests.lake.kit_oncall import GIVEN, act, counts, run, usable, values, wait
from tests.lake.test_objects import readings
from tests.sources.buckets import places

DAY = SLOTS[0]


def trail(meter):
    with Ledger(meter.home) as ledger:
        return [(a.action, a.principal, a.allowed, dict(a.scope)) for a in actions(ledger)]


def settled(meter, table=None):
    """Nothing is left to do, and doing it again changes nothing."""
    assert outstanding(table or meter.table, SLOTS[:3], meter.home) == []
    assert not any(r.changed for r in run(meter, SLOTS[:3], table))
    return True


# a blocked batch


def test_a_blocked_batch_is_released_without_its_failing_rows(meter):
    meter.drop(DAY, [1, -5, 2000, 3])
    assert run(meter, [DAY])[0].state == "pending"
    told = act(meter, "release", DAY)
    assert (told["verdict"], told["state"], told["changed"]) == ("QUARANTINE", "published", True)
    assert values(meter) == [1, 3]
    assert counts(meter) == (2, 2, 0, 0)
    kept = pq.read_table(told["quarantine_path"]).to_pylist()
    assert [(r["value"], r["_reasons"]) for r in kept] == [(-5, ["negative"]), (2000, ["limit"])]
    assert "released by ana: the meter was replaced" in told["summary"]
    assert settled(meter)


def test_the_same_release_twice_is_one(meter):
    meter.drop(DAY, [1, -5, 3])
    run(meter, [DAY])
    act(meter, "release", DAY)
    snapshot = Lake(meter.home).snapshot_id("meter")
    assert not act(meter, "release", DAY)["changed"]
    assert Lake(meter.home).snapshot_id("meter") == snapshot
    assert [a[0] for a in trail(meter)] == ["release"]
    assert values(meter) == [1, 3]


def test_naming_the_check_releases_its_rows_too(meter):
    meter.drop(DAY, [1, -5, 2000, 3])
    run(meter, [DAY])
    act(meter, "release", DAY, scope={"checks": ["negative"]})
    assert values(meter) == [-5, 1, 3]
    assert trail(meter) == [("release", "ana", True, {"batch": True, "checks": ["negative"]})]
    assert settled(meter)


def test_naming_one_check_does_not_release_what_another_blocks(meter):
    meter.drop(DAY, [1, -5, 2000, 3])
    run(meter, [DAY])
    with pytest.raises(RefusedError, match="negative would still block it"):
        act(meter, "release", DAY, scope={"checks": ["limit"]})
    with pytest.raises(RefusedError, match="nonsense did not fail"):
        act(meter, "release", DAY, scope={"checks": ["nonsense"]})
    assert counts(meter) == (0, 0, 4, 0)


def test_a_share_of_bad_rows_that_blocks_can_be_released(meter):
    meter.drop(DAY, [1, 2000, 3000])
    assert "more than a share" in run(meter, [DAY])[0].reasons[0]
    act(meter, "release", DAY)
    assert counts(meter) == (1, 2, 0, 0)
    act(meter, "release", DAY, scope={"lines": [3]})
    assert values(meter) == [1, 2000]
    assert settled(meter)


def test_a_batch_that_breaks_its_contract_is_not_released(meter):
    meter.drop(DAY, [1, 2])
    path = next(meter.folder.iterdir())
    path.write_bytes(path.read_bytes().replace(b",2,", b",two,"))
    run(meter, [DAY])
    with pytest.raises(RefusedError, match="has no typed rows") as refused:
        act(meter, "release", DAY)
    assert "corrected delivery" in refused.value.fix
    assert trail(meter) == [("release", "ana", False, {})]


def test_a_crashed_check_is_not_released(meter):
    meter.drop(DAY, [1, 2])
    broken = replace(meter.table.suite.expectations[0], kwargs={"column": "gone", "max_value": 1})
    table = replace(meter.table, suite=replace(meter.table.suite, expectations=(broken,)))
    assert run(meter, [DAY], table)[0].verdict == "ERROR"
    with pytest.raises(RefusedError, match="a check crashed") as refused:
        act(meter, "release", DAY, table)
    assert "gate rerun" in refused.value.fix
    assert counts(meter, table) == (0, 0, 2, 0)


def test_under_another_suite_a_release_holds_no_more(meter):
    meter.drop(DAY, [1, -5, 3])
    run(meter, [DAY])
    act(meter, "release", DAY)
    assert values(meter) == [1, 3]
    other = meter.with_limit(900)
    result = run(meter, [DAY], other)[0]
    assert (result.state, result.verdict) == ("pending", "BLOCK")
    assert values(meter) == []
    assert counts(meter, other) == (0, 0, 3, 0)
    assert settled(meter, other)
    act(meter, "release", DAY, other)
    assert values(meter) == [1, 3]


def test_the_last_good_file_comes_back_when_a_release_over_it_ends(meter):
    """Passed, then blocked by stricter rules, then released, then rules that block it again."""
    meter.drop(DAY, [5, 6, 700])
    run(meter, [DAY])
    strict = replace(meter.with_limit(600), suite=replace(
        meter.with_limit(600).suite, max_quarantined_share=0.0))  # fmt: skip
    assert run(meter, [DAY], strict)[0].state == "pending"
    assert values(meter) == [5, 6, 700]
    act(meter, "release", DAY, strict)
    assert values(meter) == [5, 6]
    stricter = replace(strict, suite=replace(strict.suite, version=3))
    assert run(meter, [DAY], stricter)[0].state == "pending"
    assert values(meter) == [5, 6, 700]
    assert settled(meter, stricter)


def test_a_release_until_a_day_ends_by_itself(meter, monkeypatch):
    meter.drop(DAY, [1, -5, 3])
    run(meter, [DAY])
    act(meter, "release", DAY, expires=now_us() + HOUR)
    assert values(meter) == [1, 3]
    first = usable(meter)[1]
    assert settled(meter)
    wait(monkeypatch, HOUR)
    assert outstanding(meter.table, [DAY], meter.home) == [DAY]
    assert run(meter, [DAY])[0].state == "pending"
    assert values(meter) == []
    assert counts(meter) == (0, 0, 3, 0)
    assert settled(meter)
    act(meter, "release", DAY)
    assert min(usable(meter).values()) > first + HOUR // 2


def test_a_batch_whose_release_ended_waits_as_any_other(meter, monkeypatch):
    """It is pending, so a correction supersedes it; and what was shown then can still be dated."""
    meter.drop(DAY, [1, -5, 3], arrived=1)
    run(meter, [DAY])
    act(meter, "release", DAY, expires=now_us() + HOUR)
    then = Lake(meter.home).snapshot_id("meter")
    wait(monkeypatch, HOUR)
    run(meter, [DAY])
    assert [row["state"] for row in batch_rows(meter.home, meter.table)] == ["pending"]
    rows = history(meter.home, "meter", ["value"], snapshot_id=then)
    assert rows["value"].to_pylist() == [1, 3]
    meter.drop(DAY, [1, 5], name="_again", arrived=2)
    run(meter, [DAY])
    states = [row["state"] for row in batch_rows(meter.home, meter.table)]
    assert states == ["superseded", "published"]


def test_rows_released_until_a_day_go_back_to_quarantine(meter, monkeypatch):
    meter.drop(DAY, [1, 2000, 3])
    run(meter, [DAY])
    before = usable(meter)
    act(meter, "release", DAY, expires=now_us() + HOUR)
    assert values(meter) == [1, 3, 2000]
    wait(monkeypatch, HOUR)
    assert outstanding(meter.table, [DAY], meter.home) == [DAY]
    run(meter, [DAY])
    assert usable(meter) == before
    assert counts(meter) == (2, 1, 0, 0)
    assert settled(meter)


def test_events_are_released_and_what_is_no_row_stays_as_it_came(meter):
    lines = [
        b'{"id": 1, "value": 5, "read_at": "2024-01-01T00:01:00Z"}',
        b"no event at all",
        b'{"id": 2, "value": 2000, "read_at": "2024-01-01T00:02:00Z"}',
        b'{"id": 3, "value": -7, "read_at": "2024-01-01T00:03:00Z"}',
    ]
    one = Delivery("meter", DAY, b"\n".join(lines), "events", "lane 0", 5, "the meter")
    table = replace(meter.table, source=Given("meter", one))
    assert run(meter, [DAY], table)[0].verdict == "QUARANTINE"
    assert counts(meter, table) == (1, 3, 0, 0)
    told = act(meter, "release", DAY, table)
    assert values(meter) == [-7, 5, 2000]
    assert counts(meter, table) == (3, 1, 0, 0)
    (kept,) = pq.read_table(told["quarantine_path"]).to_pylist()
    assert (kept["_raw"], kept["_reasons"]) == ("no event at all", ["contract:malformed"])
    with pytest.raises(RefusedError, match="rows in quarantine: 1, for contract:malformed"):
        act(meter, "release", DAY, table, scope={"lines": [2]})
    found = failing_rows(open_case(meter.home, table, DAY))
    assert [(r["line"], r["fate"]) for r in found] == [
        (2, "quarantined"),
        (3, "published"),
        (4, "published"),
    ]
    assert found[0]["raw"] == "no event at all"
    assert settled(meter, table)


def test_rows_of_an_object_that_is_read_where_it_lies(meter, tmp_path, monkeypatch):
    for place in places("folder", tmp_path, monkeypatch):
        source = ParquetObjects("m", place.address, "{slot}/*.parquet", "m", settle=place.settle)
        table = replace(meter.table, source=source)
        place.put(f"{DAY}/a.parquet", readings([1, 2, 3], [5, 2000, 6]))
        place.put(f"{SLOTS[1]}/a.parquet", readings([11, 12, 13], [7, -1, 8]))
        assert [r.state for r in run(meter, SLOTS[:2], table)] == ["published", "pending"]
        act(meter, "quarantine", DAY, table, scope={"where": {"id": "3"}})
        assert values(meter) == [5]
        act(meter, "release", DAY, table, scope={"checks": ["limit"]})
        act(meter, "release", SLOTS[1], table)
        assert values(meter) == [5, 7, 8, 2000]
        assert counts(meter, table) == (4, 2, 0, 0)
        rows = failing_rows(open_case(meter.home, table, SLOTS[1]))
        assert [(r["key"], r["fate"]) for r in rows] == [({"id": 12}, "quarantined")]
        assert settled(meter, table)


@dataclass(frozen=True)
class Given:
    """A source that shows one delivery on the first day."""

    name: str
    delivery: Delivery

    def deliveries(self, slot):
        return [self.delivery] if slot == DAY else []


# superseding


def test_a_superseded_batch_is_not_released(meter):
    meter.drop(DAY, [1, -5], arrived=1)
    first = run(meter, [DAY])[0].batches[0]
    meter.drop(DAY, [1, 5], name="_again", arrived=2)
    run(meter, [DAY])
    with pytest.raises(RefusedError, match="is superseded") as refused:
        act(meter, "release", first)
    assert "later delivery" in refused.value.fix
    assert values(meter) == [1, 5]


def test_a_batch_superseded_while_it_is_looked_at_is_not_released(meter, monkeypatch):
    meter.drop(DAY, [1, -5], arrived=1)
    first = run(meter, [DAY])[0].batches[0]
    real = batch_actions.release_scope

    def meanwhile(case, draft):
        meter.drop(DAY, [1, 5], name="_again", arrived=2)
        run(meter, [DAY])
        return real(case, draft)

    monkeypatch.setattr(batch_actions, "release_scope", meanwhile)
    with pytest.raises(RefusedError, match="has changed meanwhile"):
        act(meter, "release", first)
    assert values(meter) == [1, 5]
    assert trail(meter) == [("release", "ana", False, {})]


def test_a_correction_after_a_release_adds_its_rows(meter):
    meter.drop(DAY, [1, -5], arrived=1)
    run(meter, [DAY])
    act(meter, "release", DAY)
    meter.drop(DAY, [1, 5], name="_again", arrived=2)
    result = run(meter, [DAY])[0]
    assert (result.state, result.published, result.quarantined) == ("published", 3, 1)
    assert values(meter) == [1, 1, 5]
    assert settled(meter)


# rows in quarantine


def test_rows_in_quarantine_are_released_by_line_by_check_or_all(meter):
    for scope, expected in (
        ({"lines": [3]}, [1, 2000]),
        ({"checks": ["limit"]}, [1, 2000, 3000]),
        (None, [1, 2000, 3000]),
    ):
        one = type(meter)(meter.root / str(len(expected)) / str(bool(scope)))
        generous = replace(one.table, suite=replace(one.table.suite, max_quarantined_share=1.0))
        one.drop(DAY, [1, 2000, 3000])
        run(one, [DAY], generous)
        assert values(one) == [1]
        told = act(one, "release", DAY, generous, scope=scope)
        assert values(one) == expected
        assert counts(one, generous) == (len(expected), 3 - len(expected), 0, 0)
        assert told["verdict"] == ("WARN" if len(expected) == 3 else "QUARANTINE")
        assert settled(one, generous)


def test_a_released_row_is_usable_from_its_release_and_the_others_as_before(meter):
    meter.drop(DAY, [1, 2000, 3])
    run(meter, [DAY])
    before = usable(meter)
    time.sleep(0.01)
    moment = now_us()
    act(meter, "release", DAY)
    after = usable(meter)
    assert after[2000] > moment
    assert {v: after[v] for v in before} == before


def test_a_row_taken_out_and_released_again_is_usable_from_the_last_release(meter):
    meter.drop(DAY, [1, 2000, 3])
    run(meter, [DAY])
    first = usable(meter)
    act(meter, "release", DAY)
    act(meter, "quarantine", DAY, scope={"lines": [3, 4]})
    assert values(meter) == [1]
    time.sleep(0.01)
    moment = now_us()
    act(meter, "release", DAY, scope={"lines": [3, 4]})
    assert values(meter) == [1, 3, 2000]
    now = usable(meter)
    assert now[1] == first[1]
    assert min(now[3], now[2000]) > moment
    before = shown_before(meter)
    assert before[1] is None
    assert [(before[3][0]["since"], len(before[3])), len(before[2000])] == [(first[3], 2), 1]
    out = before[3][-1]["until"]
    assert before[3][0]["until"] == before[3][-1]["since"] == before[2000][0]["since"]
    assert first[3] < out < moment
    assert visible_at(meter, [first[3], out - 1, out, now[3] - 1, now[3]]) == [2, 3, 1, 1, 3]


def shown_before(meter):
    rows = history(meter.home, "meter", ["value"])
    return dict(zip(rows["value"].to_pylist(), rows["_shown_before"].to_pylist(), strict=True))


def visible_at(meter, moments):
    """How many rows a recorded frame sees at these moments, of all there are."""
    contract = meter.table.contract
    column = contract.primary_key[0]
    shape = replace(shape_of(contract), kind="planned")
    rows = history(meter.home, "meter", list(shape.columns))
    ever = rows.set_column(
        rows.column_names.index("event_time"), "event_time", pa.array([0] * rows.num_rows)
    )
    ever = ever.set_column(ever.column_names.index("known_at"), "known_at", ever["event_time"])
    ever = ever.append_column("all", pa.array([1] * rows.num_rows))
    shape = replace(shape, columns={**shape.columns, "all": Column(pa.int64())})
    view = FeatureView("v", "meter", ("all",), (Count(column, Window("-36000d"), name="n"),))
    spine = pa.table({"all": [1] * len(moments), "t": moments})
    for memory in (None, 10**6):
        frame = training_frame(
            spine, [view], lambda *_: ever, {"meter": shape}, "recorded", memory=memory
        )
        found = frame["v__n"].to_pylist()
    return found


def test_a_row_that_earlier_rules_let_in_again_is_usable_from_then_on(meter):
    """The file is the one of before; what others had kept back in between was not served."""
    meter.drop(DAY, [1, 50, 3])
    run(meter, [DAY])
    first = usable(meter)
    run(meter, [DAY], meter.with_limit(10))
    time.sleep(0.01)
    moment = now_us()
    run(meter, [DAY])
    again = usable(meter)
    assert again[50] > moment - 2_000
    assert {v: again[v] for v in (1, 3)} == {v: first[v] for v in (1, 3)}
    run(meter, [DAY], meter.with_limit(900))
    assert usable(meter) == again


def test_rows_that_were_all_taken_out_are_usable_from_when_they_came_back(meter):
    meter.drop(DAY, [1, 2])
    run(meter, [DAY])
    act(meter, "quarantine", DAY, scope={"lines": [2, 3]})
    time.sleep(0.01)
    moment = now_us()
    act(meter, "release", DAY)
    assert min(usable(meter).values()) > moment


def test_a_released_row_leads_to_its_delivery(meter):
    meter.drop(DAY, [1, 2000, 3])
    batch = run(meter, [DAY])[0].batches[0]
    act(meter, "release", DAY)
    rows = Lake(meter.home).scan("meter", ["value", "_batch", "_line"]).to_pylist()
    assert rows[1] == {"value": 2000, "_batch": batch, "_line": 3}
    assert [r["batch"] for r in batch_rows(meter.home, meter.table)] == [batch]


def test_a_row_that_fails_two_checks_needs_both_released(meter):
    suite = meter.table.suite
    also = replace(suite.expectations[0], id="tiny", kwargs={"column": "value", "max_value": 1500})
    both = replace(suite, expectations=(*suite.expectations, also))
    table = replace(meter.table, suite=both)
    meter.drop(DAY, [1, 2000, 3])
    run(meter, [DAY], table)
    with pytest.raises(RefusedError, match="no row of batch"):
        act(meter, "release", DAY, table, scope={"checks": ["nonsense"]})
    with pytest.raises(RefusedError, match="rows in quarantine: 1, for limit, tiny"):
        act(meter, "release", DAY, table, scope={"checks": ["limit"]})
    act(meter, "release", DAY, table, scope={"checks": ["limit", "tiny"]})
    assert values(meter) == [1, 3, 2000]


def test_a_row_that_breaks_the_contract_is_never_released(meter):
    meter.drop(DAY, [1, 2000, 3, 4])
    path = next(meter.folder.iterdir())
    path.write_bytes(path.read_bytes().replace(b"2,3,", b",3,"))
    run(meter, [DAY])
    assert counts(meter)[:2] == (2, 2)
    with pytest.raises(RefusedError, match="cannot be published: contract:"):
        act(meter, "release", DAY, scope={"lines": [3, 4]})
    act(meter, "release", DAY)
    assert values(meter) == [1, 4, 2000]
    assert counts(meter)[:2] == (3, 1)


def test_a_check_that_cannot_be_asked_again_lets_nothing_in(meter, monkeypatch):
    """It found a row when the batch was judged, and does not run when the batch is released."""
    meter.drop(DAY, [1, 2000, 3, -5])
    run(meter, [DAY])
    real = failing.find

    def crashing(plan, table, *, sample):
        found = real(plan, table, sample=sample)
        return [replace(f, outcome=None) if f.rule.id == "limit" else f for f in found]

    with monkeypatch.context() as patch:
        patch.setattr(failing, "find", crashing)
        with pytest.raises(StateError, match="4 rows and 0 of them fail; it had 4 and 1"):
            act(meter, "release", DAY)
    act(meter, "release", DAY)
    other = replace(meter.table, suite=replace(meter.table.suite, version=7))
    act(meter, "quarantine", DAY, scope={"lines": [2]})
    with monkeypatch.context() as patch:
        patch.setattr(failing, "find", crashing)
        result = run(meter, [DAY], other)[0]
    assert (result.state, result.verdict) == ("pending", "BLOCK")


def test_what_people_took_out_stays_out_while_it_cannot_be_derived(meter, monkeypatch):
    meter.drop(DAY, [1, 2000, 3])
    run(meter, [DAY])
    act(meter, "quarantine", DAY, scope={"lines": [4]})
    assert values(meter) == [1]
    other = replace(meter.table, suite=replace(meter.table.suite, version=7))
    with monkeypatch.context() as patch:
        patch.setattr(failing, "find", lambda *_, **__: [])
        result = run(meter, [DAY], other)[0]
    assert (result.state, result.verdict) == ("pending", "ERROR")
    assert "could not be applied" in result.reasons[0]
    assert values(meter) == [1]
    assert outstanding(other, [DAY], meter.home) == [DAY]
    assert run(meter, [DAY], other)[0].state == "published"
    assert values(meter) == [1]
    assert settled(meter, other)


@pytest.mark.slow
def test_what_great_expectations_itself_finds_is_held_back_too(meter):
    """Checks that are not compiled fail rows as the others do."""
    pytest.importorskip("great_expectations", reason="the fallback needs headrace[gx]")
    odd = parse_suite(
        {
            "name": "test.meter",
            "meta": {"table": "meter", "max_quarantined_share": 0.5},
            "expectations": [
                {
                    "type": "expect_column_values_to_not_be_outliers",
                    "kwargs": {"column": "value", "method": "iqr", "multiplier": 1.5},
                    "meta": {"id": "odd", "action": "block"},
                }
            ],
        }
    )
    table = replace(meter.table, suite=odd)
    meter.drop(DAY, [9, 8, 900, 7, 8, 9])
    assert run(meter, [DAY], table)[0].verdict == "BLOCK"
    assert [r["line"] for r in failing_rows(open_case(meter.home, table, DAY))] == [4]
    act(meter, "release", DAY, table)
    assert values(meter) == [7, 8, 8, 9, 9]


# quarantine and reject


@pytest.mark.parametrize(
    "scope", [{"lines": [3]}, {"where": {"id": "1"}}, {"where": {"value": "20"}}]
)
def test_published_rows_go_to_quarantine_and_stay_there_under_any_rules(meter, scope):
    meter.drop(DAY, [1, 20, 3])
    run(meter, [DAY])
    told = act(meter, "quarantine", DAY, scope=scope)
    assert values(meter) == [1, 3]
    assert counts(meter) == (2, 1, 0, 0)
    kept = pq.read_table(told["quarantine_path"]).to_pylist()
    assert [(r["_line"], r["_reasons"]) for r in kept] == [(3, ["quarantine:1"])]
    assert settled(meter)
    other = meter.with_limit(900)
    run(meter, [DAY], other)
    assert values(meter) == [1, 3]
    assert settled(meter, other)
    act(meter, "release", DAY, other, scope={"checks": ["quarantine:1"]})
    assert values(meter) == [1, 3, 20]
    run(meter, [DAY])
    assert values(meter) == [1, 3]


def test_rows_that_a_warning_is_about_go_to_quarantine_by_its_name(meter):
    limit = replace(meter.table.suite.expectations[0], action="warn")
    table = replace(meter.table, suite=replace(meter.table.suite, expectations=(limit,)))
    meter.drop(DAY, [1, 2000, 3])
    run(meter, [DAY], table)
    assert values(meter) == [1, 3, 2000]
    act(meter, "quarantine", DAY, table, scope={"checks": ["limit"]})
    assert values(meter) == [1, 3]


def test_a_whole_batch_can_go_to_quarantine_row_by_row(meter):
    meter.drop(DAY, [1, 2])
    run(meter, [DAY])
    act(meter, "quarantine", DAY, scope={"lines": [2, 3]})
    assert values(meter) == []
    assert counts(meter) == (0, 2, 0, 0)
    assert settled(meter)
    act(meter, "release", DAY)
    assert values(meter) == [1, 2]
    assert settled(meter)


def test_what_is_not_there_cannot_go_to_quarantine(meter):
    meter.drop(DAY, [1, 2])
    meter.drop(SLOTS[1], [-1])
    run(meter, SLOTS[:2])
    for scope, error, what in (
        ({}, DeclarationError, "no rows are selected"),
        ({"rows": "all"}, DeclarationError, "unknown scope rows"),
        ({"lines": [99]}, RefusedError, "no rows on lines 99"),
        ({"where": {"id": "99"}}, RefusedError, "no row of batch"),
        ({"where": {"ident": "99"}}, DeclarationError, "no column ident"),
    ):
        with pytest.raises(error, match=what):
            act(meter, "quarantine", DAY, scope=scope)
    with pytest.raises(RefusedError, match=r"no row of batch .* is published"):
        act(meter, "quarantine", SLOTS[1], scope={"lines": [2]})
    assert values(meter) == [1, 2]


def test_a_pending_batch_is_rejected_for_good(meter):
    meter.drop(DAY, [1, -5])
    batch = run(meter, [DAY])[0].batches[0]
    with pytest.raises(RefusedError, match="only the whole batch"):
        act(meter, "reject", DAY, scope={"lines": [3]})
    assert act(meter, "reject", DAY)["state"] == "rejected"
    assert not act(meter, "reject", batch)["changed"]
    assert counts(meter) == (0, 0, 0, 2)
    for verb in ("release", "rerun"):
        with pytest.raises(RefusedError, match="is rejected"):
            act(meter, verb, DAY)
    assert settled(meter)


def test_rows_in_quarantine_are_rejected_and_the_table_does_not_move(meter):
    meter.drop(DAY, [1, 2000, 3])
    run(meter, [DAY])
    before, snapshot = usable(meter), Lake(meter.home).snapshot_id("meter")
    told = act(meter, "reject", DAY)
    assert counts(meter) == (2, 0, 0, 1)
    assert (usable(meter), Lake(meter.home).snapshot_id("meter")) == (before, snapshot)
    assert pq.read_table(told["quarantine_path"])["_reasons"].to_pylist() == [["limit", "reject:1"]]
    with pytest.raises(RefusedError, match="no rows in quarantine"):
        act(meter, "release", DAY)
    assert not act(meter, "reject", DAY)["changed"]
    assert settled(meter)


# mutes and reruns


def test_a_muted_check_runs_and_does_not_decide(meter):
    meter.drop(DAY, [1, -5])
    run(meter, [DAY])
    held = batch_actions.mute(
        meter.home, meter.table, ["negative"], expires=now_us() + 10**9, **GIVEN
    )
    assert "by ana: the meter was replaced" in held["muted"]["negative"]
    meter.drop(SLOTS[1], [2, -6])
    blocked, let_in = run(meter, SLOTS[:2])
    assert (blocked.state, let_in.state, let_in.verdict) == ("pending", "published", "PASS")
    told = [r for r in let_in.judgement["results"] if r["id"] == "negative"]
    assert (told[0]["status"], told[0]["shadow"]) == ("fail", True)
    assert "muted until" in told[0]["note"]
    assert settled(meter)
    assert act(meter, "rerun", DAY)["verdict"] == "PASS"
    assert values(meter) == [-6, -5, 1, 2]
    assert settled(meter)


def test_a_mute_ends_and_what_it_let_in_stays_until_it_is_judged_again(meter, monkeypatch):
    batch_actions.mute(meter.home, meter.table, ["negative"], expires=now_us() + HOUR, **GIVEN)
    meter.drop(DAY, [1, -5])
    assert run(meter, [DAY])[0].verdict == "PASS"
    wait(monkeypatch, HOUR)
    meter.drop(SLOTS[1], [2, -6])
    assert [r.state for r in run(meter, SLOTS[:2])] == ["published", "pending"]
    assert values(meter) == [-5, 1]
    assert settled(meter)
    assert act(meter, "rerun", DAY)["state"] == "pending"
    assert values(meter) == []
    assert counts(meter) == (0, 0, 4, 0)


def test_a_check_is_unmuted(meter):
    batch_actions.mute(meter.home, meter.table, ["negative"], expires=now_us() + 10**9, **GIVEN)
    assert batch_actions.unmute(meter.home, meter.table, ["negative"], **GIVEN)["muted"] == {}
    meter.drop(DAY, [-5])
    assert run(meter, [DAY])[0].state == "pending"
    with pytest.raises(RefusedError, match="is not muted"):
        batch_actions.unmute(meter.home, meter.table, ["negative"], **GIVEN)


def test_what_cannot_be_muted(meter):
    later = now_us() + 10**9
    for checks, expires, what in (
        (["nonsense"], later, "no check 'nonsense'"),
        (["contract:type"], later, "cannot be muted"),
        (["negative"], 5, "would have expired"),
        ([], later, "no check is named"),
    ):
        with pytest.raises(DeclarationError, match=what):
            batch_actions.mute(meter.home, meter.table, checks, expires=expires, **GIVEN)
    assert trail(meter) == []


def test_a_mute_counts_for_the_releases_of_its_batch(meter):
    """What is derived from a verdict with mutes is derived with these mutes."""
    batch_actions.mute(meter.home, meter.table, ["negative"], expires=now_us() + 10**9, **GIVEN)
    meter.drop(DAY, [1, -5, 2000, 3])
    assert run(meter, [DAY])[0].verdict == "QUARANTINE"
    batch_actions.unmute(meter.home, meter.table, ["negative"], **GIVEN)
    act(meter, "release", DAY)
    assert values(meter) == [-5, 1, 3, 2000]
    assert settled(meter)


# the record


def test_the_unlisted_are_refused_and_logged(meter):
    meter.drop(DAY, [1, -5])
    run(meter, [DAY])
    for verb, more in (
        ("release", {}),
        ("reject", {}),
        ("rerun", {}),
        ("quarantine", {"scope": {"lines": [2]}}),
    ):
        for who in ("eve", "night"):
            with pytest.raises(RefusedError, match=f"refused: {who}"):
                act(meter, verb, DAY, principal=who, **more)
    assert [(a, ok) for a, _, ok, _ in trail(meter)] == [
        (verb, False) for verb in ("release", "reject", "rerun", "quarantine") for _ in range(2)
    ]
    assert counts(meter) == (0, 0, 2, 0)
    assert act(meter, "ack", DAY, principal="night")["action"]["principal"] == "night"


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_reason_is_required(meter, reason):
    meter.drop(DAY, [1, -5])
    run(meter, [DAY])
    for verb in ("release", "reject", "rerun", "ack"):
        with pytest.raises(DeclarationError, match="has no reason"):
            act(meter, verb, DAY, reason=reason)
    assert trail(meter) == []
    assert counts(meter) == (0, 0, 2, 0)


def test_a_slot_of_several_batches_means_the_one_that_waits(meter):
    meter.drop(DAY, [1, 2], arrived=1)
    meter.drop(DAY, [-1], name="_b", arrived=2)
    run(meter, [DAY])
    assert act(meter, "release", DAY)["verdict"] == "QUARANTINE"
    assert values(meter) == [1, 2]
    with Ledger(meter.home) as ledger:
        told = ledger.judgements("meter").values()
    assert [(r.verdict, r.published_at is None) for r in told] == [
        ("PASS", False),
        ("BLOCK", True),
        ("QUARANTINE", False),
    ]
    with pytest.raises(DeclarationError, match="2 batches of meter match"):
        act(meter, "ack", DAY)
    with pytest.raises(DeclarationError, match="has no batch in slot nonsense"):
        act(meter, "ack", "nonsense")
