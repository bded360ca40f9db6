"""The audit of a served log: every vector made again by training, and compared by its bytes."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa

from headrace.core.clock import HOUR, MINUTE, SECOND
from headrace.core.errors import StateError
from headrace.core.hooks import provided
from headrace.features.frames.training_frame import training_frame
from headrace.features.kernel.row_content import Cell
from headrace.features.kernel.visibility import History
from headrace.features.spec import output_columns
from headrace.serving.log import ServedLog
from headrace.serving.vector_table import as_columns
from headrace.serving.vectors import FeatureService, Frontier, cells

Cause: TypeAlias = Literal[
    "definition mismatch", "late commit", "stale store", "clock", "value", "frontier gone"
]
# A commit is dated a moment before readers can see it; an answer in that moment is not stale.
SETTLING = 5 * SECOND
_TRIED = 40
_NO = object()
_UNITS = (1000, SECOND, MINUTE, HOUR)
_SHIFTS = [
    sign * step
    for step in (SECOND, MINUTE, 5 * MINUTE, *(n * HOUR // 2 for n in range(1, 29)))
    for sign in (1, -1)
]


@dataclass(frozen=True)
class Difference:
    """A logged vector that differs from what training computes.

    Attributes:
        sequence: of the row in the log.
        cause: "definition mismatch": the features have another meaning now; nothing was computed.
            "late commit": the tables of then give the logged bytes and those of now do not: rows
            usable at t were published after the answer. "stale store": the same, but rows that
            make a difference had been published when the answer was given. "clock": the tables of
            then give the logged bytes at another moment than the logged t. "value": they give
            other bytes at any. "frontier gone": they have expired, so none of it can be told.
        features: whose bytes differ.
        detail: what is known besides: the other moment, or the wrong rule that gives the values.
    """

    sequence: int
    cause: Cause
    features: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True)
class AuditReport:
    """Result of an audit: `compared` rows of the log, and those of them that differ."""

    compared: int
    differences: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        causes = dict(Counter(difference.cause for difference in self.differences))
        return {"compared": self.compared, "different": len(self.differences), "causes": causes}


def audit(log: ServedLog, service: FeatureService) -> AuditReport:
    """Compare every logged vector with `training_frame` over what is published now.

    Of `service` only the declarations and the published tables are used, nothing it has loaded.
    """
    compared, found = 0, []
    for part in log.parts():
        rows = part.to_pylist()
        compared += len(rows)
        same = [row for row in rows if row["definition"] == service.definition]
        other = [row for row in rows if row["definition"] != service.definition]
        found += [Difference(row["sequence"], "definition mismatch") for row in other]
        found += _differences(same, service)
    return AuditReport(compared, tuple(sorted(found, key=lambda one: one.sequence)))


def _differences(rows: Sequence[dict[str, Any]], service: FeatureService) -> list[Difference]:
    now = _other_features(rows, service, service.history(service.frontier())) if rows else {}
    moved = [row for row in rows if now[row["sequence"]]]
    differences: list[Difference] = []
    for frontier in dict.fromkeys(row["frontier"] for row in moved):
        asked = [row for row in moved if row["frontier"] == frontier]
        try:
            differences += _told(asked, service, json.loads(frontier))
        except StateError:
            differences += [Difference(row["sequence"], "frontier gone") for row in asked]
    return [replace(difference, features=now[difference.sequence]) for difference in differences]


def _told(
    rows: Sequence[dict[str, Any]], service: FeatureService, frontier: Frontier
) -> list[Difference]:
    """Why rows of one frontier differ from what is published now."""
    history = _read_once(service.history(frontier))
    then = _other_features(rows, service, history)
    right = [row for row in rows if not then[row["sequence"]]]
    wrong = [row for row in rows if then[row["sequence"]]]
    return [*_late_or_stale(right, service, frontier), *_clock_or_value(wrong, service, history)]


def _read_once(history: History) -> History:
    read: dict[tuple[str, ...], pa.Table] = {}

    def kept(table: str, columns: list[str]) -> pa.Table:
        key = (table, *columns)
        if key not in read:
            read[key] = history(table, columns)
        return read[key]

    return kept


def _late_or_stale(
    rows: Sequence[dict[str, Any]], service: FeatureService, frontier: Frontier
) -> list[Difference]:
    """Rows that are right for what was read: was there more to read when they were answered?"""
    found: list[Difference] = []
    by_current: dict[tuple[tuple[str, int], ...], list[dict[str, Any]]] = {}
    for row in rows:
        current = _frontier_at(service, frontier, row["served_at"] - SETTLING)
        by_current.setdefault(tuple(sorted(current.items())), []).append(row)
    for pairs, asked in by_current.items():
        missed: dict[Any, tuple[str, ...]] = {}
        if dict(pairs) != dict(frontier):
            missed = _other_features(asked, service, service.history(dict(pairs)))
        for row in asked:
            stale = bool(missed.get(row["sequence"]))
            found.append(Difference(row["sequence"], "stale store" if stale else "late commit"))
    return found


def _frontier_at(service: FeatureService, frontier: Frontier, moment: int) -> dict[str, int]:
    """The newest snapshots that were there by `moment`, and at least those of `frontier`."""
    known = getattr(service.published, "snapshots_until", None)
    if known is None:
        return dict(frontier)
    found = {}
    for table, snapshot in frontier.items():
        order = known(table, moment)
        found[table] = order[-1] if snapshot in order else snapshot
    return found


def _clock_or_value(
    rows: Sequence[dict[str, Any]], service: FeatureService, history: History
) -> list[Difference]:
    """Rows that the tables of then do not give at the logged moment: do they at another?

    A moment is believed that explains most of them: a few may always agree by chance.
    """
    if not rows:
        return []
    says, explained = _best_moment(rows, service, history)
    clock = [row for row in rows if row["sequence"] in explained]
    left = [row for row in rows if row["sequence"] not in explained]
    named = _named(left, service, history) if left else ""
    return [
        *(Difference(row["sequence"], "clock", detail=says) for row in clock),
        *(Difference(row["sequence"], "value", detail=named) for row in left),
    ]


def _best_moment(
    rows: Sequence[dict[str, Any]], service: FeatureService, history: History
) -> tuple[str, set[int]]:
    """The moment that explains most, and which rows: chosen on some of them, then tried on all."""
    some = rows[:: -(-len(rows) // _TRIED)]
    moments = _other_moments(rows)
    tried = [
        {**row, "t": at[row["sequence"]], "sequence": (says, row["sequence"])}
        for says, at in moments.items()
        for row in some
    ]
    other = _other_features(tried, service, history)
    counts = Counter(says for (says, _), names in other.items() if not names)
    says = max(moments, key=lambda moment: counts[moment])
    if 2 * counts[says] <= len(some):
        return "", set()
    moved = [{**row, "t": moments[says][row["sequence"]]} for row in rows]
    return says, {n for n, names in _other_features(moved, service, history).items() if not names}


def _other_moments(rows: Sequence[dict[str, Any]]) -> dict[str, dict[int, int]]:
    """Moments that a wrong clock may have shown, by what they are, for each row."""
    moments = {"the time of the answer": {row["sequence"]: row["served_at"] for row in rows}}
    for unit in _UNITS:
        moments[f"t cut to {unit} us"] = {row["sequence"]: row["t"] // unit * unit for row in rows}
    for shift in _SHIFTS:
        moments[f"t {shift:+} us"] = {row["sequence"]: row["t"] + shift for row in rows}
    return moments


def _named(rows: Sequence[dict[str, Any]], service: FeatureService, history: History) -> str:
    """The wrong rules that give these values, where any do."""
    points = _spine(rows, service.schema.types)
    frame = training_frame(points, service.views, history, service.contracts, service.mode)
    trained = frame.select(output_columns(service.views))
    logged = [_Logged(json.loads(row["vector"])) for row in rows]
    served = as_columns(logged, trained.schema, trained.column_names)
    frontier = np.array([row["served_at"] for row in rows], dtype=np.int64)
    replayed = (points, served, trained.combine_chunks(), frontier)
    declared = (service.views, history, service.contracts, service.mode)
    return ", ".join(provided("parity_causes")(*replayed, *declared))


@dataclass(frozen=True)
class _Logged:
    values: Mapping[str, Any]


def _other_features(
    rows: Sequence[dict[str, Any]], service: FeatureService, history: History
) -> dict[Any, tuple[str, ...]]:
    """By sequence, the features whose bytes over this history are not the logged ones."""
    spine = _spine(rows, service.schema.types)
    frame = training_frame(spine, service.views, history, service.contracts, service.mode)
    fresh = cells(frame.select(output_columns(service.views)))
    return {
        row["sequence"]: _unequal(made, json.loads(row["vector"]))
        for row, made in zip(rows, fresh, strict=True)
    }


def _unequal(made: Mapping[str, Cell], logged: Mapping[str, Any]) -> tuple[str, ...]:
    """Features whose values are not the same to the bit; `repr` tells 1 from 1.0, 0.0 from -0.0."""
    return tuple(name for name, value in made.items() if repr(value) != repr(logged.get(name, _NO)))


def _spine(rows: Sequence[dict[str, Any]], types: Mapping[str, pa.DataType]) -> pa.Table:
    """The logged requests, typed as they were; logged times are int microseconds."""
    requests = [{**json.loads(row["request"]), "t": row["t"]} for row in rows]
    return pa.table(
        {
            name: pa.array([r[name] for r in requests], _stored(kind)).cast(kind)
            for name, kind in types.items()
        }
    )


def _stored(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else kind
