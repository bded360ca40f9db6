"""Visibility of rows that were removed from a table and published again later."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.features.kernel.arrays import Ints, whole

# Column with a row's earlier periods of visibility: list<struct<since, until>>, int64 microseconds
# UTC. `committed_at` is the time at which the row was published again.
SHOWN_BEFORE = "_shown_before"
# (rank among the versions of the key, row, visible from, visible until)
Segment: TypeAlias = tuple[int, int, int, int]


def shown_before(table: pa.Table, known_at: Ints) -> tuple[Ints, Ints, Ints] | None:
    """Return the earlier periods in which rows were usable, as (row numbers, starts, ends).

    None if there are no such periods.
    """
    if SHOWN_BEFORE not in table.column_names:
        return None
    lists = whole(table[SHOWN_BEFORE])
    spans = lists.flatten()
    if not len(spans):
        return None
    rows = np.asarray(pc.list_parent_indices(lists), dtype=np.int64)
    since, until = (np.asarray(spans.field(name), dtype=np.int64) for name in ("since", "until"))
    since = np.maximum(since, known_at[rows])
    nonempty = since < until
    return rows[nonempty], since[nonempty], until[nonempty]


def first_usable(table: pa.Table, known_at: Ints, k: Ints) -> Ints:
    """Return the first time at which each row was usable, including times before republication."""
    earlier = shown_before(table, known_at)
    if earlier is not None:
        k = k.copy()
        np.minimum.at(k, earlier[0], earlier[1])
    return k


def winners(segments: Sequence[Segment]) -> list[tuple[int, int, int]]:
    """Return the periods (row, from, until) in which a version is the greatest of its key.

    `segments` are the periods of visibility of all versions of one key (rule 5).
    """
    ends = sorted({moment for _, _, since, until in segments for moment in (since, until)})
    spans: list[tuple[int, int, int]] = []
    for since, until in pairwise(ends):
        visible = [segment for segment in segments if segment[2] <= since < segment[3]]
        if not visible:
            continue
        row = max(visible)[1]
        if spans and spans[-1][0] == row and spans[-1][2] == since:
            spans[-1] = (row, spans[-1][1], until)
        else:
            spans.append((row, since, until))
    return spans
