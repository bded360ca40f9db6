"""A store answers as the oracle does, bit for bit, and holds the same bytes however it was fed."""

import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.features import (
    Count,
    Distinct,
    FeatureView,
    First,
    Last,
    LastRow,
    Lookup,
    Max,
    Mean,
    Min,
    Rows,
    Std,
    Sum,
    Window,
    training_frame,
)
from headrace.serving.online import LmdbStore, MemoryStore, apply, layout_of
from headrace.serving.online.kernel.answers import Compiled, as_words
from headrace.serving.online.kernel.compiled import needed
from headrace.serving.online.kernel.plain import Plain
from headrace.serving.online.view_values import entity_bytes, values
from tests.examples import examples
from tests.features.logs import FAR, SHAPES, logs, random_log, table_of
from tests.online.kit import entries, fill, store_differences

COMPILED, PLAIN = Compiled(), Plain()


@settings(max_examples=examples(60), deadline=None)
@given(logs, st.integers(0, 99), st.sampled_from([2, 3, 128]))
def test_equals_the_oracle_on_any_log(log, seed, limit):
    store = MemoryStore()
    layout = fill(log, store, seed=seed, limit=limit)
    assert store_differences(log, layout, store, COMPILED) == []
    assert store_differences(log, layout, store, PLAIN) == []


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(logs, st.integers(0, 99), st.sampled_from([2, 3, 128]))
def test_equals_the_oracle_on_a_thousand_logs(log, seed, limit):
    store = MemoryStore()
    layout = fill(log, store, seed=seed, limit=limit)
    assert store_differences(log, layout, store, COMPILED) == []


@pytest.mark.parametrize("limit", [2, 3, 128])
@pytest.mark.parametrize("seed", range(4))
def test_dense_logs_and_any_order_give_the_same_bytes(seed, limit):
    log = random_log(seed)
    one, other = MemoryStore(), MemoryStore()
    layout = fill(log, one, seed=seed, limit=limit)
    fill(log, other, seed=seed + 100, limit=limit, repeats=0.9)
    assert store_differences(log, layout, one, COMPILED) == []
    assert entries(one) == entries(other)


def test_lmdb_holds_the_bytes_of_the_reference(tmp_path):
    for seed in range(3):
        log, reference = random_log(seed), MemoryStore()
        store = LmdbStore(tmp_path / str(seed), durable=False)
        layout = fill(log, store, seed=seed, limit=3)
        fill(log, reference, seed=seed + 1, limit=3)
        assert store_differences(log, layout, store, COMPILED) == []
        assert entries(store) == entries(reference)
        store.close()


def test_many_events_at_the_last_moment_of_all():
    log = random_log(1)
    log = replace(log, rows=tuple({**row, "event_time": FAR} for row in log.rows))
    store = MemoryStore()
    layout = fill(log, store, limit=2)
    assert store_differences(log, layout, store, COMPILED) == []


def test_a_state_from_the_first_moment_of_all_has_expired_at_the_last():
    """The age between them is 2^63, which int64 does not hold."""
    log = random_log(1)
    rows = tuple({**row, "event_time": -FAR, "known_at": 0, "committed_at": 0} for row in log.rows)
    spine = tuple({**row, "t": FAR} for row in log.spine)
    log = replace(log, rows=rows, spine=spine)
    store = MemoryStore()
    layout = fill(log, store)
    assert store_differences(log, layout, store, COMPILED) == []
    assert store_differences(log, layout, store, PLAIN) == []


def groups(window):
    """Features that read no leaf for each other: what one reads, all of its join have at hand."""
    yield (
        Rows(window), Count("x", window), Sum("n", window), Mean("n", window), Std("n", window),
        Min("n", window), Max("n", window), Min("x", window), Max("x", window),
    )  # fmt: skip
    yield (First("s", window),)
    yield Last("n", window), LastRow(("s", "n"), window)
    yield (Distinct("n", window),)


WINDOWS = (Window("-64us"), Window("-16us"), Window("-40us", "-8us"))
ALONE = [
    *(FeatureView("v", "facts", ("who",), group) for window in WINDOWS for group in groups(window)),
    Lookup("held", "facts", ("who",), ("n", "s"), "5us"),
]


@pytest.mark.parametrize("most", [None, 63, 16, 15])
@pytest.mark.parametrize("every", [1, 3])
def test_tiles_alone_give_the_answers_of_the_frame(every, most):
    """Windows of whole leaves and less, whose ends are events.

    Values lie between 1e9 and 3e9, on both sides of 0.
    """
    shapes = {"facts": replace(SHAPES["facts"], max_events=most)}
    rows = facts_in_time(every)
    for view in ALONE:
        layout, store = assert_equals_the_frame(view, rows, shapes, every)
        if view is ALONE[0] and every == 1 and most is None:
            assert [leaves_read(store, layout, t) for t in (63, 64, 65)] == [1, 0, 2]


@pytest.mark.parametrize("place", range(4))
def test_tiles_alone_pass_over_nulls(place):
    """One row of four has its values: a leaf may hold none of the window, and one at its end."""
    rows = [
        row if row["id"] % 4 == place else {**row, "n": None, "s": None, "x": None}
        for row in facts_in_time(1)
    ]
    shapes = {"facts": replace(SHAPES["facts"], max_events=None)}
    for view in ALONE:
        assert_equals_the_frame(view, rows, shapes, 1)


def facts_in_time(every):
    """Facts of one entity, known when they happen; none is corrected."""
    chance = random.Random(every)
    sign = [chance.choice([1, -1]) for _ in range(128)]
    return [
        {**random_log(0).rows[0], "id": i, "who": "p", "seq": 0, "_deleted": False, "x": float(i),
         "s": str(i % 7), "n": sign[i] * chance.randrange(10**9, 3 * 10**9),
         "event_time": i * every, "known_at": i * every, "committed_at": i * every}
        for i in range(128)
    ]  # fmt: skip


def assert_equals_the_frame(view, rows, shapes, every):
    """At each moment of the rows, by the compiled answerer; at some of them by the plain one."""
    moments = list(range(130 * every))
    spine = pa.table({"who": ["p"] * len(moments), "t": moments})

    def history(_, columns):
        return table_of(rows).select([*columns, "event_time", "known_at"])

    layout, store = layout_of([view], shapes, "declared"), MemoryStore()
    apply(store, layout, "facts", table_of(rows), limit=4)
    frame = training_frame(spine, [view], history, shapes).drop_columns(["who", "t"])
    with store.reading() as reader:
        answers = values(reader, layout, COMPILED, [{"who": "p"}] * len(moments), moments)
        assert answers == frame.to_pylist(), view
        asked = moments[:: 7 * every]
        answers = values(reader, layout, PLAIN, [{"who": "p"}] * len(asked), asked)
        assert answers == frame.to_pylist()[:: 7 * every]
    return layout, store


def leaves_read(store, layout, t):
    """How many leaves of the entity a view needs beside its directory."""
    call = layout.calls[0]
    with store.reading() as reader:
        words = as_words(*reader.get_joined([call.root + entity_bytes(call, {"who": "p"})]))
    return int(needed(*words, call.program, np.array([t]))[0].sum())
