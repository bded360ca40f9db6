import datetime as dt
import math
import re
import struct
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headrace.core.errors import DeclarationError
from headrace.datasets import content_hash, content_sum, row_sum
from tests.datasets.reference_hash import reference_hash, total
from tests.examples import examples

UTC = dt.UTC
DOC = Path(__file__).parents[2] / "docs" / "reference" / "content-hash.md"
ARROW = {
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "string": pa.string(),
    "local_timestamp": pa.timestamp("us"),
    "date": pa.date32(),
    "binary": pa.binary(),
}
moments = st.datetimes(*map(dt.datetime.fromisoformat, ("1900-01-01T00:00", "2200-01-01T00:00")))
VALUES = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float64": st.one_of(st.floats(), st.sampled_from([0.0, -0.0, math.nan, math.inf])),
    "bool": st.booleans(),
    "timestamp": moments.map(lambda moment: moment.replace(tzinfo=UTC)),
    "string": st.text(max_size=5),
    "local_timestamp": moments,
    "date": st.dates(),
    "binary": st.binary(max_size=5),
}
VECTORS = [
    {},
    {"a": ("int64", [1])},
    {"a": ("int64", [1, None, -1])},
    {"a": ("float64", [-0.0])},
    {"a": ("float64", [math.nan, 0.1])},
    {"a": ("string", ["", None, "é"])},
    {"b": ("bool", [True, False]), "a": ("string", ["x", "y"])},
    {"t": ("timestamp", [dt.datetime(2013, 3, 10, 7, 0, 0, 1, tzinfo=UTC)])},
    {"d": ("date", [dt.date(1969, 12, 31)]), "n": ("binary", [b"\x00"])},
    # By code point, which UTF-16 would order otherwise; and a name that JSON has to escape.
    {"😀": ("int64", [1]), "｡": ("int64", [2]), '"/': ("bool", [None])},
]


def table(columns):
    return pa.table({name: pa.array(cells, ARROW[kind]) for name, (kind, cells) in columns.items()})


@st.composite
def column_sets(draw, least_rows=0):
    rows = draw(st.integers(least_rows, 12))
    names = draw(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=5, unique=True))
    kinds = [draw(st.sampled_from(sorted(VALUES))) for _ in names]
    cells = [
        draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows)) for kind in kinds
    ]
    return {name: (kind, one) for name, kind, one in zip(names, kinds, cells, strict=True)}


@given(column_sets())
def test_equals_the_reference_written_from_the_page(columns):
    assert content_hash(table(columns)) == reference_hash(columns)
    assert row_sum(table(columns)) == total(columns)[1]


@given(column_sets(1), st.randoms(use_true_random=False))
def test_order_and_chunks_do_not_matter(columns, random):
    given_table = table(columns)
    order = list(range(given_table.num_rows))
    random.shuffle(order)
    names = list(columns)
    random.shuffle(names)
    cut = random.randint(0, len(order))
    shuffled = given_table.take(order).select(names)
    chunked = pa.concat_tables([shuffled.slice(0, cut), shuffled.slice(cut)])
    assert content_hash(chunked) == content_hash(given_table)


@given(column_sets(1), st.data())
def test_any_cell_matters(columns, data):
    name = data.draw(st.sampled_from(sorted(columns)))
    kind, cells = columns[name]
    place = data.draw(st.integers(0, len(cells) - 1))
    other = data.draw(st.none() | VALUES[kind])
    before = cells[place]
    both_nan = isinstance(before, float) and isinstance(other, float) and before != before
    assume(other != before and not (both_nan and other != other))
    changed = {**columns, name: (kind, [*cells[:place], other, *cells[place + 1 :]])}
    assert content_hash(table(changed)) != content_hash(table(columns))


@given(column_sets(1))
def test_a_repeated_row_matters(columns):
    once = table(columns)
    assert content_hash(pa.concat_tables([once, once.slice(0, 1)])) != content_hash(once)


@given(column_sets(1), st.integers(0, 12))
def test_sums_add_and_subtract(columns, cut):
    whole = table(columns)
    head, tail = whole.slice(0, cut), whole.slice(cut)
    assert content_sum(head) + content_sum(tail) == content_sum(whole)
    assert content_sum(whole) - content_sum(head) == content_sum(tail)
    assert (content_sum(whole) - content_sum(head)).hash == content_hash(tail)


@given(st.integers(0, 2**64 - 1))
@settings(max_examples=examples(50))
def test_the_last_bit_of_a_float_matters_and_nan_has_one_form(bits):
    value = struct.unpack("<d", struct.pack("<Q", bits))[0]
    flipped = struct.unpack("<d", struct.pack("<Q", bits ^ 1))[0]
    one, other = (
        pa.table({"a": pa.Array.from_buffers(pa.float64(), 1, [None, pa.py_buffer(raw)])})
        for raw in (struct.pack("<Q", bits), struct.pack("<Q", bits ^ 1))
    )
    same = value != value and flipped != flipped
    assert (content_hash(one) == content_hash(other)) == same


