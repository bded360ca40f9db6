"""List of a pipeline's features, and training frames as files (`headrace features ls`, `frame`)."""

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
    """Return one dict per feature, with its description and its inputs.

    The keys are `feature, pipeline, view, type, unit, table, columns, entity, window, what,
    definition`. The unit comes from the contract, "" if it has none. The columns of a transform are
    its inputs. A feature of several datasets is listed once.
    """
    rows = [row for part in pipeline.each_dataset() for row in _dataset_rows(part)]
    return list({row["feature"]: row for row in reversed(rows)}.values())[::-1]


def _dataset_rows(pipeline: Pipeline) -> list[dict[str, Any]]:
    hashes = definition_hashes(pipeline.spine, pipeline.views, pipeline.contracts)
    types = _types(pipeline)
    return [
        {
            "feature": output.name,
            "pipeline": pipeline.name,
            "view": view.name,
            "type": str(types[output.name]),
            "unit": output.unit,
            "table": "" if isinstance(view, RowTransform) else view.table,
            "columns": list(output.columns),
            "entity": [] if isinstance(view, RowTransform) else list(view.spine_entity),
            "window": output.window,
            "what": output.what,
            "definition": hashes[view.name],
        }
        for view in pipeline.views
        for output in _output_texts(view, pipeline.contracts)
    ]


@dataclass(frozen=True)
class _OutputText:
    """Description of one output of a view."""

    name: str
    what: str
    columns: tuple[str, ...]
    window: str = ""
    unit: str = ""


def _output_texts(view: View, contracts: Mapping[str, Contract]) -> list[_OutputText]:
    if isinstance(view, RowTransform):
        return [_OutputText(view.name, f"from {', '.join(view.inputs)}", view.inputs)]
    units = {column.name: column.unit or "" for column in contracts[view.table].columns}
    by = f" by {', '.join(view.spine_entity)}"
    if isinstance(view, Lookup):
        age = f", at most {view.max_age} old" if view.max_age else ""
        return [
            _OutputText(
                name, f"state{by}{age}", (column,), view.max_age or "", units.get(column, "")
            )
            for name, column in zip(view.outputs, view.columns, strict=True)
        ]
    texts = []
    for feature in view.features:
        of = f" of {', '.join(feature.columns)}" if feature.columns else ""
        condition = "".join(
            f" where {c.column} {c.op} {c.value!r}" for c in conditions(feature.where)
        )
        window = f"{feature.window.start} to {feature.window.end}"
        what = f"{feature.op}{of}{condition}, {window}{by}"
        names = _names(view, feature)
        feature_columns = (
            feature.columns if isinstance(feature, LastRow) else (feature.column,) * len(names)
        )
        for name, column in zip(names, feature_columns, strict=True):
            unit = "" if feature.op in _COUNTS else units.get(column or "", "")
            columns = feature.columns if column is None else (column,)
            texts.append(_OutputText(name, what, columns, window, unit))
    return texts


# These operations count rows or values, so the column's unit does not apply.
_COUNTS = ("rows", "count", "distinct")


def _names(view: FeatureView, feature: Aggregate) -> tuple[str, ...]:
    return tuple(f"{view.name}__{name}" for name in feature.names)


def _types(pipeline: Pipeline) -> Mapping[str, pa.DataType]:
    """Return the Arrow types of the features, by computing a frame from empty tables."""
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
    """Write the training frame of a range of days to a Parquet file.

    Args:
        pipeline: pipeline with the spine and views.
        home: home folder with the tables.
        to: output file, moved into place when it is complete.
        first: first ISO day of `t`; default: the spine's first.
        last: last ISO day of `t`, included; default: the spine's last.
        mode: `declared` or `recorded`; default: the pipeline's.
        reasons: add columns with the reason why a value is null.
        memory: memory limit in bytes, without the spine and the columns that are read.

    Raises:
        DeclarationError: a bound is not a day, the range is reversed, or the spine has no rows in
            it.
    """
    begin, end = parse_days(first, last)
    context, effective_mode = BuildContext(pipeline, home), mode or pipeline.mode
    report("spine", 0, 1)
    spine = build_spine(pipeline.spine, context.history, pipeline.contracts, effective_mode)
    t = times(spine, "t", "the spine")
    rows = spine.filter(pa.array(_between(t, begin, end)))
    if (begin or end) and not rows.num_rows:
        raise _no_rows_between(t, begin, end)
    report("spine", 1, 1)
    temporary = temporary_beside(to)
    views, contracts = pipeline.views, pipeline.contracts
    with training_batches(
        rows, views, context.history, contracts, effective_mode,
        memory=memory, reasons=reasons, progress=_report_progress,
    ) as batches:  # fmt: skip
        schema = batches.schema
        with pq.ParquetWriter(temporary, schema, compression="zstd") as file:
            for batch in batches:
                file.write_batch(batch)
    move_into_place(temporary, to)
    return {"file": str(to), "rows": rows.num_rows, "columns": len(schema), "mode": effective_mode}


def _between(t: Ints, first: str, last: str) -> Bools:
    selected = np.ones(len(t), dtype=np.bool_)
    if first:
        selected &= t >= parse_iso(first)
    if last:
        selected &= t < parse_iso(last) + DAY
    return selected


def _no_rows_between(t: Ints, first: str, last: str) -> DeclarationError:
    range_text = " ".join(filter(None, (first and f"from {first}", last and f"to {last}")))
    if not len(t):
        return DeclarationError("the spine has no rows", fix="headrace run --stage ingest")
    begin, end = iso(int(t.min()))[:10], iso(int(t.max()))[:10]
    return DeclarationError(
        f"the spine has no rows {range_text}",
        where=f"its rows are from {begin} to {end}",
        fix=f"--from {begin} --to {end}",
    )


def _report_progress(what: str, completed: int, total: int) -> None:
    report(f"frame: {what}", completed, max(completed, total))
