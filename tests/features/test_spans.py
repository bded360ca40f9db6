"""Rows that were taken out and approved again count in recorded frames while they were served."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.compute import has_numba
from headrace.features import training_frame
from headrace.features.frames import out_of_core
from headrace.features.kernel.republication import SHOWN_BEFORE, first_usable, winners
from tests.features.logs import (
    SHAPES,
    VIEWS,
    Log,
    differences,
    expected_frame,
    plain_lists,
    random_log,
)


@dataclass(frozen=True)
class ServedBefore(Log):
    """A log of which some rows were served in one or two times before their commit."""

    @property
    def table(self):
        spans = [
            [{"since": since, "until": until} for since, until in row[SHOWN_BEFORE]] or None
            for row in self.rows
        ]
        kind = pa.list_(pa.struct([("since", pa.int64()), ("until", pa.int64())]))
        return super().table.append_column(SHOWN_BEFORE, pa.array(spans, kind))

    def history(self, name, columns):
        more = ("event_time", "known_at", "committed_at", "_deleted", SHOWN_BEFORE)
        return self.table.select([*columns, *more])


def served_before(seed, mode="recorded"):
    log = random_log(seed)
    times = [(), (), (), ((-12, -3),), ((-30, -20), (-9, -1)), ((-5, 0),)]
    rows = []
    for number, row in enumerate(log.rows):
        late = row["known_at"] + 20 + number % 7
        spans = tuple((late + a, late + b) for a, b in times[number % len(times)])
        rows.append({**row, "committed_at": late if spans else row["committed_at"],
                     SHOWN_BEFORE: spans})  # fmt: skip
    return ServedBefore(tuple(rows), log.spine, mode)


@pytest.mark.parametrize("kernel", ["numpy", "compiled"])
@pytest.mark.parametrize("seed", range(8))
def test_equals_the_oracle(seed, kernel, monkeypatch):
    if kernel == "compiled" and not has_numba():
        pytest.skip("numba is not installed: pip install headrace[fast]")
    monkeypatch.setenv("HEADRACE_KERNEL", kernel)
    monkeypatch.setattr(out_of_core, "_BATCH", 9)
    log = served_before(seed)
    expected = expected_frame(log)
    without = replace(log, rows=tuple({**row, SHOWN_BEFORE: ()} for row in log.rows))
    assert expected != expected_frame(without)
    for memory in (None, 1500):
        frame = training_frame(
            log.spine_table, VIEWS, log.history, SHAPES, "recorded", reasons=True, memory=memory
        )
        assert differences(plain_lists(frame), expected) == []


def test_a_declared_frame_does_not_look_at_them():
    log = served_before(1, "declared")
    frame = training_frame(log.spine_table, VIEWS, log.history, SHAPES, "declared", reasons=True)
    assert differences(plain_lists(frame), expected_frame(log)) == []


def test_an_older_version_counts_while_the_newer_one_is_out():
    older, newer = (0, 7, 10, 99), [(1, 8, 20, 30), (1, 8, 40, 99)]
    assert winners([older, *newer]) == [(7, 10, 20), (8, 20, 30), (7, 30, 40), (8, 40, 99)]


def test_the_first_moment_is_that_of_the_first_showing():
    log = served_before(2)
    known, k = (np.array([row[name] for row in log.rows]) for name in ("known_at", "committed_at"))
    first = first_usable(log.table, known, k)
    for row, moment in zip(log.rows, first.tolist(), strict=True):
        shown = [max(a, row["known_at"]) for a, b in row[SHOWN_BEFORE] if b > row["known_at"]]
        assert moment == min([row["committed_at"], *shown])
