"""Compiled check: the aggregates it needs, how to read them, and which rows fail."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from headrace.core.sql import ident

if TYPE_CHECKING:
    from headrace.gates.checks.bounds import Bounds


@dataclass(frozen=True)
class Outcome:
    """Outcome of a check. `reason` describes a failure in words.

    `elements` counts the examined rows, `missing` the nulls among them, `unexpected` the failing
    rows (of a distinct-values check: the failing values); None if a count does not apply. `only` is
    a predicate that narrows the failing rows: of a check by level, to the failing levels.
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

    `count(*) FILTER` would split every chunk by its condition, at twice the cost; `count_if` is
    null if there are no rows.
    """
    return f"{_COUNT[0]}{condition}{_COUNT[1]}"


def condition_of(aggregate: str) -> str:
    """Return the condition of an aggregate from `count_where`; empty for any other aggregate."""
    first, last = _COUNT
    matches = aggregate.startswith(first) and aggregate.endswith(last)
    return aggregate.removeprefix(first).removesuffix(last) if matches else ""


@dataclass(frozen=True)
class Scope:
    """Rows that a check examines, and the share of them that must pass."""

    where: str = ""
    words: str = ""
    mostly: float = 1.0

    def only(self, predicate: str = "") -> str:
        """Return `predicate` within the scope; empty if that is every row."""
        return " AND ".join(part for part in (self.where, predicate) if part)

    def count(self, predicate: str = "") -> str:
        """Return an aggregate that counts the rows in scope for which `predicate` is true."""
        condition = self.only(predicate)
        return count_where(condition) if condition else "count(*)"

    def aggregate(self, call: str) -> str:
        return f"{call} FILTER (WHERE {self.where})" if self.where else call


Reader = Callable[[Sequence[Any]], Outcome]


@dataclass(frozen=True)
class Check:
    """One expectation over one schema.

    Attributes:
        columns: the examined columns, shown in samples.
        expected: the expectation in words: 'distance is between 15 and 5000'.
        aggregates: SQL aggregates over the batch; equal texts are computed once for all checks.
        read: maps the aggregates' values, in order, to the outcome.
        failing: predicate of the failing rows; empty if there is none.
        among: predicate of the rows that `repeated` or `median_of` examines; empty for all.
        repeated: columns whose combination may occur once; the failing rows need a second query.
        median_of: the column whose median is the only aggregate.
        safe: columns and limits: if all values are within them (None: if there are no nulls), no
            row fails, and the last aggregate is 0. Empty if that cannot be known in advance.
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
        """Return the check with its failing rows narrowed to those of an outcome."""
        if not (outcome.only and self.failing):
            return self
        return replace(self, failing=f"({self.failing}) AND {outcome.only}")

    def failing_rows(self) -> str:
        """Return a query over `batch` for the `_row` numbers of the failing rows, ascending."""
        if not self.repeated:
            return f"SELECT _row FROM batch WHERE {self.failing} ORDER BY _row"  # noqa: S608
        keys = ", ".join(ident(name) for name in self.repeated)
        return (
            f"SELECT _row FROM (SELECT _row, count(*) OVER (PARTITION BY {keys}) AS _times"  # noqa: S608
            f" FROM batch WHERE {self.among or 'TRUE'}) WHERE _times > 1 ORDER BY _row"
        )


def once(query: str) -> str:
    """Return an aggregate with the one value of a query over `batch`; null for an empty batch."""
    return f"any_value(({query}))"


def enough(considered: int, unexpected: int, mostly: float) -> bool:
    """Return True if enough rows pass, computed as in the reference; no rows are a pass."""
    return considered == 0 or (considered - unexpected) / considered >= mostly
