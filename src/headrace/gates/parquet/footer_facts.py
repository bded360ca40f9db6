"""What a Parquet footer says of a file's columns, where it can be believed.

The rule, by column; what it does not allow is scanned:

- Only footers of writers that are known to leave NaN out of least and greatest values, and only
  where every row group has the figure in question.
- Integers and moments in microseconds: count of nulls, and least and greatest value, which are
  exact.
- Floats: least and greatest value as limits only, for a writer may say -0.0 for 0.0; no count of
  nulls, for NaN counts as null and no footer counts it. A NaN among the figures discards them.
- Text and booleans: count of nulls. Text's least and greatest value may be cut short.
- Nothing of a file with nested columns.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.clock import parse_iso
from headrace.core.sql import ident
from headrace.gates.checks.bounds import Bounds
from headrace.gates.checks.check import Check, count_where
from headrace.gates.checks.column_context import family_of
from headrace.gates.plan import Plan

_WRITERS = ("parquet-cpp", "DuckDB", "Polars", "parquet-rs", "parquet-mr")
_EXACT_IN_FLOAT = 2**53  # the engine compares an integer and a float as floats


@dataclass(frozen=True)
class Facts:
    """Of one column. `low` and `high` enclose every value that is not null; both or none."""

    family: str
    nulls: int | None = None
    low: Any = None
    high: Any = None
    exact: bool = False

    def holds(self, bounds: Bounds | None) -> bool:
        """Whether it is certain that every value lies within; None: that there is no null."""
        if bounds is None:
            return self.nulls == 0
        if self.low is None:
            return False
        limits = [bounds.low, bounds.high]
        if self.family == "timestamp":
            limits = [None if limit is None else parse_iso(limit) for limit in limits]
        compared = [self.low, self.high, *(limit for limit in limits if limit is not None)]
        if any(isinstance(v, float) for v in compared) and any(
            abs(v) > _EXACT_IN_FLOAT for v in compared if not isinstance(v, float)
        ):
            return False
        held = Bounds(limits[0], limits[1], bounds.strict_low, bounds.strict_high)
        return held.hold(self.low) and held.hold(self.high)


def column_facts(metadata: pq.FileMetaData, schema: pa.Schema) -> dict[str, Facts]:
    """By name; a column that nothing is known of is left out."""
    written_by = str(metadata.created_by or "")
    if not written_by.startswith(_WRITERS) or metadata.num_columns != len(schema):
        return {}
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    found = {}
    for place, field in enumerate(schema):
        chunks = [group.column(place) for group in groups]
        if all(chunk.path_in_schema == field.name for chunk in chunks):
            found[field.name] = _facts(field.type, [chunk.statistics for chunk in chunks], chunks)
    return found


def _facts(kind: pa.DataType, statistics: Sequence[Any], chunks: Sequence[Any]) -> Facts:
    family = family_of(kind)
    if any(s is None for s in statistics):
        return Facts(family)
    floating = pa.types.is_floating(kind)
    nulls = None
    if not floating and all(s.has_null_count for s in statistics):
        nulls = sum(s.null_count for s in statistics)
    if not (floating or pa.types.is_signed_integer(kind) or kind == pa.timestamp("us", "UTC")):
        return Facts(family, nulls)
    pairs = list(_extremes(statistics, chunks))
    values = [value for pair in pairs if pair is not None for value in pair]
    if None in pairs or not values or any(math.isnan(value) for value in values):
        return Facts(family, nulls)
    return Facts(family, nulls, min(values), max(values), exact=not floating)


def _extremes(statistics: Sequence[Any], chunks: Sequence[Any]) -> Iterator[tuple[Any, Any] | None]:
    """(least, greatest) of each row group that has values; None where they are not said."""
    for figures, chunk in zip(statistics, chunks, strict=True):
        if figures.has_null_count and figures.null_count == chunk.num_values:
            continue
        yield (figures.min_raw, figures.max_raw) if figures.has_min_max else None


def known_aggregates(plan: Plan, rows: int, facts: Mapping[str, Facts]) -> dict[str, Any]:
    """The plan's aggregates that need no scan, by their text."""
    known: dict[str, Any] = {"count(*)": rows}
    for name, fact in facts.items():
        known |= dict(_of_column(ident(name), fact, rows))
    checks = [rule.check for rule in plan.rules if rule.check is not None]
    known |= {text: 0 for check in checks for text in _none_failing(check, facts)}
    return {text: known[text] for text in plan.aggregates if text in known}


def _of_column(name: str, fact: Facts, rows: int) -> Iterator[tuple[str, Any]]:
    if fact.nulls is not None:
        yield f"count({name})", rows - fact.nulls
        yield count_where(f"{name} IS NULL"), fact.nulls
        yield count_where(f"{name} IS NOT NULL"), rows - fact.nulls
    if fact.exact:
        for call, value in ((f"min({name})", fact.low), (f"max({name})", fact.high)):
            yield (f"epoch_us({call})" if fact.family == "timestamp" else call), value


def without_nulls(text: str, facts: Mapping[str, Facts]) -> str:
    """The same SQL without the tests for null of columns that have none.

    What holds a text, in which such a test may be quoted, is left alone.
    """
    if "'" in text:
        return text
    for name, fact in facts.items():
        if fact.nulls == 0:
            text = text.replace(f"{ident(name)} IS NOT NULL", "TRUE")
            text = text.replace(f"{ident(name)} IS NULL", "FALSE")
    return text


def _none_failing(check: Check, facts: Mapping[str, Facts]) -> Sequence[str]:
    """The aggregate that counts failing rows, if no row can fail."""
    sure = check.safe and all(
        name in facts and facts[name].holds(bounds) for name, bounds in check.safe.items()
    )
    return check.aggregates[-1:] if sure else ()
