"""One row of a release, back to the lines of the deliveries that it is made of."""

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
from headrace.lineage.row_trace.release_row import (
    cut_of,
    parts_of,
    released_form,
    released_row,
    spine_row,
)
from headrace.lineage.row_trace.row_trace import LABEL, SPINE, RowTrace, trace_row
from headrace.lineage.row_trace.source_rows import Stored
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.feature_catalog import feature_rows
from headrace.pipeline.load import project_pipelines

FORMAT = 1


@dataclass(frozen=True, repr=False)
class Trace:
    """Where one row of a release comes from.

    Attributes:
        manifest: of the release.
        pipeline: whose declaration made it, and is the same today.
        released: the row as it was released, one row.
        rows: the source rows, and which column is made of which.
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
        again = f"differs in {', '.join(self.differs)}" if self.differs else "equal when recomputed"
        return f"<trace of {self.ref} {key}: rows of {rows}; {again}>"

    @property
    def ref(self) -> str:
        return self.manifest.ref

    @property
    def key(self) -> dict[str, Any]:
        """As released."""
        row: dict[str, Any] = self.released.select(list(self.manifest.key)).to_pylist()[0]
        return row

    @property
    def t(self) -> int:
        """Prediction time, int64 microseconds UTC."""
        return int(self.rows.row["t"])

    @cached_property
    def recomputed(self) -> pa.Table:
        """The row computed anew from the traced rows alone, with reasons, before its release."""
        return self.rows.recomputed(parts_of(self.pipeline))

    @cached_property
    def differs(self) -> tuple[str, ...]:
        """Columns in which the recomputed row is not the released one, to the bit; hopefully none.

        All of them where the traced rows give no row.
        """
        again = released_form(self.pipeline, self.manifest, self.recomputed, self.released)
        if again.num_rows != 1:
            return tuple(self.released.column_names)
        return tuple(
            name
            for name in self.released.column_names
            if content_sum(again.select([name])) != content_sum(self.released.select([name]))
        )

    @cached_property
    def evidence(self) -> dict[str, dict[str, BatchEvidence]]:
        """By table and batch."""
        lake, found = Lake(self.home), {}
        for table, rows in self.rows.tables.items():
            batches = set(rows["_batch"].to_pylist())
            snapshot = self.manifest.inputs[table].snapshot_id
            files = lake.files(table, int(snapshot)) if snapshot is not None else ()
            live = {file.batch_id: file.path for file in files}
            found[table] = evidence_of(self.home, table, batches, live)
        return found

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
            known, commit = columns["known_at"][n], columns["committed_at"][n]
            recorded = self.pipeline.mode == "recorded"
            batch = columns["_batch"][n]
            yield {
                "n": n,
                "batch": batch,
                "file": batches[batch].file,
                **batches[batch].place(columns["_line"][n]),
                "event_time": iso(columns["event_time"][n]),
                "known_at": iso(known),
                "committed_at": iso(commit),
                "usable_at": iso(max(known, commit) if recorded else known),
                "deleted": bool(deleted[n]) if deleted else False,
                "key": {name: cells[name][n] for name in shape.primary_key},
                "values": {
                    name: cells[name][n] for name in shape.columns if name not in shape.primary_key
                },
            }

    def columns(self, only: Collection[str] = ()) -> Iterator[dict[str, Any]]:
        """Each feature, or some: its value, why it is null, what it is, and its rows by role."""
        told = {feature_row["feature"]: feature_row for feature_row in feature_rows(self.pipeline)}
        values = self.recomputed.to_pylist()[0] if self.recomputed.num_rows else {}
        for name, one in self.rows.columns.items():
            if name in {SPINE, LABEL} or (only and name not in only):
                continue
            found = told[name]
            yield {
                "feature": name,
                "value": _plain(values.get(name)),
                "reason": values.get(f"{name}__reason"),
                "what": found["what"],
                "view": found["view"],
                "definition": self.manifest.definitions[found["view"]],
                **self.rows_of(name),
                **({"inputs": list(one.inputs)} if one.inputs else {}),
            }

    def rows_of(self, column: str) -> dict[str, Any]:
        """The table, what was looked at, and row numbers by role."""
        one = self.rows.columns[column]
        if not one.table:
            return {}
        window = None if one.window is None else [_moment(one.window[0]), _moment(one.window[1])]
        return {
            "table": one.table,
            "window": window,
            "as_of": None if one.at is None else iso(one.at),
            "rows": {role: rows.tolist() for role, rows in one.rows.items() if rows.size},
        }

    def to_json(self) -> dict[str, Any]:
        """The document of `headrace trace --json`; see docs/explanation/lineage.md."""
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
                    "snapshot_id": str(given.snapshot_id),
                    "contract_version": given.contract_version,
                    "contract_hash": given.contract_hash,
                    "owner": given.owner,
                    "licence": given.licence,
                }
                for table, given in manifest.inputs.items()
            },
            "rows": {table: list(self.source_rows(table)) for table in self.rows.tables},
            "batches": {
                table: {batch: one.to_json() for batch, one in batches.items()}
                for table, batches in self.evidence.items()
            },
        }


def _moment(us: int) -> str | None:
    """None for what has no beginning or end."""
    try:
        return iso(us)
    except (OverflowError, ValueError):
        return None


def _plain(value: object) -> object:
    if hasattr(value, "isoformat"):
        return iso(to_us(value))  # type: ignore[arg-type]
    return value


def _cells(column: pa.ChunkedArray) -> list[Any]:
    """Values as JSON has them: stored integers as they are stored, moments in RFC 3339."""
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
    """Trace one row of a release. A row of the evaluation split is looked at, on the record.

    Args:
        ref: `name@version`, `name@alias` or `name`.
        key: the release's key columns and their values, as released: typed, or as text.
        home: where the tables and the ledger are; the default home.
        pipeline: whose declaration made the release; found in the project if left out.
        store: where the release is; that of the home if left out.

    Raises:
        DeclarationError: the key is not the release's, no pipeline of the project made it, or its
            declaration has another meaning by now.
        StateError: there is no such row, or a snapshot is gone.
    """
    place = home or Home.find()
    found = store or Store.find(place.store)
    manifest = found.manifest(*found.resolve(ref))
    declared = project_pipelines() if pipeline is None else [pipeline]
    made_by = as_released(declared, manifest)
    pins = check_pins(Lake(place), manifest)
    row = released_row(found, manifest, key)
    if row["split"][0].as_py() == EVALUATION:
        look(found, manifest, "a trace of one row")
    parts = parts_of(made_by)
    facts = Stored(place, shapes_of(parts.contracts), pins)
    spine = spine_row(made_by, manifest, facts, row)
    cut = cut_of(made_by, manifest, spine["t"])
    facts.prepare(parts.looks(spine, cut))
    return Trace(manifest, made_by, row, trace_row(parts, facts, spine, cut), place)
