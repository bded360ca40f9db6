"""In words: how a column left what the others say of it, by how much, and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from headrace.monitoring.detectors.column_relations import STEPS, Residuals, Sums, Term, relate
from headrace.monitoring.detectors.measures import Floats, Measure, Seen, related_sums

Segment = tuple[tuple[str, str], ...]
_SHARE = (0.03, 0.8)  # of the rows, for a level to be a place of its own
_CARRIED = 0.75  # of all that is left over, for a level to be the only place
_SAME = 0.25  # slopes this close to 1 are the same unit


@dataclass(frozen=True)
class Told:
    """A column that left the others: in words, and where alone."""

    words: str
    segment: Segment


def told(
    seen: Seen, column: str, measure: Measure, terms: Sequence[Term], past: Sequence[Seen]
) -> Told:
    """What is to be said about the term of `column` that went furthest."""
    left = seen.residuals
    assert left is not None
    at = _furthest(left, column, measure, terms)
    segment = _place(seen, at, terms, past)
    where = f" at {' '.join(level for _, level in segment)} only" if segment else ""
    return Told(f"{_what(left, at, terms[at], measure)}{where}", segment)


def _furthest(left: Residuals, column: str, measure: Measure, terms: Sequence[Term]) -> int:
    size = {
        "bias": np.abs(left.bias),
        "scatter": np.abs(left.scatter),
        "scale": np.abs(np.nan_to_num(left.slope, nan=1.0) - 1),
    }[measure]
    return max((at for at, one in enumerate(terms) if one.column == column), key=lambda i: size[i])


def _what(left: Residuals, at: int, term: Term, measure: Measure) -> str:
    if term.kind == "level":
        more = "more" if left.bias[at] > 0 else "less"
        return f"{term.column} is {term.level!r} {more} often than the other columns say"
    if term.kind == "null":
        more = "more" if left.bias[at] > 0 else "less"
        return f"{term.column} is missing {more} often than the other columns say"
    if measure == "scatter":
        times = float(np.exp(left.scatter[at] / 2))
        return f"{term.column} scatters {times:.2g} times as far as before around what others say"
    slope = float(left.factor[at])
    shift = float(left.away[at]) * term.scale
    if np.isnan(slope) or abs(slope - 1) < _SAME:
        return f"{term.column} lies {shift:+.3g} from what the other columns say"
    expected = term.centre + term.scale * float(left.expected[at])
    offset = expected + shift - slope * expected
    return (
        f"{term.column} moved by one factor (x{slope:.2f} {offset:+.3g}) against the other columns"
    )


def _place(seen: Seen, at: int, terms: Sequence[Term], past: Sequence[Seen]) -> Segment:
    """The level that carries what is left over of a term, if one does; from the sums alone."""
    earlier = related_sums(past)
    if seen.facts is None or not earlier:
        return ()
    total = reduce(add, earlier)
    relation = relate(total, terms)
    row = relation.residual[at]
    found: list[tuple[float, Segment]] = []
    for column in dict.fromkeys(term.column for term in terms if term.kind == "level"):
        levels = [i for i, one in enumerate(terms) if one.column == column and one.kind == "level"]
        parts = [_within(row, relation.mean, seen.facts.sums, i) for i in levels]
        before = [_within(row, relation.mean, total, i) for i in levels]
        new = [
            abs(now - then * (count / max(base, 1.0)))
            for (now, count), (then, base) in zip(parts, before, strict=True)
        ]
        whole = sum(new)
        best = int(np.argmax(new))
        share = parts[best][1] / seen.facts.sums.rows
        plain = new[best] > relation.usual[at] * parts[best][1]  # by more than one deviation
        if plain and new[best] > _CARRIED * whole and _SHARE[0] < share < _SHARE[1]:
            found.append((new[best] / whole, ((column, terms[levels[best]].level),)))
    return max(found, default=(0.0, ()))[1]


def _within(row: Floats, mean: Floats, sums: Sums, level: int) -> tuple[float, float]:
    """Sum of what is left over of a term in the rows of a level, and how many rows there are."""
    rows = float(sums.total[level]) / STEPS
    inside = sums.products[level] / STEPS**2
    return float(row @ (inside - mean * rows)), rows
