"""A report server that acts, over a copy of the damaged days, and a browser made by hand."""

import http.client
import re
import shutil
import threading
from contextlib import contextmanager
from urllib.parse import urlencode

from headrace.core.home import Home
from headrace.lake.ledger.batch_listing import find_batches
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import actions
from headrace.report_server.actions import Acting
from headrace.report_server.server import ReportServer
from headrace.report_server.site import Site
from tests.reports import world

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Pages:
    """A report server, and a browser that goes its pages by hand."""

    def __init__(self, server, pipeline, home, told):
        self.server, self.home, self.told = server, home, told
        self.table = pipeline.table("schedule")
        self.host = f"127.0.0.1:{server.server_address[1]}"

    def batch(self, day):
        (row,) = find_batches(self.home, self.table, day)
        return row

    def path(self, day):
        return f"/batch/schedule/{self.batch(day)['batch']}"

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_address[1])
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer, answer.read().decode()
        finally:
            connection.close()

    def token(self, day=world.KILOMETRES):
        _, page = self.ask("GET", self.path(day))
        return re.search(r'name="token" value="([^"]+)"', page)[1]

    def send(self, day=world.KILOMETRES, headers=None, **fields):
        if "token" not in fields:
            fields["token"] = self.token(day)
        sent = {**FORM, "Origin": f"http://{self.host}", **(headers or {})}
        return self.ask("POST", self.path(day), urlencode(fields), **sent)

    def recorded(self):
        with Ledger(self.home) as ledger:
            return [(a.principal, a.action, a.allowed, a.reason) for a in actions(ledger)]


@contextmanager
def pages(flights, root, *, host="127.0.0.1"):
    pipeline, made = flights
    shutil.copytree(made.root, root / "home", symlinks=True)
    home, told = Home(root / "home"), []
    acting = Acting(lambda table, done: told.append((table, done["action"]["action"])))
    with ReportServer(Site([pipeline], home, acting), host, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Pages(server, pipeline, home, told)
        server.shutdown()
