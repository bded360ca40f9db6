"""Tests over a pipeline's published data: training-serving parity, and leakage."""

from contextlib import closing
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import pyarrow as pa

from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.features.frames.training_frame import training_frame
from headrace.features.kernel.arrays import times
from headrace.features.spec import RowTransform
from headrace.pipeline.build_context import BuildContext
from headrace.pipeline.definition import Pipeline
from headrace.verification.leaks import LeakReport, random_moments, reach_of
from headrace.verification.leaks import leaks as find_leaks
from headrace.verification.parity import STEPS, ParityReport, ServingPath, parity, random_points
from headrace.verification.parity import usable_moments as usable

if TYPE_CHECKING:
    pass

Via = Literal["tables", "store"]


def feature_parity(
    pipeline: Pipeline,
    home: Home,
    *,
    samples: int = 10_000,
    via: Via = "tables",
    seed: int = 0,
    steps: int = STEPS,
) -> ParityReport:
    """Replay the published tables of `home` through a serving path, and compare with training.

    Args:
        pipeline: the pipeline with its views, spine and mode.
        home: the home with the published tables.
        samples: number of random (entity, time) points.
        via: serving path: `tables` (service over published tables) or `store` (online store).
        seed: seed of the points.
        steps: number of steps of the replay.

    Raises:
        StateError: nothing was published.
    """
    context = BuildContext(pipeline, home)
    _require_published(context)
    points = proof_points(context, samples, seed)
    views, contracts, mode = pipeline.views, pipeline.contracts, pipeline.mode
    types = training_frame(points.slice(0, 1), views, context.history, contracts, mode).schema
    with closing(serving_path(context, types, via)) as path:
        return parity(path, points, views, context.history, contracts, mode, steps=steps)


class ClosedPath(ServingPath, Protocol):
    """Serving path that must be closed after use."""

    def close(self) -> None: ...


def serving_path(context: BuildContext, types: pa.Schema, via: Via) -> ClosedPath:
    """Return an empty serving path of the pipeline, ready for a replay."""
    pipeline = context.pipeline
    arguments = (
        pipeline.spine,
        pipeline.views,
        pipeline.contracts,
        context.history,
        types,
        pipeline.mode,
    )
    if via == "store":
        from headrace.verification.replay_store import StorePath

        return StorePath(*arguments)
    from headrace.verification.skew.replay import TablesPath

    return TablesPath(*arguments)


def proof_points(context: BuildContext, samples: int, seed: int) -> pa.Table:
    """Return random points; see `random_points`."""
    mode, moments = context.pipeline.mode, []
    for name in _tables(context):
        rows = context.history(name, [])
        moments += [times(rows, "event_time", name), usable(rows, mode, name)]
    spine = context.spine
    if not spine.num_rows:
        raise StateError(
            "the spine has no rows", where=f"pipeline {context.pipeline.name}", fix="headrace run"
        )
    inside = [np.clip(m, *_span(spine, context.pipeline.first_slot)) for m in moments]
    return random_points(spine, inside, context.pipeline.views, samples, seed=seed)


def _span(spine: pa.Table, first_slot: str) -> tuple[int, int]:
    """Return the first and last time for points; state tables may have rows from long before."""
    from headrace.core.clock import DAY, parse_iso

    t = times(spine, "t", "the spine")
    return min(parse_iso(first_slot), int(t.min())) - DAY, int(t.max()) + DAY


def feature_leaks(pipeline: Pipeline, home: Home, *, rows: int = 1000, seed: int = 0) -> LeakReport:
    """Test for leakage at the times of at least `rows` random rows of the spine.

    Raises:
        StateError: nothing was published.
    """
    context = BuildContext(pipeline, home)
    _require_published(context)
    return find_leaks(
        pipeline.spine,
        pipeline.views,
        context.history,
        pipeline.contracts,
        random_moments(context.spine, rows, seed=seed),
        mode=pipeline.mode,
        seed=seed,
        near=reach_of(pipeline.views, pipeline.spine),
        known=context.spine,
    )


def _tables(context: BuildContext) -> list[str]:
    views = [view for view in context.pipeline.views if not isinstance(view, RowTransform)]
    return sorted({view.table for view in views})


def _require_published(context: BuildContext) -> None:
    needed = {context.pipeline.spine.table, *_tables(context)}
    empty = sorted(name for name in needed if context.snapshots[name] is None)
    if empty:
        raise StateError(
            f"nothing was published to {', '.join(empty)} yet",
            where=f"pipeline {context.pipeline.name}",
            fix="ingest their slots first: headrace run",
        )
