"""Rows are chosen alike by every reader, and leaving out what cannot match loses nothing."""

import math
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import headrace
from headrace.core.errors import DeclarationError
from headrace.datasets.loaders.row_filter import (
    OPS,
    Bound,
    RowFilter,
    expression,
    may_match,
    parse,
    stated,
)
from tests.datasets.frames import frame, put
from tests.datasets.test_release import made
from tests.examples import examples

TYPES = {
    "n": "int64",
    "x": "float64",
    "b": "bool",
    "s": "string",
    "t": "timestamp",
    "l": "local_timestamp",
    "d": "date",
    "y": "binary",
}
DAY = datetime(2013, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("where") / "store"
    made(folder)
    return folder


def plain(term, row):
    """The meaning of a condition, said in Python."""
    value, op, values = row[term.column], term.op, term.values
    if op in {"is null", "is not null"}:
        return (value is None) is (op == "is null")
    if value is None:
        return False
    return {
        "=": lambda: value == values[0],
        "!=": lambda: value != values[0],
        "<": lambda: value < values[0],
        "<=": lambda: value <= values[0],
        ">": lambda: value > values[0],
        ">=": lambda: value >= values[0],
        "in": lambda: any(value == one for one in values),
        "not in": lambda: all(value != one for one in values),
    }[op]()


NUMBERS = st.sampled_from([-1.0, 0.0, 2.5, 7.0, math.nan, math.inf])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "n": st.none() | st.integers(-3, 3),
            "x": st.none() | NUMBERS,
            "s": st.none() | st.sampled_from(["", "a", "b", "é"]),
            "b": st.none() | st.booleans(),
        }
    ),
    max_size=12,
)
VALUES = {
    "n": st.integers(-3, 3),
    "x": NUMBERS,
    "s": st.sampled_from(["", "a", "b", "é", "z"]),
    "b": st.booleans(),
}


@st.composite
def terms(draw):
    column, op = draw(st.sampled_from(sorted(VALUES))), draw(st.sampled_from(OPS))
    one = VALUES[column]
    if op in {"is null", "is not null"}:
        return (column, op)
    return (column, op, draw(st.lists(one, max_size=3)) if op in {"in", "not in"} else draw(one))


ONE_AND_NAN = [{"n": None, "x": value, "s": None, "b": None} for value in (2.5, math.nan)]


@settings(max_examples=examples(30))
@example(ONE_AND_NAN, [("x", "!=", 2.5)])
@example(ONE_AND_NAN, [("x", "not in", [2.5])])
@given(ROWS, st.lists(terms(), min_size=1, max_size=2))
def test_rows_are_those_for_which_it_is_true_and_none_of_them_is_left_out(rows, conditions):
    types = {name: TYPES[name] for name in VALUES}
    where = parse(conditions, types, "r")
    kinds = {"n": pa.int64(), "x": pa.float64(), "s": pa.string(), "b": pa.bool_()}
    table = pa.Table.from_pylist(rows, pa.schema(list(kinds.items())))
    wanted = [
        {name: row[name] for name in kinds}
        for row in rows
        if all(plain(term, row) for term in where.terms)
    ]
    found = table.filter(expression(where, types)).to_pylist()
    assert repr(found) == repr(wanted)
    if wanted:
        assert may_match(where, types, lambda name: bound(table.column(name)))


def bound(column):
    """As a footer has it: NaN is in neither end."""
    known = [value for value in column.to_pylist() if value is not None and value == value]
    low, high = (min(known), max(known)) if known else (None, None)
    return Bound(len(column), column.null_count, low, high)


@pytest.mark.parametrize(
    "given",
    [
        ("t", ">=", "2013-03-05"),
        ("t", "<", DAY),
        [("t", ">=", DAY), ("origin", "in", ["EWR", "JFK"])],
        {"origin": "EWR", "calendar__carrier": ["AA", "UA"]},
        ("carrier_1d__delay_mean", "is null"),
        [("distance", "!=", 500), ("weather__wind", ">", 10)],
        ("origin", "not in", []),
        ("origin", "in", []),
        ("origin", "=", "'; DROP TABLE train; --"),
        ("t", ">", "2030-01-01"),
        pc.field("distance") > pc.field("calendar__hour") * 100,
    ],
    ids=str,
)
def test_every_reader_takes_the_same_rows(store, given):
    columns = ["flight", "weather__wind", "split"]
    data = headrace.open("delays", store, columns=columns, where=given)
    whole = headrace.open("delays", store)
    where = parse(given, data.scan.types, "delays")
    wanted = whole.arrow.filter(expression(where, data.scan.types)).select(columns)
    assert data.arrow.equals(wanted)
    assert len(data) == wanted.num_rows
    streamed = list(data.batches(100))
    assert pa.Table.from_batches(streamed, data.schema).equals(wanted)
    assert all(batch.num_rows <= 100 for batch in streamed)
    assert data.sql("SELECT * FROM dataset").equals(wanted)
    polars = data.polars.collect().to_arrow().cast(wanted.schema)
    assert polars.combine_chunks().equals(wanted.combine_chunks())


