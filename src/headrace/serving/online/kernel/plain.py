"""Kernel in plain Python: the reference and the fallback for the compiled kernel.

It reads every leaf and uses no tiles.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

from headrace.serving.online import entity_records
from headrace.serving.online.kernel import exact_rounding
from headrace.serving.online.kernel.answers import Row
from headrace.serving.online.layout import (
    AGE,
    FLAGS,
    IS_FLOAT,
    LIMIT,
    MASK1,
    MASK2,
    OP,
    OPS,
    SCALE,
    VALID_MASK,
    VALID_WORD,
    VALUE,
    WORD1,
    WORD2,
    A,
    B,
    Call,
    E,
    K,
    X,
)
from headrace.serving.online.stores.port import Reader

DEFAULT = object()
_NAMES = {number: name for name, number in reversed(OPS.items())}
Record = list[int]


class Plain:
    """Answerer in plain Python: same results as the compiled kernel, but milliseconds per call."""

    def __call__(
        self, reader: Reader, call: Call, entities: Sequence[bytes], moments: Sequence[int]
    ) -> list[Row]:
        return [
            _answer(call, _records(reader, call.root + entity), t)
            for entity, t in zip(entities, moments, strict=True)
        ]


def _records(reader: Reader, root: bytes) -> list[Record]:
    """Return all records of an entity, in event order."""
    blob = reader.get(root)
    if blob is None:
        return []
    if not entity_records.is_directory(blob):
        return _leaf(blob)
    starts = entity_records.read_directory(blob)[entity_records.START].tolist()
    leaves = reader.get_many([entity_records.leaf_key(root, start) for start in starts])
    return [record for leaf in leaves if leaf is not None for record in _leaf(leaf)]


def _leaf(blob: bytes) -> list[Record]:
    records: list[Record] = entity_records.read_leaf(blob).tolist()
    return records


def _answer(call: Call, records: list[Record], t: int) -> Row:
    if not records:
        return call.empty
    visible = [record for record in records if record[K] <= t < record[X]]
    values = [_feature(line, visible, t) for line in call.program.tolist()]
    return [
        default if value is DEFAULT else value
        for value, default in zip(values, call.empty, strict=True)
    ]


def _feature(line: list[int], visible: list[Record], t: int) -> Any:  # noqa: ANN401 - any value
    name = _NAMES[line[OP]]
    if name == "state":
        inside = [record for record in visible if record[E] <= t]
    else:
        inside = [record for record in visible if t + line[A] <= record[E] < t + line[B]]
        if len(inside) > line[LIMIT]:  # rule 16: null, whatever the default
            return None
    passing = [record for record in inside if _passes(record, line)]
    if name in {"first", "last", "state"}:
        return _single(line, passing, t, first=name == "first")
    if name == "rows":
        return len(passing)
    values = [_value(record[line[VALUE]], line) for record in passing]
    return _COMPUTE[name](values, line[SCALE])


def _passes(record: Record, line: list[int]) -> bool:
    filters = ((line[WORD1], line[MASK1]), (line[WORD2], line[MASK2]))
    return all(record[FLAGS + word] & mask == mask for word, mask in filters)


def _value(word: int, line: list[int]) -> Any:  # noqa: ANN401 - int or float
    return struct.unpack("<d", struct.pack("<q", word))[0] if line[IS_FLOAT] else word


def _single(line: list[int], passing: list[Record], t: int, *, first: bool) -> Any:  # noqa: ANN401
    if not passing:
        return DEFAULT
    winner = passing[0 if first else -1]
    if _NAMES[line[OP]] == "state" and 0 <= line[AGE] < t - winner[E]:
        return DEFAULT
    if not winner[FLAGS + line[VALID_WORD]] & line[VALID_MASK]:
        return None
    return _in_unit(_value(winner[line[VALUE]], line), line[SCALE])


def _in_unit(value: Any, scale: int) -> Any:  # noqa: ANN401 - int or float
    return value if scale < 0 else float(value) / float(10**scale)


def _std(values: list[int], scale: int) -> Any:  # noqa: ANN401 - float or NOTHING
    if len(values) < 2:
        return DEFAULT
    squares = [sum(value * value for value in values)]
    return exact_rounding.std(len(values), sum(values), squares, max(scale, 0))


_COMPUTE: dict[str, Callable[[list[Any], int], Any]] = {
    "distinct": lambda values, _: len(set(values)),
    "sum": lambda values, scale: _in_unit(sum(values), scale) if values else DEFAULT,
    "min": lambda values, scale: _in_unit(min(values), scale) if values else DEFAULT,
    "max": lambda values, scale: _in_unit(max(values), scale) if values else DEFAULT,
    "mean": lambda v, scale: exact_rounding.mean(len(v), sum(v), max(scale, 0)) if v else DEFAULT,
    "std": _std,
}
