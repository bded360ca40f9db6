"""Profiles merge exactly, in any order, and say what a plain count says."""

import json
import math
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import write_json
from headrace.core.home import Home
from headrace.monitoring.profiles import store
from headrace.monitoring.profiles.bins import Bins, filled, freeze
from headrace.monitoring.profiles.profiles import merge, profile, profile_days, sketch_days
from headrace.sketches import cells_of, joined, kind_of, least_value, sketch
from tests.examples import examples
from tests.killing import child
from tests.sketches.test_sketches import facts

SCHEMA = pa.schema(
    [("n", pa.int64()), ("x", pa.float64()), ("s", pa.string()), ("b", pa.bool_()),
     ("when", pa.timestamp("us", "UTC"))]
)  # fmt: skip
BINS = (
    Bins("n", "integer", 0, edges=(-5, 0, 5)),
    Bins("x", "real", 0, edges=(*least_value(cells_of([-1.5])).tolist(), 0.0, 2.5)),
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


@settings(max_examples=examples(60), deadline=None)
@given(ROWS, ROWS, ROWS)
def test_merge_is_commutative_associative_and_equals_the_profile_of_all_rows(a, b, c):
    pa_, pb, pc_ = (profile(table(rows), BINS) for rows in (a, b, c))
    assert bytes_of(merge(pa_, pb)) == bytes_of(merge(pb, pa_))
    whole = bytes_of(profile(table([*a, *b, *c]), BINS))
    assert bytes_of(merge(merge(pa_, pb), pc_)) == whole
    assert bytes_of(merge(pa_, merge(pb, pc_))) == whole


@settings(max_examples=examples(60), deadline=None)
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


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), ROW), max_size=30))
def test_days_profiled_together_equal_days_profiled_apart(rows):
    day = np.array([d for d, _ in rows], np.int64)
    made = profile_days(table([row for _, row in rows]), day, BINS)
    assert made.days.tolist() == sorted({d for d, _ in rows})
    for first, last in ((0, 10), (2, 5), (7, 8)):
        apart = profile(table([row for d, row in rows if first <= d < last]), BINS)
        assert bytes_of(made.roll(first, last)) == bytes_of(apart)


def test_nothing_is_summed_or_compared_for_strings_and_reals_have_no_sum():
    made = profile(table([(1, 0.5, "a", True, 3)]), BINS)
    assert made.column("s").low is None
    assert made.column("x").total is None


def test_profiles_with_other_bins_do_not_merge():
    some = table([(1, 0.5, "a", True, 3)])
    with pytest.raises(DeclarationError, match="different bins"):
        merge(profile(some, BINS), profile(some, BINS[:2]))


def test_a_list_column_cannot_be_profiled():
    with pytest.raises(DeclarationError, match="column path"):
        kind_of(pa.field("path", pa.list_(pa.int64())))


def of_values(values):
    column = pa.array(values)
    return sketch(kind_of(pa.field("v", column.type)), column, np.zeros(1, np.int64))


@pytest.mark.parametrize(
    ("values", "kind"),
    [([3, 3, 3], "integer"), ([1.5, 1.5], "real"), (list(range(200)), "integer"),
     ([float(i) for i in range(-100, 100)], "real"), ([2**40, -(2**40)], "integer"),
     ([-7, -5, 0], "integer"), ([1e-300, 2e-300], "real"), ([math.inf, 1.0], "real")],
)  # fmt: skip
def test_frozen_edges_ascend_and_reach_past_the_values_on_both_sides(values, kind):
    bins = freeze("v", of_values(values), 1)
    assert bins.kind == kind
    assert list(bins.edges) == sorted(set(bins.edges))
    found = filled(bins, of_values([v for v in values if math.isfinite(v)]))[0]
    assert found.sum() == sum(map(math.isfinite, values))
    assert found[0] == found[-1] == 0


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(st.integers(-(2**40), 2**40) | st.integers(-9, 9), min_size=1, max_size=40)
    | st.lists(st.floats(allow_nan=False), min_size=1, max_size=40),
    st.lists(st.floats(-1e12, 1e12), max_size=20),
)
def test_bins_filled_from_sketches_hold_what_their_edges_say(first, later):
    """Half open, and exact: an edge is where a cell begins."""
    bins = freeze("v", of_values(first), 1)
    values = [int(v) for v in later] if bins.kind == "integer" else later
    found = filled(bins, of_values([*first, *values]))[0]
    binned = Counter(sum(v >= edge for edge in bins.edges) for v in [*first, *values])
    assert found.tolist() == [binned[i] for i in range(bins.size)]


