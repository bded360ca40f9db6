"""Parser of CSV (RFC 4180, comma, UTF-8) to rows of text with their physical line numbers."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from headrace.sources.rows import Malformed, RawRows, no_rows, shortened

_BOM = b"\xef\xbb\xbf"
_LF, _CR = 10, 13
_BLOCK = 1 << 30  # deliveries below 1 GiB are parsed as one block: one chunk per column
# A quote opens a quoted field only at the start of a field; elsewhere it is text.
_QUOTED = re.compile(rb'(?:(?<=[,\r\n])|\A)"(?:[^"]++|"")*+("?)')
_LINE_END = re.compile(rb"\r\n|\n|\r")
Ints = npt.NDArray[np.int64]
Faults = dict[int, str]  # {index of a record: reason why it is malformed}


@dataclass(frozen=True)
class _Scan:
    """Positions of a file's records: byte offsets of start and end, and first physical lines.

    `unclosed` is True if the last quote of the file is never closed.
    """

    starts: Ints
    stops: Ints
    lines: Ints
    unclosed: bool


def csv_rows(payload: bytes, null_tokens: Sequence[str]) -> RawRows:
    """Parse a CSV file with a header line; with several columns, blank lines are skipped."""
    text, undecodable = _as_utf8(payload.removeprefix(_BOM))
    scan = _scan(text, keep_blank=False)
    if not len(scan.lines):
        return no_rows(Malformed(1, "", "the file is empty: there is no header line"))
    first, body = int(scan.lines[0]), int(scan.stops[0]) + 1
    header = text[int(scan.starts[0]) : body].decode().rstrip("\r\n")
    columns, fault = _columns(header)
    if len(columns) == 1:  # with one column, a blank line is a row with a null
        scan = _scan(text, keep_blank=True)
    scan = _after(scan, first)
    fault = _header_text_fault(scan, undecodable) or fault
    table, faults = _parse(text[body:], columns, null_tokens)
    if table.num_rows + len(faults) != len(scan.lines):
        fault = "the quotes of this file do not pair up, so where its rows end is not certain"
        table, faults = table.slice(0, 0), dict.fromkeys(range(len(scan.lines)), fault)
    parsed = np.delete(np.arange(len(scan.lines)), list(faults))
    faults |= _text_faults(scan, undecodable)
    malformed = [Malformed(first, shortened(header), fault)] if fault else []
    for index, why in sorted(faults.items()):
        row = text[int(scan.starts[index]) : int(scan.stops[index])].decode().rstrip("\r\n")
        malformed.append(Malformed(int(scan.lines[index]), shortened(row), why))
    good = ~np.isin(parsed, list(faults))
    if not good.all():
        table = table.filter(pa.array(good))
    return RawRows(table, scan.lines[parsed[good]], columns, tuple(malformed), len(scan.lines))


def _as_utf8(payload: bytes) -> tuple[bytes, frozenset[int]]:
    """Return (payload with invalid UTF-8 replaced, physical lines that contain invalid UTF-8)."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        lines = enumerate(_LINE_END.split(payload), 1)
        bad = frozenset(n for n, line in lines if line.decode(errors="replace").encode() != line)
        return payload.decode(errors="replace").encode(), bad
    return payload, frozenset()


def _scan(text: bytes, *, keep_blank: bool) -> _Scan:
    """Find the records, which end at line ends outside quotes."""
    buffer = np.frombuffer(text, np.uint8)
    is_end = buffer == _LF
    if b"\r" in text:
        lone = buffer == _CR
        lone[:-1] &= ~is_end[1:]
        is_end |= lone
    ends = np.flatnonzero(is_end).astype(np.int64)
    outside, unclosed = _outside_quotes(text, ends)
    stops = ends[outside]
    starts = np.concatenate([np.zeros(1, np.int64), stops + 1])
    stops = np.append(stops, len(text))
    if starts[-1] == len(text):
        starts, stops = starts[:-1], stops[:-1]
    lines = 1 + np.searchsorted(ends, starts).astype(np.int64)
    length = stops - starts
    crlf = (length == 1) & (buffer[starts] == _CR)
    keep = np.full(len(starts), keep_blank) | ((length > 0) & ~crlf)
    return _Scan(starts[keep], stops[keep], lines[keep], unclosed)


