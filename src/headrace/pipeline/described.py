"""Features in words, and frames as files: what `headrace features ls` and `frame` show."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.clock import DAY, parse_iso
from headrace.features.arrays import times
from headrace.features.canonical import definition_hashes
from headrace.features.frame import training_frame
from headrace.features.spec import (
    Aggregate,
    FeatureView,
    Lookup,
    Mode,
    RowTransform,
    View,
    conditions,
)
from headrace.features.spines import build_spine
from headrace.files import move_into_place, temporary_beside
from headrace.home import Home
from headrace.pipeline.declare import Pipeline
from headrace.pipeline.workshop import Workshop
from headrace.progress import report


def feature_rows(pipeline: Pipeline) -> list[dict[str, Any]]:
    """One dict per feature: `feature, view, type, table, entity, what, definition`."""
    hashes = definition_hashes(pipeline.spine, pipeline.views, pipeline.contracts)
    types = _types(pipeline)
    return [
        {
            "feature": name,
            "view": view.name,
            "type": str(types[name]),
            "table": "" if isinstance(view, RowTransform) else view.table,
            "entity": [] if isinstance(view, RowTransform) else list(view.spine_entity),
            "what": what,
            "definition": hashes[view.name],
        }
        for view in pipeline.views
        for name, what in _told(view)
    ]


def _told(view: View) -> list[tuple[str, str]]:
    if isinstance(view, RowTransform):
        return [(view.name, f"from {', '.join(view.inputs)}")]
    by = f" by {', '.join(view.spine_entity)}"
    if isinstance(view, Lookup):
        age = f", at most {view.max_age} old" if view.max_age else ""
        return [(name, f"state{by}{age}") for name in view.outputs]
    found = []
    for feature in view.features:
        of = f" of {', '.join(feature.columns)}" if feature.columns else ""
        kept = "".join(f" where {c.column} {c.op} {c.value!r}" for c in conditions(feature.where))
        what = f"{feature.op}{of}{kept}, {feature.window.start} to {feature.window.end}{by}"
        found += [(name, what) for name in _names(view, feature)]
    return found


def _names(view: FeatureView, feature: Aggregate) -> tuple[str, ...]:
    return tuple(f"{view.name}__{name}" for name in feature.names)


def _types(pipeline: Pipeline) -> Mapping[str, pa.DataType]:
    """Types of the features, from a frame of no rows over tables of no rows."""
    empty = {table.name: _no_rows(table.contract.arrow_schema()) for table in pipeline.tables}

    def history(table: str, columns: list[str]) -> pa.Table:
        del columns
        return empty[table]

    spine = build_spine(pipeline.spine, history, pipeline.contracts, pipeline.mode)
    frame = training_frame(spine, pipeline.views, history, pipeline.contracts, pipeline.mode)
    return {field.name: field.type for field in frame.schema}


def _no_rows(schema: pa.Schema) -> pa.Table:
    table = schema.remove_metadata().empty_table()
    return table.append_column("committed_at", pa.array([], pa.int64()))


def write_frame(
    pipeline: Pipeline,
    home: Home,
    to: Path,
    first: str | None = None,
    last: str | None = None,
    *,
    mode: Mode | None = None,
    reasons: bool = False,
) -> dict[str, Any]:
    """Write the frame of the spine's rows with `t` from day `first` to day `last` as Parquet."""
    shop, chosen = Workshop(pipeline, home), mode or pipeline.mode
    report("spine", 0, 1)
    spine = build_spine(pipeline.spine, shop.history, pipeline.contracts, chosen)
    t = times(spine, "t", "the spine")
    kept = np.ones(len(t), dtype=np.bool_)
    if first is not None:
        kept &= t >= parse_iso(first)
    if last is not None:
        kept &= t < parse_iso(last) + DAY
    report("spine", 1, 1)
    rows = spine.filter(pa.array(kept))
    report("frame", 0, 1)
    frame = training_frame(
        rows, pipeline.views, shop.history, pipeline.contracts, chosen, reasons=reasons
    )
    temporary = temporary_beside(to)
    pq.write_table(frame, temporary, compression="zstd")
    move_into_place(temporary, to)
    report("frame", 1, 1)
    return {"file": str(to), "rows": frame.num_rows, "columns": frame.num_columns, "mode": chosen}
