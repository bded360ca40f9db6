"""Conversion of Arrow columns to numpy arrays, and of keys to integers in the same order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.core import compute
from headrace.core.errors import HeadraceError

Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Numbers: TypeAlias = NDArray[np.int64] | NDArray[np.float64]

# Greatest absolute value of a time. Adding a window to such a time cannot overflow int64.
FURTHEST = 2**62
NEVER = np.iinfo(np.int64).max
_WIDE = 2**62
_LOOK_UP_TABLE = 2**22


@dataclass(frozen=True)
class Values:
    """Numeric column as int64 or float64, with 0 for null; `valid` is None if it has no nulls."""

    data: Numbers
    valid: Bools | None


def whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """The column as one array."""
    array = column
    if isinstance(column, pa.ChunkedArray):
        array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    return array


def values_of(column: pa.ChunkedArray | pa.Array) -> Values:
    """Numbers of an int64, timestamp or float64 column."""
    array = whole(column)
    if pa.types.is_float64(array.type):
        array = plain_floats(array)
    if pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    valid = None if array.null_count == 0 else bools(array.is_valid())
    return Values(np.asarray(array.fill_null(0) if valid is not None else array), valid)


def _is_microseconds(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind)) and kind.unit == "us"


def plain_floats(array: pa.Array) -> pa.Array:
    """float64 as features see it: NaN is null, -0 is +0 (rule 14)."""
    if pc.any(pc.is_nan(array)).as_py():
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, pa.float64()), array)
    return pc.add(array, 0.0)


def bools(column: pa.ChunkedArray | pa.Array) -> Bools:
    """Null counts as false."""
    array = whole(column)
    filled = array.fill_null(False) if array.null_count else array
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=np.bool_)


def expect_columns(table: pa.Table, names: Sequence[str], where: str) -> None:
    """Raise HeadraceError if the table lacks one of the columns."""
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise HeadraceError(
            f"there is no column {missing[0]!r}; there are {', '.join(table.column_names)}",
            where=where,
            fix="rows need the requested columns, event_time and known_at (committed_at in "
            "recorded mode); a spine needs t",
        )


def expect_table(rows: object, where: str) -> None:
    """Raise HeadraceError if the rows are not an Arrow table (but a pandas DataFrame, say)."""
    if not isinstance(rows, pa.Table):
        kind = f"{type(rows).__module__.partition('.')[0]} {type(rows).__name__}"
        raise HeadraceError(
            f"it is a {kind}, not a pyarrow.Table",
            where=where,
            fix="convert a DataFrame: pa.Table.from_pandas(frame, preserve_index=False)",
        )


# Times between 1973 and 2286, counted from 1970 in each unit. Microseconds have 15 or 16 digits.
_UNITS = (("seconds", 10**8, 10**10), ("milliseconds", 10**11, 10**13),
          ("nanoseconds", 10**17, 10**19))  # fmt: skip
_MICROSECONDS = (10**14, 10**16)


def expect_one_unit(t: Ints, e: Ints, where: str) -> None:
    """Raise HeadraceError if int64 times are evidently not in microseconds.

    That is the case if the times of one side (spine or rows) are between 1973 and 2286 when read as
    microseconds, and those of the other side are when read in another unit.
    """
    if not (t.size and e.size):
        return
    spine_range, event_range = (int(t.min()), int(t.max())), (int(e.min()), int(e.max()))
    for unit, first, end in _UNITS:
        sides = (
            ("t of the spine", spine_range, event_range),
            ("event_time", event_range, spine_range),
        )
        for side, moments, other_moments in sides:
            if _within(moments, first, end) and _within(other_moments, *_MICROSECONDS):
                raise HeadraceError(
                    f"{side} looks like {unit}: from {moments[0]} to {moments[1]}",
                    where=where,
                    fix="times are int64 microseconds UTC, or timestamp[us]",
                )


def _within(ends: tuple[int, int], first: int, end: int) -> bool:
    return first <= ends[0] and ends[1] < end


def times(table: pa.Table, name: str, where: str) -> Ints:
    """Return a column of times as int64 microseconds.

    Raises:
        HeadraceError: the column has another type, nulls, or times too far from 1970 (rule 4).
    """
    expect_columns(table, [name], where)
    kind = table.schema.field(name).type
    if not (pa.types.is_integer(kind) or pa.types.is_null(kind) or _is_microseconds(kind)):
        raise HeadraceError(
            f"{name} is {kind}",
            where=where,
            fix="give int64 microseconds UTC or timestamp[us]; round finer times down for "
            "event_time and up for known_at",
        )
    values = values_of(table[name])
    if values.valid is not None:
        row = int(np.flatnonzero(~values.valid)[0])
        raise HeadraceError(
            f"{name} is null in row {row}",
            where=where,
            fix="such rows belong in quarantine: check that the table was published by the gate",
        )
    data = np.asarray(values.data, dtype=np.int64)
    if data.size and (int(data.min()) < -FURTHEST or int(data.max()) > FURTHEST):
        raise HeadraceError(
            f"{name} is more than 146,000 years from 1970",
            where=where,
            fix="times are int64 microseconds; look for a wrong unit in the contract",
        )
    return data


def ranks(column: pa.ChunkedArray | pa.Array) -> tuple[Ints, int]:
    """Return integers from 0 in the order of the values, and an upper bound of these integers.

    Text is ordered by its UTF-8 bytes. Null ranks below all values. The bound is exclusive.
    """
    array = whole(column)
    if pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    if pa.types.is_int64(array.type) and array.null_count == 0 and len(array):
        data = np.asarray(array)
        low, high = int(data.min()), int(data.max())
        if high - low < 2 * len(data) + 1024:
            return data - low, high - low + 1
    encoded = array.dictionary_encode()
    codes = np.asarray(encoded.indices.fill_null(-1), dtype=np.int64)
    count = len(encoded.dictionary)
    order = np.empty(count + 1, dtype=np.int64)
    order[np.asarray(pc.sort_indices(encoded.dictionary))] = np.arange(1, count + 1)
    order[count] = 0  # null, whose code is -1
    return order[codes], count + 1


def key_ranks(columns: list[pa.ChunkedArray]) -> Ints:
    """Return an integer for each row; the integers compare like the composite keys of the rows."""
    if len(columns) == 1 and pa.types.is_int64(columns[0].type) and not columns[0].null_count:
        return np.asarray(whole(columns[0]))
    codes, size = ranks(columns[0])
    for column in columns[1:]:
        part_ranks, count = ranks(column)
        if size * count >= _WIDE:
            codes, size = dense(codes)
        codes, size = codes * count + part_ranks, size * count
    return codes


def dense(codes: Ints) -> tuple[Ints, int]:
    """Renumber codes from 0 without gaps, in the same order; return them and their number."""
    distinct, codes = np.unique(codes, return_inverse=True)
    return codes.astype(np.int64), len(distinct)


class Numbering:
    """Numbers from 0 for the distinct entities of a spine; -1 for null and for other entities."""

    def __init__(self, columns: list[pa.ChunkedArray]) -> None:
        self._parts: list[pa.Array] = []
        self._wide: list[Ints] = []
        codes = np.zeros(len(columns[0]), dtype=np.int64)
        size = 1
        for column in columns:
            encoded = whole(column).dictionary_encode()
            part = np.asarray(encoded.indices.fill_null(-1), dtype=np.int64)
            self._parts.append(encoded.dictionary)
            if len(columns) == 1:  # the dictionary codes already number the entities
                self.codes, self.size = part, len(encoded.dictionary)
                return
            mixed = _mix(codes, part, len(encoded.dictionary))
            present = _present(mixed, size * len(encoded.dictionary))
            self._wide.append(present)
            codes, size = _renumber(mixed, present), len(present)
        self.codes, self.size = codes, size

    def of(self, columns: list[pa.ChunkedArray]) -> Ints:
        """Return the numbers of another table's entities, given the corresponding columns."""
        if len(columns) == 1:
            return _positions_in(columns[0], self._parts[0])
        codes = np.zeros(len(columns[0]), dtype=np.int64)
        for column, dictionary, present in zip(columns, self._parts, self._wide, strict=True):
            codes = _renumber(
                _mix(codes, _positions_in(column, dictionary), len(dictionary)), present
            )
        return codes

    def group(self, codes: Ints) -> tuple[Ints, Ints]:
        """Return the rows with code >= 0 ordered by code and row, and the start of each code."""
        if compute.compiled(len(codes)):
            from headrace.features.kernel import compiled

            order, starts = compiled.group(codes, self.size)
            return order, starts
        order = stable_order(codes + 1, self.size + 1)
        order = order[int(np.count_nonzero(codes < 0)) :]
        return order, np.searchsorted(codes[order], np.arange(self.size + 1))


