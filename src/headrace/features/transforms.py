"""Application of row transforms, and the test that each result depends on one row (rule 23)."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.clock import MINUTE, parse_iso
from headrace.core.errors import DeclarationError, HeadraceError
from headrace.features.kernel.arrays import plain_floats
from headrace.features.purity import outside_reads
from headrace.features.spec import RowTransform

TYPES = {
    "int64": pa.int64(),
    "float64": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
_ROWS = 61
_MANY = 20_011  # greater than any row count that a transform is likely to treat specially
_EARLY, _LATE = parse_iso("1950-01-01"), parse_iso("2100-01-01")


def passed_on(name: str, column: str, dtype: str) -> RowTransform:
    """Declare a spine column as a feature."""
    return RowTransform(name, (column,), _same, dtype)


def ratio(name: str, top: str, bottom: str) -> RowTransform:
    """Declare `top` / `bottom` as a float64 feature; null if `bottom` is 0 or either is null."""
    return RowTransform(name, (top, bottom), _ratio, "float64")


def _same(column: pa.Array) -> pa.Array:
    return column


def _ratio(top: pa.Array, bottom: pa.Array) -> pa.Array:
    below = pc.cast(bottom, pa.float64(), safe=False)
    below = pc.if_else(pc.equal(below, 0.0), pa.scalar(None, pa.float64()), below)
    return pc.divide(pc.cast(top, pa.float64(), safe=False), below)


def output_type(transform: RowTransform) -> pa.DataType:
    if transform.dtype not in TYPES:
        raise DeclarationError(
            f"{transform.dtype!r} is not a type",
            where=f"row transform {transform.name}",
            fix=f"use one of: {', '.join(TYPES)}",
        )
    return TYPES[transform.dtype]


def apply(transform: RowTransform, columns: Sequence[pa.Array]) -> pa.Array:
    """Compute the transform's column; NaN becomes null, -0 becomes +0.

    Raises:
        HeadraceError: the transform raises, or its result has another type or length than declared.
    """
    try:
        return _applied(transform, columns)
    except HeadraceError:
        raise
    except Exception as error:
        raise HeadraceError(
            f"it raises {type(error).__name__}: {error}",
            where=f"row transform {transform.name}",
            fix="let it return null for values that it cannot handle",
        ) from error


def _applied(transform: RowTransform, columns: Sequence[pa.Array]) -> pa.Array:
    result = transform.fn(*columns)
    if isinstance(result, pa.ChunkedArray):
        result = result.combine_chunks()
    expected = output_type(transform)
    rows = len(columns[0])
    if not isinstance(result, pa.Array) or result.type != expected or len(result) != rows:
        actual = f"{result.type}[{len(result)}]" if isinstance(result, pa.Array) else type(result)
        raise DeclarationError(
            f"expected {expected}[{rows}], got {actual}",
            where=f"row transform {transform.name}",
            fix="return one Arrow array of the declared dtype with one value per row",
        )
    return plain_floats(result) if pa.types.is_float64(expected) else result


def prove_row_local(transform: RowTransform, types: Sequence[pa.DataType]) -> None:
    """Raise DeclarationError if a row's value depends on other rows, their order or their number.

    The transform is run on random rows of the input types, with nulls and extremes: each row must
    give the same value alone, with a few other rows, and with thousands. Such a test cannot detect
    that the code reads something else, such as today's date, so the code is searched for impure
    calls.
    """
    if reads := outside_reads(transform.fn):
        raise DeclarationError(
            f"its value depends on more than the row: it reads {', '.join(reads)}",
            where=f"row transform {transform.name}",
            fix="compute it from the row's own values, such as the spine's t or a timestamp column",
        )
    probes = [_probe(kind, seed) for seed, kind in enumerate(types)]
    together = _attempt(transform, probes, "all rows")
    _expect(transform, _attempt(transform, probes, "twice"), together, "is not deterministic")
    single_rows = [
        _attempt(transform, [p.slice(i, 1) for p in probes], "one row") for i in range(_ROWS)
    ]
    _expect(transform, pa.concat_arrays(single_rows), together, "depends on the batch size")
    order = list(range(_ROWS))
    random.Random(0).shuffle(order)  # noqa: S311
    for rows, why in (
        (order, "depends on the order"),
        ([*order[::3], 5, 5], "depends on other rows"),
    ):
        picked = [probe.take(pa.array(rows)) for probe in probes]
        expected = together.take(pa.array(rows))
        _expect(transform, _attempt(transform, picked, why), expected, why)
    many = pa.array(random.Random(1).choices(range(_ROWS), k=_MANY))  # noqa: S311
    crowd = _attempt(transform, [probe.take(many) for probe in probes], "many rows")
    _expect(transform, crowd, together.take(many), f"depends on the batch size: {_MANY} rows")
    empty = _attempt(transform, [probe.slice(0, 0) for probe in probes], "no rows")
    _expect(transform, empty, together.slice(0, 0), "differs if there are no rows")


def _attempt(transform: RowTransform, probes: list[pa.Array], what: str) -> pa.Array:
    try:
        return _applied(transform, probes)
    except DeclarationError:
        raise
    except Exception as error:
        raise DeclarationError(
            f"it raises {type(error).__name__} on {what}: {error}",
            where=f"row transform {transform.name}",
            fix="return a value or null for every value of the inputs, including null",
        ) from error


def _expect(transform: RowTransform, actual: pa.Array, expected: pa.Array, why: str) -> None:
    if not actual.equals(expected):
        raise DeclarationError(
            f"its value {why}",
            where=f"row transform {transform.name}",
            fix="use elementwise functions of the row's own values; for other rows, declare an "
            "aggregate in a view, or a fitted transform of the model",
        )


def _probe(kind: pa.DataType, seed: int) -> pa.Array:
    chance = random.Random(seed)  # noqa: S311
    make: Mapping[str, Callable[[], Any]] = {
        "int64": lambda: chance.choice([0, 1, -1, chance.randrange(-3000, 3000), 10**9]),
        "double": lambda: chance.choice([0.0, -0.0, chance.uniform(-1e3, 1e3), 1e12, 0.1]),
        "string": lambda: chance.choice(["", "a", "JFK", "ÅØ", chance.choice("xyz") * 3]),
        "bool": lambda: chance.random() < 0.5,
    }
    draw = make.get(str(kind), lambda: chance.randrange(_EARLY // MINUTE, _LATE // MINUTE) * MINUTE)
    return pa.array([None if chance.random() < 0.15 else draw() for _ in range(_ROWS)], type=kind)
