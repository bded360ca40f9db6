"""Derived columns, computed in declared order; consecutive SQL columns share one DuckDB query."""

from collections.abc import Iterator
from itertools import groupby

import duckdb
import pyarrow as pa

from headrace.contracts.expressions import Expression, evaluate
from headrace.contracts.model import (
    DELETED,
    Contract,
    Derivation,
    Field,
    LocalTime,
    NextClock,
    Sql,
    WallClock,
)
from headrace.contracts.typed_cells import TypedCells, bounded, normal
from headrace.contracts.wall_clocks import local_time, next_clock, wall_clock

Columns = dict[str, pa.Array]


class DerivationFailed(Exception):  # noqa: N818  (never leaves this package)
    """Failure of a field's expression on one row; `why` is DuckDB's message."""

    def __init__(self, field: str, row: int, why: str) -> None:
        super().__init__(why)
        self.field, self.row, self.why = field, row, why


def derive(contract: Contract, columns: Columns) -> Iterator[tuple[Field, TypedCells]]:
    """Yield each derived column, then event_time, known_at, and `_deleted` if it has a rule.

    Each yielded column is also added to `columns`, so that later expressions can use it.

    Raises DerivationFailed if an expression cannot be evaluated on some row.
    """
    for is_sql, group in groupby(_steps(contract), key=lambda step: isinstance(step[1], Sql)):
        steps = list(group)
        derived = _evaluate_sql(steps, columns) if is_sql else _evaluate_clocks(steps, columns)
        for field, cells in derived:
            bounded(field, cells)
            columns[field.name] = cells.values
            yield field, cells


def _steps(contract: Contract) -> list[tuple[Field, Derivation]]:
    steps = [
        (field, field.derivation) for field in contract.columns if field.derivation is not None
    ]
    for name, rule in (("event_time", contract.event_time), ("known_at", contract.known_at)):
        field = Field(name, "timestamp", None, rule.description, contract.privacy)
        steps.append((field, rule.expression))
    if contract.deleted is not None:
        rule = contract.deleted
        field = Field(DELETED[0], "boolean", None, rule.description, contract.privacy)
        steps.append((field, rule.expression))
    return steps


def _evaluate_clocks(
    steps: list[tuple[Field, Derivation]], columns: Columns
) -> Iterator[tuple[Field, TypedCells]]:
    for field, rule in steps:
        if isinstance(rule, LocalTime):
            yield field, local_time(rule, columns)
        elif isinstance(rule, NextClock):
            yield field, next_clock(rule, columns)
        elif isinstance(rule, WallClock):
            yield field, wall_clock(rule, columns)


def _evaluate_sql(
    steps: list[tuple[Field, Derivation]], columns: Columns
) -> Iterator[tuple[Field, TypedCells]]:
    rules = [(field, rule) for field, rule in steps if isinstance(rule, Sql)]
    expressions = [_expression(field, rule) for field, rule in rules]
    inputs = frozenset[str]().union(*(rule.inputs for _, rule in rules))
    # An expression without inputs still needs one column, which gives the query its row count.
    inputs_ = {n: c for n, c in columns.items() if n in inputs} or dict(
        [next(iter(columns.items()))]
    )
    try:
        table = evaluate(inputs_, expressions)
    except duckdb.Error as error:
        raise _find_failure(inputs_, expressions, error) from error
    for field, _ in rules:
        column = table.column(field.name)
        values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        yield field, normal(values) if pa.types.is_floating(values.type) else TypedCells(values)


def _expression(field: Field, rule: Sql) -> Expression:
    scaled = field.scale is not None  # the expression returns the scaled integer
    return Expression(field.name, rule.expression, "integer" if scaled else field.type)


def _find_failure(
    columns: Columns, expressions: list[Expression], error: duckdb.Error
) -> DerivationFailed:
    """Find the first failing row by bisection, and the first expression that fails on it."""
    start, stop = 0, len(next(iter(columns.values())))
    while stop - start > 1:
        half = (start + stop) // 2
        start, stop = (start, half) if _fails(columns, expressions, start, half) else (half, stop)
    for count in range(1, len(expressions)):
        if _fails(columns, expressions[:count], start, stop):
            return DerivationFailed(expressions[count - 1].name, start, str(error).splitlines()[0])
    return DerivationFailed(expressions[-1].name, start, str(error).splitlines()[0])


def _fails(columns: Columns, expressions: list[Expression], start: int, stop: int) -> bool:
    part = {name: column.slice(start, stop - start) for name, column in columns.items()}
    try:
        evaluate(part, expressions)
    except duckdb.Error:
        return True
    return False