def test_a_condition_narrows_the_one_there_is(store):
    data = headrace.open("delays", store, where={"origin": "EWR"})
    narrower = data.select(where=("distance", ">", 2000))
    assert 0 < len(narrower) < len(data)
    assert set(narrower.arrow.column("origin").to_pylist()) == {"EWR"}
    assert "origin = 'EWR' and distance > 2000" in repr(narrower)


def test_parts_that_cannot_match_are_not_touched(store):
    whole = headrace.open("delays", store)
    late = whole.select(where=("t", ">=", "2013-04-01"))
    untouched = {part.object for part in whole.manifest.splits["train"].parts}
    assert not untouched & {part.object for part in late.scan.parts()}
    none = whole.select(where=("distance", "<", 0))
    assert none.scan.parts() == []
    assert none.arrow.num_rows == 0
    assert none.arrow.schema == whole.schema


def test_groups_of_rows_that_cannot_match_are_not_read(store, tmp_path):
    data = headrace.open("delays", store, split="train")
    rows = data.arrow.sort_by("distance")
    pq.write_table(rows, tmp_path / "sorted.parquet", row_group_size=500)
    with pq.ParquetFile(tmp_path / "sorted.parquet") as file:
        assert data.scan.groups(file) == list(range(file.num_row_groups))
        far = data.select(where=("distance", ">", 2900)).scan
        assert far.groups(file) == [file.num_row_groups - 1]


@pytest.mark.parametrize(
    "given, says, fix",
    [
        (("distence", ">", 1), "no column 'distence'", "did you mean 'distance'"),
        (("distance", "=>", 1), "no condition '=>'", ">="),
        (("distance", ">", "far"), "'far' cannot be compared", "give a int64"),
        (("distance", ">", True), "cannot be compared", "give a int64"),
        (("distance", "<", 2**63), "cannot be compared", "give a int64"),
        (("t", "<", 2**63), "cannot be compared", "microseconds UTC"),
        (("distance", "=", None), "None cannot be compared", "is null"),
        (("t", ">", DAY.replace(tzinfo=None)), "cannot be compared", "a datetime with a zone"),
        (("t", ">", "yesterday"), "cannot be compared", "2013-03-01"),
        (("origin", "in", "EWR"), "needs a list", "['EWR']"),
        ("distance > 1", "not a condition on rows", "pyarrow expression"),
        (["distance > 1"], "not a condition on rows", "pyarrow expression"),
        (pc.field("distence") > 1, "cannot be computed", "distance"),
        (pc.field("origin") > 1, "cannot be computed", "origin"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_with_what_would(store, given, says, fix):
    with pytest.raises(DeclarationError) as caught:
        headrace.open("delays", store, where=given)
    assert says in caught.value.what
    assert fix in caught.value.fix


def test_nan_is_found_by_every_engine(tmp_path):
    """DuckDB believes a footer's least and greatest value, which leave NaN out."""
    rows = frame(2000)
    wind = rows.column("weather__wind").to_numpy().copy()
    wind[::10] = np.nan
    made(tmp_path, put(rows, "weather__wind", pa.array(wind)))
    data = headrace.open("delays", tmp_path)
    count = "SELECT count(*) AS n FROM dataset WHERE"
    is_nan = pc.sum(pc.is_nan(data.arrow.column("weather__wind"))).as_py()
    assert data.sql(f"{count} isnan(weather__wind)").to_pylist() == [{"n": is_nan}]
    assert data.sql(f"{count} weather__wind > 1e6").to_pylist() == [{"n": is_nan}]
    for op in ("!=", ">", "<"):
        some = data.select(columns=["flight"], where=("weather__wind", op, 3))
        assert some.sql("SELECT * FROM dataset").equals(some.arrow)
        assert some.polars.collect().to_arrow().column(0).to_pylist() == (
            some.arrow.column(0).to_pylist()
        )


def test_values_of_numpy_are_values():
    where = parse([("n", "=", np.int64(3)), ("x", "<", np.float32(2))], TYPES, "r")
    assert [term.values for term in where.terms] == [(3,), (2.0,)]


def test_every_dtype_can_be_compared():
    given = [("d", ">", "2013-03-01"), ("l", "<=", "2013-03-01T12:00:00"), ("y", "=", b"a")]
    where = parse([*given, ("b", "=", True), ("d", "<", date(2014, 1, 1))], TYPES, "r")
    row = {"d": date(2013, 3, 2), "l": DAY.replace(tzinfo=None), "y": b"a", "b": True}
    schema = {"d": pa.date32(), "l": pa.timestamp("us"), "y": pa.binary(), "b": pa.bool_()}
    table = pa.Table.from_pylist([row, {**row, "y": b"b"}], pa.schema(list(schema.items())))
    assert table.filter(expression(where, TYPES)).num_rows == 1


def test_statistics_of_a_manifest_bound_their_columns():
    assert stated({"rows": 3, "nulls": 1, "min": "-inf", "max": 2.0}, "float64") == Bound(
        3, 1, -math.inf, 2.0
    )
    assert stated({"rows": 3, "nulls": 0, "min": "nan", "max": 2.0}, "float64").low is None
    assert stated({"rows": 1, "nulls": 0, "min": "2013-03-01", "max": None}, "date").low == date(
        2013, 3, 1
    )
    assert stated({}, "int64") is None
    assert RowFilter() == parse(None, TYPES, "r")
