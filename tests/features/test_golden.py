"""Each rule of time on one small line of it. Times are microseconds."""

import pyarrow as pa
import pytest

from headrace.features import (
    Column,
    Count,
    Distinct,
    FeatureView,
    Label,
    Last,
    LastRow,
    Lookup,
    Max,
    Mean,
    Rows,
    Spine,
    Std,
    Sum,
    TableShape,
    Where,
    Window,
    attach_label,
    build_spine,
    training_frame,
)
from headrace.features.table_shapes import TIMESTAMP

COLUMNS = {
    "key": Column(pa.int64()),
    "who": Column(pa.string()),
    "v": Column(pa.int64(), max_abs=10**6),
    "q": Column(pa.int64(), scale=2, max_abs=10**6),
    "f": Column(pa.float64()),
    "status": Column(pa.string()),
}
KINDS = {name: column.type for name, column in COLUMNS.items()}


def shapes(kind="event"):
    return {"facts": TableShape("facts", kind, ("key",), COLUMNS, None, 1000)}


def history(*rows):
    """Rows of (key, event_time, known_at, other columns)."""

    def read(_name, columns):
        cells = {
            name: pa.array([row[3].get(name) for row in rows], kind) for name, kind in KINDS.items()
        }
        cells["key"] = pa.array([row[0] for row in rows], pa.int64())
        who = [row[3].get("who", "a") for row in rows]
        cells["who"] = pa.array(who, pa.string())
        moments = {
            name: pa.array([row[at] for row in rows], pa.int64()).view(TIMESTAMP)
            for name, at in (("event_time", 1), ("known_at", 2))
        }
        gone = pa.array([row[3].get("_deleted", False) for row in rows], pa.bool_())
        commits = pa.array([row[3].get("commit", row[2]) for row in rows], pa.int64())
        extra = {"_deleted": gone, "committed_at": commits}
        return pa.table({**{c: cells[c] for c in columns}, **moments, **extra})

    return read


def at(t, feature, *rows, who="a", kind="event", mode="declared"):
    """One feature at one moment, with its reason."""
    view = FeatureView("v", "facts", ("who",), (feature,))
    return one(view, t, *rows, who=who, kind=kind, mode=mode)


def one(view, t, *rows, who="a", kind="event", mode="declared"):
    spine = pa.table({"who": pa.array([who], pa.string()), "t": pa.array([t], pa.int64())})
    frame = training_frame(spine, [view], history(*rows), shapes(kind), mode, reasons=True)
    return frame[view.outputs[0]][0].as_py(), frame[f"{view.outputs[0]}__reason"][0].as_py()


TEN = Window("-10us")


def test_rule_5_resolve_first_then_window():
    """v1 happened at 10, known at 10; v2 at 90, known at 20: at 50 the key counts nowhere."""
    rows = [(1, 10, 10, {}), (1, 90, 20, {})]
    assert at(19, Rows(TEN), *rows) == (1, None)
    assert at(50, Rows(Window("-1000us")), *rows) == (0, None)
    assert at(100, Rows(Window("-11us")), *rows) == (1, None)


def test_rule_5_a_version_is_seen_from_its_known_at_on():
    assert at(14, Rows(TEN), (1, 10, 15, {})) == (0, None)
    assert at(15, Rows(TEN), (1, 10, 15, {})) == (1, None)


def test_rule_6_a_correction_may_change_the_entity_and_come_first():
    rows = [(1, 10, 20, {"who": "b"}), (1, 10, 10, {"who": "a"})]
    assert at(19, Rows(TEN), *rows) == (1, None)
    assert at(20, Rows(TEN), *rows) == (0, None)
    assert at(20, Rows(TEN), *rows, who="b") == (1, None)


def test_rule_6_the_greatest_content_wins_a_tie():
    rows = [(1, 10, 10, {"v": 7}), (1, 10, 10, {"v": 5})]
    assert at(15, Last("v", TEN), *rows) == at(15, Last("v", TEN), *rows[::-1]) == (7, None)


def test_rule_5_a_tombstone_ends_a_key():
    rows = [(1, 10, 10, {}), (1, 10, 13, {"_deleted": True})]
    assert at(12, Rows(TEN), *rows) == (1, None)
    assert at(13, Rows(TEN), *rows) == (0, None)


def test_rule_3_recorded_frames_wait_for_the_commit():
    row = (1, 10, 11, {"commit": 14})
    assert at(13, Rows(TEN), row) == (1, None)
    assert at(13, Rows(TEN), row, mode="recorded") == (0, None)
    assert at(14, Rows(TEN), row, mode="recorded") == (1, None)


