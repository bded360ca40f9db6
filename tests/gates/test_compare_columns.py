"""Two batches, column by column: distances with known answers, and what is usual."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.clock import DAY
from headrace.core.files import canonical_json
from headrace.gates.compare import Comparison, compare, usual_moves

NUMBERS = st.lists(st.one_of(st.none(), st.integers(-100, 100)), max_size=40)
TEXTS = st.lists(st.one_of(st.none(), st.sampled_from("abcde")), max_size=40)


def table(**columns) -> pa.Table:
    return pa.table(columns)


def one(this, other, kind=None, **options):
    both = [table(x=pa.array(values, kind)) for values in (this, other)]
    (column,) = compare(*both, **options).columns
    return column


@pytest.mark.parametrize(
    ("this", "other", "kind", "distance"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], pa.int64(), 0),
        ([1, 2], [3, 4], pa.int64(), 1),
        ([1, 2, 3, 4], [1, 2, 3, 9], pa.int64(), 0.25),
        ([1.0, float("nan")], [1.0, None], pa.float64(), 0),
        ([1, None], [1, 1], pa.int64(), 0.5),
        ([], [1], pa.int64(), 1),
        ([], [], pa.int64(), 0),
        ([None, None], [1, 1], pa.int64(), 1),
        (["a", "b"], ["b", "a"], pa.string(), 0),
        (["a", "a", "a", "b"], ["a", "a", "b", "b"], pa.string(), 0.25),
        ([True, False], [True, True], pa.bool_(), 0.5),
    ],
)
def test_distances(this, other, kind, distance):
    assert one(this, other, kind).distance == distance


@given(NUMBERS, NUMBERS)
def test_a_distance_of_numbers_is_one(this, other):
    there, back = one(this, other, pa.int64()), one(other, this, pa.int64())
    assert 0 <= there.distance <= 1
    assert there.distance == back.distance
    assert one(this, this, pa.int64()).distance == 0


@given(TEXTS, TEXTS)
def test_a_distance_of_texts_is_one(this, other):
    there, back = one(this, other, pa.string()), one(other, this, pa.string())
    assert 0 <= there.distance <= 1
    assert there.distance == pytest.approx(back.distance)


@given(NUMBERS, TEXTS, NUMBERS, TEXTS)
def test_what_is_kept_reads_back(numbers, texts, more_numbers, more_texts):
    size, more = min(len(numbers), len(texts)), min(len(more_numbers), len(more_texts))
    tables = [
        table(n=pa.array(a[:k], pa.int64()), t=pa.array(b[:k], pa.string()))
        for a, b, k in ((numbers, texts, size), (more_numbers, more_texts, more))
    ]
    found = compare(*tables, usual=usual_moves([(tables[1], 0)]))
    assert Comparison.of(found.to_json()) == found
    assert canonical_json(found.to_json())  # no NaN, no infinity


def test_values_are_in_the_columns_own_unit():
    column = one([100, 250], [100, 300], pa.int64(), scales={"x": 2})
    assert (column.this.low, column.this.median, column.this.high) == (1.0, 1.75, 2.5)


def test_moments_are_compared_by_the_hour_of_their_slot():
    monday = [datetime(2013, 2, 11, hour, tzinfo=UTC) for hour in range(24)]
    tuesday = [moment + timedelta(days=1) for moment in monday]
    kind = pa.timestamp("us", "UTC")
    assert one(tuesday, monday, kind, shift=DAY).distance == 0
    assert one(tuesday, monday, kind).distance == 1
    assert one(tuesday, monday, kind, shift=DAY).this.low == "2013-02-12T00:00:00Z"


def test_the_columns_that_moved_beyond_the_usual_come_first():
    calm = [(table(day=[n] * 4, size=[1, 2, 3, 4], note=["a", "b", "c", str(n)]), 0)
            for n in range(5)]  # fmt: skip
    this = table(day=[9] * 4, size=[1, 2, 3, 400], note=["a", "b", "c", "z"])
    found = compare(this, calm[-1][0], keys=["day"], usual=usual_moves(calm))
    first, *others = found.columns
    assert first.name == "size"
    assert first.outside == (1, 4)
    assert all(column.excess <= 0 and column.outside is None for column in others)


def test_a_column_that_is_not_there_is_told():
    found = compare(table(a=[1]), table(b=[1]))
    assert {(c.name, c.this is None, c.other is None) for c in found.columns} == {
        ("a", False, True),
        ("b", True, False),
    }


def test_what_is_not_finite_is_kept_as_text():
    column = one([1.0, float("inf")], [1.0, float("-inf")], pa.float64())
    assert (column.this.high, column.other.low) == ("inf", "-inf")


def test_of_a_long_batch_every_nth_row_is_looked_at():
    long = list(range(600_000))
    found = compare(table(x=pa.array(long)), table(x=pa.array(long[:10])))
    (column,) = found.columns
    assert found.every == 3
    assert (column.this.rows, column.this.low, column.this.high) == (600_000, 0, 599_999)
    assert column.this.distinct == 200_000
    assert column.this.median == pytest.approx(300_000, rel=0.001)


def test_far_values_stay_in_the_picture():
    column = one([*range(100), 10**9], list(range(100)), pa.int64())
    assert sum(column.bars.this) == pytest.approx(1, abs=0.001)
    assert column.bars.this[-1] > 0
