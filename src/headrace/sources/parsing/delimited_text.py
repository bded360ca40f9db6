"""Detection of a text file's encoding and delimiter, and conversion to UTF-8 with commas."""

import csv
import io

from headrace.core.errors import SourceError

DELIMITERS = (",", ";", "\t", "|")
_NAMES = {"\t": "tab"}
_LINES = 20
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def decoded(data: bytes, where: str) -> tuple[str, str, list[str]]:
    """Return (text, encoding, notes); an incomplete last character is dropped.

    Raises:
        SourceError: if the bytes are not text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data.decode(encoding, errors="replace")
            return text, encoding, [] if encoding == "utf-8-sig" else [_other(encoding)]
    if b"\0" in data[:4096]:
        raise SourceError(
            "this is not text: it holds zero bytes",
            where=where,
            fix="give the file the suffix of its format, such as .parquet or .zip",
        )
    try:
        return data.decode(), "utf-8", []
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            return data[: error.start].decode(), "utf-8", []
        line = data.count(b"\n", 0, error.start) + 1
        excerpt = data[max(0, error.start - 20) : error.start + 20].decode("cp1252", "replace")
        note = f"{_other('cp1252')}; line {line} would then contain {excerpt!r}"
        return data.decode("cp1252", "replace"), "cp1252 (guessed)", [note]


def _other(encoding: str) -> str:
    return (
        f"the text is {encoding}, not UTF-8: the gate blocks such a delivery;"
        f" convert it: iconv -f {encoding} -t utf-8"
    )


def separated(text: str, where: str) -> tuple[str, str, list[str]]:
    """Return (text separated by commas, original delimiter, notes).

    Raises:
        SourceError: if the text cannot be parsed with its delimiter.
    """
    delimiter = delimiter_of(text)
    if delimiter == ",":
        return text, ",", []
    out = io.StringIO(newline="")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        csv.writer(out, lineterminator="\n").writerows(rows)
    except csv.Error as error:
        raise SourceError(f"cannot be read as separated values: {error}", where=where) from error
    name = _NAMES.get(delimiter, delimiter)
    note = f"the delimiter is {name!r}: deliver it with commas, since the reader accepts no other"
    return out.getvalue(), name, [note]


def delimiter_of(text: str) -> str:
    """Return the delimiter with the most fields, preferring one that gives all lines as many."""
    lines = text[: 64 << 10].splitlines()[:_LINES]

    def fields(delimiter: str) -> tuple[bool, int]:
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            return (False, 0)
        return (len(set(counts[:-1] or counts)) == 1, counts[0] if counts else 0)

    best = max(DELIMITERS, key=fields)
    return best if fields(best)[1] > 1 else ","
