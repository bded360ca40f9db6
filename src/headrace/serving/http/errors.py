"""What goes wrong with a request, as a status and a JSON body that says how to mend it."""

import json
from typing import Any

from headrace.core.errors import DeclarationError, HeadraceError, StateError
from headrace.serving.request import RequestError


class HttpError(HeadraceError):
    """A request that is refused before any feature is looked at, with its status."""

    def __init__(
        self, status: int, what: str, *, where: str = "", fix: str = "", field: str = ""
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.status, self.field = status, field


def status_of(error: HeadraceError) -> int:
    """422: it does not fit the spine. 409: features mean something else. 503: not now."""
    if isinstance(error, HttpError):
        return error.status
    if isinstance(error, RequestError):
        return 422
    if isinstance(error, DeclarationError):
        return 409
    return 503 if isinstance(error, StateError) else 500


def body_of(error: HeadraceError) -> bytes:
    """`{"error": {what, where, fix}}`; also `field` and `request`, its place, if one is meant."""
    about: dict[str, Any] = {"what": error.what, "where": error.where, "fix": error.fix}
    if isinstance(error, RequestError):
        about["request"] = error.number
    if field := getattr(error, "field", ""):
        about["field"] = field
    return json.dumps(
        {"error": {name: value for name, value in about.items() if value != ""}}
    ).encode()
