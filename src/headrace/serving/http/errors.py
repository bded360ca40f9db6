"""HTTP errors: the status of an exception, and the JSON body that describes it."""

import json
from typing import Any

from headrace.core.errors import DeclarationError, HeadraceError, StateError
from headrace.serving.request import RequestError


class HttpError(HeadraceError):
    """Error of a request that is refused before any feature is read, with its HTTP status."""

    def __init__(
        self, status: int, what: str, *, where: str = "", fix: str = "", field: str = ""
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.status, self.field = status, field


def status_of(error: HeadraceError) -> int:
    """Return the HTTP status of an error.

    422: the request does not fit the spine. 409: the feature definitions differ. 503: the service
    is not ready. 500: any other error.
    """
    if isinstance(error, HttpError):
        return error.status
    if isinstance(error, RequestError):
        return 422
    if isinstance(error, DeclarationError):
        return 409
    return 503 if isinstance(error, StateError) else 500


def body_of(error: HeadraceError) -> bytes:
    """Return `{"error": {what, where, fix}}`, plus `field` and the index `request` if known."""
    details: dict[str, Any] = {"what": error.what, "where": error.where, "fix": error.fix}
    if isinstance(error, RequestError):
        details["request"] = error.number
    if field := getattr(error, "field", ""):
        details["field"] = field
    return json.dumps(
        {"error": {name: value for name, value in details.items() if value != ""}}
    ).encode()
