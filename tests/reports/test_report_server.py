"""The report server, asked over real HTTP."""

import http.client
import re
import threading

import pytest

from headrace.core.errors import DeclarationError
from headrace.report_server.server import ReportServer
from headrace.report_server.site import Site
from headrace.web.report_address import report_url
from tests.reports import world

OUTSIDE = [
    "/../../etc/passwd",
    "/batch/schedule/../../../etc/passwd",
    "/batch/..%2f..%2fetc/passwd",
    "/batch/schedule/%2e%2e%2f",
    "/batch/schedule/",
    "/batch/nothing/abc",
    "/table/schedule/1999-01-01",
    "/static/report.css",
    "/batch/schedule/%00",
]


@pytest.fixture(scope="module")
def server(flights):
    pipeline, home = flights
    with ReportServer(Site([pipeline], home), "127.0.0.1", 0) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def ask(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


def test_the_index_begins_with_what_waits(server):
    answer, page = ask(server, "/")
    assert answer.status == 200
    assert "<h1>3 batches waiting</h1>" in page
    assert page.index("Waiting for a decision") < page.index("Other batches that did not pass")
    assert page.index(world.RENAMED) < page.index(world.TORN) < page.index(world.KILOMETRES)
    assert "weather 2013-02-12" in page


def test_what_was_not_delivered_is_on_the_index(server):
    _, page = ask(server, "/?table=weather")
    assert "Expected, but not delivered" in page
    assert re.search(r"<strong>weather</strong>: \d+ partitions, 2013-01-01 to 2013-12-31", page)


def test_the_index_of_one_table(server):
    _, page = ask(server, "/?table=weather")
    assert "No batch waits" in page
    assert "schedule 2013" not in page
    assert ask(server, "/?table=nothing")[0].status == 404


def test_a_batch_by_the_address_that_alerts_link_to(server, flights, monkeypatch):
    home = flights[1]
    monkeypatch.setenv("HEADRACE_REPORTS_URL", "http://reports.example/")
    answer, _ = ask(server, f"/table/schedule/{world.KILOMETRES}")
    assert answer.status == 302
    batch = answer.headers["Location"].rpartition("/")[2]
    path = report_url("schedule", batch).removeprefix("http://reports.example")
    answer, page = ask(server, path)
    assert answer.status == 200
    assert "Needs a decision" in page
    assert "gate_release" in page  # the button to the orchestrator's launchpad
    assert not list(home.reports.rglob("*"))  # it reads, and writes nothing


@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_outside_is_answered(server, path):
    answer, page = ask(server, path)
    assert answer.status == 404
    assert "root:" not in page
    assert "script" not in page


@pytest.mark.parametrize("path", ["/", "/batch/x/y", "/health"])
def test_every_answer_forbids_what_pages_do_not_need(server, path):
    headers = ask(server, path)[0].headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "Python" not in headers["Server"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"])
def test_only_reading_is_answered(server, method):
    answer, _ = ask(server, "/", method)
    assert answer.status == 405
    assert "Content-Security-Policy" in answer.headers


def test_head_has_no_body(server):
    answer, body = ask(server, "/", "HEAD")
    assert (answer.status, body) == (200, "")
    assert int(answer.headers["Content-Length"]) > 1000


def test_it_says_that_it_is_up(server):
    answer, body = ask(server, "/health")
    assert (answer.status, body) == (200, '{"status":"ok"}')


def test_another_name_for_this_machine_is_refused(server):
    """A page from elsewhere must not read reports by giving its name this machine's address."""
    assert ask(server, "/", Host="evil.example")[0].status == 421
    assert ask(server, "/", Host="localhost:1")[0].status == 200


def test_a_taken_port_is_explained(server, flights):
    port = server.server_address[1]
    with pytest.raises(DeclarationError, match=f"cannot listen on 127.0.0.1 port {port}"):
        ReportServer(Site([flights[0]], flights[1]), "127.0.0.1", port)


def test_many_at_once_are_answered(server):
    statuses = []

    def one():
        statuses.append(ask(server, f"/table/weather/{world.WIND}")[0].status)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [302] * 8
