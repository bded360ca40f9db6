"""A compiled check: the aggregates it needs, how to read them, and which rows fail."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from headrace.core.sql import ident

if TYPE_CHECKING:
    from headrace.gates.checks.bounds import Bounds


@dataclass(frozen=True)
class Outcome:
    """What a check found. `reason` says it in words if it failed.

    `elements` are the rows looked at, `missing` the nulls among them, `unexpected` the failing rows
    (of a distinct-values check: the failing values); None where that means nothing. `only` narrows
    the failing rows to those that the failure is about: of a check by level, the levels that fail.
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
    """An aggregate: rows for which `condition` is true.

    `count(*) FILTER` would split every chunk by its condition, at twice the cost; `count_if` is
    null where there are no rows.
    """
    return f"{_COUNT[0]}{condition}{_COUNT[1]}"


def condition_of(aggregate: str) -> str:
    """The condition of what `count_where` made; empty of any other aggregate."""
    first, last = _COUNT
    made = aggregate.startswith(first) and aggregate.endswith(last)
    return aggregate.removeprefix(first).removesuffix(last) if made else ""


@dataclass(frozen=True)
class Scope:
    """Which rows a check looks at, and the share of them that must pass."""

    where: str = ""
    words: str = ""
    mostly: float = 1.0

    def only(self, predicate: str = "") -> str:
        """`predicate` within the scope; empty if that is every row."""
        return " AND ".join(part for part in (self.where, predicate) if part)

    def count(self, predicate: str = "") -> str:
        """An aggregate: rows in scope for which `predicate` is true."""
        condition = self.only(predicate)
        return count_where(condition) if condition else "count(*)"

    def aggregate(self, call: str) -> str:
        return f"{call} FILTER (WHERE {self.where})" if self.where else call


Reader = Callable[[Sequence[Any]], Outcome]


@dataclass(frozen=True)
class Check:
    """One expectation over one schema.

    Attributes:
        columns: what it is about, shown in samples.
        expected: the expectation in words: 'distance is between 15 and 5000'.
        aggregates: SQL aggregates over the batch; equal texts are computed once for all checks.
        read: the aggregates' values, in order, to the outcome.
        failing: predicate of the failing rows; empty if it has none.
        among: predicate of the rows that `repeated` or `median_of` is about; empty for all.
        repeated: columns whose combination may occur once; the failing rows need a second query.
        median_of: the column whose median the only aggregate is.
        safe: columns and limits: where all their values lie within (None: where they have no
            nulls), no row fails, and the last aggregate is 0. Empty if that cannot be said.
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
        """The same check with the failing rows that an outcome is about."""
        if not (outcome.only and self.failing):
            return self
        return replace(self, failing=f"({self.failing}) AND {outcome.only}")

    def failing_rows(self) -> str:
        """A query over `batch` with its `_row` numbers: those of the failing rows, ascending."""
        if not self.repeated:
            return f"SELECT _row FROM batch WHERE {self.failing} ORDER BY _row"  # noqa: S608
        keys = ", ".join(ident(name) for name in self.repeated)
        return (
            f"SELECT _row FROM (SELECT _row, count(*) OVER (PARTITION BY {keys}) AS _times"  # noqa: S608
            f" FROM batch WHERE {self.among or 'TRUE'}) WHERE _times > 1 ORDER BY _row"
        )


def once(query: str) -> str:
    """An aggregate: the one value of a query over `batch`; null if the batch is empty."""
    return f"any_value(({query}))"


def enough(considered: int, unexpected: int, mostly: float) -> bool:
    """The share that passes, computed as the reference computes it; nothing to check is a pass."""
    return considered == 0 or (considered - unexpected) / considered >= mostly
