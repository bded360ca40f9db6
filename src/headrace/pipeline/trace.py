"""One row of a release, back to the lines of the deliveries that it is made of."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.clock import iso, parse_iso, to_us
from headrace.datasets.classes import frame_classes
from headrace.datasets.content_hash import content_sum
from headrace.datasets.governed import treated
from headrace.datasets.manifest import Manifest
from headrace.datasets.privacy import treat
from headrace.datasets.reader import Dataset
from headrace.datasets.shape import shaped
from headrace.datasets.splits import label_cuts
from headrace.datasets.store import Store
from headrace.errors import DeclarationError, StateError
from headrace.features.audit import plain_values
from headrace.features.canonical import definition_hashes
from headrace.features.shapes import shapes_of
from headrace.features.spines import build_spine
from headrace.home import Home
from headrace.lake.tables import Lake
from headrace.lineage.evidence import BatchEvidence, evidence_of
from headrace.lineage.looks import Look
from headrace.lineage.rowtrace import LABEL, SPINE, Parts, RowTrace, trace_row
from headrace.lineage.stored import Stored
from headrace.pipeline.declare import Pipeline
from headrace.pipeline.described import feature_rows
from headrace.pipeline.load import project_pipelines
from headrace.sql import ident, literal

FORMAT = 1
_SQL = {"int64": "BIGINT", "float64": "DOUBLE", "string": "VARCHAR", "bool": "BOOLEAN"}


@dataclass(frozen=True)
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
        """The traced rows of a table, in the order of their numbers; see docs/lineage.md."""
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
        told = {one["feature"]: one for one in feature_rows(self.pipeline)}
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
        """The document of `headrace trace --json`; see docs/lineage.md."""
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
    ref: str, key: Mapping[str, Any], home: Home | None = None, pipeline: Pipeline | None = None
) -> Trace:
    """Trace one row of a release.

    Args:
        ref: `name@version`, `name@alias` or `name`.
        key: the release's key columns and their values, as released: typed, or as text.
        home: where the store, the tables and the ledger are; the default home.
        pipeline: whose declaration made the release; found in the project if left out.

    Raises:
        DeclarationError: the key is not the release's, or no pipeline of the project made it.
        StateError: there is no such row, a snapshot is gone, or the declaration has another meaning
            by now than the release.
    """
    place = home or Home.find()
    store = Store.find(place.store)
    manifest = store.manifest(*store.resolve(ref))
    made_by = pipeline or pipeline_of(manifest)
    check_same_meaning(manifest, made_by)
    row = released_row(store, manifest, key)
    parts, shapes = parts_of(made_by), shapes_of(made_by.contracts)
    snapshots = {
        table: int(given.snapshot_id)
        for table, given in manifest.inputs.items()
        if given.snapshot_id is not None
    }
    facts = Stored(place, shapes, snapshots)
    spine = spine_row(made_by, manifest, facts, row)
    cut = int(label_cuts(made_by.dataset, np.array([spine["t"]]), manifest.cutoff_us)[0])
    facts.prepare(parts.looks(spine, cut))
    return Trace(manifest, made_by, row, trace_row(parts, facts, spine, cut), place)


def parts_of(pipeline: Pipeline) -> Parts:
    return Parts(pipeline.spine, pipeline.views, pipeline.label, pipeline.contracts, pipeline.mode)


def pipeline_of(manifest: Manifest) -> Pipeline:
    """The pipeline of the project that makes this dataset.

    Raises:
        DeclarationError: there is none.
    """
    known = project_pipelines()
    for one in known:
        if manifest.pipeline in {"", one.name} and one.dataset.name == manifest.name:
            return one
    raise DeclarationError(
        f"no pipeline of this project makes {manifest.ref}",
        where=", ".join(one.name for one in known),
        fix="trace from the project that released it; a frame that was released by hand has no"
        " declaration to trace by",
    )


def check_same_meaning(manifest: Manifest, pipeline: Pipeline) -> None:
    """Raises StateError where the declaration says something else than the release was made by."""
    now = definition_hashes(pipeline.spine, pipeline.views, pipeline.contracts)
    differing = sorted(
        name
        for name in {*now, *manifest.definitions}
        if now.get(name) != manifest.definitions.get(name)
    )
    if manifest.label.get("hash") != pipeline.dataset.label_form()["hash"]:
        differing.append("the label")
    if manifest.mode != pipeline.mode:
        differing.append("the mode")
    if differing:
        raise StateError(
            f"{', '.join(differing)} of pipeline {pipeline.name} have another meaning now than in"
            f" {manifest.ref}",
            where=manifest.ref,
            fix=f"trace from the code that made it: {manifest.code_revision}",
        )


def released_row(store: Store, manifest: Manifest, key: Mapping[str, Any]) -> pa.Table:
    """The one row of a release with this key; text is read as the column's type.

    Raises:
        DeclarationError: columns are missing or are no key, or a value is of another type.
        StateError: there is no such row.
    """
    if set(key) != set(manifest.key):
        raise DeclarationError(
            f"{', '.join(key) or 'nothing'} is not the key of {manifest.ref}",
            where=manifest.ref,
            fix=f"give {' '.join(f'{name}=…' for name in manifest.key)}",
        )
    types = {column.name: column.type for column in manifest.columns}
    tests = " AND ".join(
        f"{ident(name)} = {_value(name, value, types[name])}" for name, value in key.items()
    )
    names = tuple(column.name for column in manifest.columns)
    # A tainted release is traced as well: whoever traces wants to know what is in it.
    whole = Dataset(store, manifest, tuple(manifest.splits), names)
    found = whole.sql(f"SELECT * FROM dataset WHERE {tests}")  # noqa: S608 - quoted above
    if found.num_rows == 0:
        told = " ".join(f"{name}={value}" for name, value in key.items())
        raise StateError(
            f"{manifest.ref} has no row {told}",
            where=str(store.root),
            fix="rows may be left out: headrace dataset show says how many, and why",
        )
    return found.slice(0, 1)


def _value(name: str, value: Any, kind: str) -> str:  # noqa: ANN401 - a cell
    """A cell as SQL, of the column's type."""
    try:
        if kind == "timestamp":
            us = value if isinstance(value, int) else None
            if us is None:
                us = parse_iso(value) if isinstance(value, str) else to_us(value)
            return f"make_timestamptz({us:d})"
        if kind == "int64":
            return literal(int(value))
        if kind == "float64":
            return literal(float(value))
    except (TypeError, ValueError) as error:
        raise DeclarationError(
            f"{name}={value!r} is no {kind}", where="the key", fix=f"{name} is {kind}"
        ) from error
    return f"CAST({literal(str(value))} AS {_SQL.get(kind, kind.upper())})"


