"""What a batch reached, and how many rows of each release really took something of it."""

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
from headrace.lineage.row_trace.release_row import parts_of
from headrace.lineage.row_trace.row_trace import LABEL, SPINE
from headrace.models.external import list_external
from headrace.pipeline.definition import Pipeline

KEPT = ("keep", "none")  # treatments that leave a column as it is


@dataclass(frozen=True)
class Reached:
    """Rows of one release that took something of a batch.

    Attributes:
        rows: of the release.
        used: those with a feature, a label or a row of the spine that the batch contributes to.
        features, label, spine: those by what they took; a row may count in each.
        by_split: `used` by split.
        by_feature: rows by feature, the most reached first; features that took nothing left out.
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


def find_batch(home: Home, which: str, table: str | None = None) -> tuple[str, tuple[str, ...]]:
    """The full id of a batch, and the tables it was delivered to.

    Args:
        home: whose ledger knows it.
        which: the id, or its start.
        table: look there only.

    Raises:
        DeclarationError: no batch, or more than one, has such an id.
    """
    with Ledger(home) as ledger:
        rows = ledger.connection.execute(
            "SELECT DISTINCT batch_id, tbl FROM batches WHERE substr(batch_id, 1, ?) = ?"
            " ORDER BY batch_id, tbl",
            (len(which), which),
        ).fetchall()
    found = [(str(one), str(tbl)) for one, tbl in rows if table in {None, tbl}]
    ids = sorted({one for one, _ in found})
    if len(ids) != 1 or not which:
        told = f"{len(ids)} batches start with {which!r}" if ids else f"there is no batch {which!r}"
        raise DeclarationError(
            told + (f" in table {table}" if table else ""),
            where=str(home.ledger),
            fix="list what there is: headrace gate ls --all",
        )
    return ids[0], tuple(tbl for _, tbl in found)


def reached_rows(
    home: Home, found: Impact, pipelines: Iterable[Pipeline], tables: Iterable[str]
) -> dict[str, Reached | str]:
    """Of each release that holds the batch, how many rows took something of it.

    A release whose declaration is not here any more, or that hides what its rows were made of, is
    given as the reason why it cannot be told.
    """
    store, declared = Store.find(home.store), list(pipelines)
    answers: dict[str, Reached | str] = {}
    for release in found.releases:
        manifest = store.manifest(*store.resolve(release.ref))
        held = [table for table in release.tables if table in tables]
        try:
            answers[release.ref] = _reached(home, store, manifest, declared, found.batch_id, held)
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
    hidden = [name for name in names if facts[name].get("treatment", "none") not in KEPT]
    if hidden:
        raise StateError(f"{', '.join(hidden)} are not released as they are: rows cannot be told")
    columns = tuple(column.name for column in manifest.columns)
    rows = Dataset(store, manifest, tuple(manifest.splits), columns).arrow
    t = rows["t"].cast(pa.int64()).to_numpy()
    asked = rows.select(names).append_column("t", pa.array(t))
    cuts = label_cuts(pipeline.dataset, t, manifest.cutoff_us)

    def read(table: str, wanted: list[str]) -> pa.Table:
        return history(home, table, wanted, snapshot_id=pins[table], pinned=True)

    total = Used(rows.num_rows)
    for table in tables:
        for name, mask in used(parts, read, asked, cuts, (table, batch_id)).columns.items():
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
        by_feature=dict(sorted(features.items(), key=lambda one: (-one[1], one[0]))),
    )


def told(
    home: Home, found: Impact, tables: tuple[str, ...], reached: dict[str, Reached | str] | None
) -> dict[str, Any]:
    """The document of `headrace impact --json`; see docs/explanation/lineage.md."""
    elsewhere = {one.ref for one in list_external(home)}
    releases = []
    for one in found.releases:
        row: dict[str, Any] = {
            "ref": one.ref,
            "tables": list(one.tables),
            "content_hash": one.content_hash,
            "tainted": one.tainted,
        }
        answer = reached.get(one.ref) if reached is not None else None
        if isinstance(answer, Reached):
            row["rows"] = answer.to_json()
        elif answer is not None:
            row |= {"rows": None, "why": answer}
        releases.append(row)
    return {
        "batch": found.batch_id,
        "tables": list(tables),
        "releases": releases,
        "models": [
            {"ref": ref, "champion": ref in found.champions, "elsewhere": ref in elsewhere}
            for ref in found.models
        ],
    }
