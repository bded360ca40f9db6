"""The file as deliveries: one file a day, byte for byte the lines of that day, and a sample."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from headrace.scaffold.inspection.facts import Facts, iso_day
from headrace.scaffold.inspection.personal import StandIns, masked
from headrace.sources.parsing.csv_rows import csv_rows

_BOM = b"\xef\xbb\xbf"
SAMPLE_ROWS, _SAMPLE_ENTITIES = 300, 6


def deliveries(found: Facts) -> dict[str, bytes]:
    """{file name: bytes}: `<table>_<day>.csv` by day, `<table>_snapshot.csv` for a whole table.

    Lines whose time cannot be read go to `undated.csv`, which no slot is asked for.
    """
    name = found.look.ask.table_name
    if found.look.ask.snapshot:
        return {f"{name}_snapshot.csv": found.look.payload}
    day_of = dict(zip(_lines(found), found.day_numbers.tolist(), strict=True))
    undated = set(found.undated)
    header, records = _records(found)
    files: dict[str, list[bytes]] = {}
    file = f"{name}_{found.days[0]}.csv"
    for line, text in records:
        if line in day_of:
            file = f"{name}_{iso_day(day_of[line])}.csv"
        # an exact repeat is in no table: it stays with the line before it
        files.setdefault("undated.csv" if line in undated else file, []).append(text)
    return {key: header + b"".join(files[key]) for key in sorted(files)}


def sample(found: Facts, entity: Sequence[str]) -> bytes:
    """Some hundred lines for tests: the first rows of the entities that have the most.

    They go into a repository: what is about persons is replaced by stand-ins.
    """
    wanted = set(_sample_lines(found, entity))
    header, records = _records(found)
    headers = [column.header for column in found.look.columns]
    personal = [
        place for place, one in enumerate(found.look.columns) if one.name in found.look.personal
    ]
    stand_ins = StandIns()
    return header + b"".join(
        masked(text, personal, headers, stand_ins) if personal else text
        for line, text in records
        if line in wanted
    )


def _sample_lines(found: Facts, entity: Sequence[str]) -> list[int]:
    rows = list(zip(*(found.table[name].to_pylist() for name in entity), strict=True))
    rows = rows or [()] * found.table.num_rows
    most = {values for values, _ in Counter(rows).most_common(_SAMPLE_ENTITIES)}
    lines = _lines(found)
    order = np.argsort(found.event_us, kind="stable").tolist()
    return [lines[row] for row in order if rows[row] in most][:SAMPLE_ROWS]


def _lines(found: Facts) -> list[int]:
    lines: list[int] = found.table["_line"].to_pylist()
    return lines


def _records(found: Facts) -> tuple[bytes, Iterator[tuple[int, bytes]]]:
    """The header, and (line, bytes) of each record; a record may span lines."""
    starts = csv_rows(found.look.payload, ("",)).lines.tolist()
    lines = found.look.payload.removeprefix(_BOM).splitlines(keepends=True)
    if not lines[-1].endswith((b"\n", b"\r")):
        lines[-1] += b"\n"
    stops = [*starts[1:], len(lines) + 1]
    header = b"".join(lines[: starts[0] - 1])
    return header, (
        (start, b"".join(lines[start - 1 : stop - 1]))
        for start, stop in zip(starts, stops, strict=True)
    )
