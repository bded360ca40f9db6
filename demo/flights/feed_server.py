"""The airport's live feed over HTTP, on this machine only.

`/v1/outcomes` and `/v1/weather` take `day` (a UTC date), `limit` and `cursor`; `/health` says ok.
"""

import json
import socket
import sys
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from demo.flights.feed import FEEDS, LIMIT, BadRequestError, DownError, Feed


class FeedServer:
    """Server of the feed of `folder` on 127.0.0.1 in a `with` block; port 0 selects a free port."""

    def __init__(self, folder: Path | str, port: int = 0) -> None:
        self._feed = Feed(Path(folder) / "feed.sqlite")
        try:
            self._server = _Server(("127.0.0.1", port), self._feed)
        except OSError:
            self._feed.close()
            raise
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._feed.close()

    def wait(self) -> None:
        """Block until interrupted."""
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], feed: Feed) -> None:
        super().__init__(address, _Handler)
        self.feed = feed
        self._open: dict[socket.socket, Thread] = {}

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        thread = Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        super().shutdown_request(request)
        self._open.pop(request, None)

    def server_close(self) -> None:
        """Close the server and the connections that clients keep open; wait for their threads."""
        super().server_close()
        for connection, thread in list(self._open.items()):
            with suppress(OSError):  # the client closed it first
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Do not report a client that disconnects during an answer."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body are sent in one segment
    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        try:
            status, body = self._answer(url.path, url.query)
        except BadRequestError as error:
            status, body = HTTPStatus.BAD_REQUEST, _error(str(error))
        except DownError as error:
            status, body = HTTPStatus.SERVICE_UNAVAILABLE, _error(str(error))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, path: str, query: str) -> tuple[HTTPStatus, bytes]:
        if path == "/health":
            return HTTPStatus.OK, b'{"status":"ok"}'
        feed = path.removeprefix("/v1/")
        if feed not in FEEDS or path != f"/v1/{feed}":
            return HTTPStatus.NOT_FOUND, _error(f"there is no {path}")
        return HTTPStatus.OK, self.server.feed.page(feed, **_arguments(query))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _arguments(query: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, values in parse_qs(query, keep_blank_values=True).items():
        if name not in ("day", "limit", "cursor"):
            raise BadRequestError(f"there is no parameter {name!r}: day, limit, cursor")
        if len(values) > 1:
            raise BadRequestError(f"{name} is given twice")
        found[name] = values[0]
    if "day" not in found:
        raise BadRequestError("day is missing")
    limit = found.get("limit", str(LIMIT))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 10):
        raise BadRequestError(f"limit must be a whole number, got {limit!r}")
    return found | {"limit": int(limit)}


def _error(text: str) -> bytes:
    return json.dumps({"error": text}).encode()
