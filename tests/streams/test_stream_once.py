"""One stream into one table: each event exactly once, bad ones in quarantine, all accounted for."""

import threading
from contextlib import closing
from dataclasses import replace

import pytest

from headrace.core.errors import SourceError, StateError
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from tests.lake.kit import Meter, balanced, meter_suite
from tests.streams.kit import conserved, event, until


def test_events_become_rows(world):
    world.side.send([event(n, n) for n in range(100)])
    assert world.run() == 100
    rows = world.rows()
    assert sorted(rows["id"].to_pylist()) == list(range(100))
    assert rows["known_at"].null_count == 0
    status = world.status()
    assert (status["events"], status["published"], status["lag"]["events"]) == (100, 100, 0)
    assert status["lag"]["seconds"] == 0
    assert status["problems"] == []
    assert conserved(status)
    assert balanced(table_status(world.home, world.table))


def test_running_again_changes_nothing_and_takes_what_is_new(world):
    world.side.send([event(n) for n in range(10)])
    assert world.run() == 10
    assert world.run() == 0
    world.side.send([event(n) for n in range(10, 15)])
    assert world.run() == 5
    assert sorted(world.rows()["id"].to_pylist()) == list(range(15))


def test_small_batches_make_the_same_rows(world):
    world.options = {"batch_events": 7, "buffer_events": 10}
    world.side.send([event(n) for n in range(60)])
    assert world.run() == 60
    assert sorted(world.rows()["id"].to_pylist()) == list(range(60))
    assert world.status()["batches"] >= 9


BAD = [
    (b"not json", "contract:malformed"),
    (b'{"id": 1', "contract:malformed"),
    (b"", "contract:malformed"),
    (b"  \n ", "contract:malformed"),
    (b'["a", "list"]', "contract:malformed"),
    (b"{}", "contract:malformed"),
    (b'{"id": 900001, "id": 2, "value": 1}', "contract:malformed"),
    (b'{"id": {"nested": 1}, "value": 1}', "contract:malformed"),
    (b"\xff\xfe broken", "contract:malformed"),
    (b"two\nlines", "contract:malformed"),
    (b'{"id": "x", "value": 1, "read_at": "2024-01-01T00:00:00Z"}', "contract:type"),
    (b'{"id": 900002, "value": 1.5, "read_at": "2024-01-01T00:00:00Z"}', "contract:type"),
    (b'{"id": 900003, "value": 1, "read_at": "yesterday"}', "contract:type"),
    (b'{"id": 900004, "value": 1, "read_at": "2024-02-30T00:00:00Z"}', "contract:type"),
    (b'{"id": 900005, "value": 1}', "contract:required"),
    (b'{"value": 1, "read_at": "2024-01-01T00:00:00Z"}', "contract:primary_key"),
    (
        b'{"id": 900006, "value": 1, "read_at": "2024-01-01T00:00:00Z", "new": 1}',
        "contract:undeclared",
    ),
    (
        event(900_009)[:-1] + b"".join(b', "f%d": 1' % n for n in range(999)) + b"}",
        "contract:malformed",
    ),
    (event(900_007, 5000), "limit"),
    (event(900_008, -1), "negative"),
]


def test_bad_events_are_quarantined_with_their_reason_and_hold_up_nobody(world):
    good = [event(n, n) for n in range(300)]
    mixed = list(good)
    for place, (bad, _) in enumerate(BAD):
        mixed.insert(place * 13, bad)
    world.side.send(mixed)
    assert world.run() == len(mixed)
    assert sorted(world.rows()["id"].to_pylist()) == list(range(300))
    found = world.quarantined()
    assert sorted(reason for (reason, *_), _ in found) == sorted(reason for _, reason in BAD)
    status = world.status()
    assert (status["published"], status["quarantined"]) == (300, len(BAD))
    assert conserved(status)
    raws = {raw for _, raw in found}
    assert {'{"id": 1', "not json", '["a", "list"]', '"two\\nlines"'} <= raws


def test_a_stream_of_nothing_but_bad_events_goes_on(world):
    world.side.send([b"no"] * 5 + [b"{}"] * 5)
    assert world.run() == 10
    assert world.rows().num_rows == 0
    assert world.status()["quarantined"] == 10
    assert any("quarantined" in problem for problem in world.status()["problems"])
    world.side.send([event(1)])
    assert world.run() == 1
    assert world.rows()["id"].to_pylist() == [1]


def test_json_over_several_lines_is_one_event(world):
    world.side.send([b'{\n "id": 1,\r\n "value": 2,\n "read_at": "2024-01-01T00:00:00Z"\n}\n'])
    assert world.run() == 1
    assert world.rows()["value"].to_pylist() == [2]