def test_a_day_with_too_many_levels_is_binned_by_the_prefixes_of_its_levels():
    few = of_values(["a"] * 5 + ["b"] * 3)
    many = of_values(["a"] * 5 + [f"n{i}" for i in range(5000)])
    bins = freeze("v", few, 1)
    found = filled(bins, joined([few, many]))
    assert found[0].tolist() == [5, 3, 0, 0]
    assert found[1].sum() == 5005
    assert 5 <= found[1][0] < 20  # "a" and what shares its prefix
    coarse = freeze("v", many, 1)
    assert coarse.prefixes
    assert Bins.from_json(coarse.to_json()) == coarse
    assert filled(coarse, many)[0][-1] == 0


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


def frozen(home, table_, day, columns, warmup):
    daily = sketch_days(table_, day, columns)
    return store.frozen_bins(home, "v", daily, warmup=warmup)


def same(a, b):
    assert a.days.tolist() == b.days.tolist()
    assert a.rows.tolist() == b.rows.tolist()
    assert a.columns.keys() == b.columns.keys()
    for name, one in a.columns.items():
        assert facts(one) == facts(b.columns[name])


def test_bins_are_frozen_once_from_the_first_days_and_never_refitted(home):
    first, _ = frozen(home, *days(10), ["v", "s"], 10)
    again, _ = frozen(home, *days(30, shift=100), ["v", "s"], 10)
    assert again == first
    assert first[0].frozen_until == 10


def test_bins_do_not_depend_on_how_much_history_is_there_when_they_are_frozen(home, tmp_path):
    table_, day = days(60)
    a, _ = frozen(home, table_, day, ["v", "s"], 28)
    early = pa.array(day < 28)
    b, _ = frozen(Home(tmp_path / "b"), table_.filter(early), day[day < 28], ["v", "s"], 28)
    assert a == b


def test_a_column_waits_until_it_has_had_values_on_enough_days(home):
    table_, day = days(20)
    late = pa.array([None if d < 12 else float(d) for d in day.tolist()], pa.float64())
    table_ = table_.append_column("late", late)
    bins, notes = frozen(home, table_, day, ["v", "late"], 10)
    assert [b.column for b in bins] == ["v"]
    assert "late: not watched until it has values on 10 days" in notes[0]
    bins, _ = frozen(home, table_, day, ["v", "late"], 8)
    assert bins[1].frozen_until == 20


def test_a_column_that_changed_its_kind_is_left_out_and_named(home):
    table_, day = days(10)
    frozen(home, table_, day, ["v"], 5)
    text = pa.table({"v": table_["v"].cast(pa.string())})
    bins, notes = frozen(home, text, day, ["v"], 5)
    assert bins == []
    assert notes == ["v: not watched, because it was real and is level"]


def test_a_day_is_profiled_once_and_again_only_when_its_rows_have_changed(home, monkeypatch):
    made = []

    def watched(table_, day, columns):
        made.append(sorted(set(day.tolist())))
        return sketch_days(table_, day, columns)

    monkeypatch.setattr(store, "sketch_days", watched)
    table_, day = days(70)
    same(store.daily_of(home, "v", table_, day, ["v", "s"]), sketch_days(table_, day, ["v", "s"]))
    shuffled = np.random.default_rng(0).permutation(len(day))
    store.daily_of(home, "v", table_.take(pa.array(shuffled)), day[shuffled], ["v", "s"])
    values = table_["v"].to_numpy().copy()
    values[day == 40] += 1
    corrected = table_.set_column(0, "v", pa.array(values))
    files = {p.name: p.stat().st_mtime_ns for p in store.folder_of(home, "v").iterdir()}
    found = store.daily_of(home, "v", corrected, day, ["v", "s"])
    same(found, sketch_days(corrected, day, ["v", "s"]))
    assert made == [list(range(70)), [], [40]]
    now = {p.name: p.stat().st_mtime_ns for p in store.folder_of(home, "v").iterdir()}
    assert [name for name in files if now[name] != files[name]] == ["1970-02.parquet"]


