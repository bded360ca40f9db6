"""A diff says what a dict by key would, whatever was edited and however the parts are cut."""

import datetime as dt
import math
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import DeclarationError
from headrace.datasets.diff import diff, merge_join
from headrace.datasets.diff import unmatched_rows as unmatched
from headrace.datasets.diff.row_matching import match
from headrace.datasets.loaders.scan import Scan
from headrace.datasets.vocabulary import SPLITS
from tests.datasets.diff_oracle import big, new_store, oracle, put, table_of, told
from tests.examples import examples

UTC = dt.UTC
KINDS = {
    "k": "string", "n": "float64", "t": "timestamp", "split": "string",
    "f": "float64", "s": "string", "d": "date", "i": "int64", "b": "bool", "x": "binary",
}  # fmt: skip
ROLES = {"k": "key", "n": "key", "t": "time", "split": "split"}
CELLS = {
    "t": st.sampled_from([dt.datetime(2013, 1, day, tzinfo=UTC) for day in (1, 2, 3)]),
    "split": st.sampled_from(SPLITS),
    "f": st.none() | st.sampled_from([0.0, -0.0, math.nan, 0.1, 0.1 + 2**-56, math.inf]),
    "s": st.none() | st.sampled_from(["", "a", "ä", "nan"]),
    "d": st.none() | st.sampled_from([dt.date(1969, 12, 31), dt.date(2013, 1, 1)]),
    "i": st.none() | st.sampled_from([0, 1, -1, 2**62]),
    "b": st.none() | st.booleans(),
    "x": st.none() | st.sampled_from([b"", b"\x00"]),
}
KEYS = st.tuples(st.none() | st.sampled_from("abcde"), st.sampled_from([0.0, -0.0, 1.5, math.nan]))


def key_of(pair):
    """0 and -0 are one key."""
    return pair[0], "nan" if math.isnan(pair[1]) else pair[1] + 0.0


@st.composite
def edited(draw):
    """Two lists of rows: some alike, some edited, some of one list alone."""
    pairs = draw(st.lists(KEYS, max_size=14, unique_by=key_of))
    before, after = [], []
    for k, n in pairs:
        row = {"k": k, "n": n, **{name: draw(cells) for name, cells in CELLS.items()}}
        fate = draw(st.sampled_from(["same", "same", "edited", "gone", "new"]))
        if fate != "new":
            before.append(row)
        if fate == "edited":
            names = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=3))
            row = {**row, **{name: draw(CELLS[name]) for name in names}}
        if fate != "gone":
            after.append({**row, "n": -0.0 if row["n"] == 0 else row["n"]})
    return before, after


def small(stack, **sizes):
    """Windows of a few rows, leftovers on the disk."""
    for name, value in sizes.items():
        module = unmatched if hasattr(unmatched, name) else merge_join
        stack.enter_context(patch.object(module, name, value))


TINY = {
    "_MIN_WINDOW": 3,
    "_MAX_WINDOW": 3,
    "_CELLS": 1,
    "_MAX_WINDOWS_HELD": 1,
    "IN_MEMORY": 0,
    "OF_A_BUCKET": 3,
}


@given(
    edited(),
    st.lists(st.integers(0, 9), max_size=3),
    st.none() | st.lists(st.integers(0, 9), max_size=3),
    st.sampled_from([2, 3]),
    st.sampled_from(["", "added", "removed", "retyped"]),
    st.booleans(),
)
@settings(max_examples=examples(25))
def test_equals_a_dict_by_key(rows, cuts_a, cuts_b, group, schema, tiny):
    """Also where parts and their groups are cut alike, and only some columns have to be read."""
    before, after = rows
    cuts_b = cuts_a if cuts_b is None else cuts_b
    old, new = dict(KINDS), dict(KINDS)
    if schema == "added":
        del old["f"]
    elif schema == "removed":
        del new["f"]
    elif schema == "retyped":
        new["b"] = "int64"
    with TemporaryDirectory() as folder, ExitStack() as stack:
        if tiny:
            small(stack, **TINY)
        store = new_store(folder)
        a = put(store, "1.0.0", table_of(before, old), ROLES, cuts=cuts_a, row_group=2)
        b = put(store, "1.0.1", table_of(after, new), ROLES, cuts=cuts_b, row_group=group)
        found = diff(a, b, rows=2)
    shared = [name for name in KINDS if old.get(name) == new.get(name)]
    expected = oracle(before, after, ["k", "n"], shared)
    assert told(found) == expected
    assert [(c.column, c.what) for c in found.schema] == (
        [("b" if schema == "retyped" else "f", schema)] if schema else []
    )
    if not schema:
        assert found.content_equal == (expected["same"] == len(before) == len(after))
        assert found.equal == found.content_equal
    check_examples(found, before, after)


