"""Earlier visibility of rows that were removed from a table and published again."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.features.kernel.arrays import Ints, whole

# Column of a history with such rows: list<struct<since, until>>, int64 microseconds UTC.
# `committed_at` is the moment the row was published again.
SHOWN_BEFORE = "_shown_before"
# (rank among the versions of the key, row, visible from, visible until)
Segment: TypeAlias = tuple[int, int, int, int]


def shown_before(table: pa.Table, known_at: Ints) -> tuple[Ints, Ints, Ints] | None:
    """Rows, and the spans in which each was usable before it was removed."""
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
    """The first moment at which each row was usable."""
    earlier = shown_before(table, known_at)
    if earlier is not None:
        k = k.copy()
        np.minimum.at(k, earlier[0], earlier[1])
    return k


def winners(segments: Sequence[Segment]) -> list[tuple[int, int, int]]:
    """(row, from, until) of the versions of one key, the greatest at each moment (rule 5)."""
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
