"""Relations between columns that held in nearly all rows, also in later deliveries.

Candidates are found in a few hundred rows of the first deliveries. Each is then evaluated as SQL,
as drift detection does it, and accepted only if it also holds in the later deliveries and no longer
holds once the rows of one of its columns are shuffled.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations

import duckdb
import numpy as np

from headrace.contracts.drift.unit_conversions import conversions
from headrace.core.sql import ident
from headrace.scaffold.hints.calendar import calendar_relations
from headrace.scaffold.hints.candidate import RelationCandidate
from headrace.scaffold.hints.model import ContractHint, HintEvidence
from headrace.scaffold.hints.sample import Floats, HintColumn, HintSample
from headrace.scaffold.inspection.column_words import words
from headrace.scaffold.inspection.domains import CALENDAR, is_code

LEAST_SHARE = 0.999  # of the rows, in the first and in the later deliveries
_MOST_CHANCE = 0.95  # greatest share of shuffled later rows for which it may hold
_MOST_COLUMNS = 40
_MOST_RELATIONS = 20
_PROBED = 300  # rows in which candidates are looked for
_LEAST_ROWS, _LEAST_PAIRS = 50, 10  # rows, and different values in them, that a relation needs
_LEAST_LATER = 20
_LEAST_VALUES = 3  # different values of each column
_TOLERANCE = 1.01  # of half the last decimal of a rounded value
_EDGE, _AT_EDGE = 0.1, 0.03  # share of rows whose difference is at most 0.1 of the median one
_ORDERS = (
    ("min", "max"), ("low", "high"), ("lowest", "highest"), ("start", "end"), ("begin", "end"),
    ("from", "to"), ("net", "gross"), ("lower", "upper"),
)  # fmt: skip
# The dew point is never above the temperature of the air, and mostly far below.
_DEW_POINT = frozenset({"dewp", "dewpoint", "tdewpoint", "dew"})
_TEMPERATURE = frozenset({"temp", "temperature", "t"})
_ZERO = 0.8  # a column with more zeros is no evidence of a sum


def relations(sample: HintSample) -> Iterator[ContractHint]:
    """Yield the accepted relations, the most specific first: equal, linear, sums, products, order.

    A pair of columns gets one relation, a total one sum or product.
    """
    accepted = 0
    used: set[frozenset[str]] = set()
    for candidate in _candidates(sample):
        if accepted == _MOST_RELATIONS:
            return
        if any(pair <= frozenset(candidate.columns) for pair in used):
            continue
        hint = confirm(sample, candidate)
        if hint is not None:
            used.add(frozenset(candidate.columns))
            accepted += 1
            yield hint


def confirm(sample: HintSample, candidate: RelationCandidate) -> ContractHint | None:
    """Return the hint if the relation holds in both parts of the history, and not by chance."""
    names = candidate.columns
    columns = [sample.columns[name] for name in names]
    try:
        truth = sample.truth(candidate.sql, names)
        shuffled = sample.truth(candidate.sql, names, shuffled=candidate.shuffled or names[0])
    except duckdb.Error:
        return None
    complete = np.logical_and.reduce([column.present for column in columns])
    later = complete & ~sample.first
    evidence = sample.evidence(truth, complete)
    if not _is_enough(sample, candidate, evidence):
        return None
    by_chance = float(shuffled[later].mean())
    if by_chance > _MOST_CHANCE:
        return None
    return ContractHint(
        "relation",
        names,
        candidate.sql,
        candidate.description,
        replace(evidence, by_chance=by_chance),
        "high",
        name=candidate.name,
    )


def _is_enough(sample: HintSample, candidate: RelationCandidate, evidence: HintEvidence) -> bool:
    if evidence.rows < _LEAST_ROWS or evidence.later_rows < _LEAST_LATER:
        return False
    if min(evidence.share, evidence.later_share) < LEAST_SHARE:
        return False
    pairs = np.stack([sample.columns[name].tokens for name in candidate.columns], axis=1)
    return len(np.unique(pairs[sample.first][:5000], axis=0)) >= _LEAST_PAIRS


# Candidates


@dataclass(frozen=True, eq=False)
class _Probe:
    """Column and its values in the rows in which candidates are looked for."""

    column: HintColumn
    values: Floats

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def sql(self) -> str:
        return self.column.sql

    @property
    def slack(self) -> float:
        """Greatest error of a rounded value; 0 for whole numbers."""
        return self.column.step / 2 * _TOLERANCE


def _candidates(sample: HintSample) -> Iterator[RelationCandidate]:
    probes = _probes(sample)
    yield from _equal_texts(sample)
    yield from calendar_relations(sample)
    yield from _equal(probes)
    yield from _linear(probes)
    yield from _sums(probes)
    yield from _products(probes)
    yield from _orders(sample, probes)


def _probes(sample: HintSample) -> list[_Probe]:
    rows = np.flatnonzero(sample.first)
    rows = (
        rows[np.unique(np.linspace(0, len(rows) - 1, _PROBED).astype(int))] if len(rows) else rows
    )
    columns = [
        column
        for column in sample.numbers
        if column.distinct >= _LEAST_VALUES
        and not column.field.primary_key_position
        and not is_code(column)
    ]
    return [_Probe(column, column.values[rows]) for column in columns[:_MOST_COLUMNS]]


def _agree(left: Floats, right: Floats, tolerance: Floats | float) -> bool:
    """Return True if two columns are nearly equal in nearly all rows, and mostly not zero."""
    both = ~(np.isnan(left) | np.isnan(right))
    if both.sum() < min(_LEAST_ROWS, len(both)) or (left[both] == 0).mean() > _ZERO:
        return False
    allowed = np.broadcast_to(np.asarray(tolerance), left.shape)[both]
    near = np.abs(left[both] - right[both]) <= allowed + 1e-9 * np.abs(left[both])
    return bool(near.mean() >= LEAST_SHARE - 1e-3)


def _equal(probes: Sequence[_Probe]) -> Iterator[RelationCandidate]:
    for first, second in combinations(probes, 2):
        if _agree(first.values, second.values, 0.0):
            yield RelationCandidate(
                f"{first.name}_equals_{second.name}",
                _compared(first.column, second.column, "="),
                (first.name, second.name),
                f"{first.name} equals {second.name}.",
            )


def _compared(left: HintColumn, right: HintColumn, operator: str) -> str:
    if left.field.scale == right.field.scale:
        return f"{ident(left.name)} {operator} {ident(right.name)}"
    return f"{left.sql} {operator} {right.sql}"


def _equal_texts(sample: HintSample) -> Iterator[RelationCandidate]:
    """Yield pairs of texts that are equal, or in which one begins with the other."""
    texts = [c for c in sample.columns.values() if c.field.type == "string" and c.distinct >= 2]
    rows = np.flatnonzero(sample.first)[:: max(1, int(sample.first.sum()) // _PROBED)]
    probes = {c.name: [c.stored[row].as_py() for row in rows.tolist()] for c in texts[:12]}
    for first, second in permutations(probes, 2):
        pairs = [(a, b) for a, b in zip(probes[first], probes[second], strict=True) if a and b]
        if len(pairs) < min(_LEAST_ROWS, len(rows)):
            continue
        if first < second and all(a == b for a, b in pairs):
            sql, verb = f"{ident(first)} = {ident(second)}", "equals"
        elif all(len(a) > len(b) and a.startswith(b) for a, b in pairs):
            sql, verb = f"starts_with({ident(first)}, {ident(second)})", "begins with"
        else:
            continue
        name = f"{first}_{verb.replace(' ', '_')}_{second}"
        yield RelationCandidate(name, sql, (first, second), f"{first} {verb} {second}.")


def _linear(probes: Sequence[_Probe]) -> Iterator[RelationCandidate]:
    """Yield pairs in which the first is the second times a factor, plus an offset."""
    for target, source in permutations(probes, 2):
        both = ~(np.isnan(target.values) | np.isnan(source.values))
        x, y = source.values[both], target.values[both]
        if len(np.unique(x)) < _LEAST_PAIRS or np.std(x) == 0:
            continue
        if abs(float(np.corrcoef(x, y)[0, 1] if np.std(y) else 0)) < 0.9999:
            continue
        factor, offset = (_rounded(number) for number in np.polyfit(x, y, 1))
        factor, offset = _exact(factor, offset)
        # The rounding of the source counts only if it is coarser than that of the target.
        slack = target.slack + abs(factor) * (source.slack if abs(factor) < 1 else 0.0)
        if factor == 1 and offset == 0:
            continue
        if not _agree(target.values, source.values * factor + offset, slack):
            continue
        shift = f" + {offset!r}" if offset else ""
        plus = f" plus {offset:g}" if offset else ""
        yield RelationCandidate(
            f"{target.name}_from_{source.name}",
            f"abs({target.sql} - ({source.sql} * {factor!r}{shift})) <= {slack + 1e-9:.6g}",
            (target.name, source.name),
            f"{target.name} is {source.name} times {factor:g}{plus}.",
        )


def _rounded(number: float) -> float:
    """Round to six significant digits."""
    return float(f"{number:.6g}")


def _exact(factor: float, offset: float) -> tuple[float, float]:
    """Return the exact factor of a known conversion near a fitted one."""
    conversions_ = [(9 / 5, 32.0), (5 / 9, -160 / 9), (1.0, 273.15), (1.0, -273.15)]
    for unit in (
        "mile",
        "foot",
        "inch",
        "m/s",
        "knot",
        "km/h",
        "hPa",
        "second",
        "kilogram",
        "hour",
    ):
        conversions_ += [(conversion.scale, 0.0) for conversion in conversions(unit)]
    for exact, shift in conversions_:
        if abs(factor / exact - 1) < 2e-3 and abs(offset - shift) <= 0.02 * max(1.0, abs(shift)):
            return exact, shift
    integer = float(round(factor))
    if integer and abs(factor / integer - 1) < 1e-4 and abs(offset) < 1e-6:
        return integer, 0.0
    return factor, 0.0 if abs(offset) < 1e-9 else offset


def _sums(probes: Sequence[_Probe]) -> Iterator[RelationCandidate]:
    for first, second in combinations(_parts(probes), 2):
        total = first.values + second.values
        for target in probes:
            if target not in (first, second) and _agree(target.values, total, target.slack):
                yield RelationCandidate(
                    f"{target.name}_is_{first.name}_and_{second.name}",
                    f"abs({target.sql} - ({first.sql} + {second.sql}))"
                    f" <= {target.slack + 1e-9:.6g}",
                    (target.name, first.name, second.name),
                    f"{target.name} is {first.name} plus {second.name}.",
                )


def _products(probes: Sequence[_Probe]) -> Iterator[RelationCandidate]:
    for first, second in combinations(_parts(probes), 2):
        if min(first.column.distinct, second.column.distinct) < _LEAST_PAIRS:
            continue
        product = first.values * second.values
        for target in probes:
            if target not in (first, second) and _agree(target.values, product, target.slack):
                yield RelationCandidate(
                    f"{target.name}_is_{first.name}_times_{second.name}",
                    f"abs({target.sql} - ({first.sql}) * ({second.sql}))"
                    f" <= {target.slack + 1e-9:.6g}",
                    (target.name, first.name, second.name),
                    f"{target.name} is {first.name} times {second.name}.",
                )


def _parts(probes: Sequence[_Probe]) -> list[_Probe]:
    """Return the columns that are mostly not zero."""
    return [probe for probe in probes if (np.nan_to_num(probe.values) != 0).mean() > 1 - _ZERO]


def _orders(sample: HintSample, probes: Sequence[_Probe]) -> Iterator[RelationCandidate]:
    """Yield pairs in which the first is never greater, for columns that can be compared."""
    units = _units(sample)
    for lesser, greater in permutations(probes, 2):
        if not _comparable(lesser, greater, units):
            continue
        gap = greater.values - lesser.values
        gap = gap[~np.isnan(gap)]
        if len(gap) < min(_LEAST_ROWS, len(lesser.values)):
            continue
        bounded = _has_edge(gap) or _named_order(lesser.column, greater.column)
        if bounded and (gap >= 0).mean() >= LEAST_SHARE - 1e-3:
            yield RelationCandidate(
                f"{lesser.name}_up_to_{greater.name}",
                _compared(lesser.column, greater.column, "<="),
                (lesser.name, greater.name),
                f"{lesser.name} is at most {greater.name}.",
            )


def _has_edge(gap: Floats) -> bool:
    """Return True if differences pile up at their lower bound of 0, as they do at a real bound.

    If one column merely happens to be greater, small differences are rarer than greater ones.
    """
    middle = float(np.median(gap))
    return middle > 0 and bool((gap <= _EDGE * middle).mean() >= _AT_EDGE)


def _named_order(lesser: HintColumn, greater: HintColumn) -> bool:
    """Return True if names differ in a pair of words such as min and max."""
    first, second = words(lesser.header), words(greater.header)
    lesser_name, greater_name = lesser.header.casefold(), greater.header.casefold()
    if _DEW_POINT & set(first) and _TEMPERATURE & set(second):
        return True
    return any(
        (low in first and high in second and _without(first, low) == _without(second, high))
        or (low in lesser_name and lesser_name.replace(low, high) == greater_name)
        for low, high in _ORDERS
    )


def _without(name_words: list[str], word: str) -> list[str]:
    return [other for other in name_words if other != word]


def _units(sample: HintSample) -> Mapping[str, str]:
    return {column.name: column.field.unit or "" for column in sample.columns.values()}


def _comparable(lesser: _Probe, greater: _Probe, units: Mapping[str, str]) -> bool:
    """Return True for columns of one unit, whose ranges overlap, with enough different values."""
    if units[lesser.name] != units[greater.name]:
        return False
    for probe in (lesser, greater):
        if set(words(probe.column.header)[-1:]) & CALENDAR:
            return False
    if min(lesser.column.distinct, greater.column.distinct) < _LEAST_PAIRS:
        return False
    low, high = float(np.nanmax(lesser.values)), float(np.nanmin(greater.values))
    return low > high
