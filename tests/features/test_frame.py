"""What a frame accepts from its host, and what it refuses."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from headrace.errors import HeadraceError
from headrace.features import Host, calendar, ratio, training_frame
from headrace.features.shapes import TIMESTAMP
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
        "'recored' is no mode": {"mode": "recored"},
        "no column 't'": {"spine": LOG.spine_table.drop_columns("t")},
        "no column 'known_at'": {"history": without("known_at")},
        "no column 'committed_at'": {"history": without("committed_at"), "mode": "recorded"},
        "no column 'amount'": {"history": without("amount")},
        "named twice: who__rows_10us": {"spine": doubled},
    }
    for says, change in cases.items():
        with pytest.raises(HeadraceError, match=says):
            made(**change)
    with pytest.raises(HeadraceError, match="in 0 bytes"):
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
    late = pa.array([2**60] * len(LOG.spine), pa.int64()).view(TIMESTAMP)
    spine = LOG.spine_table.append_column("at", late)
    with pytest.raises(HeadraceError, match="beyond the table") as refusal:
        frame(spine=spine, views=[calendar("hour", "at", "hour", "UTC")])
    assert refusal.value.where == "row transform hour"


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
    assert got["share"].to_pylist() == [a / b if b else None for a, b in rows]
    assert calendar("c", "at", "hour", "UTC").outputs == ("c",)
