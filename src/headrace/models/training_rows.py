"""Selection of training rows: all rows, or without rows from before a change."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.clock import iso

Segment = tuple[tuple[str, str], ...]

OTHER = "other"  # name, in evidence, of the segment of all rare categories together


@dataclass(frozen=True)
class Recipe:
    """Selection of training rows and rounds of a retraining. Times are microseconds UTC.

    Attributes:
        name: display name of the recipe.
        after: rows with an earlier prediction time are excluded.
        since: rows of `segment` with an earlier prediction time are excluded, because the relation
            between features and label was different then.
        segment: (column, value as text) pairs that must all match; () matches every row.
        rounds: number of trees; None for early stopping on the valid split.
        with_valid: also train on the rows of the valid split, on which recipe and rounds were
            chosen before.
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
    def description(self) -> str:
        parts = [self.name]
        if self.after is not None:
            parts.append(f"rows from {iso(self.after)} on")
        if self.since is not None:
            where = " and ".join(f"{column} {value}" for column, value in self.segment)
            parts.append(f"without rows{' of ' + where if where else ''} before {iso(self.since)}")
        return ", ".join(parts)

    def rows(self, table: pa.Table) -> pa.Table:
        """Return the training rows of `table`, which has `t` and the columns of the segment."""
        mask = self.row_mask(table)
        return table if mask.all() else table.filter(pa.array(mask))

    def row_mask(self, table: pa.Table) -> "np.typing.NDArray[np.bool_]":
        """Return a mask of the training rows of `table`."""
        t = table.column("t").cast(pa.int64()).to_numpy()
        mask = np.ones(len(t), np.bool_)
        if self.after is not None:
            mask &= t >= self.after
        if self.since is not None:
            mask &= (t >= self.since) | ~in_segment(table, self.segment)
        return mask


def in_segment(table: pa.Table, segment: Segment) -> "np.typing.NDArray[np.bool_]":
    """Return a mask of the rows that match all values of `segment`, in the notation of evidence.

    Values are compared as text. For numbers, `below 3`, `3 to 5` (5 excluded) and `from 5` are
    ranges with bounds of six digits, and `missing` is null or NaN.
    """
    mask = np.ones(table.num_rows, np.bool_)
    for column, value in segment:
        values = table.column(column)
        if pa.types.is_boolean(values.type):  # segments treat booleans as numbers
            values = values.cast(pa.int8())
        if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            mask &= _in_range(values.cast(pa.float64(), safe=False).to_numpy(), value)
        elif value == "missing":
            mask &= values.is_null().to_numpy()
        else:
            texts = values.cast(pa.string())
            mask &= pa.compute.equal(texts, value).fill_null(False).to_numpy()
    return mask


def _in_range(values: "np.typing.NDArray[np.float64]", text: str) -> "np.typing.NDArray[np.bool_]":
    first, _, rest = text.partition(" ")
    low, between, high = text.partition(" to ")
    mask: np.typing.NDArray[np.bool_]
    if text in {"missing", "any"}:
        mask = np.isnan(values) == (text == "missing")
    elif first == "below":
        mask = values < float(rest)
    elif first == "from":
        mask = values >= float(rest)
    elif between:
        mask = (values >= float(low)) & (values < float(high))
    else:
        try:
            mask = values == float(text)
        except ValueError:  # a text category of a column that now holds numbers
            mask = np.zeros(len(values), np.bool_)
    return mask


def candidates(
    as_of: int,
    *,
    onset: int | None = None,
    segment: Segment = (),
    history: int | None = None,
    recent: int | None = None,
) -> list[Recipe]:
    """Return the recipes to try in a retraining as of `as_of` (microseconds UTC), simplest first.

    `onset` and `segment` say when and in which segment the relation between features and label
    changed; `history` and `recent` are durations in microseconds. A segment `other` gets no recipe
    of its own, because its rows cannot be selected: the frequent categories that it excludes are
    not known here.
    """
    after = None if history is None else as_of - history
    recipes = [Recipe("all", after)]
    has_known_levels = bool(segment) and all(value != OTHER for _, value in segment)
    if onset is not None and has_known_levels:
        recipes.append(Recipe("since in the segment", after, onset, segment))
    if onset is not None:
        recipes.append(Recipe("since", after, onset))
    if recent is not None and (history is None or recent < history):
        recipes.append(Recipe("recent", as_of - recent))
    return recipes
