"""A real webhook and a real mail server on this machine, that keep what they get."""

import json
import socket
import threading
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller


class Hook:
    """Bodies of all POSTs, with their headers; answers with `status`."""

    def __init__(self):
        self.got, self.status, self.before_answer = [], 200, None

    @property
    def ids(self):
        return [one["alert"] for one in self.got if one["kind"] == "opened"]

    @property
    def closed(self):
        return [one["alert"] for one in self.got if one["kind"] == "closed"]


@contextmanager
def webhook():
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if hook.status < 300:
                hook.got.append({**body, "headers": dict(self.headers), "path": self.path})
            if hook.before_answer:
                hook.before_answer()
            self.send_response(hook.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_port}/hook/s3cr3t-path"
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Mails:
    def __init__(self):
        self.got = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        self.got.append(message_from_bytes(envelope.content))
        return "250 taken"


@contextmanager
def mail_server():
    mails = Mails()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(mails, hostname="127.0.0.1", port=port)
    controller.start()
    mails.url = f"mailto://127.0.0.1:{port}?from=gate@example.com&to=ana@example.com&mode=insecure"
    try:
        yield mails
    finally:
        controller.stop()
