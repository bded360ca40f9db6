"""Checks of text columns with few distinct values, run once per value instead of once per row.

If a column has a million rows but three hundred distinct towns, a check evaluates three hundred
values.
"""

from collections.abc import Iterable, Iterator

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.sql import ident, literal
from headrace.gates.checks.check import condition_of
from headrace.gates.parquet.batch import ParquetBatch
from headrace.gates.plan import Plan

_MOST_LISTED, _LONG = 1000, 8
_BYTES = 2  # per value: a column with at most a few thousand distinct short texts needs fewer


def few_valued(metadata: pq.FileMetaData, schema: pa.Schema) -> list[str]:
    """Return the text columns that, by the file's metadata, have few distinct values."""
    if metadata.num_columns != len(schema) or not metadata.num_rows:
        return []
    texts = [(n, f.name) for n, f in enumerate(schema) if pa.types.is_string(f.type)]
    return [name for number, name in texts if all(_few(c) for c in _chunks(metadata, number))]


def _chunks(metadata: pq.FileMetaData, number: int) -> Iterator[pq.ColumnChunkMetaData]:
    for group in range(metadata.num_row_groups):
        yield metadata.row_group(group).column(number)


def _few(chunk: pq.ColumnChunkMetaData) -> bool:
    limit = _BYTES * chunk.num_values + 1024
    return bool(chunk.has_dictionary_page and chunk.total_uncompressed_size <= limit)


def by_value(plan: Plan, name: str) -> dict[str, str]:
    """Return the aggregates that can be computed from value counts.

    Maps each aggregate's SQL text to an expression over the values of column `name` and `_count`.
    """
    weights = {}
    for rule in plan.rules:
        if rule.kind == "expectation" and rule.check is not None and rule.columns == (name,):
            other_columns = [ident(other) for other in plan.columns if other != name]
            for text in rule.check.aggregates:
                weighted = _weighted(text, ident(name))
                if weighted and not any(other in text for other in other_columns):
                    weights[text] = weighted
    return weights


def _weighted(text: str, name: str) -> str:
    if text == f"count({name})":
        return f"coalesce(sum(_count) FILTER (WHERE {name} IS NOT NULL), 0)::BIGINT"
    if text.startswith((f"count(DISTINCT {name})", f"list(DISTINCT {name}::")):
        return text
    condition = condition_of(text)
    return f"coalesce(sum(_count) FILTER (WHERE {condition}), 0)::BIGINT" if condition else ""


def counted(plan: Plan, name: str, expressions: Iterable[str]) -> str:
    """Return a query that evaluates expressions over a column's distinct values and `_count`."""
    value = ident(name)
    return (
        f"{plan.batch} SELECT {', '.join(expressions)}"  # noqa: S608
        f" FROM (SELECT {value}, count(*) AS _count FROM batch GROUP BY {value})"
    )


def failing_values(batch: ParquetBatch, plan: Plan, name: str, failing: str) -> str:
    """Return a predicate `name IN (values for which failing is true)`; empty if not possible."""
    value = ident(name)
    query = (
        f"{plan.batch} SELECT {value} FROM (SELECT DISTINCT {value} FROM batch)"  # noqa: S608
        f" WHERE {failing} LIMIT {_MOST_LISTED + 1}"
    )
    try:
        values = [row[0] for row in batch.connection.execute(query).fetchall()]
    except duckdb.Error:
        return ""  # the predicate needs other columns too
    if not values or len(values) > _MOST_LISTED:
        return ""
    listed = [literal(text) for text in values if text is not None]
    # DuckDB searches a long IN list linearly for each row; a subquery becomes a hash join.
    rows = f"SELECT * FROM (VALUES {', '.join(f'({text})' for text in listed)})"  # noqa: S608
    within = [f"{value} IN ({', '.join(listed) if len(listed) < _LONG else rows})"]
    return " OR ".join([*within[: len(listed)], *([f"{value} IS NULL"] if None in values else [])])
