"""Reader that turns a delivery into a `BatchView`, even if the contract rejects it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.conform import Conformed
from headrace.contracts.derive import DerivationFailed, derive
from headrace.contracts.drift.batch_view import BatchView, Floats
from headrace.contracts.drift.profile import BatchProfile, profile_of
from headrace.contracts.drift.row_rules import delivered_inputs, time_names
from headrace.contracts.model import Contract, Field
from headrace.contracts.typed_cells import parse
from headrace.core.clock import parse_iso
from headrace.core.time_zones import to_local
from headrace.sources.rows import RawRows


def look_at(contract: Contract, rows: RawRows, conformed: Conformed, slot: str) -> BatchView:
    """Return the view of a delivery for the partition `slot`: an ISO day, or another name."""
    start = slot_start(slot)
    table = conformed.table
    if table is not None:
        arrays = {f.name: _combined(table.column(f.name)) for f in contract.delivered}
        lines = np.asarray(_combined(table.column("_line")))
        event, known_at = (
            slot_clock(contract, _moments(table.column(name)))
            for name in ("event_time", "known_at")
        )
        derived = {n: _combined(table.column(n)) for n in table.column_names if n not in arrays}
        return BatchView(
            contract, arrays, lines, start, event, known_at, derived, conformed.repeated
        )
    arrays, untyped = {}, set()
    for f in contract.delivered:
        text = delivered_text(rows, f)
        if text is not None:
            arrays[f.name], is_complete = _read(f, text)
            if not is_complete:
                untyped.add(f.name)
    return timed(BatchView(contract, arrays, rows.lines, start, untyped=frozenset(untyped)))


def delivered_texts(rows: RawRows, look: BatchView) -> dict[str, pa.Array]:
    """Return the delivered text of every column, declared or not, for the rows of `look`."""
    places = np.searchsorted(rows.lines, look.lines)
    table = rows.table if look.rows == rows.table.num_rows else rows.table.take(pa.array(places))
    return {name: _combined(table.column(name)) for name in table.column_names}


@dataclass(frozen=True, eq=False)
class BatchSummary:
    """Picklable batch view with its profile and, if rows were rejected, the delivered text."""

    parts: Mapping[str, Any]
    profile: BatchProfile
    text: Mapping[str, pa.Array]

    def look(self, contract: Contract) -> BatchView:
        return BatchView(contract, **self.parts["fields"]).having(**self.parts["computed"])


def glance_at(contract: Contract, rows: RawRows, conformed: Conformed, slot: str) -> BatchSummary:
    look = look_at(contract, rows, conformed, slot)
    refused = conformed.table is None or conformed.bad_rows
    parts = {
        "fields": {f.name: getattr(look, f.name) for f in fields(look) if f.name != "contract"},
        "computed": {"columns": look.columns, "ruled": look.ruled},
    }
    text = delivered_texts(rows, look) if refused else {}
    return BatchSummary(parts, profile_of(look, slot), text)


def slot_start(slot: str) -> int | None:
    try:
        return parse_iso(slot)
    except ValueError:
        return None


def delivered_text(rows: RawRows, field: Field) -> pa.Array | None:
    for name in (field.name, *field.aliases):
        if name in rows.columns:
            return _combined(rows.table.column(name))
    return None


def readable(field: Field, text: pa.Array) -> pa.Array:
    """Parse `text` as the field's type, with null where that fails; integers may have fractions."""
    return _read(field, text)[0]


def _read(field: Field, text: pa.Array) -> tuple[pa.Array, bool]:
    """Return (column as from `readable`, True if every cell could be read)."""
    cells = parse(field, text)
    if not cells.wrong:
        return cells.values, True
    bad = np.zeros(len(text), bool)
    bad[cells.wrong] = True
    if field.type == "integer":
        numbers = _numbers(text)
        if numbers.null_count < len(text):
            return numbers, not (bad & np.asarray(numbers.is_null())).any()
    read = parse(field, pc.if_else(pa.array(bad), pa.scalar(None, pa.string()), text))
    return read.values, False


def _numbers(text: pa.Array) -> pa.Array:
    """Parse text as float64, with null where it is not a number."""
    plain = pc.match_substring_regex(text, r"^-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,2})?$")
    numeric = pc.if_else(pc.fill_null(plain, False), text, pa.scalar(None, pa.string()))
    return numeric.cast(pa.float64())


def timed(look: BatchView) -> BatchView:
    """Return the view with event time, known-at and derived columns recomputed.

    They are None or empty if they cannot be computed.
    """
    contract = look.contract
    if any(f.name not in look.arrays for f in contract.delivered) or not look.rows:
        return look.with_arrays({}, event=None, known_at=None, derived={})
    columns = dict(look.arrays)
    try:
        for f in contract.delivered:
            if columns[f.name].type != f.arrow_type:
                columns[f.name] = columns[f.name].cast(f.arrow_type, safe=False)
        for _ in derive(contract, columns):
            pass
    except (DerivationFailed, pa.ArrowInvalid, OverflowError):
        return look.with_arrays({}, event=None, known_at=None, derived={})
    derived = {name: array for name, array in columns.items() if name not in look.arrays}
    if delivered_inputs(contract, time_names(contract)) & look.untyped:
        return look.with_arrays({}, event=None, known_at=None, derived=derived)
    event, known_at = (
        slot_clock(contract, _moments(columns[name])) for name in ("event_time", "known_at")
    )
    return look.with_arrays({}, event=event, known_at=known_at, derived=derived)


def slot_clock(contract: Contract, moments: Floats) -> Floats:
    """Convert UTC microseconds to local time of the partitions' zone, if the contract sets one."""
    if contract.slot_zone is None:
        return moments
    present = ~np.isnan(moments)
    local = moments.copy()
    local[present] = to_local(moments[present].astype(np.int64), contract.slot_zone)
    return local


def _moments(column: pa.ChunkedArray | pa.Array) -> Floats:
    array = _combined(column)
    values = np.asarray(array.cast(pa.int64()).fill_null(0)).astype(np.float64)
    values[np.asarray(array.is_null())] = np.nan
    return values


def _combined(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
