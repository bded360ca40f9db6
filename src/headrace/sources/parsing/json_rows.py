"""Parser of API pages and NDJSON to rows of text; numbers keep their original text."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.sources.rows import Malformed, RawRows, shortened

_BOM = b"\xef\xbb\xbf"
# Maximum number of undeclared fields in all events together. Each field becomes a column for all
# events, so one event with very many fields could exhaust the memory.
_STRANGE = 200

Record = dict[str, object]
Shape = tuple[str, ...]
Faults = dict[int, str]  # {index of a record: reason why it is malformed}


@dataclass(frozen=True)
class _Unreadable:
    """Placeholder for a page, a record or a value that cannot be read."""

    text: str
    why: str


def page_rows(payload: bytes) -> RawRows:
    """Parse API pages, one page per line: the rows are the items of each page's "records"."""
    return _rows([record for line in _lines(payload) for record in _page(_read(line))])


def ndjson_rows(payload: bytes) -> RawRows:
    """Parse NDJSON, one object per line; blank lines are skipped and not counted."""
    return _rows([_read(line) for line in _lines(payload)])


def event_rows(payload: bytes, declared: Collection[str]) -> RawRows:
    """Parse events as NDJSON; events with too many undeclared fields are malformed."""
    return _rows([_read(line) for line in _lines(payload)], declared)


def _lines(payload: bytes) -> Iterator[bytes]:
    return (line for line in payload.removeprefix(_BOM).split(b"\n") if line.strip())


def _object(pairs: list[tuple[str, object]]) -> Record | _Unreadable:
    """Return a JSON object; `_Unreadable` if a field is repeated, since one value would be lost."""
    record = dict(pairs)
    if len(record) == len(pairs):
        return record
    text = ", ".join(f"{json.dumps(name)}: {_text(value)}" for name, value in pairs)
    return _Unreadable(f"{{{text}}}", "a field appears twice")


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=str, parse_float=str, parse_constant=str
).decode


def _read(line: bytes) -> object:
    try:
        return _decode(line.decode())
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested too deeply
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        return _Unreadable(line.decode(errors="replace"), f"not JSON: {why}")


def _page(page: object) -> Sequence[object]:
    """Return the records of a page, or one `_Unreadable` if it is not a page with "records"."""
    if isinstance(page, _Unreadable):
        return [page]
    records = page.get("records") if isinstance(page, dict) else None
    if isinstance(records, list):
        return records
    return [_Unreadable(_text(page), 'expected a page: an object with a list "records"')]


def _rows(records: list[object], declared: Collection[str] | None = None) -> RawRows:
    good = {n: record for n, record in enumerate(records) if isinstance(record, dict) and record}
    shapes = dict.fromkeys(map(tuple, good.values()))
    faults: Faults = {n: _fault(record) for n, record in enumerate(records) if n not in good}
    odd = {shape for shape in shapes if not all(map(_is_text, shape))}
    if odd:
        faults |= {n: "a field name is not Unicode" for n in good if tuple(good[n]) in odd}
        good = {n: record for n, record in good.items() if n not in faults}
    if declared is not None and (strange := _strange(shapes, declared)):
        faults |= {n: "too many undeclared fields" for n in good if tuple(good[n]) in strange}
        good = {n: record for n, record in good.items() if n not in faults}
        odd |= strange
    columns, values = _transposed(list(good.values()), [s for s in shapes if s not in odd])
    at = np.fromiter(good, np.int64, len(good))
    table = pa.table([_strings(column, at, faults) for column in values], names=columns)
    valid = ~np.isin(at, list(faults))
    malformed = tuple(
        Malformed(n + 1, shortened(_text(records[n])), why) for n, why in sorted(faults.items())
    )
    table = table if valid.all() else table.filter(pa.array(valid))
    return RawRows(table, at[valid] + 1, columns, malformed, len(records))


def _strange(shapes: Iterable[Shape], declared: Collection[str]) -> set[Shape]:
    """Return the shapes (names of a record's fields) that have too many undeclared fields.

    The fields are counted together with those of earlier shapes that are within the limit.
    """
    accepted: set[str] = set()
    oversized: set[Shape] = set()
    for shape in shapes:
        added = {name for name in shape if name not in declared} - accepted
        if len(accepted) + len(added) > _STRANGE:
            oversized.add(shape)
        else:
            accepted |= added
    return oversized


def _fault(record: object) -> str:
    return record.why if isinstance(record, _Unreadable) else "expected an object with fields"


def _transposed(records: list[Record], shapes: list[Shape]) -> tuple[Shape, list[Sequence[object]]]:
    """Return (columns in order of first appearance, their values; None for an absent field)."""
    columns = tuple(dict.fromkeys(name for shape in shapes for name in shape))
    if len(shapes) == 1:
        return columns, list(zip(*(record.values() for record in records), strict=True))
    return columns, [[record.get(name) for record in records] for name in columns]


def _strings(values: Sequence[object], at: npt.NDArray[np.int64], faults: Faults) -> pa.Array:
    """Convert a column to text; add records with a nested or non-Unicode value to `faults`."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowTypeError, pa.ArrowInvalid, UnicodeEncodeError):
        texts: list[str | None] = []
    for n, value in enumerate(values):
        if isinstance(value, bool):
            texts.append("true" if value else "false")
        elif value is None or (isinstance(value, str) and _is_text(value)):
            texts.append(value)
        else:
            texts.append(None)
            nested = "a value is nested: expected text, number, true, false or null"
            faults[int(at[n])] = "a value is not Unicode" if isinstance(value, str) else nested
    return pa.array(texts, pa.string())


def _is_text(value: str) -> bool:
    """Return True if `value` can be encoded as UTF-8; JSON may contain lone surrogate escapes."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _text(value: object) -> str:
    """Format a decoded value as JSON for messages; its numbers appear as strings."""
    if isinstance(value, _Unreadable):
        return value.text
    try:
        return json.dumps(value, default=_text)
    except RecursionError:
        return "(nested too deeply to show)"
