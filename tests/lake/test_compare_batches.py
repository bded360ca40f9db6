"""Every row of a batch is compared, wherever it is: staged, in quarantine, or only delivered."""

import json
import shutil
from dataclasses import dataclass, replace

import pytest

from headrace.core.errors import StateError
from headrace.lake.batch_comparison import batch_rows_of, compare_batches, judged_batches
from headrace.lake.ingest.protocol import ingest
from headrace.sources.base import Delivery
from headrace.sources.objects import ParquetObjects
from tests.lake.kit import SLOTS, Meter
from tests.sources.buckets import places

FIRST, SECOND = SLOTS[:2]


def batches(meter: Meter, table=None):
    ingest(table or meter.table, SLOTS[:2], meter.home)
    known = judged_batches(meter.home, "meter")
    return {batch.slot: known.of(key) for key, batch in known.batches.items()}, known


def values(meter: Meter, judged) -> list:
    rows = batch_rows_of(meter.home, meter.table.contract, *judged)
    assert rows.num_rows == len(rows["value"])
    return sorted(rows["value"].to_pylist())


def test_quarantined_rows_count(meter):
    meter.drop(FIRST, [1, 2, 5000])
    found, _ = batches(meter)
    assert found[FIRST][1].verdict == "QUARANTINE"
    assert values(meter, found[FIRST]) == [1, 2, 5000]


def test_a_blocked_batch_is_read_from_what_was_delivered(meter):
    meter.drop(FIRST, [1, 2, 3])
    meter.drop(SECOND, [10, 20, -5, 5000])
    found, known = batches(meter)
    assert found[SECOND][0].state == "pending"
    assert values(meter, found[SECOND]) == [-5, 10, 20, 5000]
    (good,) = known.good_before(found[SECOND][0])
    assert good[0].slot == FIRST
    result = compare_batches(meter.home, meter.table, found[SECOND], good, [good])
    assert (result.rows, result.other_rows) == (4, 3)
    column = next(c for c in result.columns if c.name == "value")
    assert (column.this.low, column.this.high, column.other.high) == (-5, 5000, 3)


@dataclass(frozen=True)
class Events:
    """A source of one batch of events, one of which is no row at all."""

    name: str = "meter"

    def deliveries(self, slot: str) -> list[Delivery]:
        rows = [{"id": n, "value": n, "read_at": f"{slot}T00:00:0{n}Z"} for n in range(3)]
        lines = [*map(json.dumps, rows), "torn {"]
        payload = "\n".join(lines).encode()
        return [Delivery("meter", slot, payload, "events", "topic", 1, "the meter")]


def test_events_are_compared_with_what_is_no_row(meter):
    found, _ = batches(meter, replace(meter.table, source=Events()))
    assert found[FIRST][1].quarantined == 1
    rows = batch_rows_of(meter.home, meter.table.contract, *found[FIRST])
    assert rows["value"].to_pylist() == [0, 1, 2, None]


def test_a_blocked_object_is_read_where_it_lies(meter, tmp_path, monkeypatch):
    from tests.lake.test_objects import readings

    for place in places("folder", tmp_path, monkeypatch):
        source = ParquetObjects("m", place.address, "{slot}/*.parquet", "m", settle=place.settle)
        place.put(f"{FIRST}/a.parquet", readings([1, 2], [5, -1]))
        found, _ = batches(meter, replace(meter.table, source=source))
        assert found[FIRST][0].state == "pending"
        assert values(meter, found[FIRST]) == [-1, 5]


def test_without_its_bytes_it_says_so(meter):
    meter.drop(FIRST, [-1])
    found, _ = batches(meter)
    shutil.rmtree(meter.home.landing)
    with pytest.raises(StateError, match="are gone"):
        values(meter, found[FIRST])