def test_negative_zero_is_zero_and_swapped_cells_differ():
    hashes = [content_hash(pa.table({"a": [x], "b": [y]})) for x, y in ((1, 2), (2, 1))]
    assert hashes[0] != hashes[1]
    assert content_hash(pa.table({"a": [0.0]})) == content_hash(pa.table({"a": [-0.0]}))


def test_nothing_is_not_empty_is_not_zero():
    forms = [
        pa.table({"a": pa.array(cells, kind)})
        for cells, kind in (
            ([None], pa.string()),
            ([""], pa.string()),
            ([None], pa.int64()),
            ([0], pa.int64()),
            ([None], pa.float64()),
            ([0.0], pa.float64()),
            ([math.nan], pa.float64()),
            ([False], pa.bool_()),
            ([], pa.string()),
        )
    ]
    assert len({content_hash(form) for form in forms}) == len(forms)


@pytest.mark.parametrize(
    "one, other",
    [
        (pa.array([1, None], pa.int8()), pa.array([1, None], pa.uint64())),
        (pa.array([1.5], pa.float32()), pa.array([1.5], pa.float64())),
        (pa.array(["x", None], pa.large_string()), pa.array(["x", None]).dictionary_encode()),
        (pa.array(["x", None], pa.string_view()), pa.array(["x", None])),
        (pa.array([5], pa.timestamp("s", "UTC")), pa.array([5_000_000], pa.timestamp("us", "EST"))),
        (pa.array([86_400_000], pa.date64()), pa.array([1], pa.date32())),
    ],
)
def test_width_and_encoding_do_not_matter(one, other):
    assert content_hash(pa.table({"a": one})) == content_hash(pa.table({"a": other}))


def test_layout_and_engine_do_not_matter(tmp_path):
    rows = pa.table(
        {
            "k": [f"k{n % 7}" for n in range(1000)],
            "v": [n / 7 if n % 5 else None for n in range(1000)],
            "t": pa.array(range(1000), pa.timestamp("us", "UTC")),
        }
    )
    path = tmp_path / "rows.parquet"
    pq.write_table(rows, path, row_group_size=17, compression="zstd")
    with duckdb.connect() as connection:
        query = f"SELECT t, v, k FROM '{path}' ORDER BY v DESC, k"
        by_duckdb = connection.sql(query).to_arrow_table()
    assert content_hash(by_duckdb) == content_hash(pq.read_table(path)) == content_hash(rows)


def test_blocks_do_not_matter():
    rows = pa.table({"a": range(20_000), "s": [str(n % 300) for n in range(20_000)]})
    parts = [content_sum(rows.slice(start, 7_000)) for start in (0, 7_000, 14_000)]
    assert parts[0] + parts[1] + parts[2] == content_sum(rows)


@pytest.mark.parametrize(
    "refused, says",
    [
        (pa.table({"a": [[1]]}), "column 'a'"),
        (pa.table({"a": pa.nulls(2)}), "type null"),
        (pa.table({"a": pa.array([1], pa.decimal128(5, 2))}), "decimal128"),
        (pa.table({"a": pa.array([1], pa.duration("us"))}), "duration"),
        (pa.table({"a": pa.array([1], pa.time64("us"))}), "time64"),
        (pa.table({"a": pa.array([2**63], pa.uint64())}), "does not fit"),
        (pa.table({"a": pa.array([1], pa.timestamp("ns", "UTC"))}), "does not fit"),
        (pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), "occur twice"),
    ],
)
def test_what_has_no_form_is_refused(refused, says):
    with pytest.raises(DeclarationError, match=says):
        content_hash(refused)


def test_sums_of_different_schemas_do_not_combine():
    with pytest.raises(DeclarationError, match=r"\['a'\]"):
        content_sum(pa.table({"a": [1]})) + content_sum(pa.table({"a": ["1"]}))


def vector_line(columns):
    parts = [f"{name}: {kind} = {cells!r}" for name, (kind, cells) in columns.items()]
    shown = "; ".join(parts).replace("datetime.timezone.utc", "UTC").replace("datetime.", "")
    _, value = total(columns)
    return f"| `{shown or '∅'}` | `{value:064x}` | `{reference_hash(columns)}` |"


@pytest.mark.parametrize("columns", VECTORS)
def test_vectors_of_the_page(columns):
    assert vector_line(columns) in DOC.read_text().splitlines()
    line = vector_line(columns)
    assert re.findall(r"`(\w{64})`", line)[1] == content_hash(table(columns))
