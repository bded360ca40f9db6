"""Search for a released row by its key, and for its row in the spine."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from shlex import quote
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.clock import iso, parse_iso, to_us
from headrace.core.errors import DeclarationError, StateError
from headrace.core.sql import ident, literal
from headrace.datasets.governance.apply_privacy import treated
from headrace.datasets.governance.privacy import PUBLIC, needs_treatment, treat
from headrace.datasets.governance.privacy_classes import frame_classes
from headrace.datasets.manifest import Manifest
from headrace.datasets.reader import Dataset
from headrace.datasets.splits.assignment import label_cuts
from headrace.datasets.store.store import Store
from headrace.datasets.table_shape import shaped
from headrace.features.oracle_audit import plain_values
from headrace.features.spines import build_spine
from headrace.features.table_shapes import shapes_of
from headrace.lineage.row_trace.feature_trace import Parts
from headrace.lineage.row_trace.lookups import RowLookup
from headrace.lineage.row_trace.source_rows import PinnedFacts
from headrace.pipeline.definition import Pipeline

_SQL = {"int64": "BIGINT", "float64": "DOUBLE", "string": "VARCHAR", "bool": "BOOLEAN"}


def parts_of(pipeline: Pipeline) -> Parts:
    """Return the declarations from which rows are computed; table shapes are computed once."""
    shapes = shapes_of(pipeline.contracts)
    return Parts(pipeline.spine, pipeline.views, pipeline.label, shapes, pipeline.mode)


def cut_of(pipeline: Pipeline, manifest: Manifest, t: int) -> int:
    """Return the time at which the label of a row was read (its cut), int64 microseconds UTC."""
    return int(label_cuts(pipeline.dataset, np.array([t]), manifest.cutoff_us)[0])


def released_row(store: Store, manifest: Manifest, key: Mapping[str, Any]) -> pa.Table:
    """Return the row of a release with this key; text values are parsed as the column's type.

    Raises:
        DeclarationError: `key` does not have the key's columns, or a value has another type.
        StateError: there is no such row.
    """
    if set(key) != set(manifest.key):
        raise DeclarationError(
            f"the given columns ({', '.join(key) or 'none'}) are not the key of {manifest.ref}",
            where=manifest.ref,
            fix=f"give {' '.join(f'{name}=…' for name in manifest.key)}",
        )
    types = {column.name: column.type for column in manifest.columns}
    tests = " AND ".join(
        f"{ident(name)} = {_value(name, value, types[name])}" for name, value in key.items()
    )
    names = tuple(column.name for column in manifest.columns)
    # Tainted releases can be traced too, to see what they contain.
    release = Dataset(store, manifest, tuple(manifest.splits), names)
    matches = release.sql(f"SELECT * FROM dataset WHERE {tests}")  # noqa: S608 - quoted above
    if matches.num_rows == 0:
        key_text = " ".join(f"{name}={value}" for name, value in key.items())
        raise StateError(
            f"{manifest.ref} has no row {key_text}",
            where=str(store.root),
            fix=f"give a key {_example(manifest)}; the release may exclude this row: headrace"
            " dataset show lists how many rows are excluded, and why",
        )
    return matches.slice(0, 1)


def _example(manifest: Manifest) -> str:
    """Return an example of a key: the first row's key unless it has a personal column."""
    facts = [manifest.privacy.get(name, {}).get("class", PUBLIC) for name in manifest.key]
    firsts = [part.first for entry in manifest.splits.values() for part in entry.parts]
    if not firsts or any(needs_treatment(fact) for fact in facts):
        return " ".join(f"{name}=…" for name in manifest.key)
    pairs = zip(manifest.key, firsts[0][1:], strict=True)
    return "as in " + " ".join(quote(f"{name}={value}") for name, value in pairs)


def _value(name: str, value: Any, kind: str) -> str:  # noqa: ANN401 - a cell
    """Return a cell as SQL, of the column's type."""
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
            f"{name}={value!r} is not of type {kind}", where="the key", fix=f"{name} is {kind}"
        ) from error
    return f"CAST({literal(str(value))} AS {_SQL.get(kind, kind.upper())})"


def spine_row(
    pipeline: Pipeline, manifest: Manifest, facts: PinnedFacts, released: pa.Table
) -> dict[str, Any]:
    """Return the spine row of a released row, with times as int64 microseconds UTC.

    For a pseudonymised key, the spine rows with the same time are pseudonymised and compared, which
    needs the privacy key.

    Raises:
        StateError: the spine's table has no such row.
    """
    t, spec = int(released["t"].cast(pa.int64())[0].as_py()), pipeline.spine
    moment = t - spec.offset
    look = RowLookup(spec.table, (), (), moment, moment + 1, t)
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
        released_keys = treat(
            manifest.name, spine.select(names), declared, classes, needed=names
        ).frame
    else:
        released_keys = spine.select(names)
    target = released.select(names).to_pylist()[0]
    for place, candidate in enumerate(released_keys.to_pylist()):
        if candidate == target:
            columns = {
                name: plain_values(spine[name].slice(place, 1)) for name in spine.column_names
            }
            return {name: cells[0] for name, cells in columns.items()}
    raise StateError(
        f"no row of {spec.table} gives {target} at {iso(t)}",
        where=manifest.ref,
        fix="the store may come from another home: trace the row in the home of its release",
    )


def released_form(
    pipeline: Pipeline, manifest: Manifest, frame: pa.Table, released: pa.Table
) -> pa.Table:
    """Return a recomputed row as it would be released: with privacy treatment and column types."""
    spec = pipeline.dataset
    names = [n for n in frame.column_names if n == "label_reason" or not n.endswith("__reason")]
    classes = frame_classes(pipeline.spine, pipeline.views, pipeline.label, pipeline.contracts)
    recomputed, _ = treated(spec, frame.select(names), classes)
    moments = recomputed["t"].cast(pa.int64()).cast(pa.timestamp("us", "UTC"))
    recomputed = recomputed.set_column(recomputed.column_names.index("t"), "t", moments)
    split = pa.array(released["split"].to_pylist()[: recomputed.num_rows], pa.string())
    return shaped(recomputed.append_column("split", split), manifest.columns, ["t", *spec.key])
