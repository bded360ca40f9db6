"""Features in words, and frames as files: what `headrace features ls` and `frame` show."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.contracts.model import Contract
from headrace.core.clock import DAY, iso, parse_days, parse_iso
from headrace.core.errors import DeclarationError
from headrace.core.files import move_into_place, temporary_beside
from headrace.core.home import Home
from headrace.core.progress import report
from headrace.features.canonical import definition_hashes
from headrace.features.frames.out_of_core import training_batches
from headrace.features.frames.training_frame import training_frame
from headrace.features.kernel.arrays import Bools, Ints, times
from headrace.features.spec import (
    Aggregate,
    FeatureView,
    LastRow,
    Lookup,
    Mode,
    RowTransform,
    View,
    conditions,
)
from headrace.features.spines import build_spine
from headrace.pipeline.build_context import BuildContext
from headrace.pipeline.definition import Pipeline


def feature_rows(pipeline: Pipeline) -> list[dict[str, Any]]:
    """One dict per feature, with what it is and what it is made of.

    `feature, pipeline, view, type, unit, table, columns, entity, window, what, definition`; the
    unit is the contract's, "" where there is none; a transform has inputs for columns.
    """
    hashes = definition_hashes(pipeline.spine, pipeline.views, pipeline.contracts)
    types = _types(pipeline)
    return [
        {
            "feature": told.name,
            "pipeline": pipeline.name,
            "view": view.name,
            "type": str(types[told.name]),
            "unit": told.unit,
            "table": "" if isinstance(view, RowTransform) else view.table,
            "columns": list(told.columns),
            "entity": [] if isinstance(view, RowTransform) else list(view.spine_entity),
            "window": told.window,
            "what": told.what,
            "definition": hashes[view.name],
        }
        for view in pipeline.views
        for told in _told(view, pipeline.contracts)
    ]


@dataclass(frozen=True)
class _Told:
    """An output of a view in words."""

    name: str
    what: str
    columns: tuple[str, ...]
    window: str = ""
    unit: str = ""


def _told(view: View, contracts: Mapping[str, Contract]) -> list[_Told]:
    if isinstance(view, RowTransform):
        return [_Told(view.name, f"from {', '.join(view.inputs)}", view.inputs)]
    units = {one.name: one.unit or "" for one in contracts[view.table].columns}
    by = f" by {', '.join(view.spine_entity)}"
    if isinstance(view, Lookup):
        age = f", at most {view.max_age} old" if view.max_age else ""
        return [
            _Told(name, f"state{by}{age}", (column,), view.max_age or "", units.get(column, ""))
            for name, column in zip(view.outputs, view.columns, strict=True)
        ]
    found = []
    for feature in view.features:
        of = f" of {', '.join(feature.columns)}" if feature.columns else ""
        kept = "".join(f" where {c.column} {c.op} {c.value!r}" for c in conditions(feature.where))
        window = f"{feature.window.start} to {feature.window.end}"
        what = f"{feature.op}{of}{kept}, {window}{by}"
        names = _names(view, feature)
        each = feature.columns if isinstance(feature, LastRow) else (feature.column,) * len(names)
        for name, column in zip(names, each, strict=True):
            unit = "" if feature.op in _COUNTS else units.get(column or "", "")
            columns = feature.columns if column is None else (column,)
            found.append(_Told(name, what, columns, window, unit))
    return found


# What these say is a number of rows or values, whatever the column's unit.
_COUNTS = ("rows", "count", "distinct")


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

    Raises:
        DeclarationError: a bound is not a day, the range is reversed, or holds no row of the spine.
    """
    begin, end = parse_days(first, last)
    context, chosen = BuildContext(pipeline, home), mode or pipeline.mode
    report("spine", 0, 1)
    spine = build_spine(pipeline.spine, context.history, pipeline.contracts, chosen)
    t = times(spine, "t", "the spine")
    rows = spine.filter(pa.array(_between(t, begin, end)))
    if (begin or end) and not rows.num_rows:
        raise _no_rows_between(t, begin, end)
    report("spine", 1, 1)
    temporary = temporary_beside(to)
    views, contracts = pipeline.views, pipeline.contracts
    with training_batches(
        rows, views, context.history, contracts, chosen,
        memory=memory, reasons=reasons, progress=_tell,
    ) as batches:  # fmt: skip
        schema = batches.schema
        with pq.ParquetWriter(temporary, schema, compression="zstd") as file:
            for batch in batches:
                file.write_batch(batch)
    move_into_place(temporary, to)
    return {"file": str(to), "rows": rows.num_rows, "columns": len(schema), "mode": chosen}


def _between(t: Ints, first: str, last: str) -> Bools:
    kept = np.ones(len(t), dtype=np.bool_)
    if first:
        kept &= t >= parse_iso(first)
    if last:
        kept &= t < parse_iso(last) + DAY
    return kept


def _no_rows_between(t: Ints, first: str, last: str) -> DeclarationError:
    asked = " ".join(filter(None, (first and f"from {first}", last and f"to {last}")))
    if not len(t):
        return DeclarationError("the spine has no rows", fix="headrace run --stage ingest")
    begin, end = iso(int(t.min()))[:10], iso(int(t.max()))[:10]
    return DeclarationError(
        f"the spine has no rows {asked}",
        where=f"its rows are from {begin} to {end}",
        fix=f"--from {begin} --to {end}",
    )


def _tell(what: str, done: int, total: int) -> None:
    report(f"frame: {what}", done, max(done, total))
