"""Rows in an epoch's order: each once, over all readers, also when they were taken up again."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.core.errors import DeclarationError
from headrace.datasets.fits.fits import Fits
from headrace.datasets.loaders.arrays import Encoder
from headrace.datasets.loaders.row_filter import parse
from headrace.datasets.loaders.row_order import Order
from headrace.datasets.loaders.stream import At, RowStream
from headrace.datasets.manifest import Part
from tests.datasets.test_release import made
from tests.examples import examples

SIZES = st.lists(st.integers(0, 40), max_size=8).map(tuple)


class Parts:
    """Stands for a release in parts: the column `row` counts its rows from 0."""

    def __init__(self, sizes, where=None):
        self.where = parse(where, {"row": "int64"}, "r")
        self.starts = np.cumsum([0, *sizes])
        self.sizes = sizes

    def parts(self):
        return [Part(str(n), 0, size, "") for n, size in enumerate(self.sizes)]

    def part(self, part):
        rows = np.arange(part.rows) + self.starts[int(part.object)]
        places = None
        if self.where:
            (term,) = self.where.terms
            places = np.flatnonzero(rows >= term.values[0])
            rows = rows[places]
        return pa.table({"row": rows}), places


ENCODER = Encoder("r", {"row": "int64"}, ("row",), "", form="columns")


def stream(sizes, where=None, **options):
    return RowStream(Parts(sizes, where), ENCODER, **options)


def rows_of(batches):
    return [int(row) for _, arrays in batches for row in arrays["row"]]


@settings(max_examples=examples(30))
@given(
    SIZES,
    st.integers(1, 5),
    st.integers(1, 9),
    st.integers(1, 60),
    st.booleans(),
    st.integers(0, 3),
    st.none() | st.integers(0, 60),
)
def test_every_row_comes_once_over_all_shards(sizes, shards, batch, buffer, shuffle, epoch, least):
    where = None if least is None else ("row", ">=", least)
    many = stream(sizes, where, batch=batch, buffer=buffer, shuffle=shuffle)
    found = [list(many.batches(epoch, shard, shards)) for shard in range(shards)]
    everything = [row for row in range(sum(sizes)) if least is None or row >= least]
    assert sorted(row for one in found for row in rows_of(one)) == everything
    for shard, one in enumerate(found):
        assert all(len(arrays["row"]) == batch for _, arrays in one[:-1])
        if where is None:
            assert len(one) == many.max_batches(shard, shards)
    if where is None:
        lengths = [len(rows_of(one)) for one in found]
        assert max(lengths) - min(lengths) <= 1
    if not shuffle:
        assert [row for one in found for row in rows_of(one)] == everything


@settings(max_examples=examples(30))
@given(
    SIZES,
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(1, 60),
    st.none() | st.integers(0, 60),
    st.booleans(),
    st.data(),
)
def test_going_on_gives_what_was_left(sizes, shards, batch, buffer, least, drop_last, data):
    where = None if least is None else ("row", ">=", least)
    many = stream(sizes, where, batch=batch, buffer=buffer, drop_last=drop_last)
    shard = data.draw(st.integers(0, shards - 1))
    whole = list(many.batches(1, shard, shards))
    taken = data.draw(st.integers(0, len(whole)))
    at = whole[taken - 1][0] if taken else At()
    rest = list(many.batches(1, shard, shards, at))
    assert rows_of(rest) == rows_of(whole[taken:])
    assert [one for one, _ in rest] == [one for one, _ in whole[taken:]]


@settings(max_examples=examples(30))
@given(SIZES, st.integers(1, 4), st.integers(1, 9))
def test_without_last_batches_all_shards_give_as_many(sizes, shards, batch):
    many = stream(sizes, batch=batch, drop_last=True)
    counts = {len(list(many.batches(0, shard, shards))) for shard in range(shards)}
    assert counts == {many.max_batches(0, shards)}


def test_the_order_is_a_function_of_seed_and_epoch():
    def order(**options):
        epoch = options.pop("epoch", 0)
        return rows_of(stream((30, 50, 20), **options).batches(epoch))

    assert order() == order()
    assert order() != order(seed=1)
    assert order() != order(epoch=1)
    assert order(shuffle=False) == list(range(100))
    # Pinned: an order that a later version of numpy or of this code changes cannot be taken up.
    assert order()[:6] == PINNED


PINNED = [92, 32, 10, 17, 44, 95]


def test_rows_of_all_parts_in_the_buffer_are_mixed():
    found = rows_of(stream((500, 500, 500, 500), buffer=2000).batches(0))
    quarters = {row // 500 for row in found[:50]}
    assert quarters == {0, 1, 2, 3}
    assert abs(np.corrcoef(np.arange(2000), found)[0, 1]) < 0.1


def test_no_more_than_the_buffer_and_a_part_is_in_a_chunk():
    order = Order((100,) * 50, buffer=250)
    chunks = order.chunks(0, 0, 1)
    sizes = [sum(one.stop - one.start for one in chunk) for chunk in chunks]
    assert sum(sizes) == 5000
    assert max(sizes) <= 350


# What becomes of columns


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    made(tmp_path_factory.mktemp("stream") / "store")
    return headrace.open("delays", tmp_path_factory.getbasetemp() / "stream0" / "store")


TYPES = {"x": "float64", "n": "int64", "b": "bool", "s": "string", "t": "timestamp", "y": "int64"}
TABLE = pa.table(
    {
        "x": pa.array([1.5, None, 2.5]),
        "n": pa.array([1, 2, None]),
        "b": pa.array([True, None, False]),
        "s": pa.array(["b", "z", None]),
        "t": pa.array([1, 2, 3], pa.timestamp("us", "UTC")),
        "y": pa.array([0, 1, 1]),
    }
)


def encoded(columns, form="xy", **options):
    target = "y" if form == "xy" else ""
    return Encoder("r", TYPES, columns, target, form, **options).encode(TABLE)


def fitted(**steps):
    return Fits({name: tuple(given) for name, given in steps.items()})


WORDS = {"kind": "vocabulary", "values": ["a", "b"], "unknown": "null"}


def test_a_null_is_nan_a_number_or_an_error():
    nan = np.nan
    found = encoded(("x", "n", "b"))
    np.testing.assert_array_equal(found["x"], [[1.5, 1, 1], [nan, 2, nan], [2.5, nan, 0]])
    assert found["x"].dtype == np.float32
    assert found["y"].tolist() == [0, 1, 1]
    filled = encoded(("x", "n", "b"), nulls=-1, dtype="float64")["x"]
    np.testing.assert_array_equal(filled, [[1.5, 1, 1], [-1, 2, -1], [2.5, -1, 0]])
    with pytest.raises(DeclarationError, match="'x' has 1 nulls"):
        encoded(("x",), nulls="refuse")


def test_fits_are_applied_and_categories_are_codes():
    found = encoded(("s",), fits=fitted(s=[WORDS]))["x"]
    np.testing.assert_array_equal(found[:, 0], [1, np.nan, np.nan])
    assert encoded(("s",), "columns", fits=fitted(s=[WORDS]))["s"].tolist() == [1, 2, 2]
    fits = fitted(
        x=[{"kind": "impute", "value": 2.0, "indicator": True},
           {"kind": "scale", "center": 2.0, "scale": 0.5}],
    )  # fmt: skip
    encoder = Encoder("r", TYPES, ("x", "n"), "y", fits=fits)
    assert encoder.outputs == ("x", "n", "x__missing")
    np.testing.assert_array_equal(
        encoder.encode(TABLE)["x"], [[-1, 1, 0], [0, 2, 1], [1, np.nan, 0]]
    )


def test_columns_alone_keep_their_dtypes():
    found = encoded(("x", "y", "t"), "columns")
    assert {name: str(one.dtype) for name, one in found.items()} == {
        "x": "float32",
        "y": "int64",
        "t": "int64",
    }
    assert found["t"].tolist() == [1, 2, 3]
    with pytest.raises(DeclarationError, match="'n' has 1 nulls") as caught:
        encoded(("n",), "columns")
    assert "nulls=-1" in caught.value.fix
    assert encoded(("n",), "columns", nulls=-1)["n"].tolist() == [1, 2, -1]


@pytest.mark.parametrize(
    "columns, options, says, fix",
    [
        (("x", "s"), {}, "'s' is string", 'columns=["x"]'),
        (("t",), {}, "'t' is timestamp", "int64"),
        (("s",), {"form": "columns"}, "vocabulary", 'vocabularies={"s"'),
        ((), {}, "no feature", "select some"),
        (("x",), {"form": "xz"}, "no form 'xz'", "choose from xy"),
        (("x",), {"nulls": "nann"}, "no nulls 'nann'", "did you mean 'nan'"),
        (("x",), {"dtype": "float16"}, "no dtype", "float32"),
    ],
)
def test_what_cannot_be_a_number_is_refused_with_what_can(columns, options, says, fix):
    with pytest.raises(DeclarationError) as caught:
        encoded(columns, **options)
    assert says in caught.value.what
    assert fix in caught.value.fix


def test_rows_of_a_release_stream_as_they_lie(data):
    some = data.select(columns=["distance", "late"], where=("origin", "=", "EWR"))
    encoder = Encoder("r", some.scan.types, some.columns, "", "columns")
    found = list(RowStream(some.scan, encoder, batch=100, shuffle=False).batches(0))
    assert np.concatenate([one["distance"] for _, one in found]).tolist() == (
        some.arrow.column("distance").to_pylist()
    )
