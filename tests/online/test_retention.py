"""What is dropped was of no use any more; older corrections ask for a rebuild."""

import random
from dataclasses import replace

import pytest

from headrace.core.errors import HeadraceError
from headrace.features import FeatureView, Rows, Window
from headrace.serving.online import MemoryStore, apply, layout_of, retain
from headrace.serving.online.kernel.answers import Compiled
from headrace.serving.online.view_values import values
from tests.features.logs import SHAPES, random_log, table_of
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
    with pytest.raises(HeadraceError, match="cannot move back"):
        retain(store, layout, FRONTIER - 1, lateness=5)


def one_key(store, *rows):
    """The number of rows in ten microseconds of one entity, at any moment, from a store of it."""
    shapes = {"facts": replace(SHAPES["facts"], max_events=None)}
    view = FeatureView("v", "facts", ("who",), (Rows(Window("-10us"), name="n"),))
    layout = layout_of([view], shapes, "declared")
    for row in rows:
        apply(store, layout, "facts", table_of([row]))

    def at(t):
        with store.reading() as reader:
            return values(reader, layout, Compiled(), [{"who": "p"}], [t])[0]["v__n"]

    return layout, at


def fact(known, **more):
    row = {**random_log(0).rows[0], "who": "p", "id": 1, "part": "a", "seq": 0, "_deleted": False}
    return {**row, "event_time": 10, "known_at": known, "committed_at": known, **more}


@pytest.mark.parametrize(("frontier", "counted"), [(19, 1), (20, 1), (21, 0)])
def test_a_key_is_known_as_long_as_its_row_counts(frontier, counted):
    """The window of t = 20 begins at 10: until then a deletion must find what it deletes."""
    store = MemoryStore()
    layout, at = one_key(store, fact(10))
    retain(store, layout, frontier, lateness=5)
    assert at(frontier) == counted
    apply(store, layout, "facts", table_of([fact(frontier, _deleted=True)]))
    assert at(frontier) == 0


@pytest.mark.parametrize(("known", "refused"), [(25, (0,)), (26, ())])
def test_a_correction_may_be_as_late_as_the_lateness_says(known, refused):
    store = MemoryStore()
    layout, at = one_key(store)
    retain(store, layout, 30, lateness=5)
    late = fact(known, event_time=25)
    assert apply(store, layout, "facts", table_of([late])).refused == refused
    assert at(31) == 1 - len(refused)


@pytest.mark.parametrize("moved", [0, 1])
def test_a_key_is_remembered_for_the_lateness(moved):
    """Deleted at 20: the index forgets it 5 later, and a version of 19 must still find it."""
    store = MemoryStore()
    layout, at = one_key(store, fact(10), fact(20, _deleted=True))
    retain(store, layout, 24 + moved, lateness=5)
    assert apply(store, layout, "facts", table_of([fact(19 + moved, event_time=20)])).refused == (
        (0,) if moved else ()
    )
    assert at(25) == 0
