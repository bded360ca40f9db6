"""Compiled check: its SQL aggregates, a reader of their values, and a predicate of failing rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from headrace.core.sql import ident

if TYPE_CHECKING:
    from headrace.gates.checks.bounds import Bounds


@dataclass(frozen=True)
class Outcome:
    """Outcome of a check on one batch.

    Attributes:
        success: True if the check passes.
        observed: the observed value, for checks that compute one.
        elements: number of examined rows. This and the other counts are None if they do not apply.
        missing: number of nulls among the examined rows.
        unexpected: number of failing rows; for a check of distinct values, of failing values.
        reason: description of the failure.
        only: SQL predicate that limits the failing rows; a check by category sets it to the
            failing categories.
    """

    success: bool
    observed: Any = None
    elements: int | None = None
    missing: int | None = None
    unexpected: int | None = None
    reason: str = ""
    only: str = ""


_COUNT = ("count(CASE WHEN ", " THEN 1 END)")


def count_where(condition: str) -> str:
    """Return an aggregate that counts the rows for which `condition` is true.

    `count(*) FILTER` costs twice as much, because it splits every chunk by its condition;
    `count_if` returns null instead of 0 if there are no rows.
    """
    return f"{_COUNT[0]}{condition}{_COUNT[1]}"


def condition_of(aggregate: str) -> str:
    """Return the condition of an aggregate from `count_where`; empty for any other aggregate."""
    first, last = _COUNT
    matches = aggregate.startswith(first) and aggregate.endswith(last)
    return aggregate.removeprefix(first).removesuffix(last) if matches else ""


@dataclass(frozen=True)
class Scope:
    """Rows that a check examines, and the share of these rows that must pass.

    `where` is a SQL predicate, empty for all rows; `words` describes it.
    """

    where: str = ""
    words: str = ""
    mostly: float = 1.0

    def only(self, predicate: str = "") -> str:
        """Combine `predicate` with `where` by AND; empty if both are empty."""
        return " AND ".join(part for part in (self.where, predicate) if part)

    def count(self, predicate: str = "") -> str:
        """Return an aggregate that counts the rows in scope that satisfy `predicate`."""
        condition = self.only(predicate)
        return count_where(condition) if condition else "count(*)"

    def aggregate(self, call: str) -> str:
        return f"{call} FILTER (WHERE {self.where})" if self.where else call


Reader = Callable[[Sequence[Any]], Outcome]


@dataclass(frozen=True)
class Check:
    """One expectation, compiled for one schema.

    Attributes:
        columns: the examined columns; samples of failing rows show them.
        expected: the expectation in words: 'distance is between 15 and 5000'.
        aggregates: SQL aggregates over the batch; an aggregate that several checks share is
            computed once.
        read: function from the aggregates' values, in order, to the outcome.
        failing: SQL predicate of the failing rows; empty if no single row fails the check.
        among: SQL predicate of the rows to which `repeated` or `median_of` applies; empty for all.
        repeated: columns whose combination of values must be unique; a second query finds the
            failing rows.
        median_of: the column, if the only aggregate is its median.
        safe: limits by column; None instead of limits means that no value is null. If all columns
            satisfy this, no row fails and the last aggregate is 0. Empty if column statistics
            cannot prove that no row fails.
    """

    columns: tuple[str, ...]
    expected: str
    aggregates: tuple[str, ...]
    read: Reader
    failing: str = ""
    among: str = ""
    repeated: tuple[str, ...] = ()
    median_of: str = ""
    safe: Mapping[str, "Bounds | None"] = field(default_factory=dict)

    def narrowed(self, outcome: Outcome) -> "Check":
        """Return the check with its failing rows limited by the outcome's `only` predicate."""
        if not (outcome.only and self.failing):
            return self
        return replace(self, failing=f"({self.failing}) AND {outcome.only}")

    def failing_rows(self) -> str:
        """Return a query over `batch` that selects the `_row` of each failing row, ascending."""
        if not self.repeated:
            return f"SELECT _row FROM batch WHERE {self.failing} ORDER BY _row"  # noqa: S608
        keys = ", ".join(ident(name) for name in self.repeated)
        return (
            f"SELECT _row FROM (SELECT _row, count(*) OVER (PARTITION BY {keys}) AS _times"  # noqa: S608
            f" FROM batch WHERE {self.among or 'TRUE'}) WHERE _times > 1 ORDER BY _row"
        )


def once(query: str) -> str:
    """Wrap a scalar query over `batch` in an aggregate; it is null for an empty batch."""
    return f"any_value(({query}))"


def enough(considered: int, unexpected: int, mostly: float) -> bool:
    """Return True if the share `mostly` of rows passes, or if there are no rows.

    The formula is that of Great Expectations, so that both round alike.
    """
    return considered == 0 or (considered - unexpected) / considered >= mostly