def test_an_event_sent_twice_counts_once(world):
    """In one micro-batch as a repeat; in another, byte for byte the same, as a redelivery."""
    world.side.send([event(1), event(1), event(2)])
    world.run()
    world.side.send([event(1), event(1), event(2)])
    world.run()
    assert sorted(world.rows()["id"].to_pylist()) == [1, 2]
    status = world.status()
    assert (status["events"], status["repeated"], status["redelivered"]) == (6, 1, 3)
    assert conserved(status)


@pytest.mark.parametrize("size", [1, 2, 100])
def test_of_contradicting_events_the_first_stays(world, size):
    """However the stream is cut: an event that the gate quarantines contradicts nothing."""
    world.options["batch_events"] = size
    world.side.send([event(3, -1), event(1, 1), event(2, 2), event(1, 9), event(3, 3), event(1, 1)])
    world.run()
    assert dict(zip(*world.rows().select(["id", "value"]).to_pydict().values(), strict=True)) == {
        1: 1,
        2: 2,
        3: 3,
    }
    held = {text: reasons for reasons, text in world.quarantined()}
    assert held[event(1, 9).decode()] == ("conflict",)
    assert len(held) == 2
    assert conserved(world.status())


def test_an_event_that_contradicts_a_file_is_quarantined(world):
    meter = Meter(world.root)
    meter.drop("2024-01-01", [7])
    ingest(meter.table, ["2024-01-01"], meter.home)
    world.side.send([event(0, 8), event(1, 5)])
    world.run()
    assert sorted(world.rows()["value"].to_pylist()) == [5, 7]
    assert [reasons for reasons, _ in world.quarantined()] == [("conflict",)]
    assert conserved(world.status())


def test_a_second_consumer_is_refused(world):
    world.side.send([event(1)])
    stop = threading.Event()
    first = threading.Thread(target=world.run, kwargs={"once": False, "stop": stop})
    first.start()
    try:
        until(lambda: world.status()["state"] == "running")
        with pytest.raises(StateError, match="being consumed already"):
            world.run()
    finally:
        stop.set()
        first.join()
    assert world.status()["state"] == "stopped"


def test_the_ledger_refuses_events_that_were_taken(world):
    """The lock is a courtesy; this is what makes it once: nobody can start where another has."""
    from headrace.streams.events import Event, delivery_of

    made = [delivery_of(world.stream, "p", "", "", [Event("1", 0, event(n))]) for n in range(2)]
    with Ledger(world.home) as ledger:
        ledger.deliver("meter", "o", made[0], "x")
        with pytest.raises(StateError, match="another consumer has recorded"), ledger.transaction():
            ledger.deliver("meter", "o", made[1], "y")
        assert len(ledger.batches("meter")) == 1


def test_events_deleted_unread_are_not_passed_over_in_silence(world):
    world.side.send([event(n) for n in range(10)])
    world.run()
    world.side.send([event(n) for n in range(10, 20)])
    world.side.forget(13)
    assert world.status()["about_to_lose"] == 3
    with pytest.raises(StateError, match=r"3 events after .* were deleted"):
        world.run()
    assert world.run(accept_lost=True) == 7
    status = world.status()
    assert (status["lost"], status["events"], status["about_to_lose"]) == (3, 17, 0)


def test_a_stream_made_anew_is_not_taken_for_the_old_one(world):
    world.side.send([event(n) for n in range(10)])
    world.run()
    world.side.drop()
    world.side.create()
    world.side.send([event(99)])
    with pytest.raises(SourceError, match="recreated"):
        world.run()


def test_trimming_leaves_what_is_not_published(world):
    world.options = {"trim": True}
    world.side.send([event(n) for n in range(10)])
    assert world.run() == 10
    assert world.side.left() == 0
    world.side.send([event(n) for n in range(10, 13)])
    assert world.run() == 3
    assert sorted(world.rows()["id"].to_pylist()) == list(range(13))
    assert world.status()["lost"] == 0


def test_new_rules_judge_old_events_again(world):
    world.side.send([event(1, 10), event(2, 500), b"bad"])
    world.run()
    world.table = replace(world.table, suite=meter_suite(100, version=2))
    world.run()
    assert world.rows()["id"].to_pylist() == [1]
    status = world.status()
    assert (status["published"], status["quarantined"]) == (1, 2)
    assert conserved(status)


def test_checks_of_whole_batches_are_named_as_left_out(world):
    from headrace.gates import parse_suite

    suite = parse_suite(
        {
            "name": "s",
            "meta": {"table": "meter"},
            "expectations": [
                {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 50}},
                {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "value"}},
                {
                    "type": "expect_column_values_to_be_between",
                    "kwargs": {"column": "value", "max_value": 3, "mostly": 0.9},
                    "meta": {"id": "most"},
                },
                {
                    "type": "expect_column_values_to_be_between",
                    "kwargs": {"column": "value", "min_value": 0},
                },
            ],
        }
    )
    world.table = replace(world.table, suite=suite)
    world.side.send([event(1, 5), event(2, 5), event(3, -5)])
    world.run()
    assert sorted(world.rows()["id"].to_pylist()) == [1, 2]
    assert world.status()["checks_left_out"] == [
        "table_row_count_to_be_between",
        "column_values_to_be_unique:value",
        "most",
    ]


