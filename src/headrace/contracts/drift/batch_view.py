"""View of a batch for drift detection: its delivered columns as numbers and tokens.

A token is an int64 that represents a value: the bits of a number, or a hash of a text. Equal values
have equal tokens in every process and release, so profiles stored years apart can be compared.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, wraps
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.contracts.drift.row_rules import RuleBreaks, broken_rules, delivered_inputs, rules
from headrace.contracts.model import Contract, Field
from headrace.sketches import tokens

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
T = TypeVar("T")
Kind = Literal["number", "clock", "moment", "text"]

MINUTES_A_DAY = 1440
MOST_LEVELS = 400  # distinct texts of a categorical column; with more, it counts as free text
_PROBED, _DISTINCT = 4096, 0.9  # texts looked at for free text, and their least distinct share
HOUR = 3_600_000_000  # microseconds
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class ViewColumn:
    """Delivered column, as arrays with one element per row of the batch.

    `values` are float64: minutes for kind "clock", microseconds for kind "moment", NaN for nulls
    and texts. `tokens` are int64 (0 for nulls), `present` is False for nulls. `names` maps tokens
    to texts; it is empty for columns with more than `MOST_LEVELS` distinct texts.
    """

    name: str
    kind: Kind
    values: Floats
    tokens: Ints
    present: Bools
    names: Mapping[int, str] = field(default_factory=dict)

    @property
    def is_number(self) -> bool:
        return self.kind != "text"


@dataclass(frozen=True, eq=False)
class BatchView:
    """View of a batch; `arrays` are the delivered columns in their contract types.

    Attributes:
        start: midnight of the partition, in microseconds; None for tables delivered as snapshots.
        event, known_at: event time and known-at as float64 microseconds, in the local time of the
            partitions' time zone; None if they were not derived.
        derived: the derived columns; empty where they could not be computed.
        repeated: number of exact duplicates that were dropped.
        untyped: delivered columns with cells that do not parse as their type; detection ignores
            these columns (the contract rejects the batch anyway).
        lines: line number of each row in the delivery, int64.
    """

    contract: Contract
    arrays: Mapping[str, pa.Array]
    lines: Ints
    start: int | None = None
    event: Floats | None = None
    known_at: Floats | None = None
    derived: Mapping[str, pa.Array] = field(default_factory=dict)
    repeated: int = 0
    untyped: frozenset[str] = frozenset()

    @property
    def rows(self) -> int:
        return len(self.lines)

    @cached_property
    def columns(self) -> dict[str, ViewColumn]:
        return {
            f.name: column_of(f, self.arrays[f.name])
            for f in self.contract.delivered
            if f.name in self.arrays and f.name not in self.untyped
        }

    @cached_property
    def ruled(self) -> RuleBreaks:
        """Evaluate relations and invariants over the rows."""
        arrays = {**self.derived, **self.arrays}
        return broken_rules(self.contract, arrays, self.rows, self.untyped)

    @property
    def broken(self) -> Mapping[str, Bools]:
        """Return {relation or invariant: mask of the rows that break it}, if it is computable."""
        return self.ruled.rows

    @cached_property
    def rule_inputs(self) -> dict[str, frozenset[str]]:
        """Return the delivered columns on which each relation and invariant depends."""
        return {
            name: delivered_inputs(self.contract, inputs)
            for name, (_, inputs) in rules(self.contract).items()
        }

    @cached_property
    def names(self) -> dict[int, str]:
        """Return {token: text} for the values of categorical columns."""
        texts: dict[int, str] = {}
        for column in self.columns.values():
            texts.update(column.names)
        return texts

    @cached_property
    def results(self) -> dict[Callable[..., Any], Any]:
        """Results of the functions that are computed once for a batch; see `once_a_batch`."""
        return {}

    @cached_property
    def row_hashes(self) -> Ints:
        """Return one hash per row, over all its delivered values."""
        return mixed(list(self.columns.values()), self.rows)

    def key(self, names: tuple[str, ...]) -> tuple[Ints, Bools]:
        """Return one hash per row over the columns `names`, and a mask of rows without a null."""
        columns = [self.columns[name] for name in names]
        complete = np.ones(self.rows, bool)
        for column in columns:
            complete &= column.present
        return mixed(columns, self.rows), complete

    def having(self, **computed: object) -> "BatchView":
        """Set cached properties that were computed elsewhere, and return this view."""
        self.__dict__.update(computed)
        return self

    def with_arrays(
        self,
        changed: Mapping[str, pa.Array],
        **times: Any,  # noqa: ANN401 - fields of a BatchView
    ) -> "BatchView":
        """Return a view with some columns replaced; unchanged columns are not converted again."""
        other = replace(self, arrays={**self.arrays, **changed}, **times)
        if "columns" in self.__dict__:
            fresh = {
                f.name: column_of(f, changed[f.name])
                for f in self.contract.delivered
                if f.name in changed and f.name not in self.untyped
            }
            other.__dict__["columns"] = {**self.columns, **fresh}
        return other


def once_a_batch(function: Callable[[BatchView], T]) -> Callable[[BatchView], T]:
    """Compute a function of a batch once. Several detectors use its result; none may change it."""

    @wraps(function)
    def stored(look: BatchView) -> T:
        if function not in look.results:
            look.results[function] = function(look)
        result: T = look.results[function]
        return result

    return stored


def column_of(field_: Field, array: pa.Array) -> ViewColumn:
    present = ~np.asarray(array.is_null())
    if field_.type in {"string", "boolean"}:
        tokens, names = _text_tokens(_text(array))
        return ViewColumn(
            field_.name, "text", np.broadcast_to(np.nan, len(array)), tokens, present, names
        )
    values = np.asarray(array.cast(pa.int64())) if pa.types.is_timestamp(array.type) else None
    if values is None:
        values = array.to_numpy(zero_copy_only=False)
    floats = values.astype(np.float64)
    floats[~present] = np.nan
    kind: Kind = "number"
    if field_.type == "timestamp":
        kind = "moment"
    elif field_.unit == "HHMM":
        kind = "clock"
        floats = minutes(floats)
    tokens = (floats + 0.0).view(np.int64)
    tokens[~present] = 0
    return ViewColumn(field_.name, kind, floats, tokens, present)


def minutes(clock: Floats) -> Floats:
    """Convert HHMM clock times to minutes of the day; 2400 becomes 1440."""
    with np.errstate(invalid="ignore"):
        hours = np.floor_divide(clock, 100)
    result: Floats = hours * 60 + (clock - hours * 100)
    return result


def clocks(minute: Floats) -> Floats:
    """Convert minutes of the day to HHMM."""
    hours = np.floor_divide(minute, 60)
    result: Floats = hours * 100 + (minute - hours * 60)
    return result


def _text(array: pa.Array) -> pa.Array:
    return array.cast(pa.string()) if pa.types.is_boolean(array.type) else array


def _text_tokens(array: pa.Array) -> tuple[Ints, dict[int, str]]:
    """Return the token of each text (0 for nulls), and the names of a categorical column."""
    if _is_free_text(array):
        return _each_token(array), {}
    encoded = array.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    level_tokens = np.append(tokens(encoded.dictionary), 0)  # the last one is that of nulls
    codes = encoded.indices.fill_null(len(level_tokens) - 1).to_numpy(zero_copy_only=False)
    names = {}
    if len(encoded.dictionary) <= MOST_LEVELS:
        names = dict(zip(level_tokens.tolist(), encoded.dictionary.to_pylist(), strict=False))
    return level_tokens[codes], names


def _is_free_text(array: pa.Array) -> bool:
    """Return True if nearly all of the first texts differ, so that few need a token only once."""
    first = array.slice(0, _PROBED).drop_null()
    return len(first) > 2 * MOST_LEVELS and len(first.unique()) > _DISTINCT * len(first)


def _each_token(array: pa.Array) -> Ints:
    present = ~np.asarray(array.is_null())
    result = np.zeros(len(array), np.int64)
    result[present] = tokens(array.drop_null())
    return result


def mixed(columns: list[ViewColumn], rows: int) -> Ints:
    """Return one int64 hash per row over the tokens of `columns`, in their order (splitmix64)."""
    state = np.zeros(rows, np.uint64)
    for column in columns:
        state = (state ^ column.tokens.view(np.uint64)) * _MIX + np.uint64(0x632BE59BD9B4E019)
        state ^= state >> np.uint64(29)
        state *= np.uint64(0xBF58476D1CE4E5B9)
        state ^= state >> np.uint64(32)
    result: Ints = state.view(np.int64)
    return result
