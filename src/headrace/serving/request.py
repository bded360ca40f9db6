"""Schema of a request: the columns of the spine, with the types of the spine's table (rule 18)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import TypeAlias

import pyarrow as pa

from headrace.contracts.model import Contract, Field
from headrace.contracts.typed_cells import EXPECTED, parse
from headrace.core.clock import iso, to_us
from headrace.core.errors import HeadraceError
from headrace.features.kernel.row_content import Cell
from headrace.features.spec import Spine
from headrace.serving.request_cell import OTHER, Convert, converter, stored

_TYPES: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float, Decimal),
    "string": (str,),
    "timestamp": (datetime, str),
    "boolean": (bool,),
}
Refusal: TypeAlias = Callable[..., HeadraceError]


class RequestError(HeadraceError):
    """A request lacks a value, or has a value that the spine's table cannot hold.

    `field` is the name of the column with the error, or empty; `number` is the index of the request
    in its batch.
    """

    def __init__(
        self, what: str, *, where: str = "", fix: str = "", field: str = "", number: int = 0
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.field, self.number = field, number


@dataclass(frozen=True)
class RequestSchema:
    """Key and columns of a spine, with their contract fields."""

    spine: Spine
    contract: Contract

    @cached_property
    def key(self) -> tuple[str, ...]:
        return self.contract.primary_key

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        names = dict.fromkeys((*self.key, *self.spine.columns))
        return tuple(self.contract.field(name) for name in names)

    @cached_property
    def types(self) -> dict[str, pa.DataType]:
        """Arrow types of the columns, and of `t`."""
        return {field.name: field.arrow_type for field in self.fields} | {"t": pa.int64()}

    @cached_property
    def defaults(self) -> Mapping[str, object]:
        """Default of each column that a request may omit."""
        return self.spine.defaults

    def nullable(self, field: Field) -> bool:
        return not field.required and field.name not in self.key

    def cells(self, request: Mapping[str, object], number: int = 0) -> tuple[Cell, ...]:
        """Convert a request to stored values, in the order of `fields`.

        Input values are in the column's unit. They are converted like delivered values: with the
        table's quantiser, bounds and null tokens. Scaled numbers become integers, timestamps
        integer microseconds UTC. `number` is used in error messages.

        Raises:
            RequestError: a value is missing, unknown, of another type, or out of bounds.
        """
        if request.keys() != self._names:
            request = self._complete(request, number)
        cells = []
        for field, convert in self._converters:
            value = convert(request[field.name])
            if value is OTHER:
                value = self._parsed(field, request[field.name], number)
            cells.append(value)
        return tuple(cells)  # type: ignore[arg-type]  # OTHER was replaced above

    def table(self, requests: Sequence[tuple[Mapping[str, object], int]]) -> pa.Table:
        """Convert (request, t) pairs to a spine with one row for each pair, in the same order.

        `t` is in microseconds UTC.

        Raises:
            RequestError: as `cells` does.
        """
        rows = [self.cells(request, number) for number, (request, _) in enumerate(requests)]
        columns = list(zip(*rows, strict=True)) or [()] * len(self.fields)
        arrays = [
            pa.array(column, field.arrow_type)
            for column, field in zip(columns, self.fields, strict=True)
        ]
        moments = pa.array([at for _, at in requests], pa.int64())
        return pa.table([*arrays, moments], names=list(self.types))

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(field.name for field in self.fields)

    @cached_property
    def _converters(self) -> tuple[tuple[Field, Convert], ...]:
        return tuple(
            (field, converter(field, nullable=self.nullable(field))) for field in self.fields
        )

    def _complete(self, request: Mapping[str, object], number: int) -> Mapping[str, object]:
        """Add the declared defaults of omitted columns to the request."""
        missing = sorted(self._names - request.keys() - self.defaults.keys())
        unknown = sorted(request.keys() - self._names)
        if missing or unknown:
            what = f"lacks {missing}" if missing else f"has unknown columns {unknown}"
            raise RequestError(
                f"the request {what}",
                where=f"request {number}, spine {self.spine.table}",
                fix=f"give {', '.join(f.name for f in self.fields)} and nothing else; null (None)"
                " where there is no value",
                field=(missing or unknown)[0],
                number=number,
            )
        return {**self.defaults, **request}

    def _parsed(self, field: Field, value: object, number: int) -> Cell:
        """Parse a value with the parser of delivered files, which is slow but accepts all forms."""

        def refusal(reason: str = "") -> RequestError:
            return _refusal(field, value, number, reason)

        text = _text(field, value, refusal)
        cells = parse(field, pa.array([text], pa.string()))
        if cells.wrong:
            raise refusal()
        if cells.problems:
            raise refusal(cells.problems[0][2])
        if cells.values.null_count and not self.nullable(field):
            raise refusal("it may not be null")
        return stored(cells.values[0].as_py())


def _text(field: Field, value: object, refusal: Refusal) -> str | None:
    """Return the value as the text that a delivered file would contain."""
    if value is None:
        return None
    if not isinstance(value, _TYPES[field.type]) or (
        isinstance(value, bool) and field.type != "boolean"
    ):
        raise refusal()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise refusal("it has no time zone")
        return iso(to_us(value))
    text = repr(value) if isinstance(value, float) else str(value)
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise refusal("it has an unpaired surrogate, which is not valid text")
    return text


def _refusal(field: Field, value: object, number: int, reason: str) -> RequestError:
    expected = EXPECTED.get(field.type, "a text")
    return RequestError(
        f"{field.name} is {value!r}" + (f": {reason}" if reason else ""),
        where=f"request {number}",
        fix=f"give {expected} ({field.form_text})",
        field=field.name,
        number=number,
    )
