"""Profiles: exact, mergeable, and the same after they were stored."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.drift import Baseline, from_bytes, reference_of, sketches_of, to_bytes
from headrace.contracts.drift import baseline as references
from headrace.contracts.drift.batch_view import column_of
from headrace.contracts.drift.profile import (
    FORMAT,
    BatchProfile,
    ColumnSummary,
    KeyedValues,
    coarse,
    from_plain,
    profile_of,
    summary,
    to_plain,
)
from headrace.contracts.drift.unit_conversions import conversions
from headrace.core.errors import StateError
from headrace.sketches import coarsened, sketch, token
from tests.semantic import rides
from tests.sketches.test_sketches import facts

VALUES = st.lists(st.integers(-5, 5), max_size=12)


def profile(number: int, values: list[int]) -> BatchProfile:
    """One column and one key, of these values."""
    seen, counts = np.unique(np.array(values, np.float64), return_counts=True)
    hashes = np.unique(np.array(values, np.int64))
    return BatchProfile(
        slot=f"{number:03d}",
        rows=len(values),
        repeated=0,
        columns={"x": ColumnSummary(seen, counts.astype(np.int64), 1)},
        keyed={"x<k": KeyedValues(hashes, hashes * 10.0 + number)},
        hours={"event": {1: len(values)}},
        hashes=hashes,
        names={},
        marks={"m": number / 10},
    )


@given(batches=st.lists(VALUES, max_size=12), window=st.integers(1, 5))
def test_a_window_that_moves_is_the_window_merged_anew(batches, window):
    """What was added and dropped one by one equals a plain count over the last batches."""
    profiles = [profile(n, values) for n, values in enumerate(batches)]
    before, references.WINDOW = references.WINDOW, window
    try:
        moving = reference_of(profiles)
    finally:
        references.WINDOW = before
    kept = batches[-window:]
    counted = {v: sum(b.count(v) for b in kept) for b in kept for v in b}
    if batches:
        pool = moving.pools["x"]
        assert dict(zip(pool.values.tolist(), pool.counts.tolist(), strict=True)) == counted
        assert pool.nulls == len(kept)
        assert [int(n) for n in pool.batches] == [sum(v in b for b in kept) for v in pool.values]
    last = {v: v * 10.0 + n for n, values in enumerate(batches) for v in values}
    if batches:
        keyed = moving.last["x<k"]
        assert dict(zip(keyed.hashes.tolist(), keyed.values.tolist(), strict=True)) == last


@given(values=VALUES, number=st.integers(0, 99))
def test_a_stored_profile_is_the_same(values, number):
    stored = to_bytes(profile(number, values))
    assert to_bytes(from_bytes(stored)) == stored


def test_a_real_profile_is_the_same_after_storing():
    look, _ = rides.seen(3, rides.rides(3))
    one = replace(profile_of(look, rides.slot(3)), marks={"a": 0.5})
    again = from_bytes(to_bytes(one))
    assert to_bytes(again) == to_bytes(one)
    assert again.columns["miles"].counts.sum() == rides.ROWS
    assert again.names[token("Ash")] == "Ash"


def test_a_profile_of_a_newer_version_is_refused():
    stored = to_plain(profile(1, [1])).replace(b'"format":2', b'"format":9')
    assert FORMAT == 2
    with pytest.raises(StateError, match="format 9"):
        from_plain(stored)


def first_format(stored: bytes) -> bytes:
    """The same as format 1 had it: four things of a column, and no sketch."""
    length = int.from_bytes(stored[:4], "big")
    header = json.loads(stored[4 : 4 + length])
    header["format"] = 1
    header["columns"] = {name: one[:4] for name, one in header["columns"].items()}
    head = json.dumps(header, separators=(",", ":")).encode()
    return len(head).to_bytes(4, "big") + head + stored[4 + length :]


def test_a_profile_of_the_first_format_is_read_and_has_sketches_of_what_is_not_coarse():
    one = profile(1, [3, 3, 5])
    again = from_plain(first_format(to_plain(one)))
    assert to_plain(again) == to_plain(one)
    assert facts(sketches_of(again)["x"]) == facts(sketches_of(one)["x"])
    hidden = replace(one, columns={"x": replace(one.columns["x"], coarse=True)})
    assert sketches_of(from_plain(first_format(to_plain(hidden)))) == {}


@pytest.mark.parametrize("different", [10, 5000])
def test_a_batch_leaves_the_sketches_that_its_rows_would_give(different):
    """Also where the profile itself keeps rounded values, or only the most frequent texts."""
    rng = np.random.default_rng(0)
    numbers = rng.permutation(np.arange(6000) % different) / 7
    texts = [f"t{n}" for n in rng.permutation(np.arange(6000) % different)]
    arrays = {
        "x": pa.array([None, *numbers], pa.float64()),
        "s": pa.array([None, *texts], pa.string()),
    }
    types = {"x": "number", "s": "string"}
    fields = [SimpleNamespace(name=name, type=types[name], unit=None) for name in arrays]
    columns = {f.name: column_of(f, arrays[f.name]) for f in fields}
    summaries = {name: summary(column) for name, column in columns.items()}
    one = replace(profile(1, []), columns=summaries, names=columns["s"].names)
    found = sketches_of(from_bytes(to_bytes(one)))
    for name, kind in (("x", "real"), ("s", "level")):
        assert facts(found[name]) == facts(sketch(kind, arrays[name], np.zeros(1, np.int64)))


def test_texts_whose_names_are_not_all_known_are_counted_by_prefixes():
    one = profile(1, [])
    tokens = np.sort(np.array([token(f"t{n}") for n in range(50)]))
    column = ColumnSummary(tokens, np.ones(50, np.int64), 0)
    found = sketches_of(replace(one, columns={"s": column}, names={}))["s"]
    assert found.coarse.all()
    assert facts(found) == facts(coarsened(found))


def test_a_damaged_profile_is_refused():
    stored = to_bytes(profile(1, [1]))
    with pytest.raises(StateError, match="damaged"):
        from_bytes(stored[:-9] + b"no profile")


def test_a_profile_that_holds_objects_is_refused():
    stored = to_plain(profile(1, [1])).replace(b'"<f8"', b'"|O8"')
    with pytest.raises(StateError, match="array of object"):
        from_plain(stored)


def test_tokens_are_the_same_for_ever():
    assert token("EWR") == 6503605807071635968
    assert token("a") != token("A")


@given(st.floats(1e-9, 1e9), st.booleans())
def test_coarse_values_are_within_half_a_percent(value, negative):
    given_ = np.array([-value if negative else value])
    assert coarse(given_)[0] == pytest.approx(given_[0], rel=0.005)


# The value of 1 (of 50 for temperatures) in the other unit, from tables of units.
KNOWN = [
    ("mile", "kilometre", 1.609344), ("mph", "knot", 0.868976), ("mph", "m/s", 0.44704),
    ("inch", "millimetre", 25.4), ("minute", "second", 60), ("minute", "hour", 1 / 60),
    ("mbar", "inHg", 0.0295300), ("degree", "radian", 0.0174533), ("pound", "kilogram", 0.45359237),
    ("percent", "fraction", 0.01), ("foot", "metre", 0.3048),
]  # fmt: skip


@pytest.mark.parametrize(("unit", "other", "factor"), KNOWN)
def test_factors_are_those_of_the_tables(unit, other, factor):
    found = {c.other: c.scale for c in conversions(unit)}
    assert found[other] == pytest.approx(factor, rel=1e-5)


def test_temperatures_have_an_offset():
    to_celsius = next(c for c in conversions("degF") if c.other == "degC")
    assert 50 * to_celsius.scale + to_celsius.offset == pytest.approx(10)
    to_kelvin = next(c for c in conversions("degC") if c.other == "kelvin")
    assert 10 * to_kelvin.scale + to_kelvin.offset == pytest.approx(283.15)


def test_an_empty_reference_says_nothing():
    assert Baseline().last_slot == ""
    assert len(Baseline().marks("x")) == 0
