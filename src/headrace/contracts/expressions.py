"""SQL expressions of contracts, evaluated in DuckDB.

The loader checks that an expression reads one row only and returns the declared type.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from headrace.core.compute import BatchStream, private_engine
from headrace.core.sql import ident

# By logical type: the stored DuckDB type, and the DuckDB types that an expression may return.
_TYPES: dict[str, tuple[str, frozenset[str]]] = {
    "integer": ("BIGINT", frozenset({"BIGINT", "INTEGER", "SMALLINT", "TINYINT", "HUGEINT"})),
    "number": ("DOUBLE", frozenset({"DOUBLE", "FLOAT", "BIGINT", "INTEGER", "DECIMAL"})),
    "string": ("VARCHAR", frozenset({"VARCHAR"})),
    "timestamp": ("TIMESTAMP WITH TIME ZONE", frozenset({"TIMESTAMP WITH TIME ZONE"})),
    "boolean": ("BOOLEAN", frozenset({"BOOLEAN"})),
}
# Functions that use DuckDB's own time-zone data instead of our pinned table.
_ZONED = frozenset({"timezone", "timezone_hour", "timezone_minute", "make_timestamptz"})
# Functions on these types use the session's time zone, so DuckDB declares them unstable since
# 2.0.1. Here they are stable, because our engine sets the time zone of every session to UTC.
_BY_ZONE = frozenset({"TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS"})
_local = threading.local()
MAX_PREPARED = 16  # prepared queries per thread


@dataclass(frozen=True)
class Expression:
    """Column to compute: its name, SQL and logical type."""

    name: str
    sql: str
    type: str

    @property
    def select(self) -> str:
        return f"CAST(({self.sql}) AS {_TYPES[self.type][0]}) AS {ident(self.name)}"


class _PreparedExpressions:
    """Prepared DuckDB query that evaluates expressions over columns of fixed types."""

    def __init__(self, schema: pa.Schema, expressions: Sequence[Expression]) -> None:
        self.stream = BatchStream(schema)
        self.connection = private_engine()
        self.connection.register("given", self.stream)
        selected = ", ".join(expression.select for expression in expressions)
        query = f"PREPARE derived AS SELECT {selected} FROM given"  # noqa: S608
        self.connection.execute(query).fetchall()

    def evaluate(self, table: pa.Table) -> pa.Table:
        self.stream.table = table
        try:
            return self.connection.sql("EXECUTE derived").to_arrow_table()
        finally:
            self.stream.table = None


def evaluate(columns: Mapping[str, pa.Array], expressions: Sequence[Expression]) -> pa.Table:
    """Evaluate the expressions, in order, over the rows of `columns`; one column per expression.

    An expression may use the results of earlier ones. Raises duckdb.Error if an expression fails
    on a row, for example on overflow.
    """
    table = pa.table(dict(columns))
    shelf: OrderedDict[object, _PreparedExpressions] = _local.__dict__.setdefault(
        "shelf", OrderedDict()
    )
    key = (table.schema, tuple(expressions))
    if key not in shelf:
        shelf[key] = _PreparedExpressions(table.schema, expressions)
    shelf.move_to_end(key)
    if len(shelf) > MAX_PREPARED:
        shelf.popitem(last=False)[1].connection.close()
    return shelf[key].evaluate(table)


def inspect(expression: Expression, columns: Mapping[str, pa.DataType]) -> frozenset[str]:
    """Return the columns that `expression` uses; raise ValueError if it is not allowed.

    It must be a single expression over `columns` that returns the declared type and depends only
    on the current row: no subquery, aggregate, window function, current time, random number or
    time-zone conversion.
    """
    tree = _tree(expression.sql)
    inputs = frozenset(_inputs(tree, columns))
    # Not `empty_table()`: it imports pandas, which costs a second at start-up.
    empty = pa.Table.from_batches([], schema=pa.schema(list(columns.items())))
    connection = _connection()
    connection.register("given", empty)
    try:
        query = f"SELECT ({expression.sql}) AS result FROM given"  # noqa: S608
        result_type = str(connection.sql(query).types[0])
    except duckdb.Error as error:
        raise ValueError(str(error).splitlines()[0]) from error
    finally:
        connection.unregister("given")
    if result_type.partition("(")[0] not in _TYPES[expression.type][1]:
        raise ValueError(f"expected a value of type {expression.type}, got {result_type}")
    return inputs


def _tree(sql: str) -> dict[str, Any]:
    """Return the parse tree of one expression."""
    query = _connection().execute("SELECT json_serialize_sql(?)", [f"SELECT ({sql}\n) AS result"])
    parsed = json.loads(query.fetchall()[0][0])
    if parsed["error"]:
        raise ValueError(str(parsed["error_message"]).splitlines()[0])
    node = parsed["statements"][0]["node"]
    single = len(parsed["statements"]) == 1 and len(node.get("select_list", ())) == 1
    if not single or node["from_table"]["type"] != "EMPTY":
        raise ValueError("expected one expression")
    tree: dict[str, Any] = node["select_list"][0]
    return tree


def _inputs(tree: dict[str, Any], columns: Iterable[str]) -> Iterator[str]:
    """Yield the columns in a parse tree; raise ValueError if it uses more than the current row."""
    for node in _nodes(tree):
        if node["class"] in {"SUBQUERY", "WINDOW", "STAR", "PARAMETER", "LAMBDA"}:
            raise ValueError(f"{node['class'].lower()} is not allowed: an expression sees one row")
        if node["class"] == "COLUMN_REF":
            name = ".".join(node["column_names"])
            if name not in columns:
                raise ValueError(f"no column {name!r} is declared before this one")
            yield name
        if node["class"] == "FUNCTION":
            _check_function(node["function_name"].lower())


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        if "class" in tree:
            yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _check_function(name: str) -> None:
    if name in _ZONED:
        raise ValueError(f"{name}() reads unpinned time zones; derive a wall_clock column instead")
    if name == "age":  # with one argument it counts from today, yet DuckDB 2.0.0 declares it stable
        raise ValueError("age() may read the clock; subtract one column from the other")
    kinds = _functions().get(name, frozenset())
    if any(kind == "aggregate" for kind, _ in kinds):
        raise ValueError(f"{name}() sees several rows; an expression sees one")
    if any(stability not in {"CONSISTENT", None} for _, stability in kinds):
        raise ValueError(f"{name}() does not depend on the row alone")


@cache
def _functions() -> dict[str, frozenset[tuple[str, str | None]]]:
    query = """
        SELECT function_name, function_type, stability, parameter_types FROM duckdb_functions()
    """
    return kinds_of(_connection().execute(query).fetchall())


def kinds_of(
    functions: Iterable[tuple[str, str, str | None, Sequence[str]]],
) -> dict[str, frozenset[tuple[str, str | None]]]:
    """Return {function name: {(kind, stability) of each overload}}.

    `stability` is None for overloads that depend on the session's time zone, which is always UTC.
    """
    kinds_by_name: dict[str, set[tuple[str, str | None]]] = {}
    for name, kind, stability, types in functions:
        pinned = not _BY_ZONE.isdisjoint(types)
        kinds_by_name.setdefault(name, set()).add((kind, None if pinned else stability))
    return {name: frozenset(kinds) for name, kinds in kinds_by_name.items()}


def _connection() -> duckdb.DuckDBPyConnection:
    """Return this thread's DuckDB connection for checks while a contract loads."""
    if not hasattr(_local, "connection"):
        _local.connection = private_engine()
    connection: duckdb.DuckDBPyConnection = _local.connection
    return connection