def test_rule_3_a_correction_committed_before_its_original_stays():
    rows = [(1, 10, 10, {"v": 1, "commit": 19}), (1, 10, 12, {"v": 2, "commit": 13})]
    for t in (13, 18, 19):
        assert at(t, Last("v", TEN), *rows, mode="recorded") == (2, None)


@pytest.mark.parametrize("order", [1, -1])
def test_rule_2_a_row_sent_again_keeps_its_first_commit(order):
    rows = [(1, 10, 10, {"v": 1, "commit": 12}), (1, 10, 10, {"v": 1, "commit": 18})][::order]
    for t, counts in ((11, 0), (12, 1), (15, 1), (18, 1), (19, 1)):
        assert at(t, Rows(TEN), *rows, mode="recorded") == (counts, None)


@pytest.mark.parametrize(("event", "counts"), [(9, 0), (10, 1), (19, 1), (20, 0)])
def test_rule_9_a_trailing_window_has_its_start_and_not_its_end(event, counts):
    assert at(20, Rows(TEN), (1, event, 0, {})) == (counts, None)


@pytest.mark.parametrize(("event", "counts"), [(21, 0), (22, 1), (24, 1), (25, 0)])
def test_rule_9_a_planned_window_lies_after_t(event, counts):
    assert at(20, Rows(Window("2us", "5us")), (1, event, 0, {}), kind="planned") == (counts, None)


@pytest.mark.parametrize(
    ("t", "expected"),
    [(9, (None, "empty window")), (10, (3, None)), (15, (3, None)), (16, (None, "expired"))],
)
def test_rule_10_a_state_holds_from_its_moment_until_it_is_too_old(t, expected):
    lookup = Lookup("l", "facts", ("who",), ("v",), "5us")
    assert one(lookup, t, (1, 10, 0, {"v": 3})) == expected


def test_rule_13_the_default_of_a_lookup_is_for_no_row():
    lookup = Lookup("l", "facts", ("who",), ("v",), "5us", default=(-1,))
    row = (1, 10, 0, {"v": 3})
    assert one(lookup, 9, row) == (-1, None)
    assert one(lookup, 15, row) == (3, None)
    assert one(lookup, 16, row) == (-1, None)
    assert one(lookup, 15, (1, 10, 0, {"v": None})) == (None, "all null")
    assert one(lookup, 15, row, who=None) == (None, "null entity")


def test_rule_10_a_null_in_the_winning_row_stays_null():
    lookup = Lookup("l", "facts", ("who",), ("v",), None)
    rows = [(1, 10, 0, {"v": 3}), (2, 11, 0, {"v": None})]
    assert one(lookup, 20, *rows) == (None, "all null")


def test_rule_11_last_skips_nulls():
    rows = [(1, 10, 0, {"v": 3}), (2, 11, 0, {"v": None})]
    assert at(15, Last("v", TEN), *rows) == (3, None)


def row_at(t, feature, *rows, who="a"):
    """All outputs of one feature at one moment, each with its reason."""
    view = FeatureView("v", "facts", ("who",), (feature,))
    spine = pa.table({"who": pa.array([who], pa.string()), "t": pa.array([t], pa.int64())})
    frame = training_frame(spine, [view], history(*rows), shapes(), reasons=True)
    return [(frame[n][0].as_py(), frame[f"{n}__reason"][0].as_py()) for n in view.outputs]


def test_rule_11_the_last_row_stays_whole():
    rows = [(1, 10, 0, {"v": 3, "q": 150}), (2, 11, 0, {"v": None, "q": 250})]
    whole = LastRow(("v", "q"), TEN)
    assert row_at(15, whole, *rows) == [(None, "all null"), (2.5, None)]
    assert row_at(11, whole, *rows) == [(3, None), (1.5, None)]
    assert row_at(40, whole, *rows) == [(None, "empty window")] * 2
    assert row_at(15, whole) == [(None, "no history")] * 2
    assert row_at(15, whole, *rows, who=None) == [(None, "null entity")] * 2


def test_rule_11_a_row_that_is_superseded_gives_way_to_the_one_before():
    rows = [(1, 10, 0, {"v": 3}), (2, 11, 0, {"v": 4}), (2, 11, 14, {"_deleted": True})]
    assert row_at(13, LastRow(("v",), TEN), *rows) == [(4, None)]
    assert row_at(14, LastRow(("v",), TEN), *rows) == [(3, None)]


