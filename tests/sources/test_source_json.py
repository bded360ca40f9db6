"""API pages and NDJSON as rows of text: exact numbers, ordinals, and nothing lost or raised."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.sources.base import Delivery
from headrace.sources.parse import RawRows, read_rows
from tests.examples import examples


def read(payload: bytes, kind: str = "pages") -> RawRows:
    return read_rows(Delivery("s", "1", payload, kind, "here", 0, "them"))


def page(*records: object, cursor: str | None = None) -> bytes:
    return json.dumps({"records": records, "next": cursor}).encode() + b"\n"


def test_numbers_keep_their_text():
    raw = read(b'{"a":1.50,"b":-0,"c":1e400,"d":12345678901234567890123,"e":"1"}', "ndjson")
    (row,) = raw.table.to_pylist()
    assert row == {"a": "1.50", "b": "-0", "c": "1e400", "d": "12345678901234567890123", "e": "1"}


def test_values_and_absent_fields():
    raw = read(page({"b": True, "a": None}, {"a": False, "c": ""}))
    assert raw.columns == ("b", "a", "c")
    assert raw.table.to_pylist() == [
        {"b": "true", "a": None, "c": None},
        {"b": None, "a": "false", "c": ""},
    ]


def test_ordinals_run_through_the_pages():
    raw = read(page({"a": 1}, {"a": 2}, cursor="x") + page() + page({"a": 3}))
    assert raw.table["a"].to_pylist() == ["1", "2", "3"]
    assert raw.lines.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ('{"a": [1]}', "nested"),
        ('{"a": {"b": 1}}', "nested"),
        ('{"a": 1, "a": 2}', "twice"),
        ("{}", "an object with fields"),
        ("3", "an object with fields"),
        ("null", "an object with fields"),
        ('{"a": "\\ud800"}', "not Unicode"),
        ('{"\\ud800": 1}', "not Unicode"),
    ],
)
def test_what_is_not_a_row_is_reported_and_its_neighbours_are_read(record, why):
    for payload, kind in [
        (f'{{"records":[{{"a":1}},{record},{{"a":3}}],"next":null}}\n', "pages"),
        (f'{{"a":1}}\n{record}\n\n{{"a":3}}\n', "ndjson"),
    ]:
        raw = read(payload.encode(), kind)
        assert raw.lines.tolist() == [1, 3]
        assert raw.table["a"].to_pylist() == ["1", "3"]
        (found,) = raw.malformed
        assert (found.line, raw.delivered) == (2, 3)
        assert why in found.why


@pytest.mark.parametrize(
    "body",
    [b"<html>503</html>", b'{"records":[{"a":1}', b'{"rows":[]}', b"[]", b"\xff", b"[" * 100_000,
     b'{"records":[],"records":[]}'],
)  # fmt: skip
def test_a_page_that_cannot_be_read_counts_as_one(body):
    raw = read(page({"a": 1}) + body + b"\n" + page({"a": 2}))
    assert raw.lines.tolist() == [1, 3]
    assert [m.line for m in raw.malformed] == [2]
    assert raw.delivered == 3


@pytest.mark.parametrize("kind", ["pages", "ndjson"])
def test_nothing_delivered(kind):
    raw = read(b"", kind)
    assert (raw.table.num_rows, raw.columns, raw.malformed, raw.delivered) == (0, (), (), 0)


names = st.text(st.characters(codec="utf-8"), max_size=4)
values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=6)
)


def as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


@settings(deadline=None, database=None)
@given(st.lists(st.lists(st.dictionaries(names, values, min_size=1, max_size=4), max_size=4)))
def test_what_is_written_is_read(pages):
    records = [record for records in pages for record in records]
    expected = [{k: as_text(v) for k, v in record.items()} for record in records]
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    for raw in (read(b"".join(page(*records) for records in pages)), read(lines, "ndjson")):
        assert raw.malformed == ()
        assert raw.columns == tuple(dict.fromkeys(name for record in records for name in record))
        assert raw.table.to_pylist() == [dict.fromkeys(raw.columns) | row for row in expected]
        assert raw.lines.tolist() == list(range(1, len(records) + 1))


@settings(deadline=None, database=None, max_examples=examples(400))
@given(
    st.binary(max_size=40) | st.text(list('{}[]":,1a\n '), max_size=60).map(str.encode),
    st.sampled_from(["pages", "ndjson"]),
)
def test_any_bytes_are_read_without_loss(payload, kind):
    raw = read(payload, kind)
    ordinals = sorted([*raw.lines.tolist(), *(m.line for m in raw.malformed)])
    assert ordinals == list(range(1, raw.delivered + 1))
    assert raw.table.num_rows == len(raw.lines)
