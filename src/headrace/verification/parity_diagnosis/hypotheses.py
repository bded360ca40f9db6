"""Diagnosis of differences: find the wrong rule that reproduces the observed values.

If serving and training disagree on a value, the oracle computes it and decides which side is wrong.
The values of that side are then recomputed under one named wrong rule after another. The cause is
the first rule that reproduces every value of that side, including those on which the sides agree.
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
class DiagnosisCase:
    """One view at one point, with all rows on which its values may depend.

    Attributes:
        view: the requested view.
        rows: all versions of the relevant keys, in the order of arrival.
        shape: shape of the view's table.
        spine: the entity's columns and `t` (int microseconds UTC).
        mode: mode of the frame.
        frontier: time until which the serving path had the published history; microseconds UTC.
        extra: rows that the gate quarantined.
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
    """Values that one side computed for a case; `differs` is True if the other side disagrees."""

    case: DiagnosisCase
    outputs: Mapping[str, Any]
    differs: bool = True

    @cached_property
    def right(self) -> dict[str, Any]:
        return answer(self.case)


@dataclass(frozen=True)
class Hypothesis:
    """Wrong rule: `answer(case, parameter)` returns the values that the rule computes.

    `parameters` proposes values of the rule's parameter (a lag, a tile size) for the given cases.
    `close`: the rule does not fix the order of float operations, so values are compared with a
    tolerance. `limit`: the rule keeps only rows for which `limit(case, row)` is below the
    parameter, which is then found by search.
    """

    name: str
    description: str
    answer: Callable[[DiagnosisCase, Any], dict[str, Any]]
    parameters: Callable[[Sequence[DiagnosisCase]], Iterable[Any]] = field(
        default=lambda _: (None,)
    )
    close: bool = False
    limit: Callable[[DiagnosisCase, Row], int] | None = None


@dataclass(frozen=True)
class Cause:
    """Cause of differences: the wrong rule, the `side` that follows it, and number of points.

    `detail` is the parameter of the rule as text.
    """

    name: str
    side: Side
    detail: str = ""
    points: int = 0

    def __str__(self) -> str:
        return f"{self.name} ({self.side})" + (f": {self.detail}" if self.detail else "")


def answer(case: DiagnosisCase) -> dict[str, Any]:
    """Return the oracle's values for a case."""
    evaluate = oracle.lookup_row if isinstance(case.view, Lookup) else oracle.view_row
    outputs = evaluate(case.view, case.rows, case.shape, case.spine, case.mode)  # type: ignore[arg-type]
    return {name: value for name, (value, _) in outputs.items()}


def name_cause(
    observed: Sequence[Observed], hypotheses: Sequence[Hypothesis]
) -> tuple[str, str] | None:
    """Return (name, parameter text) of the first hypothesis that reproduces all values, or None."""
    ordered = sorted(observed, key=lambda observed: not observed.differs)
    cases = [observation.case for observation in ordered]
    for hypothesis in hypotheses:
        proposed = (
            _limits(hypothesis, ordered) if hypothesis.limit else hypothesis.parameters(cases)
        )
        for parameter in dict.fromkeys(proposed):
            if all(_reproduces(hypothesis, parameter, observation) for observation in ordered):
                detail = "" if parameter is None else _parameter_text(parameter)
                return hypothesis.name, detail
    return None


def _limits(hypothesis: Hypothesis, observed: Sequence[Observed]) -> list[int]:
    """Return parameters that reproduce all cases, by narrowing the range case by case.

    Between two adjacent values of `limit` over a case's rows, the answer does not change.
    """
    assert hypothesis.limit is not None
    ranges = [(-_FAR, _FAR)]
    for observation in observed:
        steps = sorted({hypothesis.limit(observation.case, row) for row in observation.case.rows})
        narrowed = []
        for low, high in ranges:
            cuts = [low, *(step for step in steps if low < step < high), high]
            # A row is kept if limit < parameter, so all parameters in (cut, next cut] are equal.
            narrowed += [
                (a, b) for a, b in pairwise(cuts) if _reproduces(hypothesis, b, observation)
            ]
        ranges = narrowed
        if not ranges:
            break
    return [high for _, high in ranges]


def _reproduces(hypothesis: Hypothesis, parameter: object, observed: Observed) -> bool:
    try:
        computed = hypothesis.answer(observed.case, parameter)
    except HeadraceError:  # the rule cannot compute it, such as a filter finer than the scale
        return False
    matches = close if hypothesis.close else equal
    return all(matches(computed[name], value) for name, value in observed.outputs.items())


def equal(left: object, right: object) -> bool:
    """Compare to the bit: 1 is not 1.0, and -0.0 is not 0.0."""
    return repr(left) == repr(right)


def close(left: object, right: object) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-6, abs_tol=1e-6)
    return equal(left, right)


def wrong_side(served: Observed, trained: Observed) -> Side | None:
    """Return the side that disagrees with the oracle; None if neither does."""
    for side, observation in (("serving", served), ("training", trained)):
        if not all(
            equal(observation.right[name], value) for name, value in observation.outputs.items()
        ):
            return "serving" if side == "serving" else "training"
    return None


def explain(
    pairs: Sequence[tuple[Observed, Observed]], hypotheses: Sequence[Hypothesis]
) -> list[Cause]:
    """Return the causes of the differences between (served, trained) values of the same cases.

    The search first tries a single cause for all views, then one for each view.
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
            # Pass this side's right values too: a cause must reproduce all values of the side.
            causes += _explain_side(side, sides[side], hypotheses)
    return causes


def _explain_side(
    side: Side, observed: Sequence[Observed], hypotheses: Sequence[Hypothesis]
) -> list[Cause]:
    if cause := name_cause(observed, hypotheses):
        return [
            Cause(cause[0], side, cause[1], sum(observation.differs for observation in observed))
        ]
    causes: dict[tuple[str, str], int] = {}
    for name in dict.fromkeys(
        observation.case.view.name for observation in observed if observation.differs
    ):
        part = [observation for observation in observed if observation.case.view.name == name]
        key = name_cause(part, hypotheses) or (UNEXPLAINED, f"view {name}")
        causes[key] = causes.get(key, 0) + sum(observation.differs for observation in part)
    return [Cause(name, side, detail, points) for (name, detail), points in causes.items()]


def _parameter_text(parameter: object) -> str:
    return parameter if isinstance(parameter, str) else repr(parameter)
