"""Which training rows a model learns from: all of them, or without those that no longer hold."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.clock import iso

Segment = tuple[tuple[str, str], ...]

OTHER = "other"  # how evidence calls all levels of a text that have no segment of their own


@dataclass(frozen=True)
class Recipe:
    """How a retraining learns. Moments are microseconds UTC.

    Attributes:
        name: what people call it.
        after: rows predicted before this are not learned from.
        since: of the `segment`, rows predicted before this are not learned from: the relation
            between features and label was another one.
        segment: (column, value as text) pairs that all hold; () is every row.
        rounds: trees to grow; None to stop by the valid split.
        with_valid: learn from the valid rows too, once they have chosen recipe and rounds.
    """

    name: str
    after: int | None = None
    since: int | None = None
    segment: Segment = ()
    rounds: int | None = None
    with_valid: bool = False

    def form(self) -> dict[str, Any]:
        return {**asdict(self), "segment": [list(pair) for pair in self.segment]}

    @property
    def says(self) -> str:
        told = [self.name]
        if self.after is not None:
            told.append(f"rows from {iso(self.after)} on")
        if self.since is not None:
            where = " and ".join(f"{column} {value}" for column, value in self.segment)
            told.append(f"without rows{' of ' + where if where else ''} before {iso(self.since)}")
        return ", ".join(told)

    def rows(self, table: pa.Table) -> pa.Table:
        """Those rows of `table` (with `t` and the columns of the segment) that are learned from."""
        kept = self.keeps(table)
        return table if kept.all() else table.filter(pa.array(kept))

    def keeps(self, table: pa.Table) -> "np.typing.NDArray[np.bool_]":
        """Of each row of `table`, whether it is learned from."""
        t = table.column("t").cast(pa.int64()).to_numpy()
        kept = np.ones(len(t), np.bool_)
        if self.after is not None:
            kept &= t >= self.after
        if self.since is not None:
            kept &= (t >= self.since) | ~in_segment(table, self.segment)
        return kept


def in_segment(table: pa.Table, segment: Segment) -> "np.typing.NDArray[np.bool_]":
    """Which rows have all values of the segment, as evidence writes them.

    Values are compared as text; of numbers `below 3`, `3 to 5` (without 5) and `from 5` are ranges,
    to the six digits that are written, and `missing` is null or NaN.
    """
    found = np.ones(table.num_rows, np.bool_)
    for column, value in segment:
        values = table.column(column)
        if pa.types.is_boolean(values.type):  # a segment of numbers, too
            values = values.cast(pa.int8())
        if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            found &= _in_range(values.cast(pa.float64(), safe=False).to_numpy(), value)
        elif value == "missing":
            found &= values.is_null().to_numpy()
        else:
            texts = values.cast(pa.string())
            found &= pa.compute.equal(texts, value).fill_null(False).to_numpy()
    return found


def _in_range(values: "np.typing.NDArray[np.float64]", text: str) -> "np.typing.NDArray[np.bool_]":
    first, _, rest = text.partition(" ")
    low, between, high = text.partition(" to ")
    found: np.typing.NDArray[np.bool_]
    if text in {"missing", "any"}:
        found = np.isnan(values) == (text == "missing")
    elif first == "below":
        found = values < float(rest)
    elif first == "from":
        found = values >= float(rest)
    elif between:
        found = (values >= float(low)) & (values < float(high))
    else:
        try:
            found = values == float(text)
        except ValueError:  # a level of text, of a column that holds numbers by now
            found = np.zeros(len(values), np.bool_)
    return found


def candidates(
    as_of: int,
    *,
    onset: int | None = None,
    segment: Segment = (),
    history: int | None = None,
    recent: int | None = None,
) -> list[Recipe]:
    """What a retraining as of a moment may try; the plainest first.

    `onset` and `segment` are from when on, and where, the relation is held to be another one;
    `history` and `recent` are durations in microseconds. A segment of all `other` levels is none
    that rows could be told to be of: which levels were frequent, rows do not say.
    """
    after = None if history is None else as_of - history
    found = [Recipe("all", after)]
    told = bool(segment) and all(value != OTHER for _, value in segment)
    if onset is not None and told:
        found.append(Recipe("since in the segment", after, onset, segment))
    if onset is not None:
        found.append(Recipe("since", after, onset))
    if recent is not None and (history is None or recent < history):
        found.append(Recipe("recent", as_of - recent))
    return found
