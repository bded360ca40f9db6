"""Functions that inject a fault into a delivery; they return the faulty bytes.

A function returns None if its fault does not apply. All these faults are large: they affect, for
example, a whole column or half of a file. The catalogue of `headrace.verification.injected_faults`
has smaller ones.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

from headrace.contracts import Contract
from headrace.contracts.drift.unit_conversions import conversions
from headrace.contracts.model import Field
from headrace.sources.delivery_places import Form

Record = dict[str, Any]
Alter = Callable[["OriginalDelivery"], bytes | None]


class OriginalDelivery:
    """Delivery in which a fault is injected; `before` is the payload of an earlier partition."""

    def __init__(
        self, payload: bytes, form: Form, contract: Contract, chance: Random, before: bytes = b""
    ) -> None:
        self.payload, self.form, self.contract = payload, form, contract
        self.chance, self.before = chance, before

    @property
    def records(self) -> list[Record]:
        if self.form == "csv":
            return list(csv.DictReader(io.StringIO(self.payload.decode())))
        return [json.loads(line) for line in self.payload.splitlines()]

    def written(self, records: list[Record]) -> bytes:
        if self.form == "ndjson":
            lines = [json.dumps(record, separators=(",", ":")) for record in records]
            return "".join(line + "\n" for line in lines).encode()
        out = io.StringIO()
        writer = csv.DictWriter(out, list(records[0]) if records else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return out.getvalue().encode()

    @property
    def lines(self) -> tuple[bytes, list[bytes]]:
        """Raw header line (empty if there is none) and raw record lines."""
        lines = self.payload.splitlines(keepends=True)
        return (lines[0], lines[1:]) if self.form == "csv" else (b"", lines)

    def numbers(self) -> list[Field]:
        """Return the delivered measurements: numbers that are not keys, dates or clock times."""
        keys = set(self.contract.primary_key)
        return [
            f
            for f in self.contract.delivered
            if f.type in {"integer", "number"}
            and f.name not in keys
            and f.zone is None
            and f.unit != "HHMM"
        ]


def half(original: OriginalDelivery) -> bytes | None:
    """Return the first half of the records, as if the file was copied while it was written."""
    header, lines = original.lines
    return header + b"".join(lines[: len(lines) // 2])


def cut(original: OriginalDelivery) -> bytes | None:
    """Cut the payload in the middle of a record, at about four fifths of its length."""
    at = len(original.payload) * 4 // 5
    while original.payload[at - 1 : at + 1].find(b"\n") >= 0:
        at -= 1
    return original.payload[:at]


def corrupt(original: OriginalDelivery) -> bytes | None:
    """Replace 512 bytes of the payload by random bytes."""
    noise = original.chance.randbytes(512).replace(b"\n", b"?").replace(b"\r", b"?")
    at = len(original.payload) // 2
    return original.payload[:at] + noise + original.payload[at + 512 :]


def empty(original: OriginalDelivery) -> bytes | None:
    """Return only the header; None for formats without a header."""
    header, _ = original.lines
    return header or None


def renamed(original: OriginalDelivery) -> bytes | None:
    """Rename one required column."""
    names = [f.name for f in original.contract.delivered if f.required]
    if not names:
        return None
    name = original.chance.choice(names)
    records = [{f"fld_{k}" if k == name else k: v for k, v in r.items()} for r in original.records]
    return original.written(records)


def unit(original: OriginalDelivery) -> bytes | None:
    """Convert all values of one measurement to another unit."""
    fields = [f for f in original.numbers() if f.unit]
    if not fields:
        return None
    likely = {"mile", "mph", "degF", "minute", "mbar", "inch", "foot"}
    field = next((f for f in fields if f.unit in likely), fields[0])
    change = conversions(field.unit)[0]
    records = original.records
    for record in records:
        if record.get(field.name) not in {None, "", "NA"}:
            value = float(record[field.name]) * change.scale + change.offset
            is_integer = field.type == "integer"
            number: float = round(value) if is_integer else round(value, 4)
            record[field.name] = number if original.form == "ndjson" else str(number)
    return original.written(records)


def wider(original: OriginalDelivery) -> bytes | None:
    """Add a column that is not in the contract."""
    return original.written([{**record, "source_system": "v2"} for record in original.records])


def stuck(original: OriginalDelivery) -> bytes | None:
    """Replace all readings of every measurement by its first reading of the day."""
    fields, records = original.numbers(), original.records
    for field in fields:
        readings = [r[field.name] for r in records if r.get(field.name) not in {None, "", "NA"}]
        if readings:
            for record in records:
                record[field.name] = readings[0]
    return original.written(records) if fields else None


def retyped(original: OriginalDelivery) -> bytes | None:
    """Append a unit to the numbers of a column, which makes them text."""
    fields = original.numbers()
    if not fields:
        return None
    name = original.chance.choice(fields).name
    return original.written([{**r, name: f"{r.get(name)} units"} for r in original.records])


def wrong_day(original: OriginalDelivery) -> bytes | None:
    """Deliver an earlier day's file under today's name."""
    return original.before or None


def drifted(original: OriginalDelivery) -> bytes | None:
    """Drop half of the records of the most frequent category, as if a carrier flew less.

    Records are chosen without regard to their measurements. This is a real change of the
    population, not a fault.
    """
    texts = [f.name for f in original.contract.delivered if f.type == "string"]
    records = original.records
    for name in texts:
        levels = Counter(record.get(name) for record in records)
        if levels and len(levels) <= len(records) // 5:
            level, _ = levels.most_common(1)[0]
            position = count()
            remaining = [r for r in records if r.get(name) != level or next(position) % 2]
            return original.written(remaining)
    return None


def rewritten(original: OriginalDelivery) -> bytes | None:
    """Reverse the order of the records: other bytes, same content."""
    header, lines = original.lines
    return header + b"".join(reversed(lines))
