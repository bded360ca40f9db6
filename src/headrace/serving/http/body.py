"""Parser of HTTP bodies: strict JSON with exact decimals, and one `t` for all requests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from headrace.core.clock import iso, parse_iso
from headrace.serving.http.errors import HttpError

_FIELDS = {"requests", "at", "definition"}
_FIRST = parse_iso("0001-01-01")


@dataclass(frozen=True)
class VectorRequest:
    """Parsed body: requests as the client sent them; `at` is their `t`, in microseconds UTC."""

    requests: list[dict[str, object]]
    at: int
    definition: str | None = None

    @property
    def pairs(self) -> list[tuple[Mapping[str, object], int]]:
        return [(request, self.at) for request in self.requests]


def read_body(data: bytes, now: int, limit: int) -> VectorRequest:
    """Read the body of `POST /v1/vectors`, with at most `limit` requests; `at` defaults to `now`.

    Numbers with a decimal point become Decimal, so that a price is not rounded to a float.

    Raises:
        HttpError: 400: not JSON; 413: too many requests; 422: JSON of the wrong structure.
    """
    body = _parsed(data)
    if not isinstance(body, dict) or not isinstance(body.get("requests"), list):
        raise _misformed("the body has no list of requests", "requests")
    if unknown := sorted(body.keys() - _FIELDS):
        raise _misformed(f"the body has unknown fields {unknown}", unknown[0])
    requests = body["requests"]
    if not requests or not all(isinstance(request, dict) for request in requests):
        raise _misformed("requests is empty, or an item is not an object", "requests")
    if len(requests) > limit:
        raise HttpError(
            413, f"{len(requests)} requests are too many", fix=f"send at most {limit} at a time"
        )
    definition = body.get("definition")
    if not isinstance(definition, str | None):
        raise _misformed("definition is not a text", "definition")
    return VectorRequest(requests, _moment(body.get("at"), now), definition)


def _parsed(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return _DECODER.decode(data.decode())
    except (ValueError, ArithmeticError, RecursionError) as error:  # Decimal: ArithmeticError
        raise HttpError(
            400, f"the body is not JSON: {error}", fix="send an object such as the page /docs shows"
        ) from None


def _moment(at: object, now: int) -> int:
    if at is None:
        return now
    try:
        moment = at if type(at) is int else _zoned(at)
    except ValueError:
        raise _misformed(f"at is {at!r}, which is not a timestamp with a zone", "at") from None
    if moment < _FIRST:  # training cannot represent it, so an audit could not compare answers
        raise _misformed("at is before the year 1", "at")
    if moment > now:
        raise HttpError(
            422,
            f"at is {at!r}, which is in the future: now it is {iso(now)}",
            fix="omit `at` for an answer as of now",
            field="at",
        )
    return moment


def _zoned(at: object) -> int:
    if (
        not isinstance(at, str)
        or "T" not in at
        or not (at.endswith("Z") or at[-6:-5] in {"+", "-"})
    ):
        raise ValueError(at)
    return parse_iso(at)


def _misformed(what: str, field: str) -> HttpError:
    return HttpError(
        422,
        what,
        fix='send {"requests": [{column: value, ...}, ...]}; for a time other than now, add "at":'
        " a timestamp with a zone, or integer microseconds UTC",
        field=field,
    )


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("an object has the same name twice")
    return document


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_once)
