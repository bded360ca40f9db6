"""Parity (training-serving consistency): replay history through a serving path, compare values.

The serving path gets the history step by step, in the order of publication. After each step it
answers requests for random entities and times, from the data published so far. The training frame
is computed from the complete history. Values must be equal to the bit. `parity_diagnosis` searches
for the causes of differences.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.progress import report
from headrace.features.frames.training_frame import training_frame, used_columns
from headrace.features.kernel.arrays import Bools, Ints, bools, times, whole
from headrace.features.kernel.visibility import History, usable
from headrace.features.oracle_audit import Near, plain_values, reach, spine_rows
from headrace.features.spec import (
    FeatureView,
    Lookup,
    Mode,
    RowTransform,
    View,
    output_columns,
)
from headrace.features.table_shapes import Contracts, TableShape, shape_for, shapes_of
from headrace.verification.parity_diagnosis.hypotheses import (
    UNEXPLAINED,
    Cause,
    DiagnosisCase,
    Hypothesis,
    Observed,
    explain,
)
from headrace.verification.parity_diagnosis.wrong_rules import HYPOTHESES

STEPS = 48
# Sizes of the samples of differing and of equal points that a cause must reproduce.
_DIFFERING, _EQUAL = 40, 40
_SMALL = 2_000
_MARGIN = 2 * 24 * 3600 * 1_000_000


class ServingPath(Protocol):
    """Serving implementation that is compared with training."""

    def publish(self, until: int) -> None:
        """Make everything that was published by `until` (microseconds UTC) available."""
        ...

    def serve(self, points: pa.Table) -> pa.Table:
        """Return the features of these spine rows, in the same order."""
        ...


@dataclass(frozen=True)
class ParityReport:
    """Result of a parity test: numbers of compared and differing points, causes and examples."""

    compared: int
    different: int
    causes: tuple[Cause, ...] = ()
    features: tuple[str, ...] = ()
    examples: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON; features, details and examples only if there are differences.

        `causes` maps names of causes to numbers of points.
        """
        counted: Counter[str] = Counter()
        for cause in self.causes:
            counted[cause.name] += cause.points
        document: dict[str, Any] = {
            "compared": self.compared,
            "different": self.different,
            "causes": dict(counted),
        }
        if self.different:
            document["features"] = list(self.features)
            document["details"] = [str(cause) for cause in self.causes]
            document["examples"] = list(self.examples)
        return document


@dataclass(frozen=True)
class Replay:
    """Served and trained features of the same points.

    `frontier` is, for each point, the time until which the serving path had the published history.
    """

    points: pa.Table
    served: pa.Table
    trained: pa.Table
    frontier: Ints

    @cached_property
    def differing(self) -> dict[str, Bools]:
        """Feature -> mask of the points at which it differs."""
        names: list[str] = self.served.column_names
        return {name: different(self.served[name], self.trained[name]) for name in names}

    @cached_property
    def any(self) -> Bools:
        none = np.zeros(self.points.num_rows, dtype=np.bool_)
        differing_rows: Bools = np.logical_or.reduce([none, *self.differing.values()])
        return differing_rows


def parity(  # noqa: PLR0917
    path: ServingPath,
    points: pa.Table,
    views: Sequence[View],
    history: History,
    contracts: Contracts,
    mode: Mode = "declared",
    *,
    steps: int = STEPS,
) -> ParityReport:
    """Replay history through `path` and compare it with training at every point.

    Args:
        path: the serving path, still without data.
        points: rows of the spine with `t` (int64 microseconds UTC), in any order.
        views: the views to compare.
        history: the complete history, as for `training_frame`.
        contracts: contracts of all tables in use.
        mode: decides the time of publication: known_at if `declared`, the commit if `recorded`.
        steps: number of steps of the replay. In each step the path first gets everything published
            by the latest `t` of the step's points; then each point is requested at its own `t`.
    """
    trained = training_frame(points, views, history, contracts, mode)
    names = output_columns(list(views))
    replay = replayed(path, points, trained.select(names), steps=steps)
    if not replay.any.any():
        return ParityReport(points.num_rows, 0)
    causes = why(replay, views, history, contracts, mode)
    return ParityReport(
        points.num_rows,
        int(replay.any.sum()),
        tuple(causes),
        tuple(name for name, rows in replay.differing.items() if rows.any()),
        _examples(replay),
    )


