"""The same events by file and by stream: the same rows, the same features, bit for bit."""

import json
import random
import tempfile
from functools import cache, partial
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.contracts import load_contract
from headrace.core.clock import MINUTE, iso, parse_iso
from headrace.core.home import Home
from headrace.features import (
    Count,
    Distinct,
    FeatureView,
    First,
    Last,
    LastRow,
    Max,
    Mean,
    Min,
    Rows,
    Std,
    Sum,
    Where,
    Window,
    oracle,
)
from headrace.features.frames.training_frame import training_frame
from headrace.features.table_shapes import shape_of
from headrace.gates import parse_suite
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.conservation import table_status
from headrace.lake.table import Table
from headrace.lake.tables.history import history
from headrace.lake.tables.lake import Lake
from headrace.sources.files import DropFolder
from headrace.streams import Stream
from headrace.streams.consume import run_stream
from tests.examples import examples
from tests.features.logs import differences, plain_lists
from tests.lake.kit import balanced
from tests.streams.kit import MOSTLY_NATS, side

DAY = "2024-03-01"
START = parse_iso(DAY)
CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: rides
name: rides
version: 1.0.0
status: active
description: {purpose: Rides.}
schema:
  - name: rides
    dataGranularityDescription: one row per ride
    properties:
      - {name: id, logicalType: integer, description: ride, required: true, primaryKey: true,
         primaryKeyPosition: 1, customProperties: [{property: fieldId, value: 10}]}
      - {name: stop, logicalType: string, description: stop,
         customProperties: [{property: fieldId, value: 11}]}
      - {name: wait, logicalType: integer, description: minutes waited,
         customProperties: [{property: fieldId, value: 12}, {property: maxAbs, value: 1000}]}
      - {name: fare, logicalType: number, description: fare,
         customProperties: [{property: fieldId, value: 13}, {property: scale, value: 2},
                            {property: maxAbs, value: 1000}]}
      - {name: seen, logicalType: timestamp, description: when, required: true,
         logicalTypeOptions: {timezone: true, defaultTimezone: UTC},
         customProperties: [{property: fieldId, value: 14}]}
      - {name: told, logicalType: timestamp, description: when it was told, required: true,
         logicalTypeOptions: {timezone: true, defaultTimezone: UTC},
         customProperties: [{property: fieldId, value: 15}, {property: rounding, value: up}]}
    customProperties:
      - {property: tableKind, value: event}
      - {property: maxEvents, value: 100000}
      - {property: eventTime, value: {expression: seen, description: when}}
      - {property: knownAt, value: {expression: told, description: when it was told}}
      - {property: invariants, value: [{name: fair, expression: fare >= 0, description: none}]}
team: {name: rides}
customProperties:
  - {property: consumers, value: [tests]}
  - {property: licence, value: CC0-1.0}
  - {property: allowedPurposes, value: [testing]}
  - {property: privacyClass, value: public}
