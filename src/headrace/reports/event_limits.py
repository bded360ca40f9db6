"""Warnings about entities close to their table's `maxEvents`, above which features are null."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.clock import duration_text
from headrace.core.home import Home
from headrace.features.kernel.arrays import Ints, Numbering, values_of
from headrace.features.spec import FeatureView
from headrace.lake.tables.lake import Lake
from headrace.pipeline.definition import Pipeline

WARNED_AT = 0.8  # fraction of maxEvents


def crowded_windows(pipelines: Sequence[Pipeline], home: Home) -> list[dict[str, Any]]:
    """Return the fullest window of each view, if it has at least 80 % of `maxEvents` rows.

    The count is an upper bound for features: it is the maximum over all positions of the view's
    longest window, and includes corrected and deleted rows. Tables with fewer rows in total are not
    read. Each result is `{"table", "view", "entity", "window", "rows", "max_events", "says"}`.
    """
    lake = Lake(home)
    return [row for pipeline in pipelines for row in _of_pipeline(pipeline, lake)]


def _of_pipeline(pipeline: Pipeline, lake: Lake) -> Iterator[dict[str, Any]]:
    contracts = pipeline.contracts
    for view in pipeline.views:
        if not isinstance(view, FeatureView):
            continue
        limit = contracts[view.table].max_events
        if limit is None or sum(f.rows for f in lake.files(view.table)) < WARNED_AT * limit:
            continue
        length = max(feature.window.b - feature.window.a for feature in view.features)
        rows = lake.scan(view.table, [*view.entity, "event_time"])
        largest, entity = fullest(rows, view.entity, length)
        if largest >= WARNED_AT * limit:
            yield _row(view, entity, length, largest, limit)


def fullest(rows: pa.Table, entity: Sequence[str], length: int) -> tuple[int, dict[str, Any]]:
    """Return the largest number of rows of an entity within `length` microseconds, and the entity.

    The entity is {column: value}.
    """
    columns = [rows[name] for name in entity]
    numbering = Numbering(columns)
    order, starts = numbering.group(numbering.codes)
    e = np.asarray(values_of(rows["event_time"]).data, dtype=np.int64)
    largest, row = 0, -1
    for first, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if end - first > largest:
            moments: Ints = np.sort(e[order[first:end]])
            inside = np.searchsorted(moments, moments + length) - np.arange(len(moments))
            if (count := int(inside.max())) > largest:
                largest, row = count, int(order[first])
    picked = rows.select(list(entity)).slice(max(row, 0), 1 if row >= 0 else 0).to_pylist()
    return largest, picked[0] if picked else {}


def _row(
    view: FeatureView, entity: dict[str, Any], length: int, largest: int, limit: int
) -> dict[str, Any]:
    entity_text = ", ".join(f"{name} {value}" for name, value in entity.items())
    window = duration_text(length)
    state = "are null there" if largest > limit else "become null above it"
    return {
        "table": view.table,
        "view": view.name,
        "entity": {name: str(value) for name, value in entity.items()},
        "window": window,
        "rows": largest,
        "max_events": limit,
        "says": f"{view.table}: {entity_text} has {largest:,} rows within {window}, maxEvents is"
        f" {limit:,}; features of view {view.name} {state}. Raise maxEvents or shorten the window",
    }
