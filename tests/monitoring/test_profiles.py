"""Profiles merge exactly, in any order, and say what a plain count says."""

import json
import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import DeclarationError, StateError
from headrace.home import Home
from headrace.monitoring import store
from headrace.monitoring.bins import Bins, codes, freeze, kind_of
from headrace.monitoring.profiles import merge, ordered, profile, profile_days

SCHEMA = pa.schema(
    [("n", pa.int64()), ("x", pa.float64()), ("s", pa.string()), ("b", pa.bool_()),
     ("when", pa.timestamp("us", "UTC"))]
)  # fmt: skip
BINS = (
    Bins("n", "integer", 0, edges=(-5, 0, 5)),
    Bins("x", "real", 0, edges=(-1.5, 0.0, 2.5)),
    Bins("s", "level", 0, levels=("a", "b"), rare=("c",)),
    Bins("b", "integer", 0, edges=(0, 1)),
    Bins("when", "integer", 0, edges=(0, 10**15)),
)
int64 = st.integers(-(2**63) + 1, 2**63 - 2)
ROW = st.tuples(
    st.none() | int64 | st.integers(-9, 9),
    st.none() | st.floats(),
    st.none() | st.sampled_from("abcdé"),
    st.none() | st.booleans(),
    st.none() | st.integers(0, 2**52),
)
ROWS = st.lists(ROW, max_size=12)


def table(rows):
    columns = list(zip(*rows, strict=True)) or [[] for _ in SCHEMA]
    arrays = [pa.array(list(c), f.type) for c, f in zip(columns, SCHEMA, strict=True)]
    return pa.table(arrays, schema=SCHEMA)


def bytes_of(one):
    return json.dumps(one.to_json(), allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS, ROWS)
def test_merge_is_commutative_associative_and_equals_the_profile_of_all_rows(a, b, c):
    pa_, pb, pc_ = (profile(table(rows), BINS) for rows in (a, b, c))
    assert bytes_of(merge(pa_, pb)) == bytes_of(merge(pb, pa_))
    whole = bytes_of(profile(table([*a, *b, *c]), BINS))
    assert bytes_of(merge(merge(pa_, pb), pc_)) == whole
    assert bytes_of(merge(pa_, merge(pb, pc_))) == whole


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_a_profile_says_what_plain_python_says(rows):
    made = profile(table(rows), BINS)
    integers = [row[0] for row in rows if row[0] is not None]
    reals = [row[1] + 0.0 for row in rows if row[1] is not None and not math.isnan(row[1])]
    n, x, s = made.column("n"), made.column("x"), made.column("s")
    assert (n.rows, n.nulls, n.total) == (len(rows), len(rows) - len(integers), sum(integers))
    assert (n.low, n.high) == (min(integers, default=None), max(integers, default=None))
    assert (x.low, x.high) == (min(reals, default=None), max(reals, default=None))
    assert x.nulls == len(rows) - len(reals)
    binned = Counter(sum(value >= edge for edge in BINS[1].edges) for value in reals)
    assert x.counts == tuple(binned[i] for i in range(4))
    levels = Counter({"a": 0, "b": 1, "c": 2}.get(row[2], 3) for row in rows if row[2] is not None)
    assert s.counts == tuple(levels[i] for i in range(4))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), ROW), max_size=30))
def test_days_profiled_together_equal_days_profiled_apart(rows):
    day = np.array([d for d, _ in rows], np.int64)
    made = profile_days(table([row for _, row in rows]), day, BINS)
    assert made.days.tolist() == sorted({d for d, _ in rows})
    for first, last in ((0, 10), (2, 5), (7, 8)):
        apart = profile(table([row for d, row in rows if first <= d < last]), BINS)
        assert bytes_of(made.roll(first, last)) == bytes_of(apart)


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=9))
def test_the_order_of_reals_survives_as_integers(values):
    array = np.array(values) + 0.0
    assert (np.argsort(ordered(array), kind="stable") == np.argsort(array, kind="stable")).all()


def test_nothing_is_summed_or_compared_for_strings_and_reals_have_no_sum():
    made = profile(table([(1, 0.5, "a", True, 3)]), BINS)
    assert made.column("s").low is None
    assert made.column("x").total is None
    assert made.column("n").mean == 1


def test_profiles_with_other_bins_do_not_merge():
    some = table([(1, 0.5, "a", True, 3)])
    with pytest.raises(DeclarationError, match="different bins"):
        merge(profile(some, BINS), profile(some, BINS[:2]))


def test_a_list_column_cannot_be_profiled():
    with pytest.raises(DeclarationError, match="column path"):
        kind_of(pa.field("path", pa.list_(pa.int64())))


@pytest.mark.parametrize(
    ("values", "kind"),
    [([3, 3, 3], "integer"), ([1.5, 1.5], "real"), (list(range(200)), "integer"),
     ([float(i) for i in range(200)], "real"), ([2**62, -(2**62)], "integer"),
     ([math.inf, 1.0], "real")],
)  # fmt: skip
def test_frozen_edges_ascend_and_reach_past_the_values_on_both_sides(values, kind):
    column = pa.chunked_array([pa.array(values)])
    bins = freeze(pa.field("v", column.type), column, 1)
    assert bins.kind == kind
    assert list(bins.edges) == sorted(set(bins.edges))
    found = codes(bins, pa.array([v for v in values if abs(v) < 2**60]))
    if kind == "integer" and abs(values[0]) == 2**62:
        return
    assert all(0 < code < bins.size - 1 for code in found)


