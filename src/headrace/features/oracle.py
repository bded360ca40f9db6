"""Specification of features in plain Python: slow but obvious; every engine equals it bit for bit.

Rows are dicts with a table's columns, `event_time`, `known_at`, `_deleted`, and in recorded mode
`committed_at` and `_shown_before`; times are int microseconds. A result is (value, reason or None).
"""

import math
import operator as op
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from headrace.core.clock import duration
from headrace.features.kernel.filters import stored_value
from headrace.features.kernel.row_content import Cell, content_bytes, plain
from headrace.features.output_types import default_values
from headrace.features.spec import Aggregate, FeatureView, Filter, Label, Lookup, Mode, Spine
from headrace.features.spec import conditions as conditions_of
from headrace.features.table_shapes import TableShape

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = Sequence[Row]
Result: TypeAlias = tuple[Any, str | None]


def usable_at(row: Row, mode: Mode) -> int:
    """Return the time from which a row is usable (rules 2 and 3)."""
    return int(row["known_at"] if mode == "declared" else max(row["known_at"], row["committed_at"]))


def sequence(row: Row, shape: TableShape) -> int:
    value = row[shape.sequence] if shape.sequence else 0
    return -(2**63) if value is None else int(value)


def primary_key(row: Row, shape: TableShape) -> tuple[Any, ...]:
    return tuple(row[name] for name in shape.primary_key)


def content(row: Row, shape: TableShape) -> bytes:
    cells = {name: row[name] for name in (*shape.columns, "event_time")}
    return content_bytes({**cells, "_deleted": bool(row.get("_deleted"))})


def resolve(rows: Rows, shape: TableShape, t: int, mode: Mode) -> list[Row]:
    """Return each key's greatest usable version at t, unless it is a tombstone (rules 5 to 8)."""
    best: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        spans = () if mode == "declared" else row.get("_shown_before") or ()
        before = row["known_at"] <= t and any(since <= t < until for since, until in spans)
        if before or usable_at(row, mode) <= t:
            key = primary_key(row, shape)
            if key not in best or supersedes(row, best[key], shape):
                best[key] = row
    return [row for row in best.values() if not row.get("_deleted")]


def supersedes(row: Row, other: Row, shape: TableShape) -> bool:
    mark, rival = ((r["known_at"], sequence(r, shape)) for r in (row, other))
    return content(row, shape) > content(other, shape) if mark == rival else mark > rival


def passes_filter(where: Filter, row: Row, shape: TableShape) -> bool:
    """Return True if a row satisfies all conditions (rule 12)."""
    for condition in conditions_of(where):
        column = shape.columns[condition.column]
        value, operand = plain(row[condition.column]), condition.value
        many = operand if isinstance(operand, tuple) else (operand,)
        stored = [stored_value(v, column.type, column.scale) for v in many]
        against = stored if isinstance(operand, tuple) else stored[0]
        if value is None or not TESTS[condition.op](value, against):
            return False
    return True


TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "==": op.eq, "!=": op.ne, "<": op.lt, "<=": op.le, ">": op.gt, ">=": op.ge,
    "in": lambda value, many: value in many, "not in": lambda value, many: value not in many,
}  # fmt: skip


def matching(
    rows: Rows, entity: Sequence[str], values: Sequence[Any], shape: TableShape
) -> list[Row]:
    """Return the rows of an entity in event order (rule 7)."""
    hits = [row for row in rows if tuple(row[name] for name in entity) == tuple(values)]
    return sorted(hits, key=lambda r: (r["event_time"], sequence(r, shape), primary_key(r, shape)))


def in_unit(value: Cell, column: str, shape: TableShape) -> Cell:
    """Convert a scaled integer to its unit, fl(q) / fl(10^d); keep other values (rules 14, 15)."""
    scale = shape.columns[column].scale
    return value if scale is None or value is None else float(value) / float(10**scale)


def aggregate(feature: Aggregate, rows: Rows, shape: TableShape) -> list[Result]:
    """Return one result per output, for a window's rows in event order (rules 11, 13 to 15)."""
    if feature.op == "last_row" and rows:
        return [_cell(rows[-1], name, shape) for name in feature.columns]
    values = [plain(row[name]) for name in feature.columns for row in rows]
    present: list[Any] = [value for value in values if value is not None]
    counts = {"rows": rows, "count": present, "distinct": set(present)}
    if feature.op in counts:
        return [(len(counts[feature.op]), None)]
    why = None if present else "all null" if rows else "empty window"
    if why or (feature.op == "std" and len(present) == 1):
        defaults = default_values(feature, shape)
        return [(None, why or "one value") if d is None else (d, None) for d in defaults]
    scale = shape.columns[feature.columns[0]].scale
    if feature.op in {"mean", "std"}:
        return [((mean if feature.op == "mean" else std)(present, scale or 0), None)]
    return [(in_unit(PICK[feature.op](present), feature.columns[0], shape), None)]