def _positions_in(column: pa.ChunkedArray, dictionary: pa.Array) -> Ints:
    """Return the position of each value in `dictionary`; -1 for other values and null."""
    array = whole(column)
    if array.type != dictionary.type:
        dictionary = _alike(dictionary, array.type)
    positions = pc.index_in(array, value_set=dictionary, skip_nulls=True).fill_null(-1)
    return np.asarray(positions, dtype=np.int64)


def _alike(dictionary: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cast the spine's values to the table's type; raise if the types are not of the same kind."""
    if pa.types.is_null(dictionary.type):
        return dictionary.cast(kind)
    same_kind = any(alike(dictionary.type) and alike(kind) for alike in _KINDS)
    try:
        if same_kind:
            return dictionary.cast(kind)
    except pa.ArrowInvalid:  # a number out of range, or a timestamp that would lose digits
        pass
    raise HeadraceError(
        f"an entity column is {dictionary.type} in the spine and {kind} in its table",
        where="a training frame",
        fix="convert the spine's column to the table's type",
    )


_KINDS: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_integer,
    pa.types.is_timestamp,
    pa.types.is_floating,
    lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
)


def _mix(codes: Ints, part: Ints, count: int) -> Ints:
    mixed = codes * count + part
    mixed[(codes < 0) | (part < 0)] = -1
    return mixed


def _present(mixed: Ints, size: int) -> Ints:
    """Return the codes that occur, ascending; -1 is skipped."""
    if size <= _LOOK_UP_TABLE:
        occurs = np.zeros(size, dtype=np.bool_)
        occurs[mixed[mixed >= 0]] = True
        return np.flatnonzero(occurs)
    distinct = np.unique(mixed)
    return distinct[distinct >= 0]


def _renumber(mixed: Ints, present: Ints) -> Ints:
    if not present.size:
        return np.full(len(mixed), -1, dtype=np.int64)
    top = int(present[-1])
    if top < _LOOK_UP_TABLE:
        table = np.full(top + 2, -1, dtype=np.int64)  # the last element, for code -1, stays -1
        table[present] = np.arange(len(present))
        return table[np.minimum(mixed, top + 1)]
    spot = np.searchsorted(present, mixed)
    is_present = present[np.minimum(spot, len(present) - 1)] == mixed
    return np.where(is_present, spot, -1)


def stable_order(codes: Ints, size: int) -> Ints:
    """Return row numbers ordered by code and row; codes below 2**16 are radix sorted."""
    if size < 2**16:
        return np.argsort(codes.astype(np.uint16), kind="stable")
    return np.argsort(codes, kind="stable")