def check_examples(found, before, after):
    """Every example is of a row that the releases have, with its cells."""
    rows = found.rows
    assert len(rows.examples_added) == min(2, rows.added)
    assert len(rows.examples_removed) == min(2, rows.removed)
    assert len(rows.examples_changed) == min(2, rows.changed)
    old, new = ({(r["k"], str(r["n"] + 0.0)): r for r in side} for side in (before, after))
    for column in found.columns:
        for one in column.examples:
            key = one.row.key["k"], str(float(one.row.key["n"]) + 0.0)
            assert shown(old[key][column.name]) == shown(one.before)
            assert shown(new[key][column.name]) == shown(one.after)


def shown(value):
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def test_what_both_have_is_not_read_and_the_rest_is(tmp_path):
    table = big(3_000)
    changed = edit(table, "f0", [2_500, 2_501], [math.nan, 7.0])
    roles = {"k": "key", "t": "time", "split": "split"}
    store = new_store(tmp_path)
    cuts = (200, 400, 600, 800)
    a = put(store, "1.0.0", table, roles, cuts=cuts)
    b = put(store, "1.0.1", changed, roles, cuts=cuts)
    read = []
    real = Scan.file
    with patch.object(Scan, "file", lambda scan, part: read.append(part) or real(scan, part)):
        found = diff(a, b, distributions=False)
    assert len(read) == 2
    assert found.parts == (15, 15, 14)
    assert found.rows.skipped == 2_800
    assert (found.rows.changed, found.rows.same) == (2, 2_998)
    assert [(e.row.key, e.before, e.after) for e in found.columns[0].examples] == [
        ({"k": 2_500}, table["f0"][2_500].as_py(), "nan"),
        ({"k": 2_501}, table["f0"][2_501].as_py(), 7.0),
    ]


def test_of_parts_with_the_same_keys_only_columns_that_differ_are_read(tmp_path):
    table, roles = big(900), {"k": "key", "t": "time", "split": "split"}
    changed = edit(edit(table, "f0", [7], [1e9]), "split", [8], ["valid"])
    more = edit(table, "f0", [7, 8], [1e9, 2e9]).append_column("more", table["i0"])
    store = new_store(tmp_path)
    a = put(store, "1.0.0", table, roles, row_group=100)
    read = []
    real = pq.ParquetFile.read_row_group

    def counted(file, number, columns):
        read.append((number, tuple(columns)))
        return real(file, number, columns=columns)

    with patch.object(pq.ParquetFile, "read_row_group", counted):
        found = diff(a, put(store, "1.1.0", more, roles, row_group=100), distributions=False)
        assert sorted(read) == [(0, ("k", "t", "split", "f0")), (0, ("split", "f0"))]
        assert (found.rows.changed, found.rows.same) == (2, 898)
        assert [e.after for e in found.columns[0].examples] == [1e9, 2e9]
        # A row that moved to another split is no longer in the part: its keys are others.
        found = diff(a, put(store, "1.0.1", changed, roles, row_group=100), distributions=False)
    assert (found.rows.changed, found.rows.moved) == (1, 1)


def edit(table, name, places, values):
    cells = table.column(name).to_pylist()
    for place, value in zip(places, values, strict=True):
        cells[place] = value
    return table.set_column(table.column_names.index(name), name, pa.array(cells))


def test_equal_rows_in_other_files_are_not_read(tmp_path):
    table, roles = big(900), {"k": "key", "t": "time", "split": "split"}
    a = put(new_store(tmp_path / "a"), "1.0.0", table, roles, cuts=(100,), row_group=50)
    b = put(new_store(tmp_path / "b"), "1.0.0", table, roles, cuts=(100,), row_group=70)
    assert {p.object for p in parts(a)}.isdisjoint(p.object for p in parts(b))
    found = diff(a, b)
    assert found.equal
    assert found.rows.skipped == 900


def parts(release):
    return [part for split in release.manifest.splits.values() for part in split.parts]


def test_other_keys_match_no_rows(tmp_path):
    table, store = big(60), new_store(tmp_path)
    a = put(store, "1.0.0", table, {"k": "key", "t": "time", "split": "split"})
    b = put(store, "2.0.0", table, {"k": "key", "i0": "key", "t": "time", "split": "split"})
    found = diff(a, b)
    assert found.keys is None
    assert (found.rows.added, found.rows.removed, found.rows.same) == (60, 60, 0)
    assert ("i0", "role") in [(change.column, change.what) for change in found.schema]
    assert not found.equal


