"""Reliable facts about a file's columns from its Parquet footer.

These statistics are used; everything else is computed from the data:

- A statistic is used only if the file's writer is known to exclude NaN from minimum and maximum,
  and if every row group has it.
- Integers and timestamps in microseconds: the number of nulls, the exact minimum and maximum.
- Floats: minimum and maximum as limits only, because a writer may write -0.0 for 0.0. They are not
  used if one is NaN. The number of nulls is not used, because NaN counts as null here but not in
  the footer.
- Text and booleans: the number of nulls. Minimum and maximum of text may be truncated.
- Files with nested columns: nothing.
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
_EXACT_IN_FLOAT = 2**53  # DuckDB compares an integer and a float as floats


@dataclass(frozen=True)
class FooterFacts:
    """Facts about one column.

    `low` and `high` enclose every non-null value; both are None if unknown. If `exact`, they are
    the minimum and maximum. `nulls` is None if unknown.
    """

    family: str
    nulls: int | None = None
    low: Any = None
    high: Any = None
    exact: bool = False

    def guarantees(self, bounds: Bounds | None) -> bool:
        """Return True if the facts prove that all values are within `bounds`.

        With `bounds=None`, return True if they prove that there are no nulls.
        """
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
        enclosing = Bounds(limits[0], limits[1], bounds.strict_low, bounds.strict_high)
        return enclosing.hold(self.low) and enclosing.hold(self.high)


def column_facts(metadata: pq.FileMetaData, schema: pa.Schema) -> dict[str, FooterFacts]:
    """Return facts by column name; empty if the footer is not reliable."""
    written_by = str(metadata.created_by or "")
    if not written_by.startswith(_WRITERS) or metadata.num_columns != len(schema):
        return {}
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    facts = {}
    for place, field in enumerate(schema):
        chunks = [group.column(place) for group in groups]
        if all(chunk.path_in_schema == field.name for chunk in chunks):
            facts[field.name] = _facts(field.type, [chunk.statistics for chunk in chunks], chunks)
    return facts


def _facts(kind: pa.DataType, statistics: Sequence[Any], chunks: Sequence[Any]) -> FooterFacts:
    family = family_of(kind)
    if any(s is None for s in statistics):
        return FooterFacts(family)
    floating = pa.types.is_floating(kind)
    nulls = None
    if not floating and all(s.has_null_count for s in statistics):
        nulls = sum(s.null_count for s in statistics)
    if not (floating or pa.types.is_signed_integer(kind) or kind == pa.timestamp("us", "UTC")):
        return FooterFacts(family, nulls)
    pairs = list(_extremes(statistics, chunks))
    values = [value for pair in pairs if pair is not None for value in pair]
    if None in pairs or not values or any(math.isnan(value) for value in values):
        return FooterFacts(family, nulls)
    return FooterFacts(family, nulls, min(values), max(values), exact=not floating)


def _extremes(statistics: Sequence[Any], chunks: Sequence[Any]) -> Iterator[tuple[Any, Any] | None]:
    """Yield (minimum, maximum) of each row group; None if the footer lacks them.

    Row groups that hold only nulls are skipped.
    """
    for figures, chunk in zip(statistics, chunks, strict=True):
        if figures.has_null_count and figures.null_count == chunk.num_values:
            continue
        yield (figures.min_raw, figures.max_raw) if figures.has_min_max else None


def known_aggregates(plan: Plan, rows: int, facts: Mapping[str, FooterFacts]) -> dict[str, Any]:
    """Return the values, by SQL text, of the plan's aggregates that need no scan."""
    computed: dict[str, Any] = {"count(*)": rows}
    for name, fact in facts.items():
        computed |= dict(_of_column(ident(name), fact, rows))
    checks = [rule.check for rule in plan.rules if rule.check is not None]
    computed |= {text: 0 for check in checks for text in _none_failing(check, facts)}
    return {text: computed[text] for text in plan.aggregates if text in computed}


def _of_column(name: str, fact: FooterFacts, rows: int) -> Iterator[tuple[str, Any]]:
    if fact.nulls is not None:
        yield f"count({name})", rows - fact.nulls
        yield count_where(f"{name} IS NULL"), fact.nulls
        yield count_where(f"{name} IS NOT NULL"), rows - fact.nulls
    if fact.exact:
        for call, value in ((f"min({name})", fact.low), (f"max({name})", fact.high)):
            yield (f"epoch_us({call})" if fact.family == "timestamp" else call), value


def without_nulls(text: str, facts: Mapping[str, FooterFacts]) -> str:
    """Replace null tests of columns without nulls by constants.

    SQL with a string literal is not changed, since the literal may contain the text of such a test.
    """
    if "'" in text:
        return text
    for name, fact in facts.items():
        if fact.nulls == 0:
            text = text.replace(f"{ident(name)} IS NOT NULL", "TRUE")
            text = text.replace(f"{ident(name)} IS NULL", "FALSE")
    return text


def _none_failing(check: Check, facts: Mapping[str, FooterFacts]) -> Sequence[str]:
    """Return the aggregate that counts failing rows if the facts prove that no row fails."""
    sure = check.safe and all(
        name in facts and facts[name].guarantees(bounds) for name, bounds in check.safe.items()
    )
    return check.aggregates[-1:] if sure else ()
