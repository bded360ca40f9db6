"""Texts of few different values: counted by value in the scan, then judged by value.

What a check asks of a million rows of three hundred towns it asks of three hundred rows.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.gates.check import condition_of
from headrace.gates.plan import Plan
from headrace.sql import ident

_BYTES = 2  # a value: with a dictionary of up to some thousand short texts, a file takes less


def few_valued(metadata: pq.FileMetaData, schema: pa.Schema) -> list[str]:
    """Columns of text that the file holds as few different values; which they are is not known."""
    if metadata.num_columns != len(schema) or not metadata.num_rows:
        return []
    texts = [(n, f.name) for n, f in enumerate(schema) if pa.types.is_string(f.type)]
    return [name for number, name in texts if all(_few(c) for c in _chunks(metadata, number))]


def _chunks(metadata: pq.FileMetaData, number: int) -> Iterator[pq.ColumnChunkMetaData]:
    for group in range(metadata.num_row_groups):
        yield metadata.row_group(group).column(number)


def _few(chunk: pq.ColumnChunkMetaData) -> bool:
    most = _BYTES * chunk.num_values + 1024
    return bool(chunk.has_dictionary_page and chunk.total_uncompressed_size <= most)


def by_value(plan: Plan, name: str) -> dict[str, str]:
    """Aggregates that values and their counts suffice for, and how they do."""
    found = {}
    for rule in plan.rules:
        if rule.kind == "expectation" and rule.check is not None and rule.columns == (name,):
            others = [ident(other) for other in plan.columns if other != name]
            for text in rule.check.aggregates:
                weighted = _weighted(text, ident(name))
                if weighted and not any(other in text for other in others):
                    found[text] = weighted
    return found


def _weighted(text: str, name: str) -> str:
    if text == f"count({name})":
        return f"coalesce(sum(_count) FILTER (WHERE {name} IS NOT NULL), 0)::BIGINT"
    if text.startswith((f"count(DISTINCT {name})", f"list(DISTINCT {name}::")):
        return text
    condition = condition_of(text)
    return f"coalesce(sum(_count) FILTER (WHERE {condition}), 0)::BIGINT" if condition else ""


def counted(plan: Plan, name: str, expressions: Iterable[str]) -> str:
    """A query of one row: these expressions over the values of a column and their counts."""
    value = ident(name)
    return (
        f"{plan.batch} SELECT {', '.join(expressions)}"  # noqa: S608
        f" FROM (SELECT {value}, count(*) AS _count FROM batch GROUP BY {value})"
    )