def _outside_quotes(text: bytes, ends: Ints) -> tuple[npt.NDArray[np.bool_], bool]:
    """Return (mask of the line ends outside quoted fields, True if the last quote is unclosed)."""
    spans = (
        [(m.start(), m.end(), m[1] == b"") for m in _QUOTED.finditer(text)] if b'"' in text else []
    )
    if not spans:
        return np.ones(len(ends), bool), False
    begin, stop = (np.array([span[i] for span in spans], np.int64) for i in (0, 1))
    at = np.searchsorted(begin, ends, side="right") - 1
    return (at < 0) | (ends >= stop[np.maximum(at, 0)]), spans[-1][2]


def _after(scan: _Scan, line: int) -> _Scan:
    later = scan.lines > line
    return _Scan(scan.starts[later], scan.stops[later], scan.lines[later], scan.unclosed)


def _columns(header: str) -> tuple[tuple[str, ...], str]:
    """Return (column names, made unique; fault of the header, or "")."""
    names = next(csv.reader(io.StringIO(header, newline="")))
    unique: list[str] = []
    fault = ""
    for place, name in enumerate(names, 1):
        new = name
        if not name:
            new, fault = f"column {place}", f"column {place} has no name"
        elif name in unique:
            fault = f"column {name!r} appears twice"
        while new in unique:
            new = f"{new} ({place})"
        unique.append(new)
    return tuple(unique), fault


def _parse(
    body: bytes, columns: tuple[str, ...], null_tokens: Sequence[str]
) -> tuple[pa.Table, Faults]:
    """Return the well-formed rows, and {index: reason} of the others; blank lines do not count."""
    faults: Faults = {}

    def skip(row: pacsv.InvalidRow) -> str:
        expected, actual = row.expected_columns, row.actual_columns
        faults[row.number - 1] = f"expected {expected} fields, got {actual}"
        return "skip"

    empty = pa.table({name: pa.array([], pa.string()) for name in columns})
    if not body:
        return empty, faults
    if body.startswith(_BOM):  # this mark is data; the parser drops the first one, so add one
        body = _BOM + body
    try:
        table = pacsv.read_csv(
            pa.BufferReader(body),
            read_options=pacsv.ReadOptions(
                column_names=columns, use_threads=False, block_size=min(len(body) + 16, _BLOCK)
            ),
            parse_options=pacsv.ParseOptions(
                newlines_in_values=True,
                ignore_empty_lines=len(columns) > 1,
                invalid_row_handler=skip,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                null_values=list(null_tokens),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:  # the caller sees that rows are missing, and reports the file
        return empty, {}
    return table, faults


def _header_text_fault(scan: _Scan, undecodable: frozenset[int]) -> str:
    """Return the encoding or quoting fault of the header, or ""; `scan` covers the rows below."""
    if scan.unclosed and not len(scan.lines):
        return "the quote that opens in the header is never closed"
    end = int(scan.lines[0]) if len(scan.lines) else None
    bad = any(end is None or line < end for line in undecodable)
    return "the header is not UTF-8" if bad else ""


def _text_faults(scan: _Scan, undecodable: frozenset[int]) -> Faults:
    """Return {index: reason} of records with invalid UTF-8 or an unclosed quote."""
    faults: Faults = {}
    for line in undecodable:
        index = int(np.searchsorted(scan.lines, line, side="right")) - 1
        if index >= 0:
            faults[index] = "this line is not UTF-8"
    if scan.unclosed and len(scan.lines):
        faults[len(scan.lines) - 1] = "the quote that opens here is never closed"
    return faults
