"""The paths that are asked all day, answered as ASGI before the web framework sees them.

The framework's routing, dependencies and response objects take longer than most answers do. It
keeps the same paths for its document, and for requests that reach them under a prefix.
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
class Told:
    """A whole answer in JSON."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] | None = None


Telling: TypeAlias = Callable[[Scope, Receive], Awaitable[Told]]


@dataclass(frozen=True)
class Front:
    """`paths` that are posted to are answered here, all else by `app`."""

    app: App
    paths: Mapping[str, Telling]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        telling = None
        if scope["type"] == "http" and scope["method"] == "POST":
            telling = self.paths.get(scope["path"])
        if telling is None:
            await self.app(scope, receive, send)
            return
        told = await telling(scope, receive)
        headers = [
            (b"content-length", b"%d" % len(told.body)),
            (b"content-type", JSON.encode()),
        ]
        for name, value in (told.headers or {}).items():
            headers.append((name.lower().encode(), value.encode()))
        start = {"type": "http.response.start", "status": told.status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": told.body})


async def read(receive: Receive, most: int) -> bytes:
    """The body, unless it is longer than `most`; it is not kept in memory to find that out.

    Raises:
        HttpError: 413 it is longer, 400 the client went away before its end.
    """
    data = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise HttpError(400, "the body has no end", fix="send it whole")
        part: bytes = message.get("body", b"")
        data += part
        if len(data) > most:
            raise HttpError(413, f"the body is longer than {most} bytes", fix="send it in parts")
        if not message.get("more_body", False):
            return bytes(data)
