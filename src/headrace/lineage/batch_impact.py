"""Impact of a batch: the number of rows of each release that depend on the batch."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.errors import DeclarationError, HeadraceError, StateError
from headrace.core.home import Home
from headrace.datasets.manifest import Manifest
from headrace.datasets.reader import Dataset
from headrace.datasets.splits.assignment import label_cuts
from headrace.datasets.store.store import Store
from headrace.features.table_shapes import shapes_of
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.history import history
from headrace.lake.tables.lake import Lake
from headrace.lineage.batch_holders import Impact
from headrace.lineage.reproducibility import as_released, check_pins
from headrace.lineage.row_trace.batch_rows import Used, used
from headrace.lineage.row_trace.feature_trace import LABEL, SPINE
from headrace.lineage.row_trace.release_row import parts_of
from headrace.models.external import list_external
from headrace.pipeline.definition import Pipeline

UNCHANGED = ("keep", "none")  # treatments that do not change a column


@dataclass(frozen=True)
class Reached:
    """Counts of rows of one release that depend on a batch.

    Attributes:
        rows: all rows of the release.
        used: rows whose features, label or spine row depend on the batch.
        features, label, spine: rows in which this part depends on the batch. One row may count for
            several parts.
        by_split: `used` by split.
        by_feature: number of dependent rows by feature, the largest first; features without such
            rows are omitted.
    """

    rows: int
    used: int
    features: int
    label: int
    spine: int
    by_split: dict[str, int]
    by_feature: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "used": self.used,
            "features": self.features,
            "label": self.label,
            "spine": self.spine,
            "by_split": self.by_split,
            "by_feature": self.by_feature,
        }


def find_batch(home: Home, id_prefix: str, table: str | None = None) -> tuple[str, tuple[str, ...]]:
    """Return the full id of a batch, and the tables it was delivered to.

    Args:
        home: its ledger is searched.
        id_prefix: the start of the id, or all of it.
        table: search this table only.

    Raises:
        DeclarationError: no batch id, or more than one, starts with `id_prefix`.
    """
    with Ledger(home) as ledger:
        rows = ledger.connection.execute(
            "SELECT DISTINCT batch_id, tbl FROM batches WHERE substr(batch_id, 1, ?) = ?"
            " ORDER BY batch_id, tbl",
            (len(id_prefix), id_prefix),
        ).fetchall()
    matches = [(str(batch), str(tbl)) for batch, tbl in rows if table in {None, tbl}]
    ids = sorted({batch for batch, _ in matches})
    if len(ids) != 1 or not id_prefix:
        problem = (
            f"the ids of {len(ids)} batches start with {id_prefix!r}"
            if ids
            else f"there is no batch {id_prefix!r}"
        )
        raise DeclarationError(
            problem + (f" in table {table}" if table else ""),
            where=str(home.ledger),
            fix="list the batches: headrace gate ls --all",
        )
    return ids[0], tuple(tbl for _, tbl in matches)


def reached_rows(
    home: Home, impact: Impact, pipelines: Iterable[Pipeline], tables: Iterable[str]
) -> dict[str, Reached | str]:
    """Return, for each release that holds the batch, how many of its rows depend on the batch.

    If the rows cannot be counted, the value is the reason: the project no longer declares the
    release, or the release hides the columns that identify its rows.
    """
    store, declared = Store.find(home.store), list(pipelines)
    answers: dict[str, Reached | str] = {}
    for release in impact.releases:
        manifest = store.manifest(*store.resolve(release.ref))
        affected = [table for table in release.tables if table in tables]
        try:
            answers[release.ref] = _reached(
                home, store, manifest, declared, impact.batch_id, affected
            )
        except HeadraceError as error:
            answers[release.ref] = error.what
    return answers


def _reached(  # noqa: PLR0917
    home: Home,
    store: Store,
    manifest: Manifest,
    declared: list[Pipeline],
    batch_id: str,
    tables: list[str],
) -> Reached:
    pipeline = as_released(declared, manifest)
    pins = check_pins(Lake(home), manifest)
    parts = parts_of(pipeline)
    shape = shapes_of(parts.contracts)[parts.spine.table]
    names = [*dict.fromkeys((*shape.primary_key, *parts.spine.columns))]
    facts = {name: manifest.privacy.get(name, {}) for name in names}
    hidden = [name for name in names if facts[name].get("treatment", "none") not in UNCHANGED]
    if hidden:
        raise StateError(
            f"rows cannot be identified, because the release changes {', '.join(hidden)}"
        )
    columns = tuple(column.name for column in manifest.columns)
    rows = Dataset(store, manifest, tuple(manifest.splits), columns).arrow
    t = rows["t"].cast(pa.int64()).to_numpy()
    spine_rows = rows.select(names).append_column("t", pa.array(t))
    cuts = label_cuts(pipeline.dataset, t, manifest.cutoff_us)

    def read(table: str, column_names: list[str]) -> pa.Table:
        return history(home, table, column_names, snapshot_id=pins[table], pinned=True)

    total = Used(rows.num_rows)
    for table in tables:
        for name, mask in used(parts, read, spine_rows, cuts, (table, batch_id)).columns.items():
            total.columns[name] = total.of(name) | mask
    splits = np.asarray(rows["split"].to_pylist(), dtype=object)
    features = {
        name: int(mask.sum())
        for name, mask in total.columns.items()
        if name not in {SPINE, LABEL} and mask.any()
    }
    return Reached(
        rows=rows.num_rows,
        used=int(total.any.sum()),
        features=int(total.of_features().sum()),
        label=int(total.of(LABEL).sum()),
        spine=int(total.of(SPINE).sum()),
        by_split={name: int(total.any[splits == name].sum()) for name in manifest.splits},
        by_feature=dict(sorted(features.items(), key=lambda entry: (-entry[1], entry[0]))),
    )


def impact_document(
    home: Home, impact: Impact, tables: tuple[str, ...], reached: dict[str, Reached | str] | None
) -> dict[str, Any]:
    """Return the document of `headrace impact --json`; see docs/explanation/lineage.md."""
    elsewhere = {model.ref for model in list_external(home)}
    releases = []
    for release in impact.releases:
        row: dict[str, Any] = {
            "ref": release.ref,
            "tables": list(release.tables),
            "content_hash": release.content_hash,
            "tainted": release.tainted,
        }
        answer = reached.get(release.ref) if reached is not None else None
        if isinstance(answer, Reached):
            row["rows"] = answer.to_json()
        elif answer is not None:
            row |= {"rows": None, "why": answer}
        releases.append(row)
    return {
        "batch": impact.batch_id,
        "tables": list(tables),
        "releases": releases,
        "models": [
            {"ref": ref, "champion": ref in impact.champions, "elsewhere": ref in elsewhere}
            for ref in impact.models
        ],
    }
