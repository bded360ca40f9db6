"""Entities that come near the `maxEvents` of their table, before features of them become null."""

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

WARNED_AT = 0.8  # of maxEvents


def crowded_windows(pipelines: Sequence[Pipeline], home: Home) -> list[dict[str, Any]]:
    """The fullest window of each view that holds 80 % of `maxEvents` or more.

    All published rows of an entity count, corrected and deleted ones too, in the view's longest
    window wherever it lies: never less than a feature counts. A table that has fewer rows in all
    is not read. Each is `{"table", "view", "entity", "window", "rows", "max_events", "says"}`.
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
        most, entity = fullest(rows, view.entity, length)
        if most >= WARNED_AT * limit:
            yield _row(view, entity, length, most, limit)


def fullest(rows: pa.Table, entity: Sequence[str], length: int) -> tuple[int, dict[str, Any]]:
    """The most rows of one entity within `length` microseconds, and that entity."""
    columns = [rows[name] for name in entity]
    numbering = Numbering(columns)
    order, starts = numbering.group(numbering.codes)
    e = np.asarray(values_of(rows["event_time"]).data, dtype=np.int64)
    most, row = 0, -1
    for first, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if end - first > most:
            moments: Ints = np.sort(e[order[first:end]])
            inside = np.searchsorted(moments, moments + length) - np.arange(len(moments))
            if (count := int(inside.max())) > most:
                most, row = count, int(order[first])
    picked = rows.select(list(entity)).slice(max(row, 0), 1 if row >= 0 else 0).to_pylist()
    return most, picked[0] if picked else {}


def _row(
    view: FeatureView, entity: dict[str, Any], length: int, most: int, limit: int
) -> dict[str, Any]:
    named = ", ".join(f"{name} {value}" for name, value in entity.items())
    window = duration_text(length)
    state = "are null there" if most > limit else "become null above it"
    return {
        "table": view.table,
        "view": view.name,
        "entity": {name: str(value) for name, value in entity.items()},
        "window": window,
        "rows": most,
        "max_events": limit,
        "says": f"{view.table}: {named} has {most:,} rows within {window}, maxEvents is {limit:,};"
        f" features of view {view.name} {state}. Raise maxEvents or shorten the window",
    }
