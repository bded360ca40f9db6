"""Audit of a served log: recompute every vector with the training code and compare the bytes."""

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
# A commit's timestamp is slightly earlier than the moment at which readers see the commit. An
# answer given between these two moments is not stale.
SETTLING = 5 * SECOND
_SAMPLE_ROWS = 40
_NO = object()
_UNITS = (1000, SECOND, MINUTE, HOUR)
_SHIFTS = [
    sign * step
    for step in (SECOND, MINUTE, 5 * MINUTE, *(n * HOUR // 2 for n in range(1, 29)))
    for sign in (1, -1)
]


@dataclass(frozen=True)
class Difference:
    """Logged vector that differs from the vector that training computes.

    Attributes:
        sequence: sequence number of the row in the log.
        cause: "definition mismatch": the feature definitions have changed; nothing was
            recomputed. "late commit": recomputing from the snapshots that the answer read gives
            the logged bytes, but recomputing from today's tables does not, because rows usable
            at t were published after the answer. "stale store": the same, but the missing rows
            were published before the answer. "clock": recomputing from the snapshots gives the
            logged bytes only for a time other than the logged t. "value": recomputing from the
            snapshots gives other bytes for every time tried. "frontier gone": the snapshots have
            expired, so the cause is unknown.
        features: names of the features whose bytes differ.
        detail: for "clock" the time that gives the logged bytes; for "value" the known mistakes
            in computing features that give the logged values; empty if none was found.
    """

    sequence: int
    cause: Cause
    features: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True)
class AuditReport:
    """Result of an audit: the number of compared log rows, and the rows that differ."""

    compared: int
    differences: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        causes = dict(Counter(difference.cause for difference in self.differences))
        return {"compared": self.compared, "different": len(self.differences), "causes": causes}


def audit(log: ServedLog, service: FeatureService) -> AuditReport:
    """Compare every logged vector with `training_frame` over the currently published tables.

    Only the declarations and the published tables of `service` are used, not its loaded data.
    """
    compared, differences = 0, []
    for part in log.parts():
        rows = part.to_pylist()
        compared += len(rows)
        comparable = [row for row in rows if row["definition"] == service.definition]
        redefined = [row for row in rows if row["definition"] != service.definition]
        differences += [Difference(row["sequence"], "definition mismatch") for row in redefined]
        differences += _differences(comparable, service)
    return AuditReport(
        compared, tuple(sorted(differences, key=lambda difference: difference.sequence))
    )


def _differences(rows: Sequence[dict[str, Any]], service: FeatureService) -> list[Difference]:
    now = _other_features(rows, service, service.history(service.frontier())) if rows else {}
    differing = [row for row in rows if now[row["sequence"]]]
    differences: list[Difference] = []
    for frontier in dict.fromkeys(row["frontier"] for row in differing):
        group = [row for row in differing if row["frontier"] == frontier]
        try:
            differences += _explained(group, service, json.loads(frontier))
        except StateError:
            differences += [Difference(row["sequence"], "frontier gone") for row in group]
    return [replace(difference, features=now[difference.sequence]) for difference in differences]


def _explained(
    rows: Sequence[dict[str, Any]], service: FeatureService, frontier: Frontier
) -> list[Difference]:
    """Return the causes for differing rows that were served from the same snapshots."""
    history = _read_once(service.history(frontier))
    then = _other_features(rows, service, history)
    right = [row for row in rows if not then[row["sequence"]]]
    wrong = [row for row in rows if then[row["sequence"]]]
    return [*_late_or_stale(right, service, frontier), *_clock_or_value(wrong, service, history)]


def _read_once(history: History) -> History:
    read: dict[tuple[str, ...], pa.Table] = {}

    def cached(table: str, columns: list[str]) -> pa.Table:
        key = (table, *columns)
        if key not in read:
            read[key] = history(table, columns)
        return read[key]

    return cached


def _late_or_stale(
    rows: Sequence[dict[str, Any]], service: FeatureService, frontier: Frontier
) -> list[Difference]:
    """Return the causes for rows that the snapshots read by the answer reproduce.

    The store was stale if newer snapshots with other values existed when the answer was given.
    """
    differences: list[Difference] = []
    by_current: dict[tuple[tuple[str, int], ...], list[dict[str, Any]]] = {}
    for row in rows:
        current = _frontier_at(service, frontier, row["served_at"] - SETTLING)
        by_current.setdefault(tuple(sorted(current.items())), []).append(row)
    for pairs, group in by_current.items():
        missed: dict[Any, tuple[str, ...]] = {}
        if dict(pairs) != dict(frontier):
            missed = _other_features(group, service, service.history(dict(pairs)))
        for row in group:
            stale = bool(missed.get(row["sequence"]))
            differences.append(
                Difference(row["sequence"], "stale store" if stale else "late commit")
            )
    return differences


def _frontier_at(service: FeatureService, frontier: Frontier, moment: int) -> dict[str, int]:
    """Return each table's newest snapshot at `moment`, or that of `frontier` if it is newer."""
    snapshots_until = getattr(service.published, "snapshots_until", None)
    if snapshots_until is None:
        return dict(frontier)
    snapshots = {}
    for table, snapshot in frontier.items():
        order = snapshots_until(table, moment)
        snapshots[table] = order[-1] if snapshot in order else snapshot
    return snapshots


def _clock_or_value(
    rows: Sequence[dict[str, Any]], service: FeatureService, history: History
) -> list[Difference]:
    """Return the causes for rows that the snapshots read by the answer do not reproduce.

    The cause is "clock" only if the same error of t explains most rows, because a few rows may
    match by chance.
    """
    if not rows:
        return []
    moment_name, explained = _best_moment(rows, service, history)
    clock = [row for row in rows if row["sequence"] in explained]
    unexplained = [row for row in rows if row["sequence"] not in explained]
    rules = _wrong_rules(unexplained, service, history) if unexplained else ""
    return [
        *(Difference(row["sequence"], "clock", detail=moment_name) for row in clock),
        *(Difference(row["sequence"], "value", detail=rules) for row in unexplained),
    ]


def _best_moment(
    rows: Sequence[dict[str, Any]], service: FeatureService, history: History
) -> tuple[str, set[int]]:
    """Return the error of t that explains most rows, and the sequences of the explained rows.

    The error is chosen on a sample and then tested on all rows. If no error explains more than
    half of the sample, the description of the error and the set of rows are empty.
    """
    sample = rows[:: -(-len(rows) // _SAMPLE_ROWS)]
    moments = _other_moments(rows)
    candidates = [
        {**row, "t": at[row["sequence"]], "sequence": (name, row["sequence"])}
        for name, at in moments.items()
        for row in sample
    ]
    other = _other_features(candidates, service, history)
    counts = Counter(name for (name, _), names in other.items() if not names)
    moment_name = max(moments, key=lambda moment: counts[moment])
    if 2 * counts[moment_name] <= len(sample):
        return "", set()
    shifted = [{**row, "t": moments[moment_name][row["sequence"]]} for row in rows]
    return moment_name, {
        n for n, names in _other_features(shifted, service, history).items() if not names
    }


def _other_moments(rows: Sequence[dict[str, Any]]) -> dict[str, dict[int, int]]:
    """Return candidates for the true t: description of the clock error -> sequence -> t."""
    moments = {"the time of the answer": {row["sequence"]: row["served_at"] for row in rows}}
    for unit in _UNITS:
        moments[f"t cut to {unit} us"] = {row["sequence"]: row["t"] // unit * unit for row in rows}
    for shift in _SHIFTS:
        moments[f"t {shift:+} us"] = {row["sequence"]: row["t"] + shift for row in rows}
    return moments


def _wrong_rules(rows: Sequence[dict[str, Any]], service: FeatureService, history: History) -> str:
    """Return the known mistakes in computing features that give the logged values, or ""."""
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
    """Recompute the rows over `history`; return sequence -> features that differ from the log."""
    spine = _spine(rows, service.schema.types)
    frame = training_frame(spine, service.views, history, service.contracts, service.mode)
    fresh = cells(frame.select(output_columns(service.views)))
    return {
        row["sequence"]: _unequal(computed, json.loads(row["vector"]))
        for row, computed in zip(rows, fresh, strict=True)
    }


def _unequal(computed: Mapping[str, Cell], logged: Mapping[str, Any]) -> tuple[str, ...]:
    """Return features that differ in any bit; `repr` distinguishes 1 and 1.0, 0.0 and -0.0."""
    return tuple(
        name for name, value in computed.items() if repr(value) != repr(logged.get(name, _NO))
    )


def _spine(rows: Sequence[dict[str, Any]], types: Mapping[str, pa.DataType]) -> pa.Table:
    """Return the logged requests with their types; logged times are int microseconds."""
    requests = [{**json.loads(row["request"]), "t": row["t"]} for row in rows]
    return pa.table(
        {
            name: pa.array([r[name] for r in requests], _stored(kind)).cast(kind)
            for name, kind in types.items()
        }
    )


def _stored(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else kind