def test_a_check_that_crashes_lets_nothing_through_and_stops_the_consumer(world):
    suite = world.table.suite
    broken = replace(suite.expectations[0], kwargs={"column": "nowhere", "max_value": 1})
    world.options = {"batch_events": 5, "buffer_events": 5}
    world.table, good = (
        replace(world.table, suite=replace(suite, expectations=(broken,))),
        world.table,
    )
    world.side.send([event(n) for n in range(20)])
    for _ in range(2):
        with pytest.raises(StateError, match="a check of table meter crashed"):
            world.run()
        status = world.status()
        assert status["pending"] == status["events"] <= 5
        assert conserved(status)
        assert any("are pending" in problem for problem in status["problems"])
    assert world.rows().num_rows == 0
    world.table = good
    assert world.run() >= 15
    assert sorted(world.rows()["id"].to_pylist()) == list(range(20))


def test_an_expression_that_fails_on_a_row_is_held_against_that_row(tmp_path, world):
    from headrace.contracts import load_contract
    from tests.lake.kit import CONTRACT

    path = tmp_path / "meter.yaml"
    path.write_text(
        CONTRACT.replace("read_at + INTERVAL 10 MINUTE", "read_at + to_minutes(value * value)")
    )
    world.table = replace(world.table, contract=load_contract(path))
    world.side.send([event(1, 3), event(2, 3_000_000_000), event(3, 4)])
    world.run()
    assert sorted(world.rows()["id"].to_pylist()) == [1, 3]
    assert [reasons for reasons, _ in world.quarantined()] == [("contract:derivation", "limit")]


def test_a_field_may_come_under_an_older_name(tmp_path, world):
    from headrace.contracts import load_contract
    from tests.lake.kit import CONTRACT

    path = tmp_path / "meter.yaml"
    path.write_text(
        CONTRACT.replace(
            "{property: fieldId, value: 11}",
            "{property: fieldId, value: 11}, {property: aliases, value: [reading]}",
        )
    )
    world.table = replace(world.table, contract=load_contract(path))
    old = event(2, 7).replace(b"value", b"reading")
    both = event(3, 7)[:-1] + b', "reading": 7}'
    world.side.send([event(1, 6), old, both])
    world.run()
    rows = world.rows()
    found = dict(zip(rows["id"].to_pylist(), rows["value"].to_pylist(), strict=True))
    assert found == {1: 6, 2: 7}
    assert [reasons for reasons, _ in world.quarantined()] == [("contract:doubled",)]


@pytest.mark.nats
def test_a_reader_that_the_server_forgot_is_made_again(tmp_path):
    from headrace.streams.nats_jetstream import NatsBroker
    from tests.streams.kit import in_nats, side

    made = side("nats")
    made.create()

    async def forget(_, jetstream):
        for consumer in await jetstream.consumers_info(made.name):
            await jetstream.delete_consumer(made.name, consumer.name)

    try:
        made.send([event(n) for n in range(10)])
        with closing(NatsBroker(made.place)) as broker:
            broker.seek("", "")
            assert sequences(broker.read("", 5, 0.5)) == [1, 2, 3, 4, 5]
            in_nats(forget)
            assert broker.read("", 5, 0.2) == []
            assert sequences(broker.read("", 5, 0.5)) == [6, 7, 8, 9, 10]
            asked = threading.Thread(target=broker.read, args=("", 5, 1.0))
            asked.start()  # it is forgotten while it waits for an answer
            in_nats(forget)
            asked.join()
            made.send([event(11)])
            assert sequences(broker.read("", 5, 0.5)) == [11]
    finally:
        made.drop()


def sequences(events):
    return [int(one.position.partition("#")[0]) for one in events]


@pytest.mark.redis
def test_a_clock_that_makes_no_sense_stops_nobody(tmp_path):
    """Redis lets a producer choose an entry's id, which begins with the time."""
    from tests.streams.kit import World, side

    world = World(tmp_path, side("redis"))
    with world.side.client() as client:
        client.xadd(world.side.name, {"event": event(1)}, id="0-7")
        client.xadd(world.side.name, {"event": event(2)}, id="999999999999999999-1")
    try:
        assert world.run() == 2
        assert sorted(world.rows()["id"].to_pylist()) == [1, 2]
        assert world.status()["lag"] == {"events": 0, "seconds": 0}
    finally:
        world.side.drop()


def test_a_table_that_only_a_stream_feeds(world):
    from headrace.lake.ingest.protocol import ingest
    from headrace.streams import NoFiles

    world.table = replace(world.table, source=NoFiles("meter"))
    world.side.send([event(1)])
    world.run()
    (result,) = ingest(world.table, ["2025-01-01"], world.home)
    assert result.state == "not_expected"
    assert world.rows()["id"].to_pylist() == [1]
