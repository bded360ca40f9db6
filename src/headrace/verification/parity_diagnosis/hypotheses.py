"""The cause of a difference, by hypothesis: the wrong rule that gives what was observed.

A value that two sides disagree on is computed a third time by the oracle, which settles who is
right. The side that is wrong is then recomputed under one named wrong rule after the other. A rule
that gives every observed value, where the sides differ and where they agree, is the cause.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, TypeAlias

from headrace.core.errors import HeadraceError
from headrace.features import oracle
from headrace.features.oracle import Row
from headrace.features.spec import FeatureView, Lookup, Mode
from headrace.features.table_shapes import TableShape

Side: TypeAlias = Literal["serving", "training"]
UNEXPLAINED = "unexplained"
_FAR = 2**62


@dataclass(frozen=True)
class Case:
    """One view at one point, with all that may have made its values.

    Attributes:
        view: what was asked for.
        rows: every version, in the order of arrival, of the keys that can matter.
        shape: of the view's table.
        spine: the entity's columns and `t` (int microseconds).
        mode: of the frame.
        frontier: up to when the serving path had been given the history; microseconds.
        extra: rows that the gate held back.
    """

    view: FeatureView | Lookup
    rows: Sequence[Row]
    shape: TableShape
    spine: Row
    mode: Mode = "declared"
    frontier: int = 2**62
    extra: Sequence[Row] = ()

    @property
    def t(self) -> int:
        return int(self.spine["t"])


@dataclass(frozen=True)
class Observed:
    """What one side gave for a case; `differs`: the other side gave something else."""

    case: Case
    got: Mapping[str, Any]
    differs: bool = True

    @cached_property
    def right(self) -> dict[str, Any]:
        return answer(self.case)


@dataclass(frozen=True)
class Hypothesis:
    """A wrong rule: `answer(case, parameter)` is what it would give.

    `parameters` proposes values of its unknown (a lag, a tile size) for the cases at hand. `close`:
    the rule fixes values only up to the order of float operations, so they are compared as such.
    `limit`: the rule keeps the rows for which this lies below its unknown, which is searched for.
    """

    name: str
    says: str
    answer: Callable[[Case, Any], dict[str, Any]]
    parameters: Callable[[Sequence[Case]], Iterable[Any]] = field(default=lambda _: (None,))
    close: bool = False
    limit: Callable[[Case, Row], int] | None = None


@dataclass(frozen=True)
class Cause:
    """`name` of the wrong rule, whose `side` it is, its parameter, and how many points it made."""

    name: str
    side: Side
    detail: str = ""
    points: int = 0

    def __str__(self) -> str:
        return f"{self.name} ({self.side})" + (f": {self.detail}" if self.detail else "")


def answer(case: Case) -> dict[str, Any]:
    """The oracle's values for a case."""
    one = oracle.lookup_row if isinstance(case.view, Lookup) else oracle.view_row
    found = one(case.view, case.rows, case.shape, case.spine, case.mode)  # type: ignore[arg-type]
    return {name: value for name, (value, _) in found.items()}


def name_cause(
    observed: Sequence[Observed], hypotheses: Sequence[Hypothesis]
) -> tuple[str, str] | None:
    """Name and parameter of the first hypothesis that gives all observed values; None if none."""
    ordered = sorted(observed, key=lambda observed: not observed.differs)
    cases = [one.case for one in ordered]
    for hypothesis in hypotheses:
        proposed = (
            _limits(hypothesis, ordered) if hypothesis.limit else hypothesis.parameters(cases)
        )
        for parameter in dict.fromkeys(proposed):
            if all(_gives(hypothesis, parameter, one) for one in ordered):
                detail = "" if parameter is None else _shown(parameter)
                return hypothesis.name, detail
    return None


def _limits(hypothesis: Hypothesis, observed: Sequence[Observed]) -> list[int]:
    """Values of the unknown that fit the cases, found by narrowing: few cases leave few ranges.

    Between two neighbouring values of `limit` over a case's rows its answer does not change.
    """
    assert hypothesis.limit is not None
    ranges = [(-_FAR, _FAR)]
    for one in observed:
        steps = sorted({hypothesis.limit(one.case, row) for row in one.case.rows})
        kept = []
        for low, high in ranges:
            cuts = [low, *(step for step in steps if low < step < high), high]
            # Rows are kept where limit < unknown: the unknown lies in (cut, next cut].
            kept += [(a, b) for a, b in pairwise(cuts) if _gives(hypothesis, b, one)]
        ranges = kept
        if not ranges:
            break
    return [high for _, high in ranges]


def _gives(hypothesis: Hypothesis, parameter: object, observed: Observed) -> bool:
    try:
        made = hypothesis.answer(observed.case, parameter)
    except HeadraceError:  # the altered case is none that could be: a filter finer than the scale
        return False
    same = close if hypothesis.close else equal
    return all(same(made[name], value) for name, value in observed.got.items())


def equal(one: object, other: object) -> bool:
    """To the bit: 1 is not 1.0, and -0.0 is not 0.0."""
    return repr(one) == repr(other)


def close(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-6)
    return equal(one, other)


def wrong_side(served: Observed, trained: Observed) -> Side | None:
    """Who disagrees with the oracle; None if neither does."""
    for side, one in (("serving", served), ("training", trained)):
        if not all(equal(one.right[name], value) for name, value in one.got.items()):
            return "serving" if side == "serving" else "training"
    return None


def explain(
    pairs: Sequence[tuple[Observed, Observed]], hypotheses: Sequence[Hypothesis]
) -> list[Cause]:
    """Causes of the differences between (served, trained) pairs, each of the same case.

    One cause for everything is looked for first, then one for each view alone.
    """
    causes: list[Cause] = []
    sides: dict[Side, list[Observed]] = {"serving": [], "training": []}
    guilty: dict[Side, bool] = {"serving": False, "training": False}
    for served, trained in pairs:
        sides["serving"].append(served)
        sides["training"].append(trained)
        if served.differs and (side := wrong_side(served, trained)):
            guilty[side] = True
    for side, is_guilty in guilty.items():
        if is_guilty:
            # Where the other side alone is wrong, this one's value is right, and must be explained
            # too: a rule gives the observed bytes everywhere or it is not the rule.
            causes += _explain_side(side, sides[side], hypotheses)
    return causes


def _explain_side(
    side: Side, observed: Sequence[Observed], hypotheses: Sequence[Hypothesis]
) -> list[Cause]:
    if found := name_cause(observed, hypotheses):
        return [Cause(found[0], side, found[1], sum(one.differs for one in observed))]
    causes: dict[tuple[str, str], int] = {}
    for name in dict.fromkeys(one.case.view.name for one in observed if one.differs):
        part = [one for one in observed if one.case.view.name == name]
        key = name_cause(part, hypotheses) or (UNEXPLAINED, f"view {name}")
        causes[key] = causes.get(key, 0) + sum(one.differs for one in part)
    return [Cause(name, side, detail, points) for (name, detail), points in causes.items()]


def _shown(parameter: object) -> str:
    return parameter if isinstance(parameter, str) else repr(parameter)
