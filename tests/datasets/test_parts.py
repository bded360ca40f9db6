"""Cuts hang on keys alone, move only where rows do, and keep parts within bounds."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.datasets.store.parts import cuts_of, ends_of, numbers_of, parts_of

LEAST, MOST = 8, 32


def keys(count, seed=0):
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "flight": pa.array([f"F{n}é" * (n % 3) for n in rng.permutation(count)]),
            "stop": pa.array(rng.permutation(count)),
        }
    )


def slow_cuts(numbers, least, most):
    """By the words of the specification: each row against all rows around it."""
    numbers = [int(n) for n in numbers]
    count = len(numbers)

    def lowest(place):
        around = range(place - least, place + least + 1)
        return (
            around[0] >= 0
            and around[-1] < count
            and all((numbers[place], place) <= (numbers[other], other) for other in around)
        )

    def within(start, end):
        if end - start <= most:
            return []
        inner = range(start + least, end - least + 1)
        cut = min(inner, key=lambda place: (numbers[place], place))
        return [*within(start, cut), cut, *within(cut, end)]

    outer = [0, *filter(lowest, range(count)), count]
    found = [place for start, end in pairwise(outer) for place in [*within(start, end), end]]
    return found[:-1]


NUMBERS = st.integers(0, 2**32).flatmap(
    lambda seed: st.integers(0, 600).map(
        lambda count: np.random.default_rng(seed).integers(
            0, 2 ** (64 if seed % 3 else 6), count, dtype=np.uint64
        )
    )
)


@given(NUMBERS, st.integers(1, 20))
def test_cuts_are_those_of_the_specification_and_parts_within_bounds(numbers, least):
    most = 3 * least
    cuts = cuts_of(numbers, least, most)
    assert cuts == slow_cuts(numbers, least, most)
    sizes = [end - start for start, end in pairwise([0, *cuts, len(numbers)])]
    assert sum(sizes) == len(numbers)
    assert max(sizes) <= most
    assert not cuts or min(sizes) >= least


@given(NUMBERS, st.data())
def test_rows_that_come_or_go_move_only_the_cuts_around_them(numbers, data):
    """Outside the gaps, between cuts that no change can reach, every cut stays."""
    before = set(cuts_of(numbers, LEAST, MOST))
    start = data.draw(st.integers(0, len(numbers)))
    gone = data.draw(st.integers(0, min(5, len(numbers) - start)))
    come = data.draw(st.lists(st.integers(0, 2**64 - 1), max_size=5))
    after_rows = np.concatenate(
        [numbers[:start], np.array(come, np.uint64), numbers[start + gone :]]
    )
    shift = len(come) - gone
    after = {cut if cut < start else cut - shift for cut in cuts_of(after_rows, LEAST, MOST)}
    firm = set(slow_cuts(numbers, LEAST, len(numbers)))  # those of the first kind alone
    left = max((cut for cut in firm if cut < start - LEAST), default=0)
    right = min((cut for cut in firm if cut > start + gone + LEAST), default=len(numbers))
    assert {cut for cut in before if cut <= left} == {cut for cut in after if cut <= left}
    assert {cut for cut in before if cut >= right} == {cut for cut in after if cut >= right}


def test_parts_of_versions_with_a_few_rows_changed_are_nearly_all_the_same():
    rows = keys(20_000)
    changed = pa.concat_tables([rows.slice(0, 5_000), keys(3, 9), rows.slice(5_001)])
    one, other = (
        {str(part.to_pydict()) for part in parts_of(table, ["flight", "stop"], 100, 400)}
        for table in (rows, changed)
    )
    assert len(one) > 80
    assert len(one - other) <= 4
    assert len(other - one) <= 4


def test_parts_are_the_table_and_do_not_depend_on_its_chunks_or_offsets():
    rows = keys(3_000)
    parts = parts_of(rows, ["flight", "stop"], 50, 200)
    assert pa.concat_tables(parts).equals(rows)
    chunked = pa.concat_tables([rows.slice(0, 7), rows.slice(7)])
    again = parts_of(chunked, ["flight", "stop"], 50, 200)
    assert [part.num_rows for part in again] == [part.num_rows for part in parts]
    assert np.array_equal(numbers_of(rows.slice(11), ["flight"]), numbers_of(rows, ["flight"])[11:])


def test_a_number_hangs_on_the_values_and_is_fixed_for_ever():
    """A change of these would cut every dataset anew: nothing of a next version would be shared."""
    table = pa.table(
        {
            "s": ["", "a", "ab", "ba", None],
            "i": pa.array([0, 1, -1, 2**62, None]),
            "f": pa.array([0.0, 1.5, -2.5, float("inf"), None]),
            "t": pa.array([0, 1, 2, 3, None], pa.timestamp("us", "UTC")),
            "d": pa.array([0, 1, 2, 3, None], pa.date32()),
            "b": pa.array([True, False, True, None, False]),
        }
    )
    found = {name: numbers_of(table, [name]) for name in table.column_names}
    assert len(set(found["s"][:4].tolist())) == 4
    assert len(set(found["i"][:4].tolist())) == 4
    whole = numbers_of(table, table.column_names)
    assert [f"{int(n):016x}" for n in whole] == PINNED


PINNED = [
    "1c728780035a0397",
    "ea7497d306700ff8",
    "1dc7ed2b4d6aca56",
    "f4775b6185346b80",
    "cbd37ad29b93b094",
]


@pytest.mark.parametrize("count", [0, 1, 15])
def test_a_small_table_is_one_part(count):
    assert [part.num_rows for part in parts_of(keys(count), ["stop"], LEAST, MOST)] == [count]


def test_ends_are_json_values():
    table = pa.table(
        {
            "t": pa.array([1_000_000, 2_000_000], pa.timestamp("us", "UTC")),
            "day": pa.array([0, 1], pa.date32()),
            "raw": pa.array([b"\x00", b"\xff"]),
            "x": [float("nan"), 0.5],
        }
    )
    assert ends_of(table, ["day", "raw", "x"]) == (
        (1_000_000, "1970-01-01", "00", "nan"),
        (2_000_000, "1970-01-02", "ff", 0.5),
    )
    assert ends_of(table.slice(0, 0), ["day"]) == ((), ())
