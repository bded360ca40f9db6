"""ASGI application for the most frequent paths, in front of the web framework.

The framework's routing, dependencies and response objects take longer than computing most answers.
These paths are also registered in the framework, for the OpenAPI document and for requests under a
prefix.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from headrace.serving.http.errors import HttpError

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = "application/json"


@dataclass(frozen=True)
class HttpResponse:
    """JSON response; `body` is the encoded JSON."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] | None = None


ResponseHandler: TypeAlias = Callable[[Scope, Receive], Awaitable[HttpResponse]]


@dataclass(frozen=True)
class Front:
    """ASGI application that answers POST requests to `paths`; `app` answers all others."""

    app: App
    paths: Mapping[str, ResponseHandler]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = None
        if scope["type"] == "http" and scope["method"] == "POST":
            handler = self.paths.get(scope["path"])
        if handler is None:
            await self.app(scope, receive, send)
            return
        response = await handler(scope, receive)
        headers = [
            (b"content-length", b"%d" % len(response.body)),
            (b"content-type", JSON.encode()),
        ]
        for name, value in (response.headers or {}).items():
            headers.append((name.lower().encode(), value.encode()))
        start = {"type": "http.response.start", "status": response.status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": response.body})


async def read(receive: Receive, limit: int) -> bytes:
    """Read the body, and stop as soon as it is longer than `limit`.

    Raises:
        HttpError: 413: the body is longer than `limit`; 400: the client disconnected before the
            end of the body.
    """
    data = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise HttpError(400, "the body is incomplete", fix="send the whole body")
        part: bytes = message.get("body", b"")
        data += part
        if len(data) > limit:
            raise HttpError(
                413, f"the body is longer than {limit} bytes", fix="split it into several requests"
            )
        if not message.get("more_body", False):
            return bytes(data)
