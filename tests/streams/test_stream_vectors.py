"""One event in a hundred is bad: none of them in any vector, all of them in quarantine."""

import json
import random

import pyarrow.parquet as pq
import pytest

from headrace.core.clock import MINUTE, parse_iso
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.conservation import table_status
from headrace.pipeline import feature_service
from headrace.streams import Stream
from headrace.streams.consume import run_stream
from tests.features.logs import bits
from tests.lake.kit import balanced
from tests.serving.world import DAYS, TABLES, World
from tests.streams.kit import side


def bad(chance, row):
    """An event that would move a feature if it got in: plausible, and wrong in one place."""
    wrong = {**row, "trip": row["trip"] + 50}
    return chance.choice(
        [
            json.dumps({**wrong, "delay": 100_001}),
            json.dumps({**wrong, "delay": "soon"}),
            json.dumps({**wrong, "taken": "1e30"}),
            json.dumps({**wrong, "seen_at": "2024-02-30T00:00:00Z"}),
            json.dumps({**wrong, "seen_at": None}),
            json.dumps({**wrong, "trip": None}),
            json.dumps({**wrong, "colour": "red"}),
            json.dumps(wrong)[:-1],
            json.dumps([wrong]),
        ]
    ).encode()


@pytest.mark.nats
def test_none_in_any_vector_and_all_in_quarantine(tmp_path):
    chance, names = random.Random(1), list(TABLES["arrivals"][2])
    plain, streamed = World(tmp_path / "plain"), World(tmp_path / "streamed")
    good = []
    for slot in DAYS:
        for name, rows in plain.rows(slot).items():
            plain.deliver(name, slot, rows)
            if name != "arrivals":
                streamed.deliver(name, slot, rows)
        good += [{name: row[name] for name in names} for row in plain.rows(slot)["arrivals"]]
    for world in (plain, streamed):
        for table in world.pipeline.tables:
            if world is plain or table.name != "arrivals":
                ingest(table, DAYS, world.home)
    events = [json.dumps(row).encode() for row in good]
    count = max(len(events) // 100, 9)
    for number in range(count):
        place = chance.randrange(len(events))
        events.insert(place, bad(chance, good[number * 7]))
    made = side("nats")
    made.create()
    try:
        made.send(events)
        table = streamed.pipeline.table("arrivals")
        stream = Stream("arrivals", made.place, "the buses", batch_events=100, linger="0s")
        run_stream(stream, table, streamed.home, once=True)
    finally:
        made.drop()
    status = table_status(streamed.home, table)
    assert (status["delivered"], status["quarantined"]) == (len(events), count)
    assert balanced(status)
    kept = streamed.home.quarantine / "arrivals"
    assert sum(pq.read_metadata(path).num_rows for path in kept.glob("*.parquet")) == count
    assert vectors(streamed) == vectors(plain)


def vectors(world):
    service = feature_service(world.pipeline, world.home)
    start = parse_iso("2024-03-02")
    asked = [
        ({"trip": 1, "line": line, "stop": stop, "due": "2024-03-10T12:00:00Z", "fare": 2.5}, at)
        for line in "ABC"
        for stop in ("north", "south")
        for hour in range(0, 290, 13)
        for at in (start + hour * 60 * MINUTE, start + hour * 60 * MINUTE + MINUTE)
    ]
    found = service.vectors(asked)
    assert any(vector.values["line__rows_6h"] for vector in found)
    return [{name: bits(value) for name, value in vector.values.items()} for vector in found]