def replayed(path: ServingPath, points: pa.Table, trained: pa.Table, *, steps: int) -> Replay:
    """Replay the history in steps, and request all points in the order of their `t`."""
    t = times(points, "t", "the points")
    order = np.argsort(t, kind="stable")
    parts, frontier = [], np.zeros(len(t), dtype=np.int64)
    chunks = [chunk for chunk in np.array_split(order, steps) if len(chunk)]
    for number, chunk in enumerate(chunks, 1):
        until = int(t[chunk].max())
        path.publish(until)
        parts.append(path.serve(points.take(pa.array(chunk))).select(trained.column_names))
        frontier[chunk] = until
        report("parity", number, len(chunks))
    back = np.argsort(order, kind="stable")
    served = pa.concat_tables(parts).take(pa.array(back)) if parts else trained
    return Replay(points, served.combine_chunks(), trained.combine_chunks(), frontier)


def different(served: pa.ChunkedArray, trained: pa.ChunkedArray) -> Bools:
    """Return a mask of the rows that differ in type, null or any bit."""
    served_array, trained_array = whole(served), whole(trained)
    if served_array.type != trained_array.type:
        return np.ones(len(served_array), dtype=np.bool_)
    null, other_null = (bools(side.is_null()) for side in (served_array, trained_array))
    if pa.types.is_float64(served_array.type) or pa.types.is_timestamp(served_array.type):
        served_array, trained_array = served_array.view(pa.int64()), trained_array.view(pa.int64())
    # Compare in Arrow: numpy converts integers with nulls to floats, which rounds them.
    unequal = bools(pc.not_equal(served_array, trained_array))
    differing: Bools = (null != other_null) | unequal
    return differing


def why(
    replay: Replay,
    views: Sequence[View],
    history: History,
    contracts: Contracts,
    mode: Mode,
    *,
    hypotheses: Sequence[Hypothesis] = HYPOTHESES,
    extra: History | None = None,
) -> list[Cause]:
    """Return the causes of a replay's differences, with the number of points each explains."""
    shapes = shapes_of(contracts)
    pairs: list[tuple[Observed, Observed]] = []
    differing: set[int] = set()
    for view in views:
        if isinstance(view, RowTransform):
            continue
        mask = np.logical_or.reduce([replay.differing[name] for name in view.outputs])
        differing.update(np.flatnonzero(mask).tolist())
        rows = _sample_points(mask)
        shape = shape_for(shapes, view.table, f"view {view.name}")
        pairs += _pairs(replay, view, shape, rows, mask, history, mode, extra)
    causes = explain(pairs, hypotheses)
    remaining = int(replay.any.sum()) - len(differing)
    if remaining:  # inputs are equal, so the transform itself differs
        causes.append(Cause("row transform", "serving", "its inputs are equal", remaining))
    return _counted(causes, len(differing))


def causes_of(  # noqa: PLR0917 - called through `provided`, with the parts of a replay
    points: pa.Table,
    served: pa.Table,
    trained: pa.Table,
    frontier: Ints,
    views: Sequence[View],
    history: History,
    contracts: Contracts,
    mode: Mode,
) -> list[str]:
    """Return the names of wrong rules that explain the served values; see `Replay`."""
    causes = why(Replay(points, served, trained, frontier), views, history, contracts, mode)
    return list(dict.fromkeys(cause.name for cause in causes))


def _counted(causes: list[Cause], points: int) -> list[Cause]:
    """Set the causes' numbers of points: a single cause gets all differing points."""
    views = [cause for cause in causes if cause.name != "row transform"]
    rest = [cause for cause in causes if cause.name == "row transform"]
    if len(views) == 1:
        return [replace(views[0], points=points), *rest]
    if not views and points:
        return [Cause(UNEXPLAINED, "serving", points=points), *rest]
    return causes


def _sample_points(mask: Bools) -> list[int]:
    """Return the indices of some differing and some equal points, evenly spread."""
    picked = []
    for rows, limit in ((np.flatnonzero(mask), _DIFFERING), (np.flatnonzero(~mask), _EQUAL)):
        spread = np.linspace(0, max(len(rows) - 1, 0), min(limit, len(rows))).astype(int)
        picked += rows[spread].tolist()
    return picked


