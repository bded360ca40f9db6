"""Sentences that explain how, by how much and where a column no longer follows the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from headrace.monitoring.detectors.column_relations import STEPS, Residuals, Sums, Term, relate
from headrace.monitoring.detectors.measures import Floats, Measure, MeasuredWindow, related_sums

Segment = tuple[tuple[str, str], ...]
_SHARE = (0.03, 0.8)  # a category with a share of rows between these limits can be a segment
_CARRIED = 0.75  # a category with more than this share of the residual is named as the only segment
_SAME_UNIT = 0.25  # slopes this close to 1 mean the same unit


@dataclass(frozen=True)
class Explanation:
    """Departure of a column from its relation, in words, and the segment if only one departs."""

    words: str
    segment: Segment


def explain(
    current: MeasuredWindow,
    column: str,
    measure: Measure,
    terms: Sequence[Term],
    past: Sequence[MeasuredWindow],
) -> Explanation:
    """Explain the largest departure among the terms of `column`."""
    residuals = current.residuals
    assert residuals is not None
    at = _furthest(residuals, column, measure, terms)
    segment = _responsible_segment(current, at, terms, past)
    where = f" at {' '.join(level for _, level in segment)} only" if segment else ""
    return Explanation(f"{_departure_text(residuals, at, terms[at], measure)}{where}", segment)


def _furthest(residuals: Residuals, column: str, measure: Measure, terms: Sequence[Term]) -> int:
    size = {
        "bias": np.abs(residuals.bias),
        "scatter": np.abs(residuals.scatter),
        "scale": np.abs(np.nan_to_num(residuals.slope, nan=1.0) - 1),
    }[measure]
    return max(
        (at for at, term in enumerate(terms) if term.column == column), key=lambda i: size[i]
    )


def _departure_text(residuals: Residuals, at: int, term: Term, measure: Measure) -> str:
    if term.kind == "level":
        direction = "more" if residuals.bias[at] > 0 else "less"
        return f"{term.column} is {term.level!r} {direction} often than the other columns say"
    if term.kind == "null":
        direction = "more" if residuals.bias[at] > 0 else "less"
        return f"{term.column} is missing {direction} often than the other columns say"
    if measure == "scatter":
        times = float(np.exp(residuals.scatter[at] / 2))
        return f"{term.column} scatters {times:.2g} times as far as before around what others say"
    slope = float(residuals.factor[at])
    shift = float(residuals.away[at]) * term.scale
    if np.isnan(slope) or abs(slope - 1) < _SAME_UNIT:
        return f"{term.column} lies {shift:+.3g} from what the other columns say"
    expected = term.centre + term.scale * float(residuals.expected[at])
    offset = expected + shift - slope * expected
    return (
        f"{term.column} moved by one factor (x{slope:.2f} {offset:+.3g}) against the other columns"
    )


def _responsible_segment(
    current: MeasuredWindow, at: int, terms: Sequence[Term], past: Sequence[MeasuredWindow]
) -> Segment:
    """Return the category with most of a term's residual, if there is one, from the sums alone."""
    earlier = related_sums(past)
    if current.facts is None or not earlier:
        return ()
    total = reduce(add, earlier)
    relation = relate(total, terms)
    row = relation.residual[at]
    candidates: list[tuple[float, Segment]] = []
    for column in dict.fromkeys(term.column for term in terms if term.kind == "level"):
        levels = [
            i for i, term in enumerate(terms) if term.column == column and term.kind == "level"
        ]
        parts = [_within(row, relation.mean, current.facts.sums, i) for i in levels]
        before = [_within(row, relation.mean, total, i) for i in levels]
        new = [
            abs(now - then * (count / max(base, 1.0)))
            for (now, count), (then, base) in zip(parts, before, strict=True)
        ]
        total_change = sum(new)
        best = int(np.argmax(new))
        share = parts[best][1] / current.facts.sums.rows
        plain = new[best] > relation.usual[at] * parts[best][1]  # by more than one deviation
        if plain and new[best] > _CARRIED * total_change and _SHARE[0] < share < _SHARE[1]:
            candidates.append((new[best] / total_change, ((column, terms[levels[best]].level),)))
    return max(candidates, default=(0.0, ()))[1]


def _within(row: Floats, mean: Floats, sums: Sums, level: int) -> tuple[float, float]:
    """Return the sum of a term's residuals in the rows of a category, and the number of rows."""
    rows = float(sums.total[level]) / STEPS
    inside = sums.products[level] / STEPS**2
    return float(row @ (inside - mean * rows)), rows