def test_two_datasets_do_not_compare(tmp_path):
    table, store = big(10), new_store(tmp_path)
    roles = {"k": "key", "t": "time", "split": "split"}
    a = put(store, "1.0.0", table, roles)
    b = put(new_store(tmp_path / "other"), "1.0.0", table, roles, description="other")
    object.__setattr__(b.manifest, "name", "other")
    with pytest.raises(DeclarationError, match="different datasets"):
        diff(a, b)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_a_distance_is_that_of_the_whole_columns(tmp_path, shift):
    """From samples, though most parts are shared: as if all rows were looked at."""
    table = big(60_000)
    late = np.arange(60_000) >= 45_000
    moved = np.asarray(table["f0"].fill_null(0.0)) + shift * late
    changed = table.set_column(2, "f0", pa.array(moved))
    whole = table.set_column(2, "f0", table["f0"].fill_null(0.0))
    roles, store = {"k": "key", "t": "time", "split": "split"}, new_store(tmp_path)
    cuts = range(2_000, 20_000, 2_000)
    a = put(store, "1.0.0", whole, roles, cuts=cuts)
    b = put(store, "1.1.0", changed, roles, cuts=cuts)
    found = {c.name: c.distribution for c in diff(a, b).columns}
    if not shift:
        assert set(found.values()) == {None}
        return
    old, new = np.sort(np.asarray(whole["f0"])), np.sort(moved)
    every = np.concatenate([old, new])
    below = [np.searchsorted(v, every, side="right") / 60_000 for v in (old, new)]
    assert found["f0"].distance == pytest.approx(np.abs(below[0] - below[1]).max(), abs=0.004)
    assert 0 < found["f0"].psi < 0.1
    assert sum(found["f0"].before) == pytest.approx(1, abs=1e-3)
    assert found["f1"] is None


def test_equal_sums_of_other_columns_prove_nothing(tmp_path):
    """The sum of a row knows no names: q and r of one can have the sum of p and q of the other."""
    base, roles = big(300).select(["k", "t", "split"]), {"k": "key", "t": "time", "split": "split"}
    x, y = big(300)["f0"], big(300)["f1"]
    store = new_store(tmp_path)
    one, other = (
        base.append_column(first, x).append_column(second, y)
        for first, second in (("p", "q"), ("q", "r"))
    )
    a, b = put(store, "1.0.0", one, roles), put(store, "2.0.0", other, roles)
    sums = [[part.row_sum for part in parts(release)] for release in (a, b)]
    assert sums[0] == sums[1]
    assert diff(a, b).rows.changed > 290


def test_rows_of_an_evaluation_split_are_counted_and_never_shown(tmp_path):
    table, roles = big(300), {"k": "key", "t": "time", "split": "split"}
    apart = edit(table, "split", range(200, 300), ["evaluation"] * 100)
    changed = edit(edit(apart, "f0", [10, 250], [1e9, 2e9]), "split", [260], ["train"])
    kept = changed.filter(pa.array([n not in {20, 270} for n in range(300)]))
    store = new_store(tmp_path)
    found = diff(put(store, "1.0.0", apart, roles), put(store, "1.1.0", kept, roles))
    assert (found.rows.changed, found.rows.removed, found.rows.moved) == (2, 2, 1)
    assert found.rows.removed_by_split == {"evaluation": 1, "train": 1}
    assert [e.after for c in found.columns if c.name == "f0" for e in c.examples] == [1e9]
    assert [row.key["k"] for row in found.rows.examples_removed] == [20]
    assert found.rows.examples_moved == ()


def test_a_key_that_occurs_twice_is_matched_occurrence_by_occurrence():
    a, b = (pa.table({"k": cells}) for cells in ([1, 1, None, 2], [2, 1, None, 1, 1]))
    found = match(a, b, ["k"])
    pairs = sorted(zip(found.a.tolist(), found.b.tolist(), strict=True))
    assert pairs == [(0, 1), (1, 3), (2, 2), (3, 0)]
    assert (found.only_a.tolist(), found.only_b.tolist()) == ([], [4])


def test_equal_keys_share_a_bucket():
    other_nan = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]
    a = pa.table({"k": [0.0, math.nan, 1.5], "s": ["a", "a", None]})
    b = pa.table({"k": [-0.0, other_nan, 1.5], "s": ["a", "a", None]})
    numbers = [unmatched.bucket_numbers(table, ["k", "s"], 1 << 20).tolist() for table in (a, b)]
    assert numbers[0] == numbers[1]
    assert len(set(numbers[0])) == 3
