"""What is dropped was of no use any more; older corrections ask for a rebuild."""

import random
from dataclasses import replace

import pytest

from headrace.errors import HeadraceError
from headrace.online import MemoryStore, apply, retain
from headrace.online.answers import Compiled
from tests.features.logs import random_log, table_of
from tests.online.kit import entries, fill, store_differences

FRONTIER = 30


def later(log):
    return replace(log, spine=tuple(row for row in log.spine if row["t"] >= FRONTIER))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limit", [3, 128])
def test_answers_from_the_frontier_on_are_the_oracles(seed, limit):
    log, store = random_log(seed), MemoryStore()
    layout = fill(log, store, seed=seed, limit=limit)
    before = len(entries(store))
    retain(store, layout, FRONTIER, lateness=5, limit=limit)
    assert len(entries(store)) < before or limit == 128
    assert store_differences(later(log), layout, store, Compiled()) == []


@pytest.mark.parametrize("seed", range(4))
def test_rows_that_are_not_too_late_may_come_before_or_after(seed):
    log, one, other = random_log(seed), MemoryStore(), MemoryStore()
    layout = fill(log, one, seed=seed, limit=3)
    retain(one, layout, FRONTIER, lateness=60, limit=3)
    half = replace(log, rows=log.rows[::2])
    fill(half, other, seed=seed, limit=3)
    retain(other, layout, FRONTIER, lateness=60, limit=3)
    rows = list(log.rows)
    random.Random(seed).shuffle(rows)
    for table in layout.tables:
        assert not apply(other, layout, table, table_of(rows), limit=3).refused
    for store in (one, other):  # texts of rows that were left out came with them
        retain(store, layout, FRONTIER, lateness=60, limit=3, clock=lambda: 0)
    assert entries(one) == entries(other)
    assert store_differences(later(log), layout, other, Compiled()) == []


def test_a_correction_that_is_too_late_is_refused_until_its_key_is_rebuilt():
    log, store = random_log(0), MemoryStore()
    layout = fill(replace(log, rows=()), store)
    retain(store, layout, FRONTIER, lateness=5)
    row = {**log.rows[0], "known_at": 10, "committed_at": 10, "event_time": 29, "_deleted": False}
    refused = apply(store, layout, "facts", table_of([row])).refused
    assert refused == (0,)
    both = [row, {**row, "known_at": 11}]
    assert apply(store, layout, "facts", table_of(both)).refused == (0, 1)
    assert apply(store, layout, "facts", table_of([row]), rebuilding=True).changed == 1


def test_the_frontier_does_not_move_back():
    log, store = random_log(0), MemoryStore()
    layout = fill(log, store)
    retain(store, layout, FRONTIER, lateness=5)
    with pytest.raises(HeadraceError, match="neither comes back"):
        retain(store, layout, FRONTIER - 1, lateness=5)