def test_rule_13_a_value_counts_once_for_as_long_as_one_row_has_it():
    rows = [
        (1, 10, 0, {"v": 7}),
        (2, 12, 0, {"v": 7}),
        (3, 13, 0, {"v": 8}),
        (4, 13, 0, {"v": None}),
        (2, 12, 21, {"v": 9}),
    ]
    expected = {11: 1, 13: 1, 14: 2, 20: 2, 21: 2, 22: 2, 23: 1, 24: 0}
    assert {t: at(t, Distinct("v", TEN), *rows)[0] for t in expected} == expected
    assert at(14, Distinct("v", TEN), *rows, who=None) == (None, "null entity")


def test_rule_14_distinct_values_are_those_that_features_see():
    floats = [0.0, -0.0, float("nan"), None, 0.5]
    rows = [(key, 10, 0, {"f": value}) for key, value in enumerate(floats)]
    assert at(15, Distinct("f", TEN), *rows) == (2, None)


def test_rule_13_a_declared_default_stands_for_null():
    rows = [(1, 1, 0, {"v": 1, "q": None})]
    assert at(50, Sum("v", TEN, default=0), *rows) == (0, None)
    assert at(50, Sum("v", TEN, default=0)) == (0, None)
    assert at(5, Sum("q", TEN, default=0.07), *rows) == (7 / 100, None)
    assert at(5, Std("v", TEN, default=-1), *rows) == (-1.0, None)
    assert at(5, Last("status", TEN, default="none"), *rows) == ("none", None)
    assert at(5, Sum("v", TEN, default=0), *rows) == (1, None)
    assert at(5, Sum("v", TEN, default=0), *rows, who=None) == (None, "null entity")


def test_rule_13_the_default_of_a_last_row_is_not_for_a_null_in_it():
    rows = [(1, 1, 0, {"v": None, "q": 150})]
    whole = LastRow(("v", "q"), TEN, default=(-1, None))
    assert row_at(5, whole, *rows) == [(None, "all null"), (1.5, None)]
    assert row_at(50, whole, *rows) == [(-1, None), (None, "empty window")]


def test_a_count_of_moments_is_a_number():
    columns = {**COLUMNS, "when": Column(TIMESTAMP)}
    shape = {"facts": TableShape("facts", "event", ("key",), columns, None, 1000)}

    def read(name, wanted):
        table = history((1, 10, 0, {}))(name, [c for c in wanted if c != "when"])
        return table.append_column("when", table["event_time"])

    spine = pa.table({"who": ["a"], "t": pa.array([15], pa.int64())})
    view = FeatureView("v", "facts", ("who",), (Count("when", TEN), Distinct("when", TEN)))
    frame = training_frame(spine, [view], read, shape)
    assert frame.select(view.outputs).to_pylist() == [
        {"v__when_count_10us": 1, "v__when_distinct_10us": 1}
    ]


def test_rule_7_ties_go_by_primary_key():
    rows = [(9, 10, 3, {"v": 1}), (8, 10, 7, {"v": 2})]
    assert at(15, Last("v", TEN), *rows) == at(15, Last("v", TEN), *rows[::-1]) == (1, None)


def test_rule_12_null_is_out_of_every_filter():
    rows = [(1, 10, 0, {"v": None}), (2, 10, 0, {"v": 1}), (3, 10, 0, {"v": 5})]
    assert at(15, Rows(TEN, where=Where("v", "!=", 5)), *rows) == (1, None)
    assert at(15, Rows(TEN, where=Where("v", "not in", (5,))), *rows) == (1, None)
    assert at(15, Rows(TEN, where=(Where("v", ">", 0), Where("v", "<", 5))), *rows) == (1, None)


def test_rule_13_empty_is_zero_for_counts_and_null_for_the_rest():
    row = (1, 1, 0, {"v": 1})
    assert at(50, Rows(TEN), row) == (0, None)
    assert at(50, Count("v", TEN), row) == (0, None)
    assert at(50, Sum("v", TEN), row) == (None, "empty window")
    assert at(50, Sum("v", TEN)) == (None, "no history")
    assert at(5, Sum("v", TEN), (1, 1, 0, {})) == (None, "all null")
    assert at(5, Std("v", TEN), row) == (None, "one value")
    assert at(5, Rows(TEN), row, who=None) == (None, "null entity")


def test_rule_14_minus_zero_is_zero_and_nan_is_null():
    rows = [(1, 10, 0, {"f": -0.0}), (2, 11, 0, {"f": float("nan")})]
    value, _ = at(15, Max("f", TEN), *rows)
    assert repr(value) == "0.0"
    assert repr(at(15, Last("f", TEN), *rows)[0]) == "0.0"


