"""Trace of one row of a release back to lines of deliveries."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from headrace.core.clock import iso, to_us
from headrace.core.home import Home
from headrace.datasets.evaluation_access import record as look
from headrace.datasets.hashing.content_hash import content_sum
from headrace.datasets.manifest import Manifest
from headrace.datasets.store.store import Store
from headrace.datasets.vocabulary import EVALUATION
from headrace.features.oracle_audit import plain_values
from headrace.features.table_shapes import shapes_of
from headrace.lake.tables.lake import Lake
from headrace.lineage.reproducibility import as_released, check_pins
from headrace.lineage.row_trace.batch_evidence import BatchEvidence, evidence_of
from headrace.lineage.row_trace.feature_trace import LABEL, SPINE, RowTrace, trace_row
from headrace.lineage.row_trace.release_row import (
    cut_of,
    parts_of,
    released_form,
    released_row,
    spine_row,
)
from headrace.lineage.row_trace.source_rows import PinnedFacts
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.feature_catalog import feature_rows
from headrace.pipeline.load import project_pipelines

FORMAT = 1


@dataclass(frozen=True, repr=False)
class Trace:
    """Trace of one row of a release.

    Attributes:
        manifest: manifest of the release.
        pipeline: the pipeline that made the release; its declaration has not changed since.
        released: the released row, as a table with one row.
        rows: the source rows of each column.
        home: where the tables and the ledger are.
    """

    manifest: Manifest
    pipeline: Pipeline
    released: pa.Table
    rows: RowTrace
    home: Home

    def __repr__(self) -> str:
        key = " ".join(f"{name}={value}" for name, value in self.key.items())
        rows = ", ".join(f"{name} {rows.num_rows:,}" for name, rows in self.rows.tables.items())
        comparison = (
            f"differs in {', '.join(self.differs)}" if self.differs else "equal when recomputed"
        )
        return f"<trace of {self.ref} {key}: rows of {rows}; {comparison}>"

    @property
    def ref(self) -> str:
        return self.manifest.ref

    @property
    def key(self) -> dict[str, Any]:
        """Key of the row as released."""
        row: dict[str, Any] = self.released.select(list(self.manifest.key)).to_pylist()[0]
        return row

    @property
    def t(self) -> int:
        """Prediction time, int64 microseconds UTC."""
        return int(self.rows.row["t"])

    @cached_property
    def recomputed(self) -> pa.Table:
        """Row recomputed from the traced rows only, with reasons, before privacy treatment."""
        return self.rows.recomputed(parts_of(self.pipeline))

    @cached_property
    def differs(self) -> tuple[str, ...]:
        """Columns in which the recomputed row differs from the released row in any bit.

        These are all columns if no row can be recomputed from the traced rows.
        """
        recomputed = released_form(self.pipeline, self.manifest, self.recomputed, self.released)
        if recomputed.num_rows != 1:
            return tuple(self.released.column_names)
        return tuple(
            name
            for name in self.released.column_names
            if content_sum(recomputed.select([name])) != content_sum(self.released.select([name]))
        )

    @cached_property
    def evidence(self) -> dict[str, dict[str, BatchEvidence]]:
        """Evidence about the batches, by table and batch."""
        lake, by_table = Lake(self.home), {}
        for table, rows in self.rows.tables.items():
            batches = set(rows["_batch"].to_pylist())
            snapshot = self.manifest.inputs[table].snapshot_id
            files = lake.files(table, int(snapshot)) if snapshot is not None else ()
            live = {file.batch_id: file.path for file in files}
            by_table[table] = evidence_of(self.home, table, batches, live)
        return by_table

    def source_rows(self, table: str) -> Iterator[dict[str, Any]]:
        """Yield the traced rows of a table, ordered by number; see docs/explanation/lineage.md."""
        shape = shapes_of(self.pipeline.contracts)[table]
        rows, batches = self.rows.tables[table], self.evidence[table]
        columns = {name: rows[name].to_pylist() for name in ("_batch", "_line")}
        for name in ("event_time", "known_at", "committed_at"):
            if name in rows.column_names:
                columns[name] = plain_values(rows[name])
        deleted = rows["_deleted"].to_pylist() if "_deleted" in rows.column_names else None
        cells = {name: _cells(rows[name]) for name in shape.columns}
        for n in range(rows.num_rows):
            known_at, commit = columns["known_at"][n], columns["committed_at"][n]
            recorded = self.pipeline.mode == "recorded"
            batch = columns["_batch"][n]
            yield {
                "n": n,
                "batch": batch,
                "file": batches[batch].file,
                **batches[batch].place(columns["_line"][n]),
                "event_time": iso(columns["event_time"][n]),
                "known_at": iso(known_at),
                "committed_at": iso(commit),
                "usable_at": iso(max(known_at, commit) if recorded else known_at),
                "deleted": bool(deleted[n]) if deleted else False,
                "key": {name: cells[name][n] for name in shape.primary_key},
                "values": {
                    name: cells[name][n] for name in shape.columns if name not in shape.primary_key
                },
            }

    def columns(self, only: Collection[str] = ()) -> Iterator[dict[str, Any]]:
        """Yield each feature, or those in `only`, with value, definition and rows by role."""
        catalog = {
            feature_row["feature"]: feature_row for feature_row in feature_rows(self.pipeline)
        }
        values = self.recomputed.to_pylist()[0] if self.recomputed.num_rows else {}
        for name, traced in self.rows.columns.items():
            if name in {SPINE, LABEL} or (only and name not in only):
                continue
            feature = catalog[name]
            yield {
                "feature": name,
                "value": _plain(values.get(name)),
                "reason": values.get(f"{name}__reason"),
                "what": feature["what"],
                "view": feature["view"],
                "definition": self.manifest.definitions[feature["view"]],
                **self.rows_of(name),
                **({"inputs": list(traced.inputs)} if traced.inputs else {}),
            }

    def rows_of(self, column: str) -> dict[str, Any]:
        """Return a column's source (table, window and time), and its row numbers by role."""
        traced = self.rows.columns[column]
        if not traced.table:
            return {}
        window = (
            None
            if traced.window is None
            else [_moment(traced.window[0]), _moment(traced.window[1])]
        )
        return {
            "table": traced.table,
            "window": window,
            "as_of": None if traced.at is None else iso(traced.at),
            "rows": {role: rows.tolist() for role, rows in traced.rows.items() if rows.size},
        }

    def to_json(self) -> dict[str, Any]:
        """Return the document of `headrace trace --json`; see docs/explanation/lineage.md."""
        manifest, values = self.manifest, self.released.to_pylist()[0]
        label = {name: _plain(values[name]) for name in manifest.of_role("label")}
        return {
            "format": FORMAT,
            "ref": manifest.ref,
            "manifest": manifest.id,
            "content_hash": manifest.content_hash,
            "code_revision": manifest.code_revision,
            "pipeline": self.pipeline.name,
            "mode": manifest.mode,
            "key": {name: _plain(value) for name, value in self.key.items()},
            "split": values["split"],
            "t": iso(self.t),
            "equal": not self.differs,
            "differs": list(self.differs),
            "spine": self.rows_of(SPINE),
            "label": {**self.rows_of(LABEL), "values": label, "cut": iso(self.rows.cut)},
            "features": list(self.columns()),
            "tables": {
                table: {
                    "snapshot_id": str(input_table.snapshot_id),
                    "contract_version": input_table.contract_version,
                    "contract_hash": input_table.contract_hash,
                    "owner": input_table.owner,
                    "licence": input_table.licence,
                }
                for table, input_table in manifest.inputs.items()
            },
            "rows": {table: list(self.source_rows(table)) for table in self.rows.tables},
            "batches": {
                table: {batch: evidence.to_json() for batch, evidence in batches.items()}
                for table, batches in self.evidence.items()
            },
        }


