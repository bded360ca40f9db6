"""What can be wrong with the bytes of a delivery. Each gives other bytes, or None where it cannot.

All magnitudes are gross, as a mistake at a producer's is: a whole column, half of a file. What
smaller faults a gate finds is measured by the catalogue of `headrace.verification.injected_faults`.
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
Alter = Callable[["Given"], bytes | None]


class Given:
    """A delivery that something will be wrong with; `before` is the payload of an earlier slot."""

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
        """The header, empty where there is none, and the records as they are written."""
        lines = self.payload.splitlines(keepends=True)
        return (lines[0], lines[1:]) if self.form == "csv" else (b"", lines)

    def numbers(self) -> list[Field]:
        """Delivered measures: numbers that are no key, no date and no clock."""
        keys = set(self.contract.primary_key)
        return [
            f
            for f in self.contract.delivered
            if f.type in {"integer", "number"}
            and f.name not in keys
            and f.zone is None
            and f.unit != "HHMM"
        ]


def half(given: Given) -> bytes | None:
    """The first half of the records: the producer copied while it was still writing."""
    header, lines = given.lines
    return header + b"".join(lines[: len(lines) // 2])


def cut(given: Given) -> bytes | None:
    """Cut off in the middle of a record, four fifths in."""
    at = len(given.payload) * 4 // 5
    while given.payload[at - 1 : at + 1].find(b"\n") >= 0:
        at -= 1
    return given.payload[:at]


def corrupt(given: Given) -> bytes | None:
    """A block of a disk that reads as noise."""
    noise = given.chance.randbytes(512).replace(b"\n", b"?").replace(b"\r", b"?")
    at = len(given.payload) // 2
    return given.payload[:at] + noise + given.payload[at + 512 :]


def empty(given: Given) -> bytes | None:
    """A file without a record; a feed has no such thing."""
    header, _ = given.lines
    return header or None


def renamed(given: Given) -> bytes | None:
    """A column under a name that says nothing."""
    names = [f.name for f in given.contract.delivered if f.required]
    if not names:
        return None
    name = given.chance.choice(names)
    records = [{f"fld_{k}" if k == name else k: v for k, v in r.items()} for r in given.records]
    return given.written(records)


def unit(given: Given) -> bytes | None:
    """A measure with a unit, all of it, in another unit."""
    fields = [f for f in given.numbers() if f.unit]
    if not fields:
        return None
    likely = {"mile", "mph", "degF", "minute", "mbar", "inch", "foot"}
    field = next((f for f in fields if f.unit in likely), fields[0])
    change = conversions(field.unit)[0]
    records = given.records
    for record in records:
        if record.get(field.name) not in {None, "", "NA"}:
            value = float(record[field.name]) * change.scale + change.offset
            whole = field.type == "integer"
            number: float = round(value) if whole else round(value, 4)
            record[field.name] = number if given.form == "ndjson" else str(number)
    return given.written(records)


def wider(given: Given) -> bytes | None:
    """One column more, which nobody was told of."""
    return given.written([{**record, "source_system": "v2"} for record in given.records])


def stuck(given: Given) -> bytes | None:
    """Every measure says the same all day: the first reading that is one."""
    fields, records = given.numbers(), given.records
    for field in fields:
        there = [r[field.name] for r in records if r.get(field.name) not in {None, "", "NA"}]
        if there:
            for record in records:
                record[field.name] = there[0]
    return given.written(records) if fields else None


def retyped(given: Given) -> bytes | None:
    """A number with its unit written behind it: no number any more."""
    fields = given.numbers()
    if not fields:
        return None
    name = given.chance.choice(fields).name
    return given.written([{**r, name: f"{r.get(name)} units"} for r in given.records])


def wrong_day(given: Given) -> bytes | None:
    """The file of some days before under today's name."""
    return given.before or None


def drifted(given: Given) -> bytes | None:
    """Half of the records of the most frequent level are not there: a carrier flies less.

    Which half does not depend on anything that is measured. It is no fault: the world has changed.
    """
    texts = [f.name for f in given.contract.delivered if f.type == "string"]
    records = given.records
    for name in texts:
        levels = Counter(record.get(name) for record in records)
        if levels and len(levels) <= len(records) // 5:
            most, _ = levels.most_common(1)[0]
            seen = count()
            kept = [r for r in records if r.get(name) != most or next(seen) % 2]
            return given.written(kept)
    return None


def rewritten(given: Given) -> bytes | None:
    """The same records in another order: other bytes, and nothing new."""
    header, lines = given.lines
    return header + b"".join(reversed(lines))
