"""Profile of a batch: small, mergeable, and enough to compare later batches with.

Counts add, keyed values are last-writer-wins by slot, hashes unite: merging is associative and
commutative, so a window of batches is compared without reading a row again.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.contracts.drift.batch_view import HOUR, BatchView, Floats, Ints, ViewColumn
from headrace.core.errors import StateError
from headrace.sketches import Kind, Sketches, coarsened, of_counts

FORMAT = 2  # 1 had no sketches of coarse columns
MOST_VALUES = 4096  # different values of a column that a profile counts one by one
MOST_HASHES = 20_000  # least row hashes that a profile keeps
MOST_NAMES = 2000
_DIGITS = 3  # of a number, where there are more different ones than that

Array = Any  # a one-dimensional numpy array


@dataclass(frozen=True, eq=False)
class ColumnSummary:
    """Summary of a column: its distinct values in ascending order (float64; text as int64 tokens),
    their counts, and the nulls. `coarse` values are rounded to three digits, and rare texts are
    dropped; `sketch` was made before that.
    """

    values: Array
    counts: Ints
    nulls: int
    coarse: bool = False
    sketch: Sketches | None = None


@dataclass(frozen=True, eq=False)
class KeyedValues:
    """Middle value of one column for each key: hashes ascending, values float64 or tokens."""

    hashes: Ints
    values: Array


@dataclass(frozen=True, eq=False)
class BatchProfile:
    """Profile of one batch.

    Attributes:
        slot: its partition, which orders profiles.
        rows, repeated: rows, and exact duplicates that were dropped.
        columns: a summary for each delivered column.
        keyed: for each column and explaining key ("distance<origin+dest") its values by key.
        hours: rows by hours from the start of the partition, for "event" and "known" time.
        hashes: the least row hashes, ascending.
        names: texts of tokens, for messages.
        marks: fit of the batch to earlier ones: {mark: share}.
    """

    slot: str
    rows: int
    repeated: int
    columns: Mapping[str, ColumnSummary]
    keyed: Mapping[str, KeyedValues]
    hours: Mapping[str, Mapping[int, int]]
    hashes: Ints
    names: Mapping[int, str]
    marks: Mapping[str, float] = field(default_factory=dict)


def profile_of(look: BatchView, slot: str) -> BatchProfile:
    return BatchProfile(
        slot=slot,
        rows=look.rows,
        repeated=look.repeated,
        columns={name: summary(column) for name, column in look.columns.items()},
        keyed={label(f.name, key): _keyed(look, f.name, key) for f, key in explained(look)},
        hours={
            what: hour_counts(moments, look.start)
            for what, moments in (("event", look.event), ("known", look.known_at))
            if moments is not None and look.start is not None
        },
        hashes=np.unique(look.row_hashes)[:MOST_HASHES],
        names={} if len(look.names) > MOST_NAMES else look.names,
    )


def explained(look: BatchView) -> list[tuple[Any, tuple[str, ...]]]:
    """Return (field, key) for each declared explanation whose columns are present."""
    return [
        (f, key)
        for f in look.contract.delivered
        for key in f.explained_by
        if {f.name, *key} <= look.columns.keys()
    ]


def label(column: str, key: tuple[str, ...]) -> str:
    return f"{column}<{'+'.join(key)}"


def summary(column: ViewColumn) -> ColumnSummary:
    present_values = (column.values if column.is_number else column.tokens)[column.present]
    nulls = len(column.present) - len(present_values)
    values, counts = np.unique(present_values, return_counts=True)
    if len(values) <= MOST_VALUES:
        return ColumnSummary(values, counts.astype(np.int64), nulls)
    kind: Kind = "real" if column.is_number else "level"
    sketch = of_counts(kind, values, counts, nulls, {})
    if not column.is_number:  # the most frequent ones tell levels; the rest are names of things
        frequent = np.sort(np.argsort(-counts, kind="stable")[:MOST_VALUES])
        return ColumnSummary(
            values[frequent], counts[frequent].astype(np.int64), nulls, True, sketch
        )
    rounded, where = np.unique(coarse(np.asarray(values, np.float64)), return_inverse=True)
    return ColumnSummary(rounded, np.bincount(where, counts).astype(np.int64), nulls, True, sketch)


def sketches_of(profile: BatchProfile) -> dict[str, Sketches]:
    """Return a sketch of each column, exactly as from the rows; all numbers are real.

    Coarse columns of profiles that were stored in format 1 have none. Texts are counted by prefixes
    if the profile does not know all their names.
    """
    sketches = {}
    for name, summary_ in profile.columns.items():
        if summary_.coarse:
            if summary_.sketch is not None:
                sketches[name] = summary_.sketch
            continue
        kind: Kind = "level" if summary_.values.dtype == np.int64 else "real"
        names = {}
        if kind == "level":
            names_ = profile.names
            names = {key: names_[key] for key in summary_.values.tolist() if key in names_}
        sketch = of_counts(kind, summary_.values, summary_.counts, summary_.nulls, names)
        sketches[name] = (
            sketch if len(names) == len(sketch.cells) or kind == "real" else coarsened(sketch)
        )
    return sketches


def coarse(values: Floats) -> Floats:
    """Round to three significant digits."""
    with np.errstate(divide="ignore"):
        size = np.where(values == 0, 0, np.floor(np.log10(np.abs(values))))
    unit = 10.0 ** (size - (_DIGITS - 1))
    result: Floats = np.rint(values / unit) * unit
    return result


def _keyed(look: BatchView, name: str, key: tuple[str, ...]) -> KeyedValues:
    column = look.columns[name]
    hashes, complete = look.key(key)
    use = complete & column.present
    values = (column.values if column.is_number else column.tokens)[use]
    order = np.lexsort((values, hashes[use]))
    keys, values = hashes[use][order], values[order]
    if not len(keys):
        return KeyedValues(keys, values)
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    ends = np.concatenate([starts[1:], [len(keys)]])
    return KeyedValues(keys[starts], values[(starts + ends - 1) // 2])


def hour_counts(moments: Floats, start: int) -> dict[int, int]:
    present = moments[~np.isnan(moments)]
    hours, counts = np.unique(
        np.floor((present - start) / HOUR).astype(np.int64), return_counts=True
    )
    return dict(zip(hours.tolist(), counts.tolist(), strict=True))


# stored form: a JSON header with the place of each array, then the arrays' bytes; all compressed


def to_bytes(profile: BatchProfile) -> bytes:
    """Serialise the profile; equal profiles are equal bytes."""
    plain = to_plain(profile)
    packed: bytes = _codec().compress(plain, asbytes=True)
    return len(plain).to_bytes(4, "big") + packed


def from_bytes(data: bytes) -> BatchProfile:
    """Read the profile in `data`.

    Raises:
        StateError: it was written by a newer version, or is damaged.
    """
    try:
        plain = _codec().decompress(data[4:], int.from_bytes(data[:4], "big"), asbytes=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise StateError(f"a profile is damaged: {error}", fix="re-validate its batch") from error
    return from_plain(plain)


def _codec() -> pa.Codec:
    return pa.Codec("zstd", compression_level=1)


def to_plain(profile: BatchProfile) -> bytes:
    """Return the stored form before compression."""
    arrays: list[Array] = []

    def add(array: Array) -> list[object]:
        arrays.append(np.ascontiguousarray(array))
        return [array.dtype.str, len(array)]

    header = {
        "format": FORMAT,
        "slot": profile.slot,
        "rows": profile.rows,
        "repeated": profile.repeated,
        "columns": {
            name: [add(s.values), add(s.counts), s.nulls, s.coarse, _put_sketch(s.sketch, add)]
            for name, s in profile.columns.items()
        },
        "keyed": {name: [add(k.hashes), add(k.values)] for name, k in profile.keyed.items()},
        "hours": {what: list(counts.items()) for what, counts in profile.hours.items()},
        "hashes": add(profile.hashes),
        "names": list(profile.names.items()),
        "marks": dict(profile.marks),
    }
    head = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([len(head).to_bytes(4, "big"), head, *(a.tobytes() for a in arrays)])


def from_plain(data: bytes) -> BatchProfile:
    """Read a profile; raise StateError if it was written by a newer version."""
    length = int.from_bytes(data[:4], "big")
    header = json.loads(data[4 : 4 + length])
    if header["format"] > FORMAT:
        raise StateError(
            f"a profile has format {header['format']}, this Headrace reads up to {FORMAT}",
            fix="upgrade headrace",
        )
    place = 4 + length

    def take(spec: list[Any]) -> Array:
        nonlocal place
        kind = np.dtype(spec[0])
        if kind.kind not in "iuf":
            raise StateError(f"a profile holds an array of {kind}", fix="re-validate its batch")
        array = np.frombuffer(data, kind, spec[1], place)
        place += array.nbytes
        return array

    columns = {}
    for name, (values, counts, nulls, is_coarse, *sketched) in header["columns"].items():
        arrays = take(values), take(counts)
        sketch = _take_sketch(sketched[0], take) if sketched and sketched[0] else None
        columns[name] = ColumnSummary(*arrays, nulls, is_coarse, sketch)
    keyed = {name: KeyedValues(take(h), take(v)) for name, (h, v) in header["keyed"].items()}
    return BatchProfile(
        slot=header["slot"],
        rows=header["rows"],
        repeated=header["repeated"],
        columns=columns,
        keyed=keyed,
        hours={what: {int(h): int(n) for h, n in pairs} for what, pairs in header["hours"].items()},
        hashes=take(header["hashes"]),
        names={int(key): text for key, text in header["names"]},
        marks=header["marks"],
    )


_OF_SKETCH = ("rows", "nulls", "low", "high", "limbs", "cells", "counts", "registers")


def _put_sketch(sketch: Sketches | None, add: Callable[[Array], list[object]]) -> list[Any] | None:
    """Store a sketch of one partition without names; a coarse column has none."""
    if sketch is None:
        return None
    return [sketch.kind, *(add(getattr(sketch, name).reshape(-1)) for name in _OF_SKETCH)]


def _take_sketch(stored: list[Any], take: Callable[[list[Any]], Array]) -> Sketches:
    kind, *arrays = stored
    fields = dict(zip(_OF_SKETCH, map(take, arrays), strict=True))
    fields["limbs"] = fields["limbs"].reshape(1, 2)
    fields["registers"] = fields["registers"].reshape(1, -1)
    offsets = np.array([0, len(fields["cells"])])
    return Sketches(kind, **fields, offsets=offsets, coarse=np.array([kind == "level"]))
