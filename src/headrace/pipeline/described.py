"""Features in words, and frames as files: what `headrace features ls` and `frame` show."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.clock import DAY, parse_iso
from headrace.features.arrays import Bools, Ints, times
from headrace.features.canonical import definition_hashes
from headrace.features.frame import training_frame
from headrace.features.partitions import training_batches
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
    memory: int = 2**30,
) -> dict[str, Any]:
    """Write the frame of the spine's rows with `t` from day `first` to day `last` as Parquet.

    Args:
        pipeline: whose spine and views.
        home: where its tables are.
        to: the file; it is there whole or not at all.
        first: an ISO day; the spine's first if left out.
        last: an ISO day, included; the spine's last if left out.
        mode: the pipeline's, if left out.
        reasons: add why a value is null.
        memory: bytes to compute with, beside the spine and the columns that are read.
    """
    shop, chosen = Workshop(pipeline, home), mode or pipeline.mode
    report("spine", 0, 1)
    spine = build_spine(pipeline.spine, shop.history, pipeline.contracts, chosen)
    rows = spine.filter(pa.array(_between(times(spine, "t", "the spine"), first, last)))
    report("spine", 1, 1)
    temporary = temporary_beside(to)
    views, contracts = pipeline.views, pipeline.contracts
    with training_batches(
        rows, views, shop.history, contracts, chosen,
        memory=memory, reasons=reasons, progress=_tell,
    ) as batches:  # fmt: skip
        schema = batches.schema
        with pq.ParquetWriter(temporary, schema, compression="zstd") as file:
            for batch in batches:
                file.write_batch(batch)
    move_into_place(temporary, to)
    return {"file": str(to), "rows": rows.num_rows, "columns": len(schema), "mode": chosen}


def _between(t: Ints, first: str | None, last: str | None) -> Bools:
    kept = np.ones(len(t), dtype=np.bool_)
    if first is not None:
        kept &= t >= parse_iso(first)
    if last is not None:
        kept &= t < parse_iso(last) + DAY
    return kept


def _tell(what: str, done: int, total: int) -> None:
    report(f"frame: {what}", done, max(done, total))