def test_dictionary_columns_and_plain_strings_give_the_same_profile():
    values = pa.array(["a", "z", None, "c", "b"])
    bins = [BINS[2]]
    plain = profile(pa.table({"s": values}), bins)
    coded = profile(pa.table({"s": values.dictionary_encode()}), bins)
    assert bytes_of(plain) == bytes_of(coded)
    assert plain.column("s").counts == (1, 1, 1, 1)
    assert plain.column("s").nulls == 1


# -- on disk ---------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def days(count, shift=0):
    rng = np.random.default_rng(count + shift)
    day = np.repeat(np.arange(count, dtype=np.int64), 40)
    values = rng.normal(shift, 1, len(day))
    return pa.table({"v": values, "s": rng.choice(["a", "b"], len(day))}), day


def test_bins_are_frozen_once_from_the_first_days_and_never_refitted(home):
    table_, day = days(10)
    first, _ = store.frozen_bins(home, "view", table_, day, ["v", "s"], warmup=10)
    other, other_day = days(30, shift=100)
    again, _ = store.frozen_bins(home, "view", other, other_day, ["v", "s"], warmup=10)
    assert again == first
    assert first[0].frozen_until == 10


def test_bins_do_not_depend_on_how_much_history_is_there_when_they_are_frozen(home, tmp_path):
    table_, day = days(60)
    early = pa.array(day < 28)
    a, _ = store.frozen_bins(home, "v", table_, day, ["v", "s"], warmup=28)
    short = table_.filter(early), day[day < 28]
    b, _ = store.frozen_bins(Home(tmp_path / "b"), "v", *short, ["v", "s"], warmup=28)
    assert a == b


def test_a_column_waits_until_it_has_had_values_on_enough_days(home):
    table_, day = days(20)
    late = pa.array([None if d < 12 else float(d) for d in day.tolist()], pa.float64())
    table_ = table_.append_column("late", late)
    bins, notes = store.frozen_bins(home, "v", table_, day, ["v", "late"], warmup=10)
    assert [b.column for b in bins] == ["v"]
    assert "late: fewer than 10 days" in notes[0]
    bins, _ = store.frozen_bins(home, "v", table_, day, ["v", "late"], warmup=8)
    assert bins[1].frozen_until == 20


def test_a_column_that_changed_its_kind_is_left_out_and_named(home):
    table_, day = days(10)
    store.frozen_bins(home, "v", table_, day, ["v"], warmup=5)
    text = pa.table({"v": table_["v"].cast(pa.string())})
    bins, notes = store.frozen_bins(home, "v", text, day, ["v"], warmup=5)
    assert bins == []
    assert notes == ["v: was real, is level; not watched"]


def test_profiles_read_back_exactly_and_the_same_content_is_profiled_once(home):
    table_, day = days(12)
    bins, _ = store.frozen_bins(home, "v", table_, day, ["v", "s"], warmup=5)
    first = store.profiles_of(home, "v", table_, day, bins, content="snapshot-1")
    files = sorted(store.folder_of(home, "v").iterdir())
    nothing = table_.slice(0, 0)
    again = store.profiles_of(home, "v", nothing, day[:0], bins, content="snapshot-1")
    assert bytes_of(again.whole) == bytes_of(first.whole)
    assert again.days.tolist() == first.days.tolist()
    assert sorted(store.folder_of(home, "v").iterdir()) == files


def test_stored_profiles_are_plain_parquet_with_a_format_version(home):
    table_, day = days(6)
    bins, _ = store.frozen_bins(home, "v", table_, day, ["v", "s"], warmup=5)
    store.profiles_of(home, "v", table_, day, bins, content="one")
    path = next(store.folder_of(home, "v").glob("*.parquet"))
    read = pq.read_table(path)
    assert read.num_rows == 6 * 2
    assert json.loads(read.schema.metadata[b"headrace.profile"])["format"] == 1
    assert sum(read["counts"].to_pylist()[0]) == 40


def test_profiles_of_a_newer_format_and_of_other_bins_are_refused(home):
    table_, day = days(6)
    bins, _ = store.frozen_bins(home, "v", table_, day, ["v", "s"], warmup=5)
    store.profiles_of(home, "v", table_, day, bins, content="one")
    path = next(store.folder_of(home, "v").glob("*.parquet"))
    with pytest.raises(StateError, match="other bins"):
        store.read_profiles(path, bins[:1])
    read = pq.read_table(path)
    pq.write_table(read.replace_schema_metadata({b"headrace.profile": b'{"format": 99}'}), path)
    with pytest.raises(StateError, match="format 99"):
        store.read_profiles(path, bins)


def test_a_source_is_a_plain_name(home):
    with pytest.raises(DeclarationError):
        store.folder_of(home, "../elsewhere")
