"""Sketches merge exactly in any order, and answer within their bounds what plain Python does."""

import math
import struct
from collections import Counter
from fractions import Fraction
from itertools import chain
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import DeclarationError
from headrace.sketches import (
    ERROR,
    cells_of,
    joined,
    least_value,
    merged,
    of_counts,
    ordered,
    regrouped,
    row_sums,
    sketch,
    token,
)
from headrace.sketches.distinct import DEVIATION, REGISTERS
from headrace.sketches.histogram_cells import plainest
from headrace.sketches.piecewise import sketch_pieces
from tests.examples import examples

whole = st.integers(-(2**63) + 1, 2**63 - 2) | st.integers(-9, 9)
texts = st.sampled_from("abcdé") | st.text(max_size=3)
VALUES = {"integer": whole, "real": st.floats() | st.sampled_from([-0.0, 0.5, 3.0]), "level": texts}
TYPES = {"integer": pa.int64(), "real": pa.float64(), "level": pa.string()}
KERNELS = ("numpy", "compiled")


@st.composite
def columns(draw, parts=3, most=12):
    """(kind, some partitions of values with nulls)."""
    kind = draw(st.sampled_from(sorted(VALUES)))
    one = st.lists(st.none() | VALUES[kind], max_size=most)
    return kind, [draw(one) for _ in range(parts)]


def made(kind, parts):
    values = all_of(parts)
    starts = np.cumsum([0, *map(len, parts)])[:-1]
    within = pa.array([None, *values], TYPES[kind])  # a column may begin anywhere in its memory
    return sketch(kind, within.slice(1), starts.astype(np.int64))


def all_of(parts):
    return list(chain.from_iterable(parts))


def facts(one):
    """All that a sketch holds, as something to compare."""
    arrays = ("rows", "nulls", "low", "high", "limbs", "offsets", "cells", "counts", "registers",
              "coarse")  # fmt: skip
    return {name: getattr(one, name).tobytes() for name in arrays} | {
        "kind": one.kind,
        "names": dict(sorted(one.names.items())),
    }


# -- a slow and readable oracle --------------------------------------------------------------------


