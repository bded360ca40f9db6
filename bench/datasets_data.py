"""Tables and releases for the benchmark of datasets, generated with a fixed seed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.core.clock import DAY, HOUR, parse_iso
from headrace.datasets import DatasetSpec, InputTable, TimeSplits
from headrace.datasets.manifest import Manifest, ManifestColumn
from headrace.datasets.store.split_files import cut_split, store_splits, total
from headrace.datasets.store.store import Store
from headrace.features.spec import Label

START, END = "2013-01-01T00:00:00Z", "2014-01-01T00:00:00Z"
BOUNDS = ("2013-09-01T00:00:00Z", "2013-11-01T00:00:00Z", END)
SPLITS = ("train", "valid", "test")
# Columns in which a correction changes a cell.
CORRECTED = ("f1", "i2")
INPUT = InputTable(
    snapshot_id=1, contract_version="1.0.0", contract_hash="c" * 64, licence="CC0-1.0",
    purposes=("training",), batches=("b",),
)  # fmt: skip
SPEC = DatasetSpec(
    name="made",
    key=("k",),
    label=Label("y", table="rows", key=("k",), columns=("y",), horizon="1h", settle="0s"),
    splits=TimeSplits(*BOUNDS),
    cutoff="2014-02-01T00:00:00Z",
)


def frame(rows: int, seed: int = 0) -> pa.Table:
    """Return nineteen columns, by time: key, t, a label, numbers and texts, some of them null."""
    rng = np.random.default_rng(seed)
    start, end = parse_iso(START), parse_iso(END) - 3 * DAY
    t = np.sort(rng.integers(start // HOUR, end // HOUR, rows)) * HOUR
    made = {"k": pa.array(np.arange(rows)), "t": pa.array(t, pa.timestamp("us", "UTC"))}
    for n in range(4):
        made[f"i{n}"] = pa.array(rng.integers(0, (10, 1_000, 10**6, 2**62)[n], rows))
    for n in range(8):
        some = rng.random(rows) < 0.1 if n % 2 else None
        made[f"f{n}"] = pa.array(rng.normal(size=rows), mask=some)
    for n, values in enumerate((5, 300, 20_000)):
        words = pa.array([f"value {word}" for word in range(values)])
        made[f"s{n}"] = words.take(pa.array(rng.integers(0, values, rows)))
    # A different text in every row.
    made["id"] = pa.array(rng.permutation(rows) + 10**9).cast(pa.string())
    made["y"] = pa.array(rng.integers(0, 2, rows))
    return pa.table(made)


def corrected(table: pa.Table, places: npt.NDArray[np.int64], step: int) -> pa.Table:
    """Return the same rows, but add `step` to two columns of the rows at `places`."""
    for name in CORRECTED:
        cells = table.column(name)
        marks = np.zeros(table.num_rows, dtype=bool)
        marks[places] = True
        other = cells.combine_chunks().fill_null(0).to_numpy(zero_copy_only=False) + step
        some = pa.array(np.where(marks, other, 0)).cast(cells.type)
        mixed = pa.compute.if_else(pa.array(marks), some, cells)
        table = table.set_column(table.column_names.index(name), name, mixed)
    return table


def clustered(rows: int, share: float, step: int) -> npt.NDArray[np.int64]:
    """Return the indices of rows in one stretch of time, which is earlier for each later step."""
    count = max(1, int(rows * share))
    return np.arange(rows - count * step, rows - count * (step - 1))


def scattered(rows: int, share: float, step: int) -> npt.NDArray[np.int64]:
    """Return the indices of random rows."""
    rng = np.random.default_rng(100 + step)
    return np.sort(rng.choice(rows, max(1, int(rows * share)), replace=False))


def put(store: Store, version: str, table: pa.Table) -> Manifest:
    """Publish a release of `table` as it is, with the splits of BOUNDS."""
    moments = table.column("t").cast(pa.int64()).to_numpy()
    place = np.searchsorted([parse_iso(bound) for bound in BOUNDS[:2]], moments, side="right")
    named = pa.array(SPLITS).take(pa.array(place))
    table = table.append_column("split", named)
    cuts = [0, *np.searchsorted(place, [1, 2]).tolist(), table.num_rows]
    splits = {
        name: cut_split(table.slice(cuts[n], cuts[n + 1] - cuts[n]), ("k",), {})
        for n, name in enumerate(SPLITS)
    }
    content = total(split.content for split in splits.values())
    roles = {"k": "key", "t": "time", "split": "split", "y": "label"}
    kinds = dict(content.schema)
    columns = tuple(
        ManifestColumn(n, kinds[n], roles.get(n, "feature")) for n in table.column_names
    )
    draft = Manifest(
        name="made", version=version, change="FIRST", reasons=(), previous=None,
        content_hash=content.hash, rows=content.rows, columns=columns, label=SPEC.label_form(),
        split_rule=SPEC.split_form(), cutoff_us=SPEC.cutoff_us, mode="recorded", splits={},
        left_out={}, inputs={}, definitions={}, fits={}, parameters={}, code_revision="",
        purpose="training", description="", licences=(),
    )  # fmt: skip
    entries = store_splits(store, splits, ("k",), {})
    manifest = replace(draft, splits=entries)
    store.publish(manifest)
    return manifest


def files(store: Store, manifest: Manifest) -> list[str]:
    """Return the paths of the Parquet files of a release."""
    parts = [part for split in manifest.splits.values() for part in split.parts]
    return [str(store.object_path(part.object, "parquet")) for part in parts]


def size_of(folder: Path) -> int:
    """Return the total size in bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
