"""Stores filled from the nasty logs of the features, in any order, any number of times."""

import random

from headrace.serving.online import apply, layout_of
from headrace.serving.online.view_values import values
from tests.features.logs import SHAPES, VIEWS, differences, expected_frame, table_of


def fill(log, store, *, seed=0, limit=128, repeats=0.3):
    """Apply the log's rows to every table: shuffled, some twice, in batches of random size."""
    chance = random.Random(seed)
    layout = layout_of(VIEWS, SHAPES, log.mode)
    for table in layout.tables:
        rows = [*log.rows, *(row for row in log.rows if chance.random() < repeats)]
        chance.shuffle(rows)
        while rows:
            size = chance.choice([1, 3, 10, 50])
            apply(store, layout, table, table_of(rows[:size]), limit=limit)
            rows = rows[size:]
    return layout


def store_differences(log, layout, store, answerer):
    """Where the store's answers are not those of the oracle."""
    got = {}
    with store.reading() as reader:
        for one in values(reader, layout, answerer, log.spine, [s["t"] for s in log.spine]):
            for name, value in one.items():
                got.setdefault(name, []).append(value)
    expected = expected_frame(log)
    return differences(got, {n: v for n, v in expected.items() if not n.endswith("__reason")})


def entries(store):
    """All bytes of a store."""
    with store.reading() as reader:
        return dict(reader.scan(b""))
