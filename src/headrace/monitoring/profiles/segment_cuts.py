"""Segments of a column: its frequent categories, or ranges of numbers with equal row counts.

They are chosen once, from the first days of a model's answers, and stored with the answers.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DeclarationError
from headrace.models.training_rows import OTHER

Ints = npt.NDArray[np.int64]
Pairs = tuple[tuple[str, str], ...]

RANGES = 8
LEVELS = 16  # categories with a segment of their own; all other categories share one


@dataclass(frozen=True)
class Cut:
    """Segments of one column: `levels` and one for all others, or the ranges of numbers.

    Range i holds `edges[i-1] <= v < edges[i]`. Nulls and NaN are the last segment.
    """

    column: str
    numeric: bool
    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return (len(self.edges) if self.numeric else len(self.levels)) + 2

    @property
    def segments(self) -> list[Pairs]:
        """Segment of each code, in the order of the codes."""
        if self.numeric:
            edges = [f"{edge:.6g}" for edge in self.edges]
            inner = [f"{a} to {b}" for a, b in pairwise(edges)]
            names = [f"below {edges[0]}", *inner, f"from {edges[-1]}"] if edges else ["any"]
        else:
            names = [*self.levels, OTHER]
        return [((self.column, name),) for name in (*names, "missing")]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Cut":
        lists = {name: tuple(value[name]) for name in ("edges", "levels")}
        return cls(value["column"], value["numeric"], **lists)


def cut(name: str, column: pa.ChunkedArray) -> Cut:
    """Choose the segments of a column from its first rows.

    Raises:
        DeclarationError: the column has neither numbers, booleans nor strings.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        counted = pc.value_counts(_text(column).drop_null()).to_pylist()
        order = sorted(counted, key=lambda entry: (-entry["counts"], entry["values"]))
        return Cut(name, numeric=False, levels=tuple(entry["values"] for entry in order[:LEVELS]))
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise DeclarationError(
            f"a column of type {kind} cannot be cut into segments",
            where=f"scores, column {name}",
            fix="leave it out, or derive a number or a string from it",
        )
    values = _numbers(column)
    values = values[np.isfinite(values)]
    edges = np.unique(values)
    if len(edges) > RANGES:
        edges = np.unique(np.quantile(values, np.arange(RANGES) / RANGES, method="lower"))
    return Cut(name, numeric=True, edges=tuple(edges[1:].tolist()))


def codes(column_cut: Cut, column: pa.ChunkedArray) -> Ints:
    """Return the segment code of every row, int64."""
    if column_cut.numeric:
        values = _numbers(column)
        ranges: Ints = np.searchsorted(np.array(column_cut.edges), values, side="right").astype(
            np.int64
        )
        ranges[np.isnan(values)] = column_cut.size - 1
        return ranges
    places = pc.index_in(_text(column), pa.array(column_cut.levels, pa.string()))
    levels: Ints = (
        places.fill_null(len(column_cut.levels)).to_numpy(zero_copy_only=False).astype(np.int64)
    )
    missing = _text(column).is_null().to_numpy(zero_copy_only=False)
    levels[missing] = column_cut.size - 1
    return levels


def segments_of(cuts: Sequence[Cut]) -> tuple[Pairs, ...]:
    return tuple(pairs for column_cut in cuts for pairs in column_cut.segments)


def _text(column: pa.ChunkedArray) -> pa.Array:
    plain = column.combine_chunks().cast(pa.string())
    return pa.concat_arrays(plain.chunks) if isinstance(plain, pa.ChunkedArray) else plain


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values: npt.NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
    return values
