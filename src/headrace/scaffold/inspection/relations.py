"""Relations that hold for nearly all rows: sums, products, and the order of two columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
import numpy.typing as npt

from headrace.core.sql import ident
from headrace.scaffold.inspection.column_words import words
from headrace.scaffold.inspection.facts import Facts
from headrace.scaffold.inspection.file_inspection import InspectedColumn

MIN_SHARE = 0.995
_MOST_COLUMNS, _MOST_ROWS, _FEWEST_VALUES = 14, 20_000, 8
_LESSER_WORDS = ("min", "low", "lowest", "least", "start", "begin", "open", "from", "net", "lower")
_GREATER_WORDS = ("max", "high", "highest", "most", "end", "end", "close", "to", "gross", "upper")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DeclaredRelation:
    """Relation of columns as a contract declares it: SQL over stored values."""

    name: str
    sql: str
    words: str


@dataclass(frozen=True)
class _Values:
    column: InspectedColumn
    values: Floats  # in the column's unit; NaN for null

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def sql(self) -> str:
        return ident(self.name)


def relations(facts: Facts) -> list[DeclaredRelation]:
    """Return relations of number columns: sums, products (at most one per total), then orders."""
    accepted: list[DeclaredRelation] = []
    explained: set[str] = set()
    columns = [_values(facts, column) for column in _candidates(facts)]
    for total, parts, relation in [*_sums(columns), *_products(columns)]:
        if total not in explained and not parts <= explained:
            explained |= {total}
            accepted.append(relation)
    return [*accepted, *_orders(columns)]


def _candidates(facts: Facts) -> list[InspectedColumn]:
    fitting = [
        column
        for column in facts.look.columns
        if column.is_number
        and column.sums
        and column not in (*facts.look.key, *facts.look.times)
        and not facts.is_name(column)
        and facts.distinct([column.name]) >= _FEWEST_VALUES
    ]
    return fitting[:_MOST_COLUMNS]


def _values(facts: Facts, column: InspectedColumn) -> _Values:
    stored = facts.table[column.name].slice(0, _MOST_ROWS).to_numpy().astype(np.float64)
    return _Values(column, stored / 10.0 ** (column.scale or 0))


def _agree(left: Floats, right: Floats, tolerance: float) -> bool:
    filled = ~(np.isnan(left) | np.isnan(right))
    if filled.sum() < max(50, 0.2 * len(left)):
        return False
    near = np.abs(left[filled] - right[filled]) <= tolerance + 1e-9
    # a column that is nearly always zero is not evidence of a sum
    return bool(near.mean() >= MIN_SHARE and (left[filled] != 0).mean() > 0.2)


Candidate = tuple[str, set[str], DeclaredRelation]


def _sums(columns: Sequence[_Values]) -> Iterator[Candidate]:
    for total in columns:
        for first, second in combinations([c for c in columns if c is not total], 2):
            if not (_counts(first) and _counts(second)):
                continue
            if _agree(total.values, first.values + second.values, 0.0):
                scale = _scale(total, first, second)
                sql = f"{_at(first, scale)} + {_at(second, scale)} = {_at(total, scale)}"
                name = f"{total.name}_is_{first.name}_and_{second.name}"
                text = f"{total.name} is {first.name} plus {second.name}."
                yield total.name, {first.name, second.name}, DeclaredRelation(name, sql, text)


def _counts(part: _Values) -> bool:
    """Return False if the column is nearly always zero, and thus not evidence of a sum."""
    return bool((np.nan_to_num(part.values) != 0).mean() > 0.2)


def _products(columns: Sequence[_Values]) -> Iterator[Candidate]:
    for total in columns:
        for first, second in combinations([c for c in columns if c is not total], 2):
            step = 10.0 ** -(total.column.scale or 0)
            if _agree(total.values, first.values * second.values, step / 2):
                digits = (first.column.scale or 0) + (second.column.scale or 0)
                shift = (total.column.scale or 0) - digits
                product = f"CAST({first.sql} AS DOUBLE) * {second.sql} * {10.0**shift!r}"
                name = f"{total.name}_is_{first.name}_times_{second.name}"
                text = f"{total.name} is {first.name} times {second.name}."
                sql = f"abs({product} - {total.sql}) <= 0.500001"
                yield total.name, {first.name, second.name}, DeclaredRelation(name, sql, text)


def _orders(columns: Sequence[_Values]) -> Iterator[DeclaredRelation]:
    """Yield order relations for pairs such as min/max, whose names imply it, if the rows agree."""
    for lesser, greater in permutations(columns, 2):
        lesser_words, greater_words = words(lesser.column.header), words(greater.column.header)
        pairs = [
            pair
            for pair in zip(_LESSER_WORDS, _GREATER_WORDS, strict=True)
            if _paired(lesser_words, greater_words, pair)
        ]
        filled = ~(np.isnan(lesser.values) | np.isnan(greater.values))
        if not pairs or filled.sum() < 50:
            continue
        if (lesser.values[filled] <= greater.values[filled]).mean() >= MIN_SHARE:
            scale = _scale(lesser, greater)
            sql = f"{_at(lesser, scale)} <= {_at(greater, scale)}"
            text = f"{lesser.name} is at most {greater.name}."
            yield DeclaredRelation(f"{lesser.name}_up_to_{greater.name}", sql, text)


def _paired(lesser_words: list[str], greater_words: list[str], pair: tuple[str, str]) -> bool:
    """Return True if two names are equal except for this pair of words."""
    low_word, high_word = pair
    rest = [word for word in lesser_words if word != low_word] == [
        word for word in greater_words if word != high_word
    ]
    return low_word in lesser_words and high_word in greater_words and rest


def _scale(*columns: _Values) -> int:
    return max(column.column.scale or 0 for column in columns)


def _at(operand: _Values, scale: int) -> str:
    """Return SQL that converts the stored value to units of 10^-scale."""
    factor = 10 ** (scale - (operand.column.scale or 0))
    return operand.sql if factor == 1 else f"{operand.sql} * {factor}"
