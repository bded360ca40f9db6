"""Checks that run for each category of a column, such as each carrier.

    meta: {by: carrier}                                 every carrier must pass
    meta: {by: carrier, min_rows: 50, max_levels: 30}   carriers with fewer rows are ignored

All checks with the same `by` column share one GROUP BY query. A check fails if any category fails
it. The result lists the failing categories with their values; only their rows are quarantined. If
there are more categories than `max_levels`, the check ends in an error and has no result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.core.errors import DeclarationError, HeadraceError
from headrace.core.sql import ident, literal
from headrace.gates.checks.check import Check, Outcome, Scope, once
from headrace.gates.checks.column_context import Columns, Scalar
from headrace.gates.contract_units import format_stored, in_units
from headrace.gates.failing_samples import plain

MAX_LEVELS = 100
_REASON_LEVELS = 5  # maximum number of failing categories that a reason lists
_OBSERVED_LEVELS = 20  # maximum number that the observed value lists


class LevelsError(HeadraceError):
    """A batch has more categories than a check allows."""


@dataclass(frozen=True)
class Slices:
    """Column by whose categories a check is split.

    Categories with fewer than `min_rows` rows are ignored.
    """

    by: str
    min_rows: int = 1
    max_levels: int = MAX_LEVELS

    def document(self) -> dict[str, Any]:
        return {"by": self.by, "min_rows": self.min_rows, "max_levels": self.max_levels}

    def check(self, columns: Columns) -> None:
        """Raise DeclarationError if the column is missing or its type cannot have categories."""
        columns.require(self.by, "string", "boolean", "number")
        if columns.family(self.by) == "number" and not columns.is_integer(self.by):
            raise DeclarationError(
                f"{self.by!r} has floating point values, which cannot be categories",
                fix="slice by a column of text, whole numbers or booleans",
            )


def parse_slices(meta: Mapping[str, Any], where: str) -> Slices | None:
    """Read `by`, `min_rows`, `max_levels` from an expectation's meta; None if there is no `by`."""
    if meta.get("by") is None:
        extra = [key for key in ("min_rows", "max_levels") if key in meta]
        if extra:
            raise DeclarationError(
                f"{extra[0]} without by", where=where, fix="name the column, as in by: carrier"
            )
        return None
    if not isinstance(meta["by"], str):
        raise DeclarationError(f"by is {meta['by']!r}", where=where, fix="write one column's name")
    return Slices(
        meta["by"],
        _count(meta, "min_rows", 1, where),
        _count(meta, "max_levels", MAX_LEVELS, where),
    )


def _count(meta: Mapping[str, Any], key: str, default: int, where: str) -> int:
    value = meta.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DeclarationError(f"{key} is {value!r}", where=where, fix="write a whole number")
    return value


@dataclass(frozen=True)
class CategoryCheck:
    """Check of a whole batch, which is to be split by category."""

    check: Check
    scope: Scope
    slices: Slices
    scale: int = 0  # decimal digits of the column of categories


def sliced(parts: Sequence[CategoryCheck]) -> list[Check]:
    """Split checks by category; all parts must have the same `by` column."""
    texts = dict.fromkeys(
        text for part in parts for text in (part.scope.count(), *part.check.aggregates)
    )
    names = {text: f"a{number}" for number, text in enumerate(texts)}
    by = ident(parts[0].slices.by)
    max_levels = max(part.slices.max_levels for part in parts)
    selected = ", ".join(f"{text} AS {name}" for text, name in names.items())
    packed = ", ".join(f"{name} := {name}" for name in names.values())
    levels = (
        f"SELECT {by} AS level, {selected} FROM batch"  # noqa: S608
        f" GROUP BY {by} ORDER BY level LIMIT {max_levels + 1}"
    )
    query = once(f"SELECT list(struct_pack(level := level, {packed})) FROM ({levels})")  # noqa: S608
    return [_by_level(part, query, names) for part in parts]


def _by_level(part: CategoryCheck, query: str, names: Mapping[str, str]) -> Check:
    check, by, slices = part.check, part.slices.by, part.slices
    count = names[part.scope.count()]
    aggregate_names = [names[text] for text in check.aggregates]

    def read(values: Sequence[Any]) -> Outcome:
        levels = values[0] or []
        if len(levels) > slices.max_levels:
            raise LevelsError(
                f"{by} has more than {slices.max_levels} levels in this batch; "
                "raise max_levels, or slice by another column"
            )
        counted = [level for level in levels if level[count] >= slices.min_rows]
        outcomes = [
            (row["level"], check.read([row[name] for name in aggregate_names])) for row in counted
        ]
        return _together(outcomes, by, part.scale)

    minimum = f" with at least {slices.min_rows} rows" if slices.min_rows > 1 else ""
    return Check(
        columns=(*check.columns, by),
        expected=f"for each {by}{minimum}, {check.expected}",
        aggregates=(query,),
        read=read,
        failing=check.failing,
    )


def _together(outcomes: Sequence[tuple[Scalar, Outcome]], by: str, scale: int) -> Outcome:
    failed = [(level, outcome) for level, outcome in outcomes if not outcome.success]
    reasons = [
        f"{_level(level, scale)}: {outcome.reason}" for level, outcome in failed[:_REASON_LEVELS]
    ]
    rest = f"; and {len(failed) - _REASON_LEVELS} more" if len(failed) > _REASON_LEVELS else ""
    return Outcome(
        not failed,
        observed=[
            {"level": in_units(level, scale), "value": _value(outcome)}
            for level, outcome in failed[:_OBSERVED_LEVELS]
        ]
        or None,
        elements=_sum([outcome.elements for _, outcome in outcomes]),
        missing=_sum([outcome.missing for _, outcome in outcomes]),
        unexpected=_sum(
            [o.unexpected if not o.success else o.unexpected and 0 for _, o in outcomes]
        ),
        reason=f"{len(failed)} of {len(outcomes)} levels of {by} fail: {'; '.join(reasons)}{rest}",
        only=_among([level for level, _ in failed], by),
    )


def _value(outcome: Outcome) -> Scalar:
    """Return the observed value of a category, or its number of failing rows if it has none."""
    return plain(outcome.unexpected if outcome.observed is None else outcome.observed)


def _level(level: Scalar, scale: int) -> str:
    return "null" if level is None else format_stored(level, scale)


def _sum(counts: Sequence[int | None]) -> int | None:
    present = [count for count in counts if count is not None]
    return sum(present) if present else None


def _among(levels: Sequence[Scalar], by: str) -> str:
    """Return a SQL predicate of the rows in these categories; empty if there are none."""
    literals = ", ".join(literal(level) for level in levels if level is not None)
    tests = [f"{ident(by)} IN ({literals})"] if literals else []
    tests += [f"{ident(by)} IS NULL"] if None in levels else []
    return f"({' OR '.join(tests)})" if tests else ""
