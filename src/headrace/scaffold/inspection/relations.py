"""Relations that hold in nearly every row: sums, products, and order of two columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
import numpy.typing as npt

from headrace.core.sql import ident
from headrace.scaffold.inspection.column_words import words
from headrace.scaffold.inspection.facts import Facts
from headrace.scaffold.inspection.file_inspection import Column

HOLDS = 0.995
_MOST_COLUMNS, _MOST_ROWS, _FEWEST_VALUES = 14, 20_000, 8
_LESS = ("min", "low", "lowest", "least", "start", "begin", "open", "from", "net", "lower")
_MORE = ("max", "high", "highest", "most", "end", "end", "close", "to", "gross", "upper")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Relation:
    """As a contract has it: SQL over stored values."""

    name: str
    sql: str
    words: str


@dataclass(frozen=True)
class _Values:
    column: Column
    values: Floats  # in the unit; NaN where there is none

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def sql(self) -> str:
        return ident(self.name)


def relations(found: Facts) -> list[Relation]:
    """Relations of numbers, those that say most first; each column is explained once."""
    made: list[Relation] = []
    explained: set[str] = set()
    columns = [_values(found, column) for column in _candidates(found)]
    for whole, parts, relation in [*_sums(columns), *_products(columns)]:
        if whole not in explained and not parts <= explained:
            explained |= {whole}
            made.append(relation)
    return [*made, *_orders(columns)]


def _candidates(found: Facts) -> list[Column]:
    fitting = [
        column
        for column in found.look.columns
        if column.is_number
        and column.sums
        and column not in (*found.look.key, *found.look.times)
        and not found.is_name(column)
        and found.distinct([column.name]) >= _FEWEST_VALUES
    ]
    return fitting[:_MOST_COLUMNS]


def _values(found: Facts, column: Column) -> _Values:
    stored = found.table[column.name].slice(0, _MOST_ROWS).to_numpy().astype(np.float64)
    return _Values(column, stored / 10.0 ** (column.scale or 0))


def _keeps(left: Floats, right: Floats, tolerance: float) -> bool:
    filled = ~(np.isnan(left) | np.isnan(right))
    if filled.sum() < max(50, 0.2 * len(left)):
        return False
    near = np.abs(left[filled] - right[filled]) <= tolerance + 1e-9
    # a column that is nearly always zero keeps any sum by itself
    return bool(near.mean() >= HOLDS and (left[filled] != 0).mean() > 0.2)


Made = tuple[str, set[str], Relation]


def _sums(columns: Sequence[_Values]) -> Iterator[Made]:
    for whole in columns:
        for one, two in combinations([c for c in columns if c is not whole], 2):
            if not (_counts(one) and _counts(two)):
                continue
            if _keeps(whole.values, one.values + two.values, 0.0):
                scale = _scale(whole, one, two)
                sql = f"{_at(one, scale)} + {_at(two, scale)} = {_at(whole, scale)}"
                name = f"{whole.name}_is_{one.name}_and_{two.name}"
                text = f"{whole.name} is {one.name} plus {two.name}."
                yield whole.name, {one.name, two.name}, Relation(name, sql, text)


def _counts(part: _Values) -> bool:
    """Return True if it matters: a column that is nearly always zero is no evidence of a sum."""
    return bool((np.nan_to_num(part.values) != 0).mean() > 0.2)


def _products(columns: Sequence[_Values]) -> Iterator[Made]:
    for whole in columns:
        for one, two in combinations([c for c in columns if c is not whole], 2):
            step = 10.0 ** -(whole.column.scale or 0)
            if _keeps(whole.values, one.values * two.values, step / 2):
                more = (one.column.scale or 0) + (two.column.scale or 0)
                less = (whole.column.scale or 0) - more
                product = f"CAST({one.sql} AS DOUBLE) * {two.sql} * {10.0**less!r}"
                name = f"{whole.name}_is_{one.name}_times_{two.name}"
                text = f"{whole.name} is {one.name} times {two.name}."
                sql = f"abs({product} - {whole.sql}) <= 0.500001"
                yield whole.name, {one.name, two.name}, Relation(name, sql, text)


def _orders(columns: Sequence[_Values]) -> Iterator[Relation]:
    """Pairs whose names say which is the greater, where rows agree."""
    for less, more in permutations(columns, 2):
        said, other = words(less.column.header), words(more.column.header)
        pairs = [pair for pair in zip(_LESS, _MORE, strict=True) if _paired(said, other, pair)]
        filled = ~(np.isnan(less.values) | np.isnan(more.values))
        if not pairs or filled.sum() < 50:
            continue
        if (less.values[filled] <= more.values[filled]).mean() >= HOLDS:
            scale = _scale(less, more)
            sql = f"{_at(less, scale)} <= {_at(more, scale)}"
            text = f"{less.name} is at most {more.name}."
            yield Relation(f"{less.name}_up_to_{more.name}", sql, text)


def _paired(said: list[str], other: list[str], pair: tuple[str, str]) -> bool:
    """Return True if two names differ only in this pair of words."""
    one, two = pair
    rest = [word for word in said if word != one] == [word for word in other if word != two]
    return one in said and two in other and rest


def _scale(*columns: _Values) -> int:
    return max(column.column.scale or 0 for column in columns)


def _at(one: _Values, scale: int) -> str:
    """The stored value in units of 10^-scale."""
    factor = 10 ** (scale - (one.column.scale or 0))
    return one.sql if factor == 1 else f"{one.sql} * {factor}"
