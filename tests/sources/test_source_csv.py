"""CSV deliveries as rows of text: exact values, physical lines, and nothing lost or raised."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.sources.base import Delivery
from headrace.sources.parse import RawRows, read_rows
from tests.examples import examples


def read(payload: bytes, **options) -> RawRows:
    return read_rows(Delivery("s", "1", payload, "csv", "here", 0, "them"), **options)


def rows(raw: RawRows) -> list[tuple]:
    return [tuple(row.values()) for row in raw.table.to_pylist()]


@pytest.mark.parametrize(
    ("payload", "expected", "lines"),
    [
        (b"a,b\n1,2\n3,4\n", [("1", "2"), ("3", "4")], [2, 3]),
        (b"a,b\r\n1,2\r\n3,4\r\n", [("1", "2"), ("3", "4")], [2, 3]),
        (b"\xef\xbb\xbfa,b\n1,2\n", [("1", "2")], [2]),
        (b"a,b\n1,2", [("1", "2")], [2]),
        (b"a,b\n\n1,2\n\n\n3,4\n\n", [("1", "2"), ("3", "4")], [3, 6]),
        (b"\n\na,b\n1,2\n", [("1", "2")], [4]),
        (b'a,b\n1,"x\ny"\n3,4\n', [("1", "x\ny"), ("3", "4")], [2, 4]),
        (b'a,b\n1,5" pipe\n3,"say ""so"""\n', [("1", '5" pipe'), ("3", 'say "so"')], [2, 3]),
        (b'a,b\nNA,\n"NA",""\n', [(None, None), ("NA", "")], [2, 3]),
        (b"a,b\n007,1.50\n 1,-0\n", [("007", "1.50"), (" 1", "-0")], [2, 3]),
        (b"a\nx\n\ny\n", [("x",), (None,), ("y",)], [2, 3, 4]),
        (b"a,b\n", [], []),
        (b"a,b", [], []),
    ],
)
def test_rows_and_their_lines(payload, expected, lines):
    raw = read(payload)
    assert rows(raw) == expected
    assert raw.lines.tolist() == lines
    assert raw.malformed == ()
    assert raw.delivered == len(expected)


@pytest.mark.parametrize(
    ("payload", "good", "malformed"),
    [
        (b"a,b\n1,2\n3\n4,5,6\n7,8\n", 2, [(3, "3", "got 1"), (4, "4,5,6", "got 3")]),
        (b"a,b\n1,2\n3,4\n5", 2, [(4, "5", "expected 2 fields, got 1")]),
        (b'a,b\n1,2\n3,"4\n5,6\n', 1, [(3, '3,"4\n5,6', "never closed")]),
        (b"a,b\n1,2\n\xff,3\n4,5\n", 2, [(3, "\ufffd,3", "not UTF-8")]),
        (b"", 0, [(1, "", "no header line")]),
        (b"\r\n\r\n", 0, [(1, "", "no header line")]),
        (b"a,b,a\n1,2,3\n", 1, [(1, "a,b,a", "'a' appears twice")]),
        (b"a,,c\n1,2,3\n", 1, [(1, "a,,c", "column 2 has no name")]),
        (b"\xff,b\n1,2\n", 1, [(1, "\ufffd,b", "not UTF-8")]),
        (b'a,"b\n1,2\n', 0, [(1, 'a,"b\n1,2', "never closed")]),
    ],
)
def test_what_is_not_a_row_is_reported(payload, good, malformed):
    raw = read(payload)
    assert raw.table.num_rows == len(raw.lines) == good
    assert [(m.line, m.text) for m in raw.malformed] == [m[:2] for m in malformed]
    for found, (_, _, why) in zip(raw.malformed, malformed, strict=True):
        assert why in found.why


def test_columns_keep_their_order_and_null_tokens_are_declared():
    raw = read(b"z,a\n-,NA\n", null_tokens=["-"])
    assert raw.columns == ("z", "a")
    assert rows(raw) == [(None, "NA")]


def test_long_malformed_lines_are_shortened():
    (found,) = read(b"a,b\n" + b"x" * 10_000 + b"\n").malformed
    assert len(found.text) < 1000


cells = st.none() | st.text(
    st.characters(codec="utf-8") | st.sampled_from(list('",\n\r\ufeff')), max_size=6
)
names = st.text(
    st.characters(codec="utf-8") | st.sampled_from(list('",\n\r')), min_size=1, max_size=4
)


@st.composite
def tables(draw):
    header = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    width = len(header)
    return header, draw(st.lists(st.lists(cells, min_size=width, max_size=width), max_size=6))


def written(value: str | None, *, always: bool) -> str:
    if value is None:
        return ""
    plain = not always and value not in ("", "NA") and not re.search('["\r\n,]', value)
    return value if plain else '"' + value.replace('"', '""') + '"'


@settings(deadline=None, database=None)
@given(tables(), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.booleans())
def test_what_is_written_is_read(table, end, bom, always):
    header, body = table
    text, lines = ",".join(written(name, always=True) for name in header) + end, []
    for row in body:
        lines.append(1 + len(re.findall("\r\n|\n|\r", text)))
        text += ",".join(written(value, always=always) for value in row) + end
    raw = read((b"\xef\xbb\xbf" if bom else b"") + text.encode())
    assert raw.malformed == ()
    assert raw.columns == tuple(header)
    assert rows(raw) == [tuple(row) for row in body]
    assert raw.lines.tolist() == lines


@settings(deadline=None, database=None, max_examples=examples(400))
@given(st.binary(max_size=60) | st.text(list('ab,"\n\r\u00e9'), max_size=60).map(str.encode))
def test_any_bytes_are_read_without_loss(payload):
    raw = read(payload)
    if not payload.removeprefix(b"\xef\xbb\xbf").strip(b"\r\n"):
        assert (raw.delivered, len(raw.malformed)) == (0, 1)
        return
    payload = payload.removeprefix(b"\xef\xbb\xbf")
    header = 1 + len(re.findall(rb"\r\n|\n|\r", re.match(rb"[\r\n]*", payload)[0]))
    bad = [m.line for m in raw.malformed if m.line != header]
    assert raw.delivered == raw.table.num_rows + len(bad)
    lines = raw.lines.tolist() + bad
    assert len(set(lines)) == len(lines)
    assert raw.lines.tolist() == sorted(raw.lines)
    assert all(line > header for line in lines)
