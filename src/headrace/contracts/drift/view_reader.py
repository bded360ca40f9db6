"""From a delivery's rows to a `Look`, also where the contract refuses them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.conform import Conformed
from headrace.contracts.derive import DerivationFailed, derive
from headrace.contracts.drift.batch_view import Floats, Look
from headrace.contracts.drift.profile import Profile, profile_of
from headrace.contracts.drift.row_rules import delivered_inputs, time_names
from headrace.contracts.model import Contract, Field
from headrace.contracts.typed_cells import parse
from headrace.core.clock import parse_iso
from headrace.core.time_zones import to_local
from headrace.sources.rows import RawRows


def look_at(contract: Contract, rows: RawRows, conformed: Conformed, slot: str) -> Look:
    """What was delivered for `slot`, an ISO day or the name of a slot without a day."""
    start = slot_start(slot)
    table = conformed.table
    if table is not None:
        arrays = {f.name: _whole(table.column(f.name)) for f in contract.delivered}
        lines = np.asarray(_whole(table.column("_line")))
        event, known = (
            slot_clock(contract, _moments(table.column(name)))
            for name in ("event_time", "known_at")
        )
        derived = {n: _whole(table.column(n)) for n in table.column_names if n not in arrays}
        return Look(contract, arrays, lines, start, event, known, derived, conformed.repeated)
    arrays, untyped = {}, set()
    for f in contract.delivered:
        text = delivered_text(rows, f)
        if text is not None:
            arrays[f.name], whole = _read(f, text)
            if not whole:
                untyped.add(f.name)
    return timed(Look(contract, arrays, rows.lines, start, untyped=frozenset(untyped)))


def delivered_texts(rows: RawRows, look: Look) -> dict[str, pa.Array]:
    """The delivered text of every column, declared or not, in the rows of `look`."""
    places = np.searchsorted(rows.lines, look.lines)
    table = rows.table if look.rows == rows.table.num_rows else rows.table.take(pa.array(places))
    return {name: _whole(table.column(name)) for name in table.column_names}


@dataclass(frozen=True, eq=False)
class Glance:
    """A look that can travel between processes, with its profile and, where it may matter, the
    delivered text.
    """

    parts: Mapping[str, Any]
    profile: Profile
    text: Mapping[str, pa.Array]

    def look(self, contract: Contract) -> Look:
        return Look(contract, **self.parts["fields"]).having(**self.parts["computed"])


def glance_at(contract: Contract, rows: RawRows, conformed: Conformed, slot: str) -> Glance:
    look = look_at(contract, rows, conformed, slot)
    refused = conformed.table is None or conformed.bad_rows
    parts = {
        "fields": {f.name: getattr(look, f.name) for f in fields(look) if f.name != "contract"},
        "computed": {"columns": look.columns, "ruled": look.ruled},
    }
    text = delivered_texts(rows, look) if refused else {}
    return Glance(parts, profile_of(look, slot), text)


def slot_start(slot: str) -> int | None:
    try:
        return parse_iso(slot)
    except ValueError:
        return None


def delivered_text(rows: RawRows, field: Field) -> pa.Array | None:
    for name in (field.name, *field.aliases):
        if name in rows.columns:
            return _whole(rows.table.column(name))
    return None


def readable(field: Field, text: pa.Array) -> pa.Array:
    """`text` in the field's type, null where it is not of it; a number may have a fraction."""
    return _read(field, text)[0]


def _read(field: Field, text: pa.Array) -> tuple[pa.Array, bool]:
    """(the column as `readable` gives it, whether every cell could be read)."""
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
    """Float64, null where the text is no number."""
    plain = pc.match_substring_regex(text, r"^-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,2})?$")
    kept = pc.if_else(pc.fill_null(plain, False), text, pa.scalar(None, pa.string()))
    return kept.cast(pa.float64())


def timed(look: Look) -> Look:
    """The same with event time and known-at computed anew; without them if they cannot be."""
    contract = look.contract
    if any(f.name not in look.arrays for f in contract.delivered) or not look.rows:
        return look.with_arrays({}, event=None, known=None, derived={})
    columns = dict(look.arrays)
    try:
        for f in contract.delivered:
            if columns[f.name].type != f.arrow_type:
                columns[f.name] = columns[f.name].cast(f.arrow_type, safe=False)
        for _ in derive(contract, columns):
            pass
    except (DerivationFailed, pa.ArrowInvalid, OverflowError):
        return look.with_arrays({}, event=None, known=None, derived={})
    derived = {name: array for name, array in columns.items() if name not in look.arrays}
    if delivered_inputs(contract, time_names(contract)) & look.untyped:
        return look.with_arrays({}, event=None, known=None, derived=derived)
    event, known = (
        slot_clock(contract, _moments(columns[name])) for name in ("event_time", "known_at")
    )
    return look.with_arrays({}, event=event, known=known, derived=derived)


def slot_clock(contract: Contract, moments: Floats) -> Floats:
    """Moments as the clock of the slots' zone shows them, so that days begin at its midnight."""
    if contract.slot_zone is None:
        return moments
    known = ~np.isnan(moments)
    shown = moments.copy()
    shown[known] = to_local(moments[known].astype(np.int64), contract.slot_zone)
    return shown


def _moments(column: pa.ChunkedArray | pa.Array) -> Floats:
    array = _whole(column)
    values = np.asarray(array.cast(pa.int64()).fill_null(0)).astype(np.float64)
    values[np.asarray(array.is_null())] = np.nan
    return values


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
