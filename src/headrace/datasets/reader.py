"""Opening a release: nothing but pyarrow and duckdb, no catalog, no pipeline."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.datasets.content_hash import content_sum
from headrace.datasets.manifest import Manifest, Part
from headrace.datasets.store import Store
from headrace.datasets.taint import (
    Recall,
    opened_path,
    record_opening,
    refuse_tainted,
    taints,
    untainted,
)
from headrace.errors import DeclarationError, StateError
from headrace.sql import ident, literal

if TYPE_CHECKING:
    import duckdb
    import pandas as pd


@dataclass(frozen=True)
class Verification:
    """What `verify` found; `ok` when `problems` is empty."""

    ref: str
    content_hash: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class Dataset:
    """A release, or a selection of its splits and columns. Data is read when asked for.

    `taints` are the recalled batches it holds: empty, unless it was opened nevertheless.
    """

    store: Store
    manifest: Manifest
    splits: tuple[str, ...]
    columns: tuple[str, ...]
    taints: tuple[Recall, ...] = ()

    @property
    def ref(self) -> str:
        return self.manifest.ref

    @property
    def content_hash(self) -> str:
        """Of the whole release, whatever is selected."""
        return self.manifest.content_hash

    def __len__(self) -> int:
        return sum(self.manifest.splits[name].rows for name in self.splits)

    def __repr__(self) -> str:
        chosen = ", ".join(f"{name} {self.manifest.splits[name].rows:,}" for name in self.splits)
        mark = " TAINTED" if self.taints else ""
        return f"<{self.ref}{mark}: {chosen} rows x {len(self.columns)} columns>"

    def split(self, name: str) -> "Dataset":
        """Only `train`, `valid` or `test`."""
        return self.select(splits=(name,))

    def select(
        self, columns: Sequence[str] | None = None, splits: Sequence[str] | None = None
    ) -> "Dataset":
        """A narrower dataset; only what is selected is ever read."""
        picked = replace(
            self,
            splits=self.splits if splits is None else tuple(splits),
            columns=self.columns if columns is None else tuple(columns),
        )
        self._check("split", picked.splits, self.splits)
        self._check("column", picked.columns, self.columns)
        return picked

    def _check(self, what: str, asked: tuple[str, ...], known: tuple[str, ...]) -> None:
        if unknown := sorted(set(asked) - set(known)):
            raise DeclarationError(
                f"there is no {what} {', '.join(map(repr, unknown))}",
                where=self.ref,
                fix=f"choose from {', '.join(known)}",
            )

    @property
    def schema(self) -> pa.Schema:
        """Names and dtypes of the selected columns, in order."""
        with self._file(self._parts()[0]) as file:
            whole = file.schema_arrow
        return pa.schema([whole.field(name) for name in self.columns])

    @property
    def arrow(self) -> pa.Table:
        """Rows by (split, t, key); `content_hash` of a whole release's table is its own."""
        tables = []
        for part in self._parts():
            with self._file(part) as file:
                tables.append(file.read(columns=list(self.columns)))
        return pa.concat_tables(tables).select(list(self.columns))

    @property
    def df(self) -> "pd.DataFrame":
        """A pandas frame; needs pandas."""
        frame: pd.DataFrame = self.arrow.to_pandas()
        return frame

    def batches(self, rows: int = 65_536) -> Iterator[pa.RecordBatch]:
        """The same rows as a stream, for data larger than memory."""
        for part in self._parts():
            with self._file(part) as file:
                for batch in file.iter_batches(rows, columns=list(self.columns)):
                    yield batch.select(list(self.columns))

    def sql(self, query: str) -> pa.Table:
        """DuckDB over the views `dataset`, and `train`, `valid`, `test` as far as selected."""
        import duckdb

        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'; SET python_enable_replacements = false")
            for name in self.splits:
                self._view(connection, name, (name,))
            self._view(connection, "dataset", self.splits)
            return connection.sql(query).to_arrow_table()

    def _view(
        self, connection: "duckdb.DuckDBPyConnection", name: str, splits: tuple[str, ...]
    ) -> None:
        paths = [
            str(self._path(part)) for split in splits for part in self.manifest.splits[split].parts
        ]
        listed = ", ".join(literal(path) for path in paths)
        columns = ", ".join(ident(column) for column in self.columns)
        rows = f"SELECT {columns} FROM read_parquet([{listed}])"  # noqa: S608 - quoted above
        connection.execute(f"CREATE VIEW {ident(name)} AS {rows}")

    def verify(self) -> Verification:
        """Read everything and compare: bytes of objects, schema, rows, content hash."""
        whole = self.select(self._all_columns(), tuple(self.manifest.splits))
        problems = [
            f"{name}: {problem}"
            for name, entry in self.manifest.splits.items()
            for part in entry.parts
            if (problem := self._object_problem(part))
        ]
        if problems:
            return Verification(self.ref, "", tuple(problems))
        found = content_sum(whole.arrow)
        if found.hash != self.content_hash:
            problems.append(f"content: {found.hash} is not the manifest's {self.content_hash}")
        if found.rows != self.manifest.rows:
            problems.append(f"rows: {found.rows} are not the manifest's {self.manifest.rows}")
        return Verification(self.ref, found.hash, tuple(problems))

    def _all_columns(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.manifest.columns)

    def _object_problem(self, part: Part) -> str:
        try:
            with self._path(part).open("rb") as handle:
                found = hashlib.file_digest(handle, "sha256").hexdigest()
        except StateError as error:
            return error.what
        return "" if found == part.object else f"object {part.object[:12]} holds other bytes"

    def _parts(self) -> list[Part]:
        return [part for name in self.splits for part in self.manifest.splits[name].parts]

    def _path(self, part: Part) -> Path:
        path = self.store.object_path(part.object, "parquet")
        if not path.is_file() or path.stat().st_size != part.bytes:
            found = f"{path.stat().st_size} bytes" if path.is_file() else "missing"
            raise StateError(
                f"object {part.object[:12]} is {found}, not {part.bytes} bytes",
                where=f"{self.ref}, {path}",
                fix="restore it from a copy of the store, or rebuild the release",
            )
        return path

    def _file(self, part: Part) -> pq.ParquetFile:
        path = self._path(part)
        try:
            return pq.ParquetFile(path, memory_map=True)
        except (pa.ArrowException, OSError) as error:
            raise StateError(
                f"object {part.object[:12]} cannot be read: {error}",
                where=f"{self.ref}, {path}",
                fix="restore it from a copy of the store",
            ) from error


