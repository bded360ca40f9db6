"""Rows that a trace does not name, changed beyond recognition: nothing may move.

Whether a changed row would be looked at is decided here in plain Python, by the specification's own
words, and not by the code under test.
"""

import random
from typing import Any

import pyarrow as pa

from headrace.features import oracle
from headrace.features.spec import FeatureView, Lookup, RowTransform
from tests.features.logs import EXACT, SHAPES

ENTITIES = {"who", "place"}
PLACE = {"id", "part", "seq", "who", "place", "event_time", "known_at", "committed_at", "_deleted"}
NAMED = ("_batch", "_line")


def regions(parts, trace):
    """(table, entity columns, values, first, end, at, keys looked at) of all that a row reads."""
    row = trace.row
    found = []

    def add(one, entity, values):
        if one.at is not None:
            numbers = sorted(number for role in one.rows.values() for number in role.tolist())
            named = trace.tables[one.table].take(pa.array(numbers, pa.int64()))
            keys = {tuple(key.values()) for key in dicts(named, SHAPES[one.table].primary_key)}
            found.append((one.table, entity, values, *(one.window or (0, 0)), one.at, keys))

    add(trace.columns["spine"], (), ())
    values = tuple(row[name] for name in parts.label.spine_key)
    add(trace.columns["label"], parts.label.key, values)
    for view in parts.views:
        if isinstance(view, FeatureView | Lookup):
            values = tuple(row[name] for name in view.spine_entity)
            for name in view.outputs:
                add(trace.columns[name], view.entity, values)
    assert not any(isinstance(view, RowTransform) for view in parts.views)
    return found


def dicts(table, names) -> list[dict[str, Any]]:
    columns = [table[name].to_pylist() for name in names]
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def is_looked_at(row: dict[str, Any], table: str, found, mode: str) -> bool:
    shape = SHAPES[table]
    for name, entity, values, first, end, at, keys in found:
        if name != table or oracle.usable_at(row, mode) > at:
            continue
        if oracle.primary_key(row, shape) in keys:
            return True
        mine = entity and tuple(row[column] for column in entity) == values
        if mine and first <= row["event_time"] < end:
            return True
    return False


def changed(row: dict[str, Any], others: list[dict[str, Any]], chance: random.Random):
    """Cells of other rows in all columns, and times of its own."""
    found = dict(row)
    for name in found:
        if name not in NAMED and chance.random() < 0.8:
            found[name] = chance.choice(others)[name]
    for name in ("event_time", "known_at", "committed_at"):
        if chance.random() < 0.5:
            found[name] = chance.randrange(-60, 90)
    return found


def in_place(row: dict[str, Any], others: list[dict[str, Any]], chance: random.Random):
    """Other values under the same key, entity and times."""
    cells = {"n": EXACT, "amount": -EXACT, "s": "changed", "status": "on", "x": 1e300}
    kept = {name: row[name] for name in (*PLACE, *NAMED)}
    return {**chance.choice(others), **cells, **kept}
