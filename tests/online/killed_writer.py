"""A writer to be killed: `killed_writer.py FOLDER ROWS`; names each batch it is done with."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.features import Column, Count, FeatureView, Max, Std, Sum, TableShape, Window
from headrace.features.table_shapes import TIMESTAMP
from headrace.serving.online import LmdbStore, apply, layout_of

COLUMNS = {
    "id": Column(pa.int64()),
    "who": Column(pa.int64()),
    "n": Column(pa.int64(), max_abs=999),
}
SHAPES = {"events": TableShape("events", "event", ("id",), COLUMNS, None, max_events=100000)}
WEEK = Window("-7d")
VIEWS = (
    FeatureView(
        "who",
        "events",
        ("who",),
        (Count("n", WEEK), Sum("n", WEEK), Max("n", WEEK), Std("n", WEEK)),
    ),
)
LAYOUT = layout_of(VIEWS, SHAPES, "declared")
BATCH = 400


def rows(count):
    """Events of many entities and a hot one, with some corrections."""
    chance = np.random.default_rng(7)
    at = lambda values: pa.array(values, pa.int64()).view(TIMESTAMP)
    e = chance.integers(0, 10**12, count)
    return pa.table(
        {
            "id": chance.integers(0, int(count * 0.95), count),
            "who": np.where(chance.random(count) < 0.3, 0, chance.integers(0, 200, count)),
            "n": chance.integers(-999, 999, count),
            "event_time": at(e),
            "known_at": at(np.arange(count) + 10**12),
        }
    )


def main(folder, count):
    store, table = LmdbStore(Path(folder), durable=False), rows(count)
    for start in range(0, count, BATCH):
        done = {"snapshot_id": start // BATCH, "as_of": 0}
        apply(store, LAYOUT, "events", table.slice(start, BATCH), frontier=done)
        sys.stdout.write(f"{start // BATCH}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