def plain_cell(value):
    """Sign, exponent and ten bits of the mantissa; cells of negative numbers count down from -1."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", abs(float(value))))
    return bits >> 42 if value >= 0 else -1 - (bits >> 42)


def plain_register(word, registers):
    mask = 2**64 - 1
    z = (word + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    z ^= z >> 31
    rest = f"{z & (2**52 - 1):052b}"
    rank = len(rest) - len(rest.lstrip("0")) + 1
    registers[z >> 54] = max(registers[z >> 54], rank)


def plain(kind, values):
    some = [v for v in values if v is not None and not (kind == "real" and math.isnan(v))]
    some = [v + 0.0 if kind == "real" else v for v in some]
    cells = Counter(token(v) if kind == "level" else plain_cell(v) for v in some)
    registers = [0] * REGISTERS
    for value in some:
        if kind == "real":
            (word,) = struct.unpack(">Q", struct.pack(">d", value))
        else:
            word = (token(value) if kind == "level" else value) % 2**64
        plain_register(word, registers)
    return {
        "rows": len(values),
        "nulls": len(values) - len(some),
        "low": min(some) if some and kind != "level" else None,
        "high": max(some) if some and kind != "level" else None,
        "total": sum(some) if kind == "integer" else None,
        "cells": dict(sorted(cells.items())),
        "registers": registers,
    }


def told(one):
    some = len(one.counts) and one.kind != "level"
    low, high = one.bounds() if some else (None, None)
    return {
        "rows": int(one.rows[0]),
        "nulls": int(one.nulls[0]),
        "low": low,
        "high": high,
        "total": one.total(),
        "cells": dict(zip(one.cells.tolist(), one.counts.tolist(), strict=True)),
        "registers": list(one.registers[0].tobytes()),
    }


@pytest.mark.parametrize("kernel", KERNELS)
@given(columns())
@settings(max_examples=examples(30), deadline=None)
def test_a_sketch_says_what_plain_python_says(kernel, column):
    kind, parts = column
    with mock.patch.dict("os.environ", HEADRACE_KERNEL=kernel):
        one = made(kind, parts)
    for at, part in enumerate(parts):
        assert told(one.between(at, at + 1)) == plain(kind, part)


# -- merging ---------------------------------------------------------------------------------------


@given(columns(), st.sampled_from([2, 4096]))
@settings(max_examples=examples(80), deadline=None)
def test_merging_is_associative_commutative_and_equals_the_sketch_of_all_rows(column, most):
    """Also where a union has too many levels, and its parts do not."""
    kind, parts = column
    with mock.patch("headrace.sketches.sketch.LEVELS", most):
        a, b, c = (made(kind, [part]) for part in parts)
        direct = facts(made(kind, [all_of(parts)]))
        assert facts(merged([a, b, c])) == direct
        assert facts(merged([c, a, b])) == direct
        assert facts(merged([merged([a, b]), c])) == direct
        assert facts(merged([a, merged([c, b])])) == direct
        assert facts(merged([made(kind, parts)])) == direct


@given(columns(parts=4), st.lists(st.integers(0, 2), min_size=4, max_size=4))
@settings(max_examples=examples(60), deadline=None)
def test_partitions_go_into_groups_as_their_rows_would(column, group):
    kind, parts = column
    found = regrouped(made(kind, parts), np.array(group), 3)
    rows = [[v for g, part in zip(group, parts, strict=True) if g == n for v in part]
            for n in range(3)]  # fmt: skip
    assert facts(found) == facts(made(kind, rows))


@given(columns(parts=4), st.lists(st.booleans(), min_size=4, max_size=4))
@settings(max_examples=examples(40), deadline=None)
def test_some_partitions_are_taken_as_they_are(column, keep):
    kind, parts = column
    found = made(kind, parts).selected(np.array(keep))
    rows = [part for wanted, part in zip(keep, parts, strict=True) if wanted]
    assert facts(joined([found])) | {"names": {}} == facts(made(kind, rows)) | {"names": {}}


def test_columns_of_different_kinds_do_not_merge():
    with pytest.raises(DeclarationError, match="integer and real"):
        merged([made("integer", [[1]]), made("real", [[1.0]])])


@given(columns(parts=1))
@settings(max_examples=examples(60), deadline=None)
def test_values_that_are_counted_already_give_the_same_sketch(column):
    kind, (values,) = column
    some = [v for v in values if v is not None and v == v]
    counted = Counter(token(v) if kind == "level" else v + 0 for v in some)
    array = np.array(list(counted), np.float64 if kind == "real" else np.int64) + 0
    counts = np.array(list(counted.values()), np.int64)
    names = {token(v): v for v in some} if kind == "level" else {}
    found = of_counts(kind, array, counts, len(values) - len(some), names)
    assert facts(found) == facts(made(kind, [values]))


@given(columns(parts=3))
@settings(max_examples=examples(60), deadline=None)
def test_row_sums_tell_rows_apart_and_do_not_mind_their_order(column):
    kind, parts = column
    starts = np.cumsum([0, *map(len, parts)])[:-1]
    backwards = [v for part in parts for v in part[::-1]]
    sums = []
    for kernel in KERNELS:
        with mock.patch.dict("os.environ", HEADRACE_KERNEL=kernel):
            sums.append(row_sums(kind, pa.array(all_of(parts), TYPES[kind]), starts).tolist())
    again = row_sums(kind, pa.array(backwards, TYPES[kind]), starts).tolist()
    assert sums[0] == sums[1] == again
    same = [Counter(map(repr, part)) for part in parts]
    if same[0] != same[1] and kind != "real":  # the reals have many NaNs and two zeros
        assert again[0] != again[1]


@given(columns(parts=3, most=6))
@settings(max_examples=examples(20), deadline=None)
def test_pieces_that_come_one_by_one_are_one_table(column):
    kind, parts = column
    pieces = [pa.table({"v": pa.array(part, TYPES[kind])}) for part in parts * 4]
    assert facts(sketch_pieces(pieces)["v"]) == facts(made(kind, [all_of(parts) * 4]))


# -- cells and answers -----------------------------------------------------------------------------


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_cells_ascend_and_their_least_value_is_where_they_begin(a, b):
    a, b = sorted([a, b])
    first, second = cells_of([a, b])
    assert first <= second
    begin = float(least_value(np.array([second]))[0])
    assert b >= begin
    assert (a >= begin) == (first >= second)


@given(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False))
def test_the_plainest_value_of_a_cell_is_near_all_its_values(value):
    near = float(plainest(cells_of([value]))[0])
    assert abs(value - near) <= ERROR * abs(value)


@given(st.integers(-2048, 2048) | st.integers(-300, 300).map(lambda n: n / 8))
def test_small_integers_and_plain_fractions_have_a_cell_of_their_own(value):
    assert float(plainest(cells_of([value]))[0]) == value


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=9))
def test_the_order_of_reals_survives_as_integers(values):
    array = np.array(values) + 0.0
    assert (np.argsort(ordered(array), kind="stable") == np.argsort(array, kind="stable")).all()


@given(
    st.lists(
        st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False),
        min_size=1, max_size=30,
    ),
    st.fractions(0, 1),
)  # fmt: skip
@settings(max_examples=examples(100), deadline=None)
def test_quantiles_are_within_their_relative_error(values, q):
    exact = sorted(v + 0.0 for v in values)[int(float(q) * (len(values) - 1))]
    found = made("real", [values]).quantile(float(q))
    assert abs(Fraction(found) - Fraction(exact)) <= Fraction(ERROR) * abs(Fraction(exact))


@pytest.mark.parametrize("size", [0, 1, 10, 300, 2_500, 5_000, 100_000])
def test_distinct_values_are_counted_within_three_deviations(size):
    rng = np.random.default_rng(size)
    values = rng.permutation(10**7)[:size].astype(np.float64)
    found = made("real", [values.tolist() * 2]).distinct()
    assert abs(found - size) <= 3 * DEVIATION * size + 0.01


def test_the_standard_error_of_distinct_values_is_what_it_is_said_to_be():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**62, 40 * 20_000)
    one = sketch("integer", pa.array(values), np.arange(0, len(values), 20_000))
    errors = [one.between(at, at + 1).distinct() / 20_000 - 1 for at in range(40)]
    assert 0.6 * DEVIATION < np.sqrt(np.mean(np.square(errors))) < 1.4 * DEVIATION


def test_levels_are_counted_exactly_until_there_are_too_many():
    few, many = [f"a{n}" for n in range(4096)], [f"b{n}" for n in range(4097)]
    exact, coarse = made("level", [few]), made("level", [many])
    assert exact.distinct() == 4096
    assert not exact.coarse[0]
    assert coarse.coarse[0]
    assert not coarse.names
    assert len(coarse.cells) <= 4096
    assert coarse.counts.sum() == 4097
    assert abs(coarse.distinct() / 4097 - 1) < 3 * DEVIATION


def test_texts_have_no_quantiles_and_nothing_has_none():
    assert made("level", [["a"]]).quantile(0.5) is None
    assert made("real", [[None, math.nan]]).quantile(0.5) is None
    assert made("integer", [[]]).total() == 0


@pytest.mark.parametrize("kind", ["integer", "real", "level"])
def test_no_partitions_together_are_one_of_nothing(kind):
    rows = ["a"] if kind == "level" else [1]
    nothing = merged([made(kind, [rows]).between(0, 0)])
    assert facts(nothing) == facts(made(kind, [[]]))
