"""A check asked of each level of a column apart, all such checks of a column in one GROUP BY.

    meta: {by: carrier}                                 every carrier must pass
    meta: {by: carrier, min_rows: 50, max_levels: 30}   carriers with fewer rows are left out

The check fails if any level does, names those with their values, and quarantines rows of failing
levels only. More levels than `max_levels` make it an error: it then has no answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.core.errors import DeclarationError, HeadraceError
from headrace.core.sql import ident, literal
from headrace.gates.checks.check import Check, Outcome, Scope, once
from headrace.gates.checks.column_context import Columns, Scalar
from headrace.gates.failing_samples import plain
from headrace.gates.units import format_stored, in_units

MAX_LEVELS = 100
_TOLD = 5  # levels in a reason
_SHOWN = 20  # levels among the observed values


class LevelsError(HeadraceError):
    """A batch has more levels than a check is meant for."""


@dataclass(frozen=True)
class Slices:
    """By which column a check is split, and which levels count."""

    by: str
    min_rows: int = 1
    max_levels: int = MAX_LEVELS

    def document(self) -> dict[str, Any]:
        return {"by": self.by, "min_rows": self.min_rows, "max_levels": self.max_levels}

    def check(self, columns: Columns) -> None:
        """Raises DeclarationError where the column is not there, or no column of levels."""
        columns.require(self.by, "string", "boolean", "number")
        if columns.family(self.by) == "number" and not columns.is_integer(self.by):
            raise DeclarationError(
                f"{self.by!r} has floating point values, which are no levels",
                fix="slice by a column of text, whole numbers or booleans",
            )


def parse_slices(meta: Mapping[str, Any], where: str) -> Slices | None:
    """The slices of an expectation's meta; None if it has none."""
    if meta.get("by") is None:
        extra = [key for key in ("min_rows", "max_levels") if key in meta]
        if extra:
            raise DeclarationError(
                f"{extra[0]} without by", where=where, fix="say by which column: by: carrier"
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
class Part:
    """A check over a whole batch, to be asked of each level."""

    check: Check
    scope: Scope
    slices: Slices
    scale: int = 0  # of the column of the levels


def sliced(parts: Sequence[Part]) -> list[Check]:
    """The same checks, by level; all of them have the same `by`."""
    texts = dict.fromkeys(
        text for part in parts for text in (part.scope.count(), *part.check.aggregates)
    )
    names = {text: f"a{number}" for number, text in enumerate(texts)}
    by = ident(parts[0].slices.by)
    most = max(part.slices.max_levels for part in parts)
    wanted = ", ".join(f"{text} AS {name}" for text, name in names.items())
    packed = ", ".join(f"{name} := {name}" for name in names.values())
    levels = (
        f"SELECT {by} AS level, {wanted} FROM batch"  # noqa: S608
        f" GROUP BY {by} ORDER BY level LIMIT {most + 1}"
    )
    query = once(f"SELECT list(struct_pack(level := level, {packed})) FROM ({levels})")  # noqa: S608
    return [_by_level(part, query, names) for part in parts]


def _by_level(part: Part, query: str, names: Mapping[str, str]) -> Check:
    check, by, slices = part.check, part.slices.by, part.slices
    count = names[part.scope.count()]
    wanted = [names[text] for text in check.aggregates]

    def read(values: Sequence[Any]) -> Outcome:
        levels = values[0] or []
        if len(levels) > slices.max_levels:
            raise LevelsError(
                f"{by} has more than {slices.max_levels} levels in this batch; "
                "raise max_levels, or slice by another column"
            )
        counted = [level for level in levels if level[count] >= slices.min_rows]
        found = [(one["level"], check.read([one[name] for name in wanted])) for one in counted]
        return _together(found, by, part.scale)

    least = f" with at least {slices.min_rows} rows" if slices.min_rows > 1 else ""
    return Check(
        columns=(*check.columns, by),
        expected=f"for each {by}{least}, {check.expected}",
        aggregates=(query,),
        read=read,
        failing=check.failing,
    )


def _together(found: Sequence[tuple[Scalar, Outcome]], by: str, scale: int) -> Outcome:
    failed = [(level, outcome) for level, outcome in found if not outcome.success]
    told = [f"{_level(level, scale)}: {outcome.reason}" for level, outcome in failed[:_TOLD]]
    more = f"; and {len(failed) - _TOLD} more" if len(failed) > _TOLD else ""
    return Outcome(
        not failed,
        observed=[
            {"level": in_units(level, scale), "value": _value(outcome)}
            for level, outcome in failed[:_SHOWN]
        ]
        or None,
        elements=_sum([outcome.elements for _, outcome in found]),
        missing=_sum([outcome.missing for _, outcome in found]),
        unexpected=_sum([o.unexpected if not o.success else o.unexpected and 0 for _, o in found]),
        reason=f"{len(failed)} of {len(found)} levels of {by} fail: {'; '.join(told)}{more}",
        only=_among([level for level, _ in failed], by),
    )


def _value(outcome: Outcome) -> Scalar:
    """What was observed of a level, or how many of its rows fail."""
    return plain(outcome.unexpected if outcome.observed is None else outcome.observed)


def _level(level: Scalar, scale: int) -> str:
    return "null" if level is None else format_stored(level, scale)


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _among(levels: Sequence[Scalar], by: str) -> str:
    """Predicate of the rows of these levels; empty for none."""
    named = ", ".join(literal(level) for level in levels if level is not None)
    tests = [f"{ident(by)} IN ({named})"] if named else []
    tests += [f"{ident(by)} IS NULL"] if None in levels else []
    return f"({' OR '.join(tests)})" if tests else ""