def test_days_come_and_go_with_the_rows(home):
    table_, day = days(70)
    for keep in (day < 50, day >= 0, (day > 35) & (day < 60), day < 5):
        rows = table_.filter(pa.array(keep))
        found = store.daily_of(home, "v", rows, day[keep], ["s", "v"])
        same(found, sketch_days(rows, day[keep], ["s", "v"]))
    assert [p.name for p in store.folder_of(home, "v").glob("*.parquet")] == ["1970-01.parquet"]


def test_other_columns_and_another_kind_are_profiled_anew(home):
    table_, day = days(12)
    store.daily_of(home, "v", table_, day, ["v"])
    same(store.daily_of(home, "v", table_, day, ["v", "s"]), sketch_days(table_, day, ["v", "s"]))
    text = table_.set_column(0, "v", table_["v"].cast(pa.string()))
    same(store.daily_of(home, "v", text, day, ["v", "s"]), sketch_days(text, day, ["v", "s"]))


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), ROW), min_size=1, max_size=30))
def test_profiles_read_back_exactly(rows):
    with TemporaryDirectory() as folder:
        home = Home(Path(folder))
        day = np.array([d for d, _ in rows], np.int64)
        table_ = table([row for _, row in rows])
        first = store.daily_of(home, "v", table_, day, SCHEMA.names)
        same(store.daily_of(home, "v", table_, day, SCHEMA.names), first)


def test_stored_profiles_are_plain_parquet_with_a_format_version(home):
    store.daily_of(home, "v", *days(6), ["v", "s"])
    read = pq.read_table(store.folder_of(home, "v") / "1970-01.parquet")
    assert read.num_rows == 6 * 2
    assert json.loads(read.schema.metadata[b"headrace.profile"])["format"] == 2
    assert sum(read["counts"].to_pylist()[0]) == 40
    assert read["levels"].to_pylist()[-1] in (["a", "b"], ["b", "a"])


def test_profiles_of_a_newer_format_are_refused(home):
    store.daily_of(home, "v", *days(6), ["v"])
    path = store.folder_of(home, "v") / "1970-01.parquet"
    read = pq.read_table(path)
    pq.write_table(read.replace_schema_metadata({b"headrace.profile": b'{"format": 99}'}), path)
    with pytest.raises(StateError, match="format 99"):
        store.daily_of(home, "v", *days(6), ["v"])


def test_what_the_first_format_left_is_made_again_and_removed(home):
    table_, day = days(12)
    folder = store.folder_of(home, "v")
    old = folder / f"{'0a' * 16}.parquet"
    write_json(folder / "bins.json", {"format": 1, "bins": [{"column": "v", "edges": [0.1]}]})
    old.write_bytes(b"binned days")
    daily = store.daily_of(home, "v", table_, day, ["v"])
    bins, notes = store.frozen_bins(home, "v", daily, warmup=5)
    assert not old.exists()
    assert not notes
    assert json.loads((folder / "bins.json").read_text())["format"] == 2
    assert bins == frozen(Home(home.root / "other"), table_, day, ["v"], 5)[0]


def profiled(root):
    home = Home(root / "home")
    daily = store.daily_of(home, "v", *days(70, shift=1), ["v", "s"])
    store.frozen_bins(home, "v", daily, warmup=5)


def test_a_run_that_dies_anywhere_leaves_whole_months_and_the_next_one_the_same(tmp_path):
    (tmp_path / "whole").mkdir()
    assert child(profiled, tmp_path / "whole") == 0
    calls = int((tmp_path / "whole/calls").read_text())
    for seed in range(4):
        root = tmp_path / f"killed-{seed}"
        before = store.daily_of(Home(root / "home"), "v", *days(70), ["v", "s"])
        last = int(np.random.default_rng(seed).integers(calls // 4, calls))
        assert child(profiled, root, last) == -9
        for path in store.folder_of(Home(root / "home"), "v").glob("*.parquet"):
            assert pq.read_table(path).num_rows % 2 == 0
        profiled(root)
        same(store.daily_of(Home(root / "home"), "v", *days(70), ["v", "s"]), before)
        profiled(root)
        for name in ("bins.json", "1970-01.parquet", "1970-03.parquet"):
            made = root / "home/profiles/v" / name
            assert made.read_bytes() == (tmp_path / "whole/home/profiles/v" / name).read_bytes()


def test_a_source_is_a_plain_name(home):
    with pytest.raises(DeclarationError):
        store.folder_of(home, "../elsewhere")
