"""What a request must hold: the spine's columns, in the types of its table (rule 18)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property

import pyarrow as pa

from headrace.clock import iso, to_us
from headrace.contracts.cells import EXPECTED, parse
from headrace.contracts.model import Contract, Field
from headrace.errors import HeadraceError
from headrace.features.spec import Spine

_TYPES: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float, Decimal),
    "string": (str,),
    "timestamp": (datetime, str),
    "boolean": (bool,),
}


class RequestError(HeadraceError):
    """A request lacks a value, or holds one that the spine's table could not hold."""


@dataclass(frozen=True)
class RequestSchema:
    """Key and columns of a spine, each with what the contract says of it."""

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

    def table(self, requests: Sequence[tuple[Mapping[str, object], int]]) -> pa.Table:
        """(request, t) pairs as a spine: one row each, in order; `t` in microseconds UTC.

        Values are in the column's unit and go through the parser of deliveries: the quantiser, the
        bounds and the null tokens are those of the table.

        Raises:
            RequestError: a value is missing, unknown, of another type, or out of bounds.
        """
        for number, (request, _) in enumerate(requests):
            self._check_names(request, number)
        columns = [
            self._column(field, [r[field.name] for r, _ in requests]) for field in self.fields
        ]
        moments = pa.array([at for _, at in requests], pa.int64())
        return pa.table([*columns, moments], names=list(self.types))

    def _check_names(self, request: Mapping[str, object], number: int) -> None:
        names = {field.name for field in self.fields}
        missing, unknown = names - request.keys(), request.keys() - names
        if missing or unknown:
            what = f"lacks {sorted(missing)}" if missing else f"has unknown {sorted(unknown)}"
            raise RequestError(
                f"the request {what}",
                where=f"request {number}, spine {self.spine.table}",
                fix=f"give {', '.join(self.types)} and nothing else; None where there is no value",
            )

    def _column(self, field: Field, values: Sequence[object]) -> pa.Array:
        cells = parse(field, pa.array([_text(field, value) for value in values], pa.string()))
        if cells.wrong:
            raise _refusal(field, values[cells.wrong[0]])
        if cells.problems:
            row, _, reason = cells.problems[0]
            raise _refusal(field, values[row], reason)
        if cells.values.null_count and (field.required or field.name in self.key):
            raise _refusal(field, None, "it may not be null")
        return cells.values


def _text(field: Field, value: object) -> str | None:
    """The value as a delivery would write it."""
    if value is None:
        return None
    if not isinstance(value, _TYPES[field.type]) or (
        isinstance(value, bool) and field.type != "boolean"
    ):
        raise _refusal(field, value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise _refusal(field, value, "it has no time zone")
        return iso(to_us(value))
    return repr(value) if isinstance(value, float) else str(value)


def _refusal(field: Field, value: object, reason: str = "") -> RequestError:
    expected = EXPECTED.get(field.type, "a text")
    return RequestError(
        f"{field.name} is {value!r}" + (f": {reason}" if reason else ""),
        where="a request",
        fix=f"give {expected} ({field.says})",
    )
