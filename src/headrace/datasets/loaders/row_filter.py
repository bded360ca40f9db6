"""Which rows of a release: a condition as data, so that no name or value becomes text of a query.

    ("distance", ">", 500)                                     one condition
    [("t", ">=", "2013-03-01"), ("carrier", "in", ["AA"])]     all of them hold
    {"origin": "EWR", "carrier": ["AA", "UA"]}                 equal to, or one of
    pc.field("distance") > 2 * pc.field("air_time")            any expression of pyarrow

A row is kept where the condition is true: null is not, and neither is NaN, but for `!=`.
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
class Term:
    """One condition. Values are plain ones of dtype `kind`: microseconds for timestamps."""

    column: str
    op: str
    values: tuple[Any, ...] = ()
    kind: str = ""

    def __str__(self) -> str:
        moments = self.kind in {"timestamp", "local_timestamp"}
        shown = ", ".join(iso(one) if moments else repr(one) for one in self.values)
        return f"{self.column} {self.op} {f'({shown})' if self.op in LISTED else shown}".rstrip()


@dataclass(frozen=True)
class Where:
    """All `terms` and all `expressions` hold; without any, every row is kept."""

    terms: tuple[Term, ...] = ()
    expressions: tuple["pc.Expression", ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms or self.expressions)

    def __add__(self, other: "Where") -> "Where":
        return Where(self.terms + other.terms, self.expressions + other.expressions)

    def __str__(self) -> str:
        return " and ".join(map(str, (*self.terms, *self.expressions)))


EVERY_ROW = Where()


@dataclass(frozen=True)
class Bound:
    """What is known of a column in some rows; None is not known. NaN is outside `low` to `high`."""

    rows: int
    nulls: int | None = None
    low: Any = None
    high: Any = None


def parse(given: object, types: Types, ref: str) -> Where:
    """`given` in any of the forms above, for a release with columns of these `types`.

    Raises:
        DeclarationError: an unknown column, operator or form, or a value of another dtype.
    """
    if given is None:
        return EVERY_ROW
    if isinstance(given, Where):
        return given
    if not isinstance(given, tuple | list | Mapping):
        return Where(expressions=(_expression(given, types, ref),))
    return Where(tuple(_term(*one, types, ref) for one in _listed(given, ref)))


def _expression(given: object, types: Types, ref: str) -> "pc.Expression":
    import pyarrow.compute as pc

    if not isinstance(given, pc.Expression):
        raise DeclarationError(f"{given!r} is no condition on rows", where=ref, fix=_FORMS)
    fields_of(given, types, ref)
    return given


def _listed(given: object, ref: str) -> Iterator[tuple[object, object, object]]:
    if isinstance(given, Mapping):
        for name, value in given.items():
            yield name, "in" if isinstance(value, list | tuple | set | frozenset) else "=", value
        return
    many = isinstance(given, list) or (
        isinstance(given, tuple) and bool(given) and isinstance(given[0], tuple)
    )
    for one in given if many else (given,):  # type: ignore[attr-defined]
        if not isinstance(one, tuple | list) or len(one) not in {2, 3}:
            raise DeclarationError(f"{one!r} is no condition on rows", where=ref, fix=_FORMS)
        yield one[0], one[1], one[2] if len(one) == 3 else None


def _term(name: object, op: object, value: object, types: Types, ref: str) -> Term:
    column = str(name)
    if column not in types:
        raise DeclarationError(
            f"there is no column {column!r} to choose rows by", where=ref, fix=choose(column, types)
        )
    said = {"==": "=", "<>": "!="}.get(str(op), str(op))
    if said not in OPS:
        raise DeclarationError(
            f"there is no condition {op!r}", where=f"{ref}, {column}", fix=choose(said, OPS)
        )
    if said in NULLNESS:
        return Term(column, said)
    if said in LISTED:
        if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
            raise DeclarationError(
                f"{said!r} needs a list of values, not {value!r}", where=f"{ref}, {column}",
                fix=f'("{column}", "{said}", [{value!r}])',
            )  # fmt: skip
        values = tuple(_value(one, column, types[column], ref) for one in value)
    else:
        values = (_value(value, column, types[column], ref),)
    return Term(column, said, values, types[column])


def _value(given: Any, column: str, kind: str, ref: str) -> Any:  # noqa: ANN401 - of any dtype
    plain = given.item() if hasattr(given, "dtype") and hasattr(given, "item") else given
    try:
        return _READ[kind](plain)
    except (KeyError, TypeError, ValueError):
        fix = f'("{column}", "is null")' if plain is None else f"give a {kind}{_EXAMPLES[kind]}"
        raise DeclarationError(
            f"{given!r} cannot be compared with column {column!r}, which is {kind}",
            where=ref, fix=fix,
        ) from None  # fmt: skip


def _only(*kinds: type) -> Callable[[Any], Any]:
    def read(value: object) -> object:
        if isinstance(value, bool) is not (bool in kinds) or not isinstance(value, kinds):
            raise TypeError(value)
        return value

    return read


def _whole(value: object) -> int:
    found = int(_only(int)(value))
    if not -(2**63) <= found < 2**63:
        raise ValueError(value)
    return found


def _moment(value: object) -> int:
    if isinstance(value, datetime):
        return to_us(value)
    return parse_iso(value) if isinstance(value, str) else _whole(value)


def _local(value: object) -> int:
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(found, datetime) or found.tzinfo is not None:
        raise TypeError(value)
    return parse_iso(found.isoformat())


def _day(value: object) -> date:
    if isinstance(value, str):
        return date.fromisoformat(value)
    if isinstance(value, datetime) or not isinstance(value, date):
        raise TypeError(value)
    return value


_READ: dict[str, Callable[[Any], Any]] = {
    "int64": _whole,
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


# As an expression


def expression(where: Where, types: Types) -> "pc.Expression | None":
    """The condition for pyarrow; None if every row is kept."""
    found = None
    for one in (*(_of_term(term, types[term.column]) for term in where.terms), *where.expressions):
        found = one if found is None else found & one
    return found


def _of_term(term: Term, kind: str) -> "pc.Expression":
    import pyarrow.compute as pc

    field = pc.field(term.column)
    if term.op in NULLNESS:
        return field.is_null() if term.op == "is null" else field.is_valid()
    values = arrow_values(term, kind)
    if term.op in LISTED:
        # Arrow takes NaN for a member of a list that has it; a comparison does not.
        known = field.isin(values.filter(pc.equal(values, values)))
        return known if term.op == "in" else ~known & field.is_valid()
    value = pc.scalar(values[0])
    return {
        "=": field == value,
        "!=": field != value,
        "<": field < value,
        "<=": field <= value,
        ">": field > value,
        ">=": field >= value,
    }[term.op]


def arrow_values(term: Term, kind: str) -> pa.Array:
    """The values in the column's dtype."""
    if kind in {"timestamp", "local_timestamp"}:
        return pa.array(term.values, pa.int64()).cast(TYPES[kind])
    return pa.array(term.values, TYPES[kind])


