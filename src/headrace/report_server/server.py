"""The report server: GET and HEAD for the pages of a `Site`, and POST for their forms.

The standard library's server is enough for the few requests of one reader, and needs no extra
installation on the machine of the person on call.
"""

import socket
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from headrace.core.errors import DeclarationError
from headrace.report_server.actions import Caller, host_name, is_loopback
from headrace.report_server.site import HEADERS, PageAnswer, Site
from headrace.web.report_address import reports_url

PATIENCE = 30  # timeout for a client to send its request, in seconds
LONGEST = 64 * 1024  # maximum size of a form in bytes: a reason and some short fields


class ReportServer(ThreadingHTTPServer):
    """Server that listens once it is constructed; `serve_forever` answers requests."""

    daemon_threads = True
    # A second server on the same port must fail to start.
    allow_reuse_port = False

    def __init__(self, site: Site, host: str, port: int) -> None:
        if site.acting and not is_loopback(host):
            site = replace(site, acting=None)  # callers from other machines are not verified
        self.acts = site.acting is not None
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), partial(_Handler, site, _names(host)))
        except OSError as error:
            raise DeclarationError(
                f"cannot listen on {host} port {port}: {error.strerror}",
                where="headrace reports",
                fix="give another --port, or --port 0 for any free port",
            ) from error


def _names(host: str) -> frozenset[str] | None:
    """Return the accepted Host names of a server on a loopback address; None accepts any.

    The restriction prevents DNS rebinding: another site could resolve its own name to this machine
    and read the pages.
    """
    if not is_loopback(host):
        return None
    return frozenset(
        {"localhost", "127.0.0.1", "::1", host, urlsplit(reports_url()).hostname or ""}
    )


class _Handler(BaseHTTPRequestHandler):
    server_version = "headrace"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE

    def __init__(self, site: Site, names: frozenset[str] | None, *args: object) -> None:
        self.site, self.names = site, names
        super().__init__(*args)  # type: ignore[arg-type]  # arguments from the server

    def do_GET(self) -> None:
        self._send(self._answer())

    def do_HEAD(self) -> None:
        self._send(self._answer(), head=True)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LONGEST:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        body = self.rfile.read(int(length)).decode(errors="replace")
        self._send(self._misnamed() or self.site.act(self.path, dict(parse_qsl(body)), self._from))

    @property
    def _from(self) -> Caller:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Caller(str(self.client_address[0]), headers)

    def _answer(self) -> PageAnswer:
        return self._misnamed() or self.site.answer(self.path, self._from)

    def _misnamed(self) -> PageAnswer | None:
        """Return the refusal of a request with another Host name; None if the name is accepted."""
        name = host_name(self.headers.get("Host", ""))
        if self.names is None or name in self.names:
            return None
        text = f"this server does not accept the host name {name}; see HEADRACE_REPORTS_URL\n"
        return PageAnswer(
            HTTPStatus.MISDIRECTED_REQUEST, text.encode(), "text/plain; charset=utf-8"
        )

    def _send(self, answer: PageAnswer, *, head: bool = False) -> None:
        self.send_response(answer.status)
        headers = {
            **HEADERS,
            "Content-Security-Policy": answer.policy,
            "Content-Type": answer.type,
            "Content-Length": str(len(answer.body)),
        }
        if answer.location:
            headers["Location"] = answer.location
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if not head:
            self.wfile.write(answer.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send an error of the base class (other methods, bad requests) with the same headers."""
        del explain
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        self.close_connection = True
        text = f"{status.value} {message or status.phrase}\n"
        self._send(PageAnswer(status, text.encode(errors="replace"), "text/plain; charset=utf-8"))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Log nothing; a reverse proxy can keep an access log."""
