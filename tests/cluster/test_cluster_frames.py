"""Frames from a cluster equal the oracle and the embedded host, bit for bit."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from headrace.cluster import training_frame
from headrace.features import FeatureView as View
from headrace.features import Lookup, Rows, RowTransform, Window
from headrace.features import training_frame as embedded_frame
from tests.cluster.batched import BATCHED_SHAPES, BATCHED_VIEWS
from tests.cluster.kit import differing, numbered, on_both, typed, typed_history
from tests.features.logs import FAR, SHAPES, VIEWS, plain_lists, random_log

DOUBLE = RowTransform("later", ("who__rows_10us", "t"), pc.add, "int64")


def same(session, log, views=VIEWS, **given):
    """The frame of the cluster, after a look that it is the embedded one's."""
    found = training_frame(
        session, log.spine_table, views, log.history, SHAPES, mode=log.mode, reasons=True, **given
    ).table()
    wanted = embedded_frame(log.spine_table, views, log.history, SHAPES, log.mode, reasons=True)
    assert found.schema.equals(wanted.schema)
    assert differing(found, plain_lists(wanted)) == []
    return found


@on_both
def test_many_logs_in_one_job_equal_the_oracle(session, batch):
    frame = training_frame(
        session, batch.spine, BATCHED_VIEWS, batch.history, BATCHED_SHAPES,
        mode="recorded", reasons=True, shards=4,
    )  # fmt: skip
    found = frame.table()
    assert found.select(batch.spine.column_names).equals(batch.spine)
    assert differing(found, batch.expected) == []


@pytest.mark.parametrize("shards", [1, 3, 64])
def test_the_number_of_shards_does_not_matter(session, shards):
    same(session, random_log(7), shards=shards)


@on_both
@pytest.mark.parametrize("mode", ["declared", "recorded"])
def test_both_modes_over_the_engines_own_columns(session, mode):
    log = replace(random_log(8), mode=mode)
    history, _ = typed_history(session, log)
    spine = typed(session, numbered(log.spine_table))
    frame = training_frame(
        session, spine, VIEWS, history, SHAPES, mode=mode, order="number", reasons=True, shards=3
    )
    wanted = embedded_frame(log.spine_table, VIEWS, log.history, SHAPES, mode, reasons=True)
    found = frame.table()
    assert found["number"].to_pylist() == list(range(log.spine_table.num_rows))
    assert differing(found, plain_lists(wanted)) == []
    assert frame.data.columns == ["spine_row", *found.column_names]


def test_duplicates_of_the_spine_stay(session):
    log = random_log(9)
    assert same(session, replace(log, spine=log.spine * 3), shards=5).num_rows == 75


def test_nothing_in_any_place(session):
    log = random_log(10)
    for empty in (replace(log, rows=()), replace(log, spine=()), replace(log, rows=(), spine=())):
        same(session, empty, shards=2)
        history, _ = typed_history(session, empty)
        spine = typed(session, numbered(empty.spine_table))
        frame = training_frame(session, spine, VIEWS, history, SHAPES, order="number")
        assert frame.table().num_rows == len(empty.spine)


@on_both
def test_transforms_see_what_stands_before_them(session):
    log = random_log(11)
    found = same(session, log, (*VIEWS, DOUBLE), shards=2)
    assert found["later"].equals(pc.add(found["who__rows_10us"], found["t"]))


def test_a_spine_without_views(session):
    log = random_log(12)
    assert same(session, log, ()).equals(log.spine_table)


@on_both
def test_entities_of_every_type(session):
    """Text and numbers, times, truth values and floats; -0 and +0 are one entity."""
    log = random_log(13)
    spine = pa.table(
        {
            "t": pa.array([40, 40, 41, 55, 55], pa.int64()),
            "at": log.table["at"].slice(0, 5),
            "x": pa.array([0.0, -0.0, None, float("nan"), 0.25], pa.float64()),
            "flag": pa.array([True, False, None, True, True]),
            "s": pa.array(["u", "v", None, "", "u"]).dictionary_encode(),
        }
    )
    window = Window("-40us")
    views = [View(f"by_{name}", "facts", (name,), (Rows(window),)) for name in ("at", "x", "flag")]
    views += [Lookup("both", "states", ("s", "flag"), ("n", "at"), None)]
    found = training_frame(session, spine, views, log.history, SHAPES, shards=3).table()
    wanted = embedded_frame(spine, views, log.history, SHAPES)
    assert differing(found, plain_lists(wanted)) == []


def test_the_far_ends_of_time(session):
    log = random_log(14)
    far = [{**row, "t": row["t"] + shift} for row in log.spine for shift in (0, FAR - 99, 99 - FAR)]
    same(session, replace(log, spine=tuple(far)), shards=2)


def test_all_columns_are_read_only_if_content_must_settle_a_tie(session):
    rows = [
        {**row, "id": i, "who": "p", "_deleted": False, "known_at": 5, "seq": None}
        for i, row in enumerate(random_log(15).rows)
    ]
    log = replace(random_log(15), rows=tuple(rows), mode="declared")
    view = [View("few", "facts", ("who",), (Rows(Window("-10us")),))]

    def read(log):
        history, asked = typed_history(session, log)
        frame = training_frame(session, log.spine_table, view, history, SHAPES, shards=2)
        wanted = embedded_frame(log.spine_table, view, log.history, SHAPES)
        assert differing(frame.table(), plain_lists(wanted)) == []
        return asked

    few = ["id", "part", "seq", "who"]
    assert read(log) == [("facts", few)]
    twin = {**rows[0], "who": "q", "seq": -(2**63)}  # null is the least of sequences
    assert read(replace(log, rows=(*rows, twin))) == [
        ("facts", few),
        ("facts", list(SHAPES["facts"].columns)),
    ]