def test_rule_15_roundings():
    cents = [(key, 10, 0, {"q": q}) for key, q in enumerate((10, 20, 40))]
    assert at(15, Sum("q", TEN), *cents) == (70 / 100, None)
    assert at(15, Mean("q", TEN), *cents) == (70 / 300, None)
    naive = (0.1 + 0.2 + 0.4) / 3
    assert at(15, Mean("q", TEN), *cents)[0] != naive
    spread = 3 * (10**2 + 20**2 + 40**2) - 70**2
    assert at(15, Std("q", TEN), *cents) == ((spread / (3 * 2 * 100**2)) ** 0.5, None)


@pytest.mark.parametrize(
    "feature",
    [
        Sum("v", TEN),
        Sum("v", TEN, default=0),
        Std("v", TEN),
        Rows(TEN),
        Distinct("v", TEN),
        Last("v", TEN),
        Max("v", TEN, where=Where("v", "==", 2)),
    ],
)
def test_rule_16_a_window_with_more_events_than_declared_has_no_value(feature):
    rows = [(key, 10, 0, {"v": 1 + key % 2}) for key in range(1001)]
    assert at(15, feature, *rows[1:])[1] is None
    assert at(15, feature, *rows) == (None, "too many events")
    assert at(21, feature, *rows)[1] != "too many events"
    deleted = (7, 10, 0, {"_deleted": True})
    assert at(15, feature, *rows[:7], *rows[8:], deleted)[1] is None


def test_rule_13_history_is_a_visible_row_of_any_event_time():
    planned = (1, 30, 5, {"v": 1})
    lookup = Lookup("l", "facts", ("who",), ("v",), None)
    for t, why in ((4, "no history"), (5, "empty window")):
        assert at(t, Sum("v", TEN), planned) == (None, why)
        assert one(lookup, t, planned) == (None, why)
    gone = (1, 30, 7, {"_deleted": True})
    assert at(7, Sum("v", TEN), planned, gone) == (None, "no history")
    assert one(lookup, 7, planned, gone) == (None, "no history")


def test_rule_19_duplicates_and_order_of_the_spine_stay():
    view = FeatureView("v", "facts", ("who",), (Rows(TEN),))
    spine = pa.table({"who": ["a", "b", "a"], "t": pa.array([15, 15, 15], pa.int64())})
    frame = training_frame(spine, [view], history((1, 10, 0, {})), shapes())
    assert frame.to_pydict() == {
        "who": ["a", "b", "a"],
        "t": [15, 15, 15],
        "v__rows_10us": [1, 0, 1],
    }


def test_rule_20_a_spine_row_needs_its_plan_to_be_known():
    rows = [
        (1, 10, 8, {"who": "in time"}),
        (2, 10, 9, {"who": "too late"}),
        (3, 10, 0, {"who": "moved"}),
        (3, 30, 7, {"who": "moved to"}),
    ]
    spine = build_spine(Spine("facts", "-2us", ("who",)), history(*rows), shapes("planned"))
    assert spine.to_pydict() == {"key": [1, 3], "who": ["in time", "moved to"], "t": [8, 28]}


def test_rule_20_the_same_plan_predicts_again_when_it_moves():
    rows = [(1, 10, 0, {"who": "first"}), (1, 30, 9, {"who": "then"})]
    spine = build_spine(Spine("facts", "-2us", ("who",)), history(*rows), shapes("planned"))
    assert spine.to_pydict()["t"] == [8, 28]


LABEL = Label("y", "facts", ("who",), ("v",), "10us", "5us", "status", ("off", "", "all null"))


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        (34, (None, "immature")),  # by the clock, though the outcome is known since 25
        (35, (1, None)),
        (39, (1, None)),
        (40, (2, None)),  # as read at a later cut: corrected
    ],
)
def test_rule_21_a_label_is_read_as_of_the_cut(cut, expected):
    rows = [(1, 24, 25, {"v": 1}), (1, 24, 40, {"v": 2})]
    assert label_at(cut, *rows) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((1, 20, 25, {"v": 1}), (1, None)),
        ((1, 19, 25, {"v": 1}), (None, "no outcome")),
        ((1, 29, 30, {"v": 1}), (1, None)),
        ((1, 30, 30, {"v": 1}), (None, "no outcome")),
        ((1, 20, 25, {"v": 1, "status": "off"}), (None, "off")),
        ((1, 20, 25, {"v": 1, "status": ""}), (None, "")),
        ((1, 20, 25, {"v": 1, "status": "all null"}), (None, "all null")),
        ((1, 20, 25, {"v": None}), (None, "all null")),
    ],
)
def test_rule_21_reasons(row, expected):
    assert label_at(50, row) == expected


def label_at(cut, *rows):
    frame = pa.table({"who": ["a"], "t": pa.array([20], pa.int64())})
    labelled = attach_label(frame, LABEL, history(*rows), shapes(), cut)
    return labelled["v"][0].as_py(), labelled["label_reason"][0].as_py()