def mean(q: list[int], d: int) -> float:
    return float(sum(q)) / float(len(q) * 10**d)


def std(q: list[int], d: int) -> float:
    n, spread = len(q), len(q) * sum(value * value for value in q) - sum(q) ** 2
    return math.sqrt(float(spread) / float(n * (n - 1) * 10 ** (2 * d)))


PICK: dict[str, Callable[[list[Any]], Any]] = {
    "sum": sum, "min": min, "max": max, "first": op.itemgetter(0), "last": op.itemgetter(-1),
}  # fmt: skip


def view_row(
    view: FeatureView, rows: Rows, shape: TableShape, spine: Row, mode: Mode = "declared"
) -> dict[str, Result]:
    """Compute a view for one spine row: result by output name (rules 9, 12, 13 and 16)."""
    values, t = [spine[name] for name in view.spine_entity], spine["t"]
    if None in values:
        return dict.fromkeys(view.outputs, (None, "null entity"))
    visible = matching(resolve(rows, shape, t, mode), view.entity, values, shape)
    results: list[Result] = []
    for feature in view.features:
        start, end = t + feature.window.a, t + feature.window.b
        inside = [row for row in visible if start <= row["event_time"] < end]
        counted = [row for row in inside if passes_filter(feature.where, row, shape)]
        outputs = aggregate(feature, counted, shape)
        if len(inside) > (shape.max_events or math.inf):
            outputs = [(None, "too many events")] * len(outputs)
        results += [(v, "no history" if why and not visible else why) for v, why in outputs]
    return dict(zip(view.outputs, results, strict=True))


def lookup_row(
    lookup: Lookup, rows: Rows, shape: TableShape, spine: Row, mode: Mode = "declared"
) -> dict[str, Result]:
    """Compute a lookup for one spine row: result by output name (rules 10 and 13)."""
    values, t = [spine[name] for name in lookup.spine_entity], spine["t"]
    if None in values:
        return dict.fromkeys(lookup.outputs, (None, "null entity"))
    visible = matching(resolve(rows, shape, t, mode), lookup.entity, values, shape)
    states = [row for row in visible if row["event_time"] <= t]
    age = math.inf if lookup.max_age is None else duration(lookup.max_age)
    if states and t - states[-1]["event_time"] <= age:
        return {f"{lookup.name}__{name}": _cell(states[-1], name, shape) for name in lookup.columns}
    why = "expired" if states else "empty window" if visible else "no history"
    results = [(None, why) if d is None else (d, None) for d in default_values(lookup, shape)]
    return dict(zip(lookup.outputs, results, strict=True))


def _cell(row: Row, column: str, shape: TableShape) -> Result:
    value = in_unit(plain(row[column]), column, shape)
    return value, "all null" if value is None else None


def spine_rows(spec: Spine, rows: Rows, shape: TableShape, mode: Mode = "declared") -> list[Row]:
    """Build the spine: each version that is visible at its own event_time + offset (rule 20)."""
    names = tuple(dict.fromkeys((*shape.primary_key, *spec.columns)))
    spines: list[Row] = []
    for t in sorted({row["event_time"] + spec.offset for row in rows}):
        current = [r for r in resolve(rows, shape, t, mode) if r["event_time"] + spec.offset == t]
        current.sort(key=lambda row: primary_key(row, shape))
        spines += [{name: plain(row[name]) for name in names} | {"t": t} for row in current]
    return spines


def label_row(
    label: Label, rows: Rows, shape: TableShape, spine: Row, cut: int, *, mode: Mode = "declared"
) -> dict[str, Any]:
    """Return the label columns and `label_reason` of one spine row, as of the cut (rule 21)."""
    values, t = [spine[name] for name in label.spine_key], spine["t"]
    nulls = dict.fromkeys(label.columns)
    if t + label.matures_after > cut:
        return {**nulls, "label_reason": "immature"}
    if None in values:
        return {**nulls, "label_reason": "null entity"}
    visible = matching(resolve(rows, shape, cut, mode), label.key, values, shape)
    inside = [row for row in visible if t <= row["event_time"] < t + duration(label.horizon)]
    if not inside:
        return {**nulls, "label_reason": "no outcome"}
    outcome = inside[-1]
    if label.status is not None and outcome[label.status] in label.excluded:
        return {**nulls, "label_reason": outcome[label.status]}
    cells = {name: _cell(outcome, name, shape)[0] for name in label.columns}
    return {**cells, "label_reason": "all null" if None in cells.values() else None}
