"""The audit shows the oracle enough, and tells a wrong value."""

import pyarrow as pa
import pytest

from headrace.features import attach_label, training_frame
from headrace.features.oracle_audit import audit, audit_label
from tests.features.logs import LABEL, SHAPES, VIEWS, random_log


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_kernel(seed):
    log = random_log(seed)
    rows = list(range(len(log.spine)))
    frame = training_frame(log.spine_table, VIEWS, log.history, SHAPES, log.mode)
    assert audit(frame, VIEWS, log.history, SHAPES, rows, mode=log.mode) == []
    labelled = attach_label(frame, LABEL, log.history, SHAPES, 30, log.mode)
    cuts = [30] * len(rows)
    assert audit_label(labelled, LABEL, log.history, SHAPES, rows, cuts=cuts, mode=log.mode) == []


def test_tells_a_wrong_value():
    log = random_log(0)
    frame = training_frame(log.spine_table, VIEWS, log.history, SHAPES, log.mode)
    name = "who__rows_10us"
    off = [None if value is None else value + 1 for value in frame[name].to_pylist()]
    wrong = frame.set_column(frame.column_names.index(name), name, pa.array(off, pa.int64()))
    found = audit(wrong, VIEWS, log.history, SHAPES, range(len(off)), mode=log.mode)
    assert {difference.column for difference in found} == {name}
    assert len(found) == sum(value is not None for value in off)