def open_release(
    ref: str,
    store: Path | str | None = None,
    *,
    split: str | None = None,
    columns: Sequence[str] | None = None,
    allow_tainted: str | None = None,
) -> Dataset:
    """Open `name@version`, `name@latest`, `name@champion` or `name`.

    `store` is the folder of a store; by default `HEADRACE_STORE`, else the store of the default
    home. `allow_tainted` is the reason to open a release that holds a recalled batch; it is
    recorded beside the manifest, with who gave it.

    Raises:
        StateError: there is no such release; it lists what exists.
        TaintedError: a batch that the release holds was recalled, and no reason was given.
    """
    found = Store.find(store)
    manifest = found.manifest(*found.resolve(ref))
    marks = taints(found, manifest)
    if marks and allow_tainted is not None:
        record_opening(opened_path(found, manifest), marks, allow_tainted)
    elif marks:
        refuse_tainted(manifest.ref, marks, where=str(found.root), fix=_instead(found, manifest))
    names = tuple(column.name for column in manifest.columns)
    whole = Dataset(found, manifest, tuple(manifest.splits), names, marks)
    return whole.select(columns, None if split is None else (split,))


def _instead(store: Store, manifest: Manifest) -> str:
    """What to do about a tainted release."""
    clean = untainted(store, manifest.name)
    other = f"{manifest.name}@{clean} is clean" if clean else "make a clean one: headrace run"
    call = f'headrace.open("{manifest.ref}", allow_tainted="why")'
    return f"{other}; or {call}, which is recorded"