def spine_row(
    pipeline: Pipeline, manifest: Manifest, facts: Stored, released: pa.Table
) -> dict[str, Any]:
    """The row of the spine that a released row is about, moments as int64 microseconds UTC.

    A key that was released as a pseudonym is found among the rows of its moment, which are given
    the same treatment; that needs the key of the pseudonyms.

    Raises:
        StateError: the spine's table has no such row.
    """
    t, spec = int(released["t"].cast(pa.int64())[0].as_py()), pipeline.spine
    moment = t - spec.offset
    look = Look(spec.table, (), (), moment, moment + 1, t)
    rows = facts.scan(spec.table, [look])
    spine = build_spine(spec, lambda *_: rows, pipeline.contracts, pipeline.mode)
    spine = spine.filter(pa.array(np.asarray(spine["t"]) == t))
    names = [name for name in pipeline.dataset.key if name in spine.column_names]
    if any(name in manifest.privacy for name in names):
        declared = {
            pattern: treatment
            for pattern, treatment in pipeline.dataset.privacy.items()
            if any(fnmatchcase(name, pattern) for name in names)
        }
        classes = {name: manifest.privacy.get(name, {}).get("class", "public") for name in names}
        shown = treat(manifest.name, spine.select(names), declared, classes, needed=names).frame
    else:
        shown = spine.select(names)
    wanted = released.select(names).to_pylist()[0]
    for place, one in enumerate(shown.to_pylist()):
        if one == wanted:
            columns = {
                name: plain_values(spine[name].slice(place, 1)) for name in spine.column_names
            }
            return {name: cells[0] for name, cells in columns.items()}
    raise StateError(
        f"no row of {spec.table} gives {wanted} at {iso(t)}",
        where=manifest.ref,
        fix="was the store copied from another home? trace where it was released",
    )


def released_form(
    pipeline: Pipeline, manifest: Manifest, frame: pa.Table, released: pa.Table
) -> pa.Table:
    """A recomputed row as it would be released: treated, and in the fixed shape."""
    spec = pipeline.dataset
    wanted = [n for n in frame.column_names if n == "label_reason" or not n.endswith("__reason")]
    classes = frame_classes(pipeline.spine, pipeline.views, pipeline.label, pipeline.contracts)
    again, _ = treated(spec, frame.select(wanted), classes)
    moments = again["t"].cast(pa.int64()).cast(pa.timestamp("us", "UTC"))
    again = again.set_column(again.column_names.index("t"), "t", moments)
    split = pa.array(released["split"].to_pylist()[: again.num_rows], pa.string())
    return shaped(again.append_column("split", split), manifest.columns, ["t", *spec.key])
