"""Deliveries made from the user's file: one file per day with that day's lines, and a sample."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from headrace.scaffold.inspection.facts import Facts, iso_day
from headrace.scaffold.inspection.personal import StandIns, masked
from headrace.sources.parsing.csv_rows import csv_rows

_BOM = b"\xef\xbb\xbf"
SAMPLE_ROWS, _SAMPLE_ENTITIES = 300, 6


def deliveries(facts: Facts) -> dict[str, bytes]:
    """Return {file name: bytes}: `<table>_<day>.csv` for each day, or `<table>_snapshot.csv`.

    Lines whose time cannot be parsed go to `undated.csv`, which belongs to no partition.
    """
    name = facts.look.ask.table_name
    if facts.look.ask.snapshot:
        return {f"{name}_snapshot.csv": facts.look.payload}
    day_of = dict(zip(_lines(facts), facts.day_numbers.tolist(), strict=True))
    undated = set(facts.undated)
    header, records = _records(facts)
    files: dict[str, list[bytes]] = {}
    file = f"{name}_{facts.days[0]}.csv"
    for line, text in records:
        if line in day_of:
            file = f"{name}_{iso_day(day_of[line])}.csv"
        # an exact duplicate is not in the table, so it goes to the file of the previous line
        files.setdefault("undated.csv" if line in undated else file, []).append(text)
    return {key: header + b"".join(files[key]) for key in sorted(files)}


def sample(facts: Facts, entity: Sequence[str]) -> bytes:
    """Return up to 300 lines for tests: the earliest rows of the entities with the most rows.

    The sample is committed to a repository, so personal values are replaced with fake ones.
    """
    selected = set(_sample_lines(facts, entity))
    header, records = _records(facts)
    headers = [column.header for column in facts.look.columns]
    personal = [
        place
        for place, column in enumerate(facts.look.columns)
        if column.name in facts.look.personal
    ]
    stand_ins = StandIns()
    return header + b"".join(
        masked(text, personal, headers, stand_ins) if personal else text
        for line, text in records
        if line in selected
    )


def _sample_lines(facts: Facts, entity: Sequence[str]) -> list[int]:
    rows = list(zip(*(facts.table[name].to_pylist() for name in entity), strict=True))
    rows = rows or [()] * facts.table.num_rows
    largest = {values for values, _ in Counter(rows).most_common(_SAMPLE_ENTITIES)}
    lines = _lines(facts)
    order = np.argsort(facts.event_us, kind="stable").tolist()
    return [lines[row] for row in order if rows[row] in largest][:SAMPLE_ROWS]


def _lines(facts: Facts) -> list[int]:
    lines: list[int] = facts.table["_line"].to_pylist()
    return lines


def _records(facts: Facts) -> tuple[bytes, Iterator[tuple[int, bytes]]]:
    """Return the header, and (line number, bytes) of each record; a record may span lines."""
    starts = csv_rows(facts.look.payload, ("",)).lines.tolist()
    lines = facts.look.payload.removeprefix(_BOM).splitlines(keepends=True)
    if not lines[-1].endswith((b"\n", b"\r")):
        lines[-1] += b"\n"
    stops = [*starts[1:], len(lines) + 1]
    header = b"".join(lines[: starts[0] - 1])
    return header, (
        (start, b"".join(lines[start - 1 : stop - 1]))
        for start, stop in zip(starts, stops, strict=True)
    )
