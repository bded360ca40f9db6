"""Cursor APIs: pages are followed to the end, and what goes wrong is said plainly."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from headrace.core.errors import SourceError
from headrace.sources.http import CursorApi
from headrace.sources.parse import read_rows

Answer = tuple[int, bytes]


def page(*records: object, cursor: object = None) -> Answer:
    return 200, json.dumps({"records": records, "next": cursor}).encode()


@contextmanager
def api(*answers: Answer, **options) -> Iterator[tuple[CursorApi, list[str]]]:
    """An API that gives these answers in turn, and the requests it got."""
    script, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked.append(self.path)
            status, body = script.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    source = CursorApi("feed", url, "/v1/x", {"day": "{slot}"}, "the airport", **options)
    try:
        yield source, asked
    finally:
        source.close()
        server.shutdown()
        thread.join()
        server.server_close()


def test_pages_are_followed_and_kept_one_a_line():
    pages = [page({"a": 1}, cursor="n1/+="), page(cursor="n2"), page({"a": 2})]
    with api(*pages, page_size=7) as (source, asked):
        (delivery,) = source.deliveries("2013-01-01")
    assert asked == [
        "/v1/x?day=2013-01-01&limit=7",
        "/v1/x?day=2013-01-01&limit=7&cursor=n1%2F%2B%3D",
        "/v1/x?day=2013-01-01&limit=7&cursor=n2",
    ]
    assert delivery.payload == b"".join(body + b"\n" for _, body in pages)
    assert delivery.origin.endswith("/v1/x?day=2013-01-01")
    assert read_rows(delivery).table["a"].to_pylist() == ["1", "2"]


def test_a_slot_without_records_is_no_delivery():
    with api(page(), page(cursor="more"), page()) as (source, _):
        assert source.deliveries("1") == []
        assert source.deliveries("1") == []


def test_a_body_of_many_lines_is_still_one_page():
    body = json.dumps({"next": None, "records": [{"a": "x\ny"}, {"a": 'z"next":null}'}]}, indent=2)
    with api((200, body.encode().replace(b"\n", b"\r\n"))) as (source, _):
        (delivery,) = source.deliveries("1")
    assert delivery.payload.count(b"\n") == 1
    assert read_rows(delivery).table["a"].to_pylist() == ["x\ny", 'z"next":null}']


@pytest.mark.parametrize(
    "record", [{"a": '","next":null}'}, {"a": '"next":"x"}'}, {"a": "\\"}, {"next": None}]
)
def test_the_cursor_is_the_page_s_own(record):
    with api(page(record, cursor="go"), page({"a": 1})) as (source, asked):
        source.deliveries("1")
    assert asked[1].endswith("cursor=go")
    first = json.dumps({"next": "go", "records": [record]}).encode()
    with api((200, first), page({"a": 1})) as (source, asked):
        source.deliveries("1")
    assert asked[1].endswith("cursor=go")


def test_passing_errors_are_tried_again():
    with api((503, b"busy"), page({"a": 1}), retries=1) as (source, asked):
        assert len(source.deliveries("1")) == 1
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((400, b'{"error":"limit is too large"}'), ["HTTP 400", "limit is too large", "page_size"]),
        ((404, b"gone"), ["HTTP 404", "/v1/x?day=1", "path"]),
        ((401, b"who?"), ["HTTP 401", "headers"]),
        ((503, b"busy"), ["HTTP 503", "run again later"]),
        ((200, b"<html>"), ["not JSON", "<html>"]),
        ((200, b"[]"), ["next"]),
        ((200, b'{"records":[]}'), ["next"]),
        ((200, b'{"records":[],"next":3}'), ["next"]),
    ],
)
def test_errors_say_what_where_and_how_to_mend_it(answer, words):
    with api(answer, retries=0) as (source, _), pytest.raises(SourceError) as caught:
        source.deliveries("1")
    text = str(caught.value)
    assert all(word in text for word in ["source feed", "slot 1", "fix:", *words]), text


def test_a_cursor_that_comes_back_is_an_error():
    pages = [page(cursor="a"), page(cursor="b"), page(cursor="a")]
    with api(*pages) as (source, _), pytest.raises(SourceError, match="never end"):
        source.deliveries("1")


def test_no_answer_is_an_error():
    with api(retries=0) as (source, _):
        pass
    with pytest.raises(SourceError, match="no answer"):
        source.deliveries("1")
    source.close()