"""
SUITE = {
    "name": "rides",
    "meta": {"table": "rides", "max_quarantined_share": 1.0},
    "expectations": [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "wait", "max_value": 600},
            "meta": {"action": "quarantine"},
        },
        {
            "type": "expect_column_values_to_not_be_in_set",
            "kwargs": {"column": "stop", "value_set": ["d"]},
            "meta": {"action": "quarantine"},
        },
    ],
}
VIEWS = (
    FeatureView(
        "stop",
        "rides",
        ("stop",),
        (
            Rows(Window("-1h")),
            Count("wait", Window("-1h")),
            Sum("fare", Window("-2h")),
            Mean("wait", Window("-1h")),
            Std("fare", Window("-2h")),
            Max("wait", Window("-2h")),
            Last("fare", Window("-2h")),
            First("wait", Window("-1h"), where=Where("fare", ">", 1)),
            Min("fare", Window("-90m")),
            Distinct("wait", Window("-2h")),
            LastRow(("wait", "fare"), Window("-2h")),
        ),
    ),
)


@cache
def contract():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rides.yaml"
        path.write_text(CONTRACT)
        return load_contract(path)


moments = st.integers(0, 180).map(lambda minute: START + minute * MINUTE)


@st.composite
def logs(draw):
    """Events: originals, corrections that move time and stop, repeats, rows that must not pass."""
    made, told = [], set()
    for _ in range(draw(st.integers(1, 25))):
        ident = draw(st.integers(1, 8))
        at = draw(moments)
        known = at + draw(st.integers(0, 60)) * MINUTE
        if (ident, known) in told:
            continue
        told.add((ident, known))
        made.append(
            {
                "id": ident,
                "stop": draw(st.sampled_from(["a", "b", "c", "d", None])),
                "wait": draw(st.sampled_from([None, 0, -3, 5, 600, 601, 5000])),
                "fare": draw(st.sampled_from([None, 0, 1.25, 0.005, 99.99, -1, 1e9])),
                "seen": draw(st.sampled_from([iso(at), iso(at), None])),
                "told": iso(known),
            }
        )
    for _ in range(draw(st.integers(0, 3))):
        if made:
            made.append(draw(st.sampled_from(made)))
    return [json.dumps(row).encode() for row in made]


def table_of(folder: Path) -> Table:
    source = DropFolder("rides", folder, "rides_{slot}*.ndjson", "the buses")
    return Table("rides", source, contract(), parse_suite(SUITE))


def rows_of(home):
    """Rows without their provenance, and without those that came twice."""
    if Lake(home).snapshot_id("rides") is None:
        return set()
    rows = Lake(home).scan("rides").drop_columns(["_batch", "_line"])
    return {tuple(row.items()) for row in rows.to_pylist()}


def features(home) -> pa.Table:
    times = [START + minute * MINUTE for minute in range(0, 240, 15)]
    spine = pa.table(
        {
            "t": pa.array(times * 3, pa.int64()).cast(pa.timestamp("us", "UTC")),
            "key": pa.array([str(n) for n in range(len(times) * 3)]),
            "stop": [stop for stop in "abc" for _ in times],
        }
    )
    return training_frame(spine, VIEWS, partial(history, home), {"rides": contract()})


def by_file(root: Path, events):
    folder = root / "drop"
    folder.mkdir()
    (folder / f"rides_{DAY}.ndjson").write_bytes(b"\n".join(events) + b"\n")
    home = Home(root / "file")
    (result,) = ingest(table_of(folder), [DAY], home)
    return home, result


def by_stream(root: Path, events, broker, cuts):
    home, table = Home(root / "stream"), table_of(root)
    made = side(broker)
    made.create()
    try:
        stream = Stream("rides", made.place, "the buses", batch_events=cuts, linger="0s")
        made.send(events)
        assert run_stream(stream, table, home, once=True) == len(events)
    finally:
        made.drop()
    assert balanced(table_status(home, table))
    return home


@pytest.mark.redis
@settings(
    max_examples=examples(5),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(events=logs(), cuts=st.integers(1, 30), data=st.data())
def test_by_file_and_by_stream(events, cuts, data):
    shuffled = data.draw(st.permutations(events))
    same(events, shuffled, "redis", max(cuts, len(events) // 4))


@pytest.mark.slow
@pytest.mark.nats
@settings(max_examples=examples(150), deadline=None)
@given(events=logs(), cuts=st.integers(1, 30), data=st.data())
def test_by_file_and_by_stream_often(events, cuts, data):
    same(events, data.draw(st.permutations(events)), "nats", cuts)


def same(events, shuffled, broker, cuts):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        home, result = by_file(root, events)
        assert result.state == "published", result.reasons
        other = by_stream(root, shuffled, broker, cuts)
        assert rows_of(other) == rows_of(home)
        if rows_of(home):
            assert features(other).equals(features(home))


class Log:
    """One small history among many in one stream: its keys and its stops are its own."""

    def __init__(self, number):
        chance = random.Random(number)
        self.number, self.rows, told = number, [], set()
        for _ in range(chance.randint(1, 14)):
            ident, at = number * 10 + chance.randint(1, 5), START + chance.randint(0, 120) * MINUTE
            known = at + chance.choice([-5, 0, 0, 1, 10, 45]) * MINUTE
            if (ident, known) not in told:
                told.add((ident, known))
                self.rows.append(
                    {
                        "id": ident,
                        "stop": chance.choice(
                            [f"{number}a", f"{number}b", f"{number}c", "d", None]
                        ),
                        "wait": chance.choice([None, 0, -3, 5, 600, 601, 5000]),
                        "fare": chance.choice([None, "0", "1.25", "0.005", "0.015", "99.99", "-1"]),
                        "seen": chance.choice([at, at, at, None]),
                        "told": known,
                    }
                )
        self.spine = [
            {
                "t": START + chance.randint(0, 240) * MINUTE,
                "stop": f"{number}{chance.choice('abc')}",
            }
            for _ in range(6)
        ]

    @property
    def events(self):
        for row in self.rows:
            times = {name: row[name] and iso(row[name]) for name in ("seen", "told")}
            yield json.dumps({**row, **times}).encode()

    @property
    def passing(self):
        """By the rules as they are written, not as any gate applies them; fares in cents."""
        cents = {None: None, "0": 0, "1.25": 125, "0.005": 0, "0.015": 2, "99.99": 9999}
        for row in self.rows:
            sound = row["stop"] != "d" and row["fare"] != "-1" and (row["wait"] or 0) <= 600
            if sound and row["seen"] is not None:
                row = {**row, "fare": cents[row["fare"]]}  # noqa: PLW2901 - a row of the table
                yield {**row, "event_time": row["seen"], "known_at": row["told"]}


def streamed(root, logs, broker, chance):
    events = [one for log in logs for one in log.events]
    events += chance.sample(events, len(events) // 20)
    events += [b"{bad" for _ in range(len(events) // 100)]
    chance.shuffle(events)
    return by_stream(root, events, broker, chance.randint(200, 900))


def against_the_oracle(tmp_path, count, broker):
    logs = [Log(number) for number in range(count)]
    home = streamed(tmp_path, logs, broker, random.Random(count))
    spine = [asked for log in logs for asked in log.spine]
    table = pa.Table.from_pylist(
        spine, schema=pa.schema([("t", pa.timestamp("us", "UTC")), ("stop", pa.string())])
    )
    frame = training_frame(table, VIEWS, partial(history, home), {"rides": contract()})
    shape, expected = shape_of(contract()), {}
    for log in logs:
        passing = list(log.passing)
        for asked in log.spine:
            for name, (value, _) in oracle.view_row(VIEWS[0], passing, shape, asked).items():
                expected.setdefault(name, []).append(value)
    assert differences(plain_lists(frame), expected) == []


@pytest.mark.parametrize("broker", MOSTLY_NATS)
def test_a_thousand_logs_in_one_stream_equal_the_oracle(tmp_path, broker):
    against_the_oracle(tmp_path, 1000, broker)
