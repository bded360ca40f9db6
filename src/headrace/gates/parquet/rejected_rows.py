"""Rejected rows of a file with their failed checks, and the two output files."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.files import move_into_place, temporary_beside
from headrace.gates.parquet.batch import ParquetBatch
from headrace.gates.plan import Rows

GROUP = 122_880  # smallest number of rows in a written row group, except the last


class Rejected:
    """Set of rules that reject each row, stored as one code per row; code 0 is a passing row.

    Few different sets occur: a code takes one byte, or four if there are more than 255 sets.
    """

    def __init__(self, rows: int) -> None:
        self._codes: np.ndarray[Any, np.dtype[Any]] = np.zeros(rows, np.uint8)
        self._sets: list[tuple[int, ...]] = [()]
        self._places: dict[tuple[int, ...], int] = {(): 0}
        self.rules: list[str] = []

    def rule(self, name: str) -> int:
        """Add a rule and return its number; a row's reasons are listed in order of the numbers."""
        self.rules.append(name)
        return len(self.rules) - 1

    def mark(self, rows: Rows, rule: int) -> None:
        """Mark rows as rejected by `rule`; `rows` are distinct positions."""
        before = self._codes[rows]
        for code in np.unique(before).tolist():
            joined = self._code(tuple(sorted({*self._sets[code], rule})))
            self._codes[rows[before == code]] = joined

    def _code(self, rules: tuple[int, ...]) -> int:
        if rules not in self._places:
            self._places[rules] = len(self._sets)
            self._sets.append(rules)
            if len(self._sets) == 256:
                self._codes = self._codes.astype(np.uint32)
        return self._places[rules]

    def count(self) -> int:
        return int(np.count_nonzero(self._codes))

    def count_with(self, other: "Rejected") -> int:
        """Count the rows that are rejected in this object or in `other`."""
        return int(np.count_nonzero((self._codes != 0) | (other._codes != 0)))  # noqa: SLF001

    def part(self, first: int, count: int) -> tuple[Rows, list[list[str]]]:
        """Return the rejected rows among `count` rows from position `first`, and their reasons.

        Positions are relative to `first`.
        """
        codes = self._codes[first : first + count]
        rows = np.flatnonzero(codes)
        rule_names = [[self.rules[rule] for rule in rules] for rules in self._sets]
        return rows, [rule_names[code] for code in codes[rows].tolist()]


def separate(
    batch: ParquetBatch, rejected: Rejected, passing: Path | None, quarantined: Path | None
) -> None:
    """Write passing and quarantined rows to two files, in order; None skips a file.

    The file of quarantined rows has `_reasons` (list<string>) as its last column. Each file is
    moved into place only when it is complete.
    """
    with (
        _writer(passing, batch.schema) as write_passing,
        _writer(quarantined, _with_reasons(batch.schema)) as write_quarantined,
    ):
        for first, table in batch.tables():
            rows, reasons = rejected.part(first, table.num_rows)
            if len(rows):
                reason_column = pa.array(reasons, pa.list_(pa.string()))
                write_quarantined(
                    table.take(pa.array(rows)).append_column("_reasons", reason_column)
                )
            mask = np.ones(table.num_rows, np.bool_)
            mask[rows] = False
            write_passing(table.filter(pa.array(mask)) if len(rows) else table)


def _with_reasons(schema: pa.Schema) -> pa.Schema:
    return schema.append(pa.field("_reasons", pa.list_(pa.string())))


@contextmanager
def _writer(path: Path | None, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    if path is None:
        yield lambda _: None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    # Dictionary encoding pays off for text only: numbers are smaller and faster without it.
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    try:
        with pq.ParquetWriter(
            temporary, schema, compression="zstd", use_dictionary=texts, store_schema=False
        ) as file:
            buffer = _RowBuffer(file)
            yield buffer.add
            buffer.write()
        move_into_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class _RowBuffer:
    """Buffer of rows for a file, so that its row groups are large enough."""

    def __init__(self, file: pq.ParquetWriter) -> None:
        self._file = file
        self._tables: list[pa.Table] = []
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        self._tables.append(table)
        self._rows += table.num_rows
        if self._rows >= GROUP:
            self.write()

    def write(self) -> None:
        if self._rows:
            self._file.write_table(pa.concat_tables(self._tables), row_group_size=2 * GROUP)
        self._tables, self._rows = [], 0


def ordered(positions: Sequence[Rows], limit: int) -> Rows:
    """Sort positions and return the first `limit`."""
    return np.sort(np.concatenate(positions))[:limit] if positions else np.empty(0, np.int64)
