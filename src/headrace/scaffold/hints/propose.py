"""Contract with hints: what the first deliveries of a source show, applied to a bare contract.

hints = find_hints(contract, deliveries)       # {partition: rows as text}
fuller = propose_hints(contract, deliveries)   # the contract with the declared hints
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.contracts import Contract, conform
from headrace.contracts.expressions import Expression, inspect
from headrace.contracts.load_derivations import types_of
from headrace.contracts.model import Field, RowRelation, Sql
from headrace.core.clock import DAY
from headrace.core.files import digest
from headrace.core.time_zones import to_local
from headrace.scaffold.hints.closed_sets import closed_sets
from headrace.scaffold.hints.dependencies import dependencies
from headrace.scaffold.hints.model import ContractHint
from headrace.scaffold.hints.relations import relations
from headrace.scaffold.hints.sample import read_sample
from headrace.scaffold.hints.units import units
from headrace.scaffold.hints.zones import zones
from headrace.sources.rows import RawRows

MOST_DAYS = 90  # of a file that is split by day


def find_hints(contract: Contract, deliveries: Mapping[str, RawRows]) -> tuple[ContractHint, ...]:
    """Return all hints from `deliveries` ({partition: rows as text}, in order of time).

    Properties that the contract declares already are not suggested again. The first 60% of the
    deliveries suggest hints and the others confirm them, so at least two are needed for relations,
    keys and closed sets.
    """
    sample = read_sample(contract, deliveries)
    if not sample.columns:
        return ()
    by_unit = tuple(units(sample))
    # Only columns of the same unit can be compared with each other.
    sample = replace(sample, columns=_with_units(sample.columns, by_unit))
    return (
        *by_unit,
        *zones(sample),
        *relations(sample),
        *dependencies(sample),
        *closed_sets(sample),
    )


def propose_hints(contract: Contract, deliveries: Mapping[str, RawRows]) -> Contract:
    """Return `contract` with the declared hints from `deliveries`; questions are omitted."""
    return with_hints(contract, [h for h in find_hints(contract, deliveries) if h.declared])


def by_day(contract: Contract, rows: RawRows, limit: int = MOST_DAYS) -> dict[str, RawRows]:
    """Split rows by the day of their event time, in the time zone of the partitions.

    Returns the last `limit` days; nothing if the rows break the contract.
    """
    table = conform(contract, rows, "sample").table
    if table is None:
        return {}
    us = table["event_time"].cast(pa.int64()).fill_null(-1).to_numpy()
    days = np.where(us == -1, -1, to_local(us, contract.slot_zone or "UTC") // DAY)
    places = np.searchsorted(rows.lines, table["_line"].to_numpy())
    split = {}
    for day in np.unique(days[us != -1])[-limit:].tolist():
        picked = places[days == day]
        part = rows.table.take(pa.array(picked))
        slot = str(np.datetime64(day, "D"))
        split[slot] = RawRows(part, rows.lines[picked], rows.columns, (), len(picked))
    return split


def with_hints(contract: Contract, hints: Sequence[ContractHint]) -> Contract:
    """Return the contract with hints; its hashes change with them."""
    if not hints:
        return contract
    columns = tuple(_with_properties(field, hints) for field in contract.columns)
    types = types_of({field.name: field for field in columns if field.derivation is None})
    names = {relation.name for relation in contract.relations}
    added = tuple(
        RowRelation(hint.name, _sql(hint, types), hint.text)
        for hint in hints
        if hint.kind == "relation" and hint.name not in names
    )
    mark = digest([contract.hash, [hint.document() for hint in hints]])
    return replace(
        contract,
        columns=columns,
        relations=(*contract.relations, *added),
        hash=mark,
        meaning_hash=digest([contract.meaning_hash, mark]),
    )


def _sql(hint: ContractHint, types: Mapping[str, Any]) -> Sql:
    expression = str(hint.value)
    return Sql(expression, inspect(Expression(hint.name, expression, "boolean"), types))


def _with_properties(field: Field, hints: Sequence[ContractHint]) -> Field:
    for hint in hints:
        if hint.columns[:1] != (field.name,):
            continue
        if hint.kind == "unit":
            field = replace(field, unit=str(hint.value))
        elif hint.kind == "zone":
            field = replace(field, zone=str(hint.value))
        elif hint.kind == "explainedBy":
            field = replace(field, explained_by=(*field.explained_by, tuple(hint.value)))
        elif hint.kind == "levels":
            field = replace(field, levels={code: f"the code {code}" for code in hint.value})
    return field


def _with_units(columns: Mapping[str, Any], hints: Sequence[ContractHint]) -> dict[str, Any]:
    declared = [hint for hint in hints if hint.declared]
    return {
        name: replace(column, field=_with_properties(column.field, declared))
        for name, column in columns.items()
    }