def fields_of(found: "pc.Expression", types: Types, ref: str) -> tuple[str, ...]:
    """The columns that an expression needs: those without which it cannot be bound.

    Raises:
        DeclarationError: it names other columns, or cannot be computed on these.
    """
    empty = pa.schema([(name, TYPES[kind]) for name, kind in types.items()]).empty_table()
    if why := _unbound(found, empty):
        raise DeclarationError(
            f"the condition cannot be computed: {why}", where=ref,
            fix=f"it must be true or false of a row's {', '.join(types)}",
        )  # fmt: skip
    return tuple(name for name in types if _unbound(found, empty.drop_columns([name])))


def _unbound(found: "pc.Expression", empty: pa.Table) -> str:
    try:
        empty.filter(found)
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        return str(error).splitlines()[0]
    return ""


def needed(where: Where, types: Types, ref: str) -> set[str]:
    """The columns that must be read to decide."""
    of_expressions = {
        name for one in where.expressions for name in fields_of(one, types, ref)
    }  # fmt: skip
    return of_expressions | {term.column for term in where.terms}


# What need not be read


def may_match(where: Where, types: Types, bound: Callable[[str], Bound | None]) -> bool:
    """False only if no row within these bounds can be kept."""
    return all(_may(term, types[term.column], bound(term.column)) for term in where.terms)


def _may(term: Term, kind: str, found: Bound | None) -> bool:
    if found is None:
        return True
    if term.op == "is null":
        return found.nulls != 0
    if found.nulls == found.rows:
        return False
    if term.op == "is not null" or found.low is None or found.high is None:
        return True
    low, high = found.low, found.high
    if term.op in {"!=", "not in"}:
        # A NaN lies outside the bounds of its column, and differs from everything.
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
    """A column's statistics in a manifest as a bound."""
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
