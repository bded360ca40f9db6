"""Rows that were taken out of a table and approved again: when they were visible before."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.features.kernel.arrays import Ints, whole

# A column of a history, where there are such rows: list<struct<since, until>>, int64 microseconds
# UTC. `committed_at` is when the row was approved again.
SHOWN_BEFORE = "_shown_before"
# (rank among the versions of the key, row, visible from, visible until)
Segment: TypeAlias = tuple[int, int, int, int]


def shown_before(table: pa.Table, known: Ints) -> tuple[Ints, Ints, Ints] | None:
    """Rows, and from when until when each was usable before it was taken out."""
    if SHOWN_BEFORE not in table.column_names:
        return None
    lists = whole(table[SHOWN_BEFORE])
    spans = lists.flatten()
    if not len(spans):
        return None
    rows = np.asarray(pc.list_parent_indices(lists), dtype=np.int64)
    since, until = (np.asarray(spans.field(name), dtype=np.int64) for name in ("since", "until"))
    since = np.maximum(since, known[rows])
    some = since < until
    return rows[some], since[some], until[some]


def first_usable(table: pa.Table, known: Ints, k: Ints) -> Ints:
    """The first moment at which each row was usable."""
    earlier = shown_before(table, known)
    if earlier is not None:
        k = k.copy()
        np.minimum.at(k, earlier[0], earlier[1])
    return k


def winners(segments: Sequence[Segment]) -> list[tuple[int, int, int]]:
    """(row, from, until) of the versions of one key, the greatest at each moment (rule 5)."""
    ends = sorted({moment for _, _, since, until in segments for moment in (since, until)})
    found: list[tuple[int, int, int]] = []
    for since, until in pairwise(ends):
        there = [segment for segment in segments if segment[2] <= since < segment[3]]
        if not there:
            continue
        row = max(there)[1]
        if found and found[-1][0] == row and found[-1][2] == since:
            found[-1] = (row, found[-1][1], until)
        else:
            found.append((row, since, until))
    return found
