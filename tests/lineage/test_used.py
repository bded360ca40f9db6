"""Which rows a batch went into, found at once, against the traces of all rows one by one."""

import numpy as np
import pytest
from hypothesis import given, settings

from headrace.features.kernel.arrays import times
from headrace.lineage.row_trace.batch_rows import used
from headrace.lineage.row_trace.feature_trace import trace_row
from headrace.lineage.row_trace.lookups import InMemory
from tests.features.logs import SHAPES, logs, random_log
from tests.lineage.test_row_trace import CUT, TABLES, spine_rows, world

BATCHES = ("b0", "b1", "b2", "none")


def brute(made, table):
    """By batch and column, the numbers of the rows whose trace has a contributing row of it."""
    found = {}
    facts = InMemory(made.history, SHAPES)
    for number, row in enumerate(spine_rows(made.frame())):
        trace = trace_row(made.parts, facts, row, CUT)
        for name, one in trace.columns.items():
            if one.table == table:
                for batch in set(trace.tables[table].take(one.contributing)["_batch"].to_pylist()):
                    found.setdefault((batch, name), set()).add(number)
    return found


def check(log):
    made = world(log)
    frame = made.frame()
    cuts = np.full(frame.num_rows, CUT)
    reached = 0
    for table in TABLES:
        expected = brute(made, table)
        for batch in BATCHES:
            got = used(made.parts, made.history, frame, cuts, (table, batch))
            for name, mask in got.columns.items():
                rows = set(np.flatnonzero(mask).tolist())
                assert rows == expected.get((batch, name), set()), (table, batch, name)
                reached += len(rows)
            whole = {n for (b, _), rows in expected.items() if b == batch for n in rows}
            assert set(np.flatnonzero(got.any).tolist()) == whole
    assert times(frame, "t", "a frame").size == frame.num_rows
    return reached


@settings(max_examples=5, deadline=None)
@given(logs)
def test_agrees_with_tracing_every_row_on_any_log(log):
    check(log)


@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_tracing_every_row_on_dense_logs(seed):
    assert check(random_log(seed)) > 100


@pytest.mark.slow
def test_agrees_with_tracing_every_row_on_many_logs():
    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(logs)
    def compare(log):
        check(log)

    compare()
    for seed in range(100, 130):
        check(random_log(seed))
