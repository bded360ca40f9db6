"""Clean batch in which faults are injected, with the data that the injectors need."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from headrace.contracts import Conformed, Contract
from headrace.contracts.drift.batch_view import HOUR, BatchView
from headrace.sources.rows import RawRows

Bools = np.ndarray


@dataclass(frozen=True)
class Day:
    """Batch as delivered; `before` are rows of an earlier batch, `number` is the batch's number.

    `number` is also the seed of random choices (such as the category), so that a year covers many
    choices and the same day always has the same fault.
    """

    contract: Contract
    slot: str
    number: int
    rows: RawRows
    conformed: Conformed
    look: BatchView
    before: RawRows | None

    def text(self, name: str) -> list[str | None]:
        """Return a column's values as text; all None if the delivery lacks an optional column."""
        table = self.rows.table
        if name not in table.column_names:
            return [None] * table.num_rows
        values: list[str | None] = table.column(name).to_pylist()
        return values

    def with_columns(self, changed: dict[str, list[str | None]]) -> RawRows | None:
        """Replace columns of the rows; None if nothing changes or a column is missing."""
        table = self.rows.table
        if not changed.keys() <= set(table.column_names):
            return None
        new = {name: pa.array(values, pa.string()) for name, values in changed.items()}
        if all(new[name].equals(table.column(name).combine_chunks()) for name in new):
            return None
        for name, values in new.items():
            table = table.set_column(table.schema.get_field_index(name), name, values)
        return raw(table, self.rows.lines)

    def taking(self, places: np.ndarray) -> RawRows | None:
        """Return the rows at these indices, in this order; None if they are all rows."""
        if len(places) == self.rows.table.num_rows:
            return None
        table = self.rows.table.take(pa.array(places))
        return raw(table, np.arange(1, len(places) + 1))

    def adding(self, extra: pa.Table) -> RawRows:
        """Insert rows in the batch, at a position that depends on `number`."""
        table, at = self.rows.table, self.number * 37 % max(self.rows.table.num_rows, 1)
        combined = pa.concat_tables([table.slice(0, at), extra, table.slice(at)])
        return raw(combined, np.arange(1, combined.num_rows + 1))

    @cached_property
    def hours(self) -> np.ndarray:
        """Hour of each row's event, counted from the start of the partition (float64)."""
        moments = self.look.event
        assert moments is not None  # clean batches have times
        return np.floor((moments - (self.look.start or 0)) / HOUR)


def raw(table: pa.Table, lines: np.ndarray) -> RawRows:
    return RawRows(table, lines, tuple(table.column_names), (), table.num_rows)
