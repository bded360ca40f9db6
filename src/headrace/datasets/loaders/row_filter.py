"""Conditions on the rows of a release, as data: names and values never become query text.

    ("distance", ">", 500)                                     one condition
    [("t", ">=", "2013-03-01"), ("carrier", "in", ["AA"])]     all of them hold
    {"origin": "EWR", "carrier": ["AA", "UA"]}                 equal to, or one of
    pc.field("distance") > 2 * pc.field("air_time")            any pyarrow expression

A row is kept if the condition is true. A null never satisfies a comparison; NaN satisfies only
`!=`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.core.clock import iso, parse_iso, to_us
from headrace.core.errors import DeclarationError
from headrace.datasets.dtypes import TYPES
from headrace.datasets.vocabulary import choose

if TYPE_CHECKING:
    import pyarrow.compute as pc

COMPARED = ("=", "!=", "<", "<=", ">", ">=")
LISTED = ("in", "not in")
NULLNESS = ("is null", "is not null")
OPS = (*COMPARED, *LISTED, *NULLNESS)
_FORMS = 'as in ("distance", ">", 500), a list of such, {"origin": "EWR"}, or a pyarrow expression'

Types = Mapping[str, str]


@dataclass(frozen=True)
class FilterTerm:
    """One condition. Values are of dtype `kind`; timestamps are microseconds."""

    column: str
    op: str
    values: tuple[Any, ...] = ()
    kind: str = ""

    def __str__(self) -> str:
        moments = self.kind in {"timestamp", "local_timestamp"}
        texts = ", ".join(iso(value) if moments else repr(value) for value in self.values)
        return f"{self.column} {self.op} {f'({texts})' if self.op in LISTED else texts}".rstrip()


@dataclass(frozen=True)
class RowFilter:
    """Conjunction of `terms` and `expressions`; without any, every row is kept."""

    terms: tuple[FilterTerm, ...] = ()
    expressions: tuple["pc.Expression", ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms or self.expressions)

    def __add__(self, other: "RowFilter") -> "RowFilter":
        return RowFilter(self.terms + other.terms, self.expressions + other.expressions)

    def __str__(self) -> str:
        return " and ".join(map(str, (*self.terms, *self.expressions)))


EVERY_ROW = RowFilter()


@dataclass(frozen=True)
class Bound:
    """Known bounds of a column in a set of rows; None if unknown. They do not cover NaN."""

    rows: int
    nulls: int | None = None
    low: Any = None
    high: Any = None


def parse(condition: object, types: Types, ref: str) -> RowFilter:
    """Parse a condition in any of the forms above, for a release with columns of these `types`.

    Raises:
        DeclarationError: unknown column, operator or form, or a value of a wrong dtype.
    """
    if condition is None:
        return EVERY_ROW
    if isinstance(condition, RowFilter):
        return condition
    if not isinstance(condition, tuple | list | Mapping):
        return RowFilter(expressions=(_expression(condition, types, ref),))
    return RowFilter(tuple(_term(*entry, types, ref) for entry in _listed(condition, ref)))


def _expression(condition: object, types: Types, ref: str) -> "pc.Expression":
    import pyarrow.compute as pc

    if not isinstance(condition, pc.Expression):
        raise DeclarationError(f"{condition!r} is not a condition on rows", where=ref, fix=_FORMS)
    fields_of(condition, types, ref)
    return condition


def _listed(condition: object, ref: str) -> Iterator[tuple[object, object, object]]:
    if isinstance(condition, Mapping):
        for name, value in condition.items():
            yield name, "in" if isinstance(value, list | tuple | set | frozenset) else "=", value
        return
    many = isinstance(condition, list) or (
        isinstance(condition, tuple) and bool(condition) and isinstance(condition[0], tuple)
    )
    for entry in condition if many else (condition,):  # type: ignore[attr-defined]
        if not isinstance(entry, tuple | list) or len(entry) not in {2, 3}:
            raise DeclarationError(f"{entry!r} is not a condition on rows", where=ref, fix=_FORMS)
        yield entry[0], entry[1], entry[2] if len(entry) == 3 else None


def _term(name: object, op: object, value: object, types: Types, ref: str) -> FilterTerm:
    column = str(name)
    if column not in types:
        raise DeclarationError(
            f"there is no column {column!r} to filter rows by", where=ref, fix=choose(column, types)
        )
    operator = {"==": "=", "<>": "!="}.get(str(op), str(op))
    if operator not in OPS:
        raise DeclarationError(
            f"there is no condition {op!r}", where=f"{ref}, {column}", fix=choose(operator, OPS)
        )
    if operator in NULLNESS:
        return FilterTerm(column, operator)
    if operator in LISTED:
        if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
            raise DeclarationError(
                f"{operator!r} needs a list of values, not {value!r}", where=f"{ref}, {column}",
                fix=f'("{column}", "{operator}", [{value!r}])',
            )  # fmt: skip
        values = tuple(_value(element, column, types[column], ref) for element in value)
    else:
        values = (_value(value, column, types[column], ref),)
    return FilterTerm(column, operator, values, types[column])


def _value(value: Any, column: str, kind: str, ref: str) -> Any:  # noqa: ANN401 - of any dtype
    plain = value.item() if hasattr(value, "dtype") and hasattr(value, "item") else value
    try:
        return _READ[kind](plain)
    except (KeyError, TypeError, ValueError):
        fix = f'("{column}", "is null")' if plain is None else f"give a {kind}{_EXAMPLES[kind]}"
        raise DeclarationError(
            f"{value!r} cannot be compared with column {column!r}, which is {kind}",
            where=ref, fix=fix,
        ) from None  # fmt: skip


def _only(*kinds: type) -> Callable[[Any], Any]:
    def read(value: object) -> object:
        if isinstance(value, bool) is not (bool in kinds) or not isinstance(value, kinds):
            raise TypeError(value)
        return value

    return read


def _int64(value: object) -> int:
    number = int(_only(int)(value))
    if not -(2**63) <= number < 2**63:
        raise ValueError(value)
    return number


def _moment(value: object) -> int:
    if isinstance(value, datetime):
        return to_us(value)
    return parse_iso(value) if isinstance(value, str) else _int64(value)


def _local(value: object) -> int:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime) or moment.tzinfo is not None:
        raise TypeError(value)
    return parse_iso(moment.isoformat())


def _day(value: object) -> date:
    if isinstance(value, str):
        return date.fromisoformat(value)
    if isinstance(value, datetime) or not isinstance(value, date):
        raise TypeError(value)
    return value


_READ: dict[str, Callable[[Any], Any]] = {
    "int64": _int64,
    "float64": lambda value: float(_only(int, float)(value)),
    "bool": _only(bool),
    "string": _only(str),
    "binary": _only(bytes),
    "timestamp": _moment,
    "local_timestamp": _local,
    "date": _day,
}
_EXAMPLES = {
    "int64": "",
    "float64": "",
    "bool": "",
    "string": "",
    "binary": "",
    "timestamp": ': "2013-03-01", a datetime with a zone, or microseconds UTC',
    "local_timestamp": ': "2013-03-01T12:00:00", or a datetime without a zone',
    "date": ': "2013-03-01"',
}


# Conversion to a pyarrow expression


def expression(where: RowFilter, types: Types) -> "pc.Expression | None":
    """The condition as a pyarrow expression; None if every row is kept."""
    combined = None
    for condition in (
        *(_of_term(term, types[term.column]) for term in where.terms),
        *where.expressions,
    ):
        combined = condition if combined is None else combined & condition
    return combined


def _of_term(term: FilterTerm, kind: str) -> "pc.Expression":
    import pyarrow.compute as pc

    field = pc.field(term.column)
    if term.op in NULLNESS:
        return field.is_null() if term.op == "is null" else field.is_valid()
    values = arrow_values(term, kind)
    if term.op in LISTED:
        # `isin` would match NaN in the list, unlike a comparison, so NaN is removed from it.
        is_listed = field.isin(values.filter(pc.equal(values, values)))
        return is_listed if term.op == "in" else ~is_listed & field.is_valid()
    value = pc.scalar(values[0])
    return {
        "=": field == value,
        "!=": field != value,
        "<": field < value,
        "<=": field <= value,
        ">": field > value,
        ">=": field >= value,
    }[term.op]


def arrow_values(term: FilterTerm, kind: str) -> pa.Array:
    """Values of `term` as an Arrow array of the dtype `kind`."""
    if kind in {"timestamp", "local_timestamp"}:
        return pa.array(term.values, pa.int64()).cast(TYPES[kind])
    return pa.array(term.values, TYPES[kind])


def fields_of(condition: "pc.Expression", types: Types, ref: str) -> tuple[str, ...]:
    """Columns that an expression reads: without one of them, it cannot be bound.

    Raises:
        DeclarationError: the expression uses unknown columns, or cannot be computed.
    """
    empty = pa.schema([(name, TYPES[kind]) for name, kind in types.items()]).empty_table()
    if why := _unbound(condition, empty):
        raise DeclarationError(
            f"the condition cannot be computed: {why}", where=ref,
            fix=f"write a boolean expression over {', '.join(types)}",
        )  # fmt: skip
    return tuple(name for name in types if _unbound(condition, empty.drop_columns([name])))


def _unbound(condition: "pc.Expression", empty: pa.Table) -> str:
    try:
        empty.filter(condition)
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        return str(error).splitlines()[0]
    return ""


def needed(where: RowFilter, types: Types, ref: str) -> set[str]:
    """Columns that the condition reads."""
    of_expressions = {
        name for condition in where.expressions for name in fields_of(condition, types, ref)
    }  # fmt: skip
    return of_expressions | {term.column for term in where.terms}


# Pruning by bounds


def may_match(where: RowFilter, types: Types, bound: Callable[[str], Bound | None]) -> bool:
    """False only if no row within the bounds can match."""
    return all(_may(term, types[term.column], bound(term.column)) for term in where.terms)


def _may(term: FilterTerm, kind: str, bound: Bound | None) -> bool:
    if bound is None:
        return True
    if term.op == "is null":
        return bound.nulls != 0
    if bound.nulls == bound.rows:
        return False
    if term.op == "is not null" or bound.low is None or bound.high is None:
        return True
    low, high = bound.low, bound.high
    if term.op in {"!=", "not in"}:
        # Bounds do not cover NaN, and NaN always satisfies these operators.
        return kind == "float64" or low != high or low not in term.values
    return any(_within(term.op, value, low, high) for value in term.values)


def _within(op: str, value: Any, low: Any, high: Any) -> bool:  # noqa: ANN401 - of one dtype
    return bool(
        {
            "=": lambda: low <= value <= high,
            "in": lambda: low <= value <= high,
            "<": lambda: low < value,
            "<=": lambda: low <= value,
            ">": lambda: high > value,
            ">=": lambda: high >= value,
        }[op]()
    )


def stated(statistics: Mapping[str, Any] | None, kind: str) -> Bound | None:
    """Bound of a column from its statistics in a manifest."""
    if not statistics:
        return None
    low, high = (_from_json(statistics.get(end), kind) for end in ("min", "max"))
    return Bound(int(statistics["rows"]), int(statistics["nulls"]), low, high)


def _from_json(value: Any, kind: str) -> Any:  # noqa: ANN401 - of the column's dtype
    if kind == "float64" and isinstance(value, str):
        value = float(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    return date.fromisoformat(value) if kind == "date" and isinstance(value, str) else value
