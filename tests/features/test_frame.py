"""What a frame accepts from its host, and what it refuses."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from headrace.core.compute import has_numba
from headrace.core.errors import HeadraceError
from headrace.features import (
    Column,
    FeatureView,
    Host,
    Max,
    Mean,
    Rows,
    RowTransform,
    Std,
    Sum,
    TableShape,
    Window,
    calendar,
    oracle,
    ratio,
    training_frame,
)
from headrace.features.table_shapes import TIMESTAMP
from headrace.serving.online import MemoryStore, apply, layout_of
from headrace.serving.online.kernel.answers import Compiled
from headrace.serving.online.kernel.plain import Plain
from headrace.serving.online.view_values import values
from tests.features.logs import SHAPES, VIEWS, random_log

LOG = replace(random_log(7), mode="declared")


def frame(history=LOG.history, spine=LOG.spine_table, views=VIEWS):
    return training_frame(spine, views, history, SHAPES)


def changed(name, column):
    def read(table, columns):
        found = LOG.history(table, columns)
        if name in found.column_names:
            found = found.set_column(found.column_names.index(name), name, column)
        return found

    return read


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_other_encodings_of_text_give_the_same_numbers(kind):
    def read(table, columns):
        found = LOG.history(table, columns)
        return pa.table(
            {
                name: column.cast(kind) if pa.types.is_string(column.type) else column
                for name, column in zip(found.column_names, found.columns, strict=True)
            }
        )

    spine = LOG.spine_table
    spine = spine.set_column(0, "who", spine["who"].cast(kind))
    views = [view for view in VIEWS if view.name != "state"]
    got, expected = frame(read, spine, views), frame(views=views)
    for name in expected.column_names:
        assert got[name].to_pylist() == expected[name].to_pylist()


def test_nulls_that_belong_in_quarantine_are_refused():
    rows = len(LOG.rows)
    nothing = pa.array([None] + [0] * (rows - 1), pa.int64())
    with pytest.raises(HeadraceError, match="known_at is null"):
        frame(changed("known_at", nothing.view(TIMESTAMP)))
    with pytest.raises(HeadraceError, match="event_time is null"):
        frame(changed("event_time", nothing.view(TIMESTAMP)))
    with pytest.raises(HeadraceError, match="null id, part of the primary key"):
        frame(changed("id", nothing))


def test_a_wrong_unit_of_time_is_refused():
    far = pa.array(np.full(len(LOG.rows), 2**62 + 1)).view(TIMESTAMP)
    with pytest.raises(HeadraceError, match="wrong unit"):
        frame(changed("known_at", far))


@pytest.mark.parametrize("kind", [pa.timestamp("ns"), pa.timestamp("s", "UTC"), pa.float64()])
def test_times_of_another_unit_are_refused_not_misread(kind):
    """Nanoseconds of today lie well inside int64: taken for microseconds nothing would show."""
    other = pa.array([10**9] * len(LOG.rows), pa.int64()).cast(kind)
    with pytest.raises(HeadraceError, match="known_at is"):
        frame(changed("known_at", other))
    spine = LOG.spine_table
    asked = pa.array([10**9] * spine.num_rows, pa.int64()).cast(kind)
    with pytest.raises(HeadraceError, match="t is"):
        frame(spine=spine.set_column(spine.column_names.index("t"), "t", asked))


@pytest.mark.parametrize("memory", [None, 10**6])
def test_what_a_frame_cannot_be_made_of_is_told(memory):
    def made(spine=LOG.spine_table, views=VIEWS, history=LOG.history, mode="declared"):
        return training_frame(spine, views, history, SHAPES, mode, memory=memory)

    def without(name):
        def read(table, columns):
            found = LOG.history(table, columns)
            return found.select([kept for kept in found.column_names if kept != name])

        return read

    doubled = LOG.spine_table.append_column("who__rows_10us", LOG.spine_table["t"])
    cases = {
        "'recored' is not a mode": {"mode": "recored"},
        "no column 't'": {"spine": LOG.spine_table.drop_columns("t")},
        "no column 'known_at'": {"history": without("known_at")},
        "no column 'committed_at'": {"history": without("committed_at"), "mode": "recorded"},
        "no column 'amount'": {"history": without("amount")},
        "more than one column of the frame is named who__rows_10us": {"spine": doubled},
    }
    for says, change in cases.items():
        with pytest.raises(HeadraceError, match=says):
            made(**change)
    with pytest.raises(HeadraceError, match="limit of memory is 0 bytes"):
        training_frame(LOG.spine_table, VIEWS, LOG.history, SHAPES, memory=0)


def test_an_entity_is_of_one_kind_on_both_sides():
    """Narrower integers are the same entities; a text is not the number that it spells."""
    spine, expected = LOG.spine_table, frame()
    for kind in (pa.int8(), pa.int32()):
        narrow = spine.set_column(1, "place", spine["place"].cast(kind))
        assert frame(spine=narrow)["ever__n"].equals(expected["ever__n"])
    nobody = spine.set_column(1, "place", pa.nulls(spine.num_rows))
    assert frame(spine=nobody)["ever__n"].null_count == spine.num_rows
    with pytest.raises(HeadraceError, match="string in the spine and int64 in its table"):
        frame(spine=spine.set_column(1, "place", spine["place"].cast(pa.string())))


def test_a_transform_that_fails_on_a_value_says_which_it_is():
    spine = LOG.spine_table.append_column("n", pa.array([2**62] * len(LOG.spine), pa.int64()))
    with pytest.raises(HeadraceError, match="overflow") as refusal:
        frame(spine=spine, views=[RowTransform("twice", ("n",), doubled, "int64")])
    assert refusal.value.where == "row transform twice"


def doubled(column):
    return pc.multiply_checked(column, 2)


def test_a_calendar_has_no_last_year():
    late = pa.array([2**60, 7_258_118_400_000_000, -(2**60)], pa.int64()).view(TIMESTAMP)
    spine = LOG.spine_table.slice(0, 3).append_column("at", late)
    made = frame(spine=spine, views=[calendar("hour", "at", "hour", "America/New_York")])
    assert made["hour"].to_pylist()[1] == 19


def test_the_spine_needs_times_and_entities():
    spine = LOG.spine_table
    null = pa.array([None] * spine.num_rows, pa.int64())
    with pytest.raises(HeadraceError, match="t is null"):
        frame(spine=spine.set_column(spine.column_names.index("t"), "t", null))
    with pytest.raises(HeadraceError, match="no column 'target'"):
        frame(spine=spine.drop_columns("target"))


def test_spine_columns_stay_as_they_are():
    spine = LOG.spine_table.append_column("note", pa.array(["x"] * len(LOG.spine)))
    assert frame(spine=spine).select(spine.column_names).equals(spine)


def test_a_host_gives_any_view_in_any_order_and_again():
    host = Host.over(LOG.spine_table, VIEWS, LOG.history, SHAPES, "declared")
    whole = frame()
    for view in (*VIEWS[::-1], *VIEWS[:2]):
        for name, column in host.columns(view):
            assert whole[name].combine_chunks().equals(column)


def test_each_table_is_read_once():
    read = []

    def counted(table, columns):
        read.append(table)
        return LOG.history(table, columns)

    frame(changed("nothing", None))
    training_frame(LOG.spine_table, VIEWS[:2], counted, SHAPES)
    assert sorted(set(read)) == ["facts"]


def test_ratio_of_counts():
    view = VIEWS[0]
    share = ratio("share", "who__rows_where_status_on_20us_ago_to_3us_ago", "who__rows_10us")
    got = frame(views=[view, share])
    rows = zip(got[share.inputs[0]].to_pylist(), got[share.inputs[1]].to_pylist(), strict=True)
    assert got["share"].to_pylist() == [None if a is None or not b else a / b for a, b in rows]
    assert calendar("c", "at", "hour", "UTC").outputs == ("c",)


def prices(scale=2, max_abs=10**6):
    columns = {
        "key": Column(pa.int64()),
        "who": Column(pa.string()),
        "price": Column(pa.int64(), scale=scale, max_abs=max_abs),
    }
    shape = TableShape("facts", "event", ("key",), columns, None, 1000)
    day = Window("-10us")
    features = (Sum("price", day), Mean("price", day), Std("price", day), Max("price", day))
    return {"facts": shape}, [FeatureView("v", "facts", ("who",), features)]


def priced(column, scale=2, max_abs=10**6, **more):
    """The features of three rows with these prices, from a frame and from an online store."""
    shapes, views = prices(scale, max_abs)
    rows = pa.table({"key": [1, 2, 3], "who": ["a"] * 3, "price": column,
                     "event_time": [1, 2, 3], "known_at": [1, 2, 3]})  # fmt: skip
    spine = pa.table({"who": ["a"], "t": pa.array([5], pa.int64())})
    made = training_frame(
        spine, views, lambda _, names: rows.select([*names, "event_time", "known_at"]), shapes,
        **more,
    ).drop_columns(["who", "t"])  # fmt: skip
    store, layout = MemoryStore(), layout_of(views, shapes, "declared")
    apply(store, layout, "facts", rows)
    answerers = [Plain(), *([Compiled()] if has_numba() else [])]
    with store.reading() as reader:
        for answerer in answerers:
            assert values(reader, layout, answerer, [{"who": "a"}], [5]) == made.to_pylist()
    return list(made.to_pylist()[0].values())


@pytest.mark.parametrize("memory", [None, 10**6])
def test_decimals_of_a_scaled_column_are_read_by_their_own_scale(memory):
    stored = priced(pa.array([1200, None, -150], pa.int64()), memory=memory)
    assert stored[0] == 10.5
    for kind in (
        pa.decimal128(6, 2),
        pa.decimal128(38, 2),
        pa.decimal128(9, 4),
        pa.decimal64(9, 3),
    ):
        column = pa.array([Decimal(12), None, Decimal("-1.5")], kind)
        assert priced(column, memory=memory) == stored


@pytest.mark.parametrize("memory", [None, 10**6])
def test_what_does_not_fit_a_scaled_column_is_refused(memory):
    cases = {
        "the values are double": [12.0, None, -1.5],
        "does not fit a scale of 2": [Decimal(12), None, Decimal("-1.505")],
        "10001 is too great": [0, -10001, 1],
        "does not fit int64": [Decimal(10) ** 20, None, Decimal(1)],
    }
    for says, column in cases.items():
        with pytest.raises(HeadraceError, match=says) as refusal:
            priced(pa.array(column), max_abs=10**4, memory=memory)
        assert "column price" in refusal.value.where


@pytest.mark.parametrize("scale", [0, 9, 10, 18])
def test_a_spread_of_no_two_values_is_null_at_any_scale(scale):
    """10^20, for n (n - 1) 10^2d, leaves int64 even where n is 0."""
    assert priced(pa.array([7, None, None], pa.int64()), scale)[2] is None
    two = priced(pa.array([7, 9, None], pa.int64()), scale)
    assert two[2] == pytest.approx(2**0.5 / 10**scale)


BILLION = 10**9


@pytest.mark.parametrize("kernel", ["numpy", "compiled"])
@pytest.mark.parametrize(
    "q",
    [
        [3 * BILLION, 3 * BILLION - 1, 1],  # each square fits int64, their sum does not
        [16 * BILLION // 10, -17 * BILLION // 10, None],  # n S2 leaves int64, S1 is small
        [16 * BILLION // 10, 17 * BILLION // 10, None],
        [BILLION, 3 * BILLION, -2 * BILLION],
        [29 * BILLION // 10, -29 * BILLION // 10, 29 * BILLION // 10],
    ],
)
def test_spreads_whose_squares_fit_one_by_one_are_exact(q, kernel, monkeypatch):
    if kernel == "compiled" and not has_numba():
        pytest.skip("numba is not installed: pip install headrace[fast]")
    monkeypatch.setenv("HEADRACE_KERNEL", kernel)
    numbers = [value for value in q if value is not None]
    found = priced(pa.array(q, pa.int64()), 0, 3 * BILLION)
    assert found[1:3] == [oracle.mean(numbers, 0), oracle.std(numbers, 0)]


@pytest.mark.parametrize("memory", [None, 10**6])
def test_a_data_frame_is_no_table(memory):
    pd = pytest.importorskip("pandas")
    shapes, views = prices()
    for spine, rows in (
        (pd.DataFrame({"who": ["a"], "t": [5]}), None),
        (pa.table({"who": ["a"], "t": [5]}), pd.DataFrame({"key": [1]})),
    ):
        with pytest.raises(HeadraceError, match="pandas DataFrame") as refusal:
            training_frame(spine, views, lambda *_, rows=rows: rows, shapes, memory=memory)
        assert "from_pandas" in refusal.value.fix


@pytest.mark.parametrize("memory", [None, 10**6])
@pytest.mark.parametrize(
    ("t", "e", "says"),
    [
        (1_700_000_000, 1_699_999_000_000_000, "t of the spine looks like seconds"),
        (1_700_000_000_000, 1_699_999_000_000_000, "t of the spine looks like milliseconds"),
        (1_700_000_000_000_000_000, 1_699_999_000_000_000, "t of the spine looks like nanosec"),
        (1_700_000_000_000_000, 1_699_999_000, "event_time looks like seconds"),
        (1_700_000_000_000_000, 0, None),  # a state that holds since ever
        (1_700_000_000, 1_699_999_000, None),
    ],
)
def test_moments_in_another_unit_are_told_where_the_other_side_shows_it(t, e, says, memory):
    shapes, _ = prices()
    views = [FeatureView("v", "facts", ("who",), (Rows(Window("-1d")),))]
    rows = pa.table({"key": [1], "who": ["a"], "event_time": [e], "known_at": [e]})
    spine = pa.table({"who": ["a"], "t": [t]})

    def made():
        return training_frame(spine, views, lambda *_: rows, shapes, memory=memory)

    if says is None:
        assert made().num_rows == 1
    else:
        with pytest.raises(HeadraceError, match=says):
            made()