def _pairs(  # noqa: PLR0917
    replay: Replay,
    view: FeatureView | Lookup,
    shape: TableShape,
    rows: list[int],
    mask: Bools,
    history: History,
    mode: Mode,
    extra: History | None,
) -> list[tuple[Observed, Observed]]:
    part = replay.points.take(pa.array(rows, pa.int64()))
    columns = [*view.entity, *used_columns(view)]
    near = Near(history, shape, view.entity, columns)
    extra_rows = Near(extra, shape, view.entity, columns).all() if extra is not None else []
    served = [plain_values(replay.served[name].take(pa.array(rows))) for name in view.outputs]
    trained = [plain_values(replay.trained[name].take(pa.array(rows))) for name in view.outputs]
    everything = near.all() if near.size <= _SMALL else None
    pairs = []
    for n, (spine, code) in enumerate(
        zip(spine_rows(part, view.spine_entity), near.keys(part, view.spine_entity), strict=True)
    ):
        first, end = reach(view, spine["t"])
        versions = (
            near.rows(code, first - _MARGIN, end + _MARGIN) if everything is None else everything
        )
        case = DiagnosisCase(
            view, versions, shape, spine, mode, int(replay.frontier[rows[n]]), extra_rows
        )
        differs = bool(mask[rows[n]])
        sides = [
            Observed(case, {name: side[i][n] for i, name in enumerate(view.outputs)}, differs)
            for side in (served, trained)
        ]
        pairs.append((sides[0], sides[1]))
    return pairs


def _examples(replay: Replay, limit: int = 5) -> tuple[dict[str, Any], ...]:
    examples = []
    for row in np.flatnonzero(replay.any)[:limit].tolist():
        names = [name for name, mask in replay.differing.items() if mask[row]]
        values = {
            name: {"served": replay.served[name][row].as_py(), "trained": trained}
            for name in names[:limit]
            if (trained := replay.trained[name][row].as_py(), True)
        }
        examples.append({"point": replay.points.slice(row, 1).to_pylist()[0], "features": values})
    return tuple(examples)


# Points


def random_points(
    spine: pa.Table,
    moments: Sequence[Ints],
    views: Sequence[View],
    samples: int,
    *,
    seed: int = 0,
) -> pa.Table:
    """Return random entities at random times.

    Args:
        spine: rows that could be requested. Half of the points are such rows; the other half
            combines columns of different rows.
        moments: event times and availability times of the tables. A third of the points are at the
            row's own `t`, a third at random times between the first and the last of these times. A
            third are at most one microsecond before or after a critical time, at which a row
            appears or enters or leaves a window.
        views: the views whose windows define the critical times.
        samples: number of points.
        seed: seed of the random choices.
    """
    chance = np.random.default_rng(seed)
    rows = spine.num_rows
    base = chance.integers(0, rows, samples)
    mixed = chance.random(samples) < 0.5
    columns = {}
    for name in spine.column_names:
        picks = np.where(mixed, chance.integers(0, rows, samples), base)
        columns[name] = whole(spine[name]).take(pa.array(picks))
    row_times = np.asarray(whole(spine["t"]))[base]
    facts = np.unique(np.concatenate([row_times, *moments]))
    anywhere = chance.integers(facts[0], facts[-1] + 1, samples)
    edges = chance.choice(facts, samples) - chance.choice(_bounds(views), samples)
    edges += chance.integers(-1, 2, samples)
    edges = np.clip(edges, facts[0] - 1, facts[-1] + 1)
    kind = chance.integers(0, 3, samples)
    columns["t"] = pa.array(np.choose(kind, [row_times, anywhere, edges]).astype(np.int64))
    return pa.table(columns)


def _bounds(views: Sequence[View]) -> Ints:
    windows = [f.window for v in views if isinstance(v, FeatureView) for f in v.features]
    return np.unique([0, *(w.a for w in windows), *(w.b for w in windows)]).astype(np.int64)


def published_order(rows: pa.Table, mode: Mode, table: str) -> tuple[pa.Table, Ints]:
    """Return the rows in the order of publication, and their times of publication."""
    known_at = times(rows, "known_at", table)
    commit = times(rows, "committed_at", table) if mode == "recorded" else None
    moment = known_at if commit is None else commit
    order = np.argsort(moment, kind="stable")
    return rows.take(pa.array(order)).combine_chunks(), moment[order]


def usable_moments(rows: pa.Table, mode: Mode, table: str) -> Ints:
    commit = times(rows, "committed_at", table) if mode == "recorded" else None
    return usable(times(rows, "known_at", table), commit)
