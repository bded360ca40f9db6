"""A frame computed part by part is the frame, to the bit, whatever the memory and the batches."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import HeadraceError
from headrace.features import FeatureView, Rows, Sum, Window, training_frame
from headrace.features.frames import out_of_core
from headrace.features.frames.out_of_core import training_batches
from tests.examples import examples
from tests.features.logs import SHAPES, VIEWS, logs, random_log
from tests.features.test_compiled import BIG_SHAPE, BIG_VIEWS, big_log
from tests.features.test_golden import history, shapes


def in_batches(history, size):
    def read(table, columns):
        rows = history(table, columns).combine_chunks()
        batches = rows.to_batches(max_chunksize=size)
        return pa.RecordBatchReader.from_batches(rows.schema, batches)

    return read


def by_parts(log, history, patch, *, rows=7, memory=2000, **more):
    patch.setattr(out_of_core, "_BATCH", rows)
    arguments = (log.spine_table, VIEWS, history, SHAPES, log.mode)
    with training_batches(*arguments, memory=memory, **more) as reader:
        return reader.read_all()


def plain(log, **more):
    return training_frame(log.spine_table, VIEWS, log.history, SHAPES, log.mode, **more)


@settings(max_examples=examples(20), deadline=None)
@given(logs, st.integers(1, 9), st.sampled_from([300, 2000, 10**9]))
def test_equals_the_frame_on_any_log(log, size, memory):
    with pytest.MonkeyPatch.context() as patch:
        history = in_batches(log.history, size)
        assert by_parts(log, history, patch, rows=size, memory=memory).equals(plain(log))


@pytest.mark.parametrize("seed", range(6))
def test_equals_the_frame_with_reasons_and_from_whole_tables(seed, monkeypatch):
    log = random_log(seed)
    found = by_parts(log, log.history, monkeypatch, reasons=True)
    assert found.equals(plain(log, reasons=True))


def test_an_empty_history_and_an_empty_spine(monkeypatch):
    log = random_log(3)
    for empty in (replace(log, rows=()), replace(log, spine=()), replace(log, rows=(), spine=())):
        assert by_parts(empty, empty.history, monkeypatch).equals(plain(empty))


@pytest.mark.parametrize("corrected", [0.0, 0.2])
@pytest.mark.parametrize("memory", [10**5, 10**8])
def test_equals_the_frame_on_long_histories(corrected, memory, tmp_path, monkeypatch):
    facts, spine = big_log(5, late=0.1, corrected=corrected)

    def history(_, columns):
        return facts.select([*columns, "event_time", "known_at"])

    monkeypatch.setattr(out_of_core, "_BATCH", 400)
    steps = []
    arguments = (spine, BIG_VIEWS, in_batches(history, 333), {"facts": BIG_SHAPE})
    with training_batches(
        *arguments, memory=memory, folder=tmp_path, progress=lambda *step: steps.append(step)
    ) as reader:
        found = reader.read_all()
    assert found.equals(training_frame(spine, BIG_VIEWS, history, {"facts": BIG_SHAPE}))
    assert list(tmp_path.iterdir()) == []
    assert steps[-1] == ("rows of the frame", spine.num_rows, spine.num_rows)
    assert ("rows of facts resolved", facts.num_rows, 0) in steps


def test_the_frame_takes_a_memory_limit(monkeypatch):
    log = random_log(4)
    monkeypatch.setattr(out_of_core, "_BATCH", 5)
    assert plain(log, memory=1000).equals(plain(log))


def test_versions_are_settled_before_rows_go_to_their_entity(monkeypatch):
    """Planted: each batch settled alone, as if no key came twice."""
    log = random_log(1)
    history = in_batches(log.history, 3)
    assert by_parts(log, history, monkeypatch, rows=3).equals(plain(log))
    monkeypatch.setattr(out_of_core._Frame, "_survey", lambda self, shape: (len(log.rows), True))
    try:
        wrong = by_parts(log, history, monkeypatch, rows=3)
    except HeadraceError:
        return
    assert not wrong.equals(plain(log))


@pytest.mark.parametrize("corrected", [1, 2])
def test_a_correction_in_a_later_batch_is_found_though_keys_ascend_in_each(corrected, monkeypatch):
    """Also where it is of the last key of the batch before."""
    rows = [
        (1, 10, 10, {"v": 2}),
        (2, 11, 11, {"v": 2}),
        (corrected, 12, 12, {"v": 5}),
        (3, 13, 13, {}),
    ]
    view = FeatureView("v", "facts", ("who",), (Rows(Window("-9us")), Sum("v", Window("-9us"))))
    spine = pa.table({"who": ["a"], "t": pa.array([15], pa.int64())})
    monkeypatch.setattr(out_of_core, "_BATCH", 2)
    frame = training_frame(spine, [view], history(*rows), shapes(), memory=300)
    assert frame["v__rows_9us"].to_pylist() == [3]
    assert frame["v__v_sum_9us"].to_pylist() == [7]


def test_a_bad_row_is_refused_as_in_memory(monkeypatch):
    log = random_log(2)
    broken = replace(log, rows=(*log.rows[:-1], {**log.rows[-1], "id": None}))
    with pytest.raises(HeadraceError, match="null id"):
        by_parts(broken, broken.history, monkeypatch)
    assert np.all([row["id"] is not None for row in log.rows])


@pytest.mark.parametrize("only", ["as of only", "50M"])
def test_the_benchmark_runs_and_its_answers_are_equal(only):
    pytest.importorskip("polars", reason="the benchmark's peers are not installed")
    from bench import features as bench

    found = list(bench.measure(scale=0.0005, only=only))
    assert found
    assert all(one.answers_equal for one in found)
