"""A store answers as the oracle does, bit for bit, and holds the same bytes however it was fed."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.online import LmdbStore, MemoryStore
from headrace.online.answers import Compiled
from headrace.online.plain import Plain
from tests.features.logs import FAR, logs, random_log
from tests.online.kit import entries, fill, store_differences

COMPILED, PLAIN = Compiled(), Plain()


@settings(max_examples=60, deadline=None)
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