def _moment(us: int) -> str | None:
    """Return a time in RFC 3339; None for an open beginning or end."""
    try:
        return iso(us)
    except (OverflowError, ValueError):
        return None


def _plain(value: object) -> object:
    if hasattr(value, "isoformat"):
        return iso(to_us(value))  # type: ignore[arg-type]
    return value


def _cells(column: pa.ChunkedArray) -> list[Any]:
    """Return JSON values: stored integers unscaled, times in RFC 3339."""
    values = plain_values(column)
    if pa.types.is_timestamp(column.type):
        return [None if value is None else iso(value) for value in values]
    return [None if isinstance(value, float) and math.isnan(value) else value for value in values]


def trace(
    ref: str,
    key: Mapping[str, Any],
    home: Home | None = None,
    pipeline: Pipeline | None = None,
    *,
    store: Store | None = None,
) -> Trace:
    """Trace one row of a release. An access to the evaluation split is recorded.

    Args:
        ref: `name@version`, `name@alias` or `name`.
        key: the release's key columns and their values, as released: typed, or as text.
        home: where the tables and the ledger are; by default the default home.
        pipeline: the pipeline that made the release; by default found in the project.
        store: the store of the release; by default that of the home.

    Raises:
        DeclarationError: `key` does not have the release's key columns, no pipeline of the project
            made the release, or the pipeline's declaration has changed since.
        StateError: there is no such row, or a snapshot is gone.
    """
    place = home or Home.find()
    dataset_store = store or Store.find(place.store)
    manifest = dataset_store.manifest(*dataset_store.resolve(ref))
    declared = project_pipelines() if pipeline is None else [pipeline]
    made_by = as_released(declared, manifest)
    pins = check_pins(Lake(place), manifest)
    row = released_row(dataset_store, manifest, key)
    if row["split"][0].as_py() == EVALUATION:
        look(dataset_store, manifest, "a trace of one row")
    parts = parts_of(made_by)
    facts = PinnedFacts(place, shapes_of(parts.contracts), pins)
    spine = spine_row(made_by, manifest, facts, row)
    cut = cut_of(made_by, manifest, spine["t"])
    facts.prepare(parts.looks(spine, cut))
    return Trace(manifest, made_by, row, trace_row(parts, facts, spine, cut), place)
