"""Batch of a table as a peer receives it: typed columns, parsed by the contract.

Peers get the parser for free. They read the columns that the contract declares in the types that it
declares, and each time as hours since the beginning of the day of the delivery, so that the same
range holds on every day. A cell that has no value of its type stops the batch, as a load into a
typed table does, and so does a file that cannot be read. No other rule of the contract applies.
"""

from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts import Contract
from headrace.contracts.derive import DerivationFailed, derive
from headrace.contracts.typed_cells import parse
from headrace.lake.ingest.validator import delivered_rows
from headrace.sources.base import Delivery

EVENT_TIME = "event_time"


@dataclass(frozen=True)
class Batch:
    """Typed rows of a delivery.

    Attributes:
        columns: values by column: int64, float64, string or bool; numbers with a scale are in the
            unit of the contract, timestamps are hours.
        refused: columns with cells that do not parse; "" stands for the file.
        absent: declared columns that were not delivered.
        undeclared: delivered columns that are not declared.
    """

    columns: dict[str, pa.Array]
    refused: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    undeclared: tuple[str, ...] = ()
    rows: int = field(default=0)

    @property
    def broken(self) -> bool:
        """True if a load into a table with the declared columns fails."""
        return bool(self.refused or self.absent or self.undeclared)


def typed_batch(contract: Contract, day: str, payload: bytes) -> Batch:
    """Parse a delivery with the types of the contract."""
    rows = delivered_rows(contract, Delivery(contract.table, day, payload, "csv", "draft", 0, "d"))
    if rows.malformed or not rows.columns:
        return Batch({}, refused=("",))
    typed: dict[str, pa.Array] = {}
    refused, absent = [], []
    for column in contract.delivered:
        name = next((n for n in (column.name, *column.aliases) if n in rows.columns), None)
        if name is None:
            absent.append(column.name)
            continue
        cells = parse(column, rows.table.column(name).combine_chunks())
        if cells.wrong:
            refused.append(column.name)
        else:
            typed[column.name] = cells.values
    declared = {name for c in contract.delivered for name in (c.name, *c.aliases)}
    undeclared = tuple(name for name in rows.columns if name not in declared)
    if refused or absent or undeclared:
        return Batch({}, tuple(refused), tuple(absent), undeclared)
    derived = dict(typed)
    try:
        list(derive(contract, derived))
    except DerivationFailed as failed:
        return Batch({}, refused=(failed.field,))
    columns = {c.name: _readable(c.scale, typed[c.name], contract, day) for c in contract.delivered}
    columns[EVENT_TIME] = _hours(derived[EVENT_TIME], contract, day)
    return Batch(columns, rows=rows.table.num_rows)


def _readable(scale: int | None, values: pa.Array, contract: Contract, day: str) -> pa.Array:
    if pa.types.is_timestamp(values.type):
        return _hours(values, contract, day)
    if scale:
        return pc.divide(values.cast(pa.float64(), safe=False), 10.0**scale)
    return values


def _hours(moments: pa.Array, contract: Contract, day: str) -> pa.Array:
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(contract.slot_zone or "UTC"))
    micros = moments.cast(pa.int64()).to_numpy(zero_copy_only=False).astype(np.float64)
    hours = (micros - start.timestamp() * 1e6) / 3.6e9
    return pa.array(hours, pa.float64(), mask=np.isnan(hours))
