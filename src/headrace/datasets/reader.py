"""Open a release with pyarrow alone, without a catalog or a pipeline.

See docs/how-to/use-a-dataset.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.core.hooks import provided
from headrace.datasets.governance.expiry import refuse_expired
from headrace.datasets.loaders.row_filter import EVERY_ROW, RowFilter, parse
from headrace.datasets.loaders.scan import Scan
from headrace.datasets.manifest import Manifest
from headrace.datasets.store.store import Store
from headrace.datasets.taint import (
    Recall,
    record_opening,
    refuse_tainted,
    taints,
    untainted,
)
from headrace.datasets.vocabulary import EVALUATION, choose

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

    from headrace.datasets.card import Card
    from headrace.datasets.diff import ReleaseDiff
    from headrace.datasets.loaders.torch import TorchRows
    from headrace.datasets.store.verify import Verification


@dataclass(frozen=True)
class Dataset:
    """A release, or a selection of its splits, columns and rows. Data is read on demand.

    Attributes:
        store, manifest: the store, and the manifest of the release.
        splits, columns: selected splits in the release's order, selected columns in the requested
            order.
        taints: recalled batches in the release; empty unless it was opened with `allow_tainted`.
        where: the condition on rows; without one, all rows are selected.
    """

    store: Store
    manifest: Manifest
    splits: tuple[str, ...]
    columns: tuple[str, ...]
    taints: tuple[Recall, ...] = ()
    where: RowFilter = EVERY_ROW

    @property
    def ref(self) -> str:
        return self.manifest.ref

    @property
    def content_hash(self) -> str:
        """Content hash of the whole release, independent of the selection."""
        return self.manifest.content_hash

    def __len__(self) -> int:
        """Number of rows. If there is a condition, the columns that it names are read."""
        if self.where:
            return sum(batch.num_rows for batch in self.scan.counting().batches(65_536))
        return sum(self.manifest.splits[name].rows for name in self.splits)

    def __bool__(self) -> bool:
        return True  # otherwise `if dataset:` would call __len__, which may read data

    def __repr__(self) -> str:
        splits_text = ", ".join(
            f"{name} {self.manifest.splits[name].rows:,}" for name in self.splits
        )
        mark = " TAINTED" if self.taints else ""
        where = f", where {self.where}" if self.where else ""
        return f"<{self.ref}{mark}: {splits_text} rows x {len(self.columns)} columns{where}>"

    def _repr_html_(self) -> str:
        from headrace.datasets.loaders.notebook import html

        return html(self)

    # Selecting

    def split(self, name: str, *, purpose: str | None = None) -> "Dataset":
        """Select one split: `train`, `valid`, `test` or `evaluation`.

        The evaluation split must not be used for tuning: it needs a `purpose`, and each access is
        recorded beside the release.
        """
        if name == EVALUATION and EVALUATION in self.manifest.splits:
            look(self.store, self.manifest, purpose)
            return replace(self, splits=(EVALUATION,))
        return self.select(splits=(name,))

    def select(
        self,
        columns: Sequence[str] | None = None,
        splits: Sequence[str] | None = None,
        where: object = None,
    ) -> "Dataset":
        """Select columns, splits and rows; only selected data is ever read.

        Args:
            columns: names; the columns come in this order.
            splits: names; the splits keep the release's order.
            where: a condition on rows, over all columns of the release: `("distance", ">", 500)`, a
                list of these, `{"origin": "EWR"}`, or a pyarrow expression. If the dataset already
                has a condition, both must hold.

        Raises:
            DeclarationError: there is no such column or split, or the condition is invalid.
        """
        selected = (
            self.splits if splits is None else self._checked_names("split", splits, self.splits)
        )
        return replace(
            self,
            splits=tuple(name for name in self.splits if name in selected),
            columns=self.columns
            if columns is None
            else self._checked_names("column", columns, self.columns),
            where=self.where + parse(where, self.scan.types, self.ref),
        )

    def _checked_names(
        self, what: str, names: Sequence[str], available: tuple[str, ...]
    ) -> tuple[str, ...]:
        if isinstance(names, str):
            raise DeclarationError(
                f"{what}s are a list, not {names!r}", where=self.ref, fix=f'{what}s=["{names}"]'
            )
        for name in names:
            if name not in available:
                fix = choose(str(name), available)
                if name == EVALUATION and EVALUATION in self.manifest.splits:
                    fix = 'data.split("evaluation", purpose="why"): each access is recorded'
                raise DeclarationError(f"there is no {what} {name!r}", where=self.ref, fix=fix)
        if not names or len(set(names)) < len(names):
            raise DeclarationError(
                f"{what}s are {'none' if not names else 'named twice'}: {list(names)}",
                where=self.ref,
                fix=f"name each {what} once",
            )
        return tuple(names)

    # Reading

    @property
    def scan(self) -> Scan:
        """The selection as a scan, for loaders."""
        return Scan(self.store, self.manifest, self.splits, self.columns, self.where)

    @property
    def schema(self) -> pa.Schema:
        """Names and dtypes of the selected columns, in order; no file is read."""
        return self.scan.schema

    @property
    def arrow(self) -> pa.Table:
        """The rows as an Arrow table, sorted by (split, t, key).

        If all of the release is selected, the table has the content hash of the release.
        """
        return self.scan.table()

    @property
    def df(self) -> "pd.DataFrame":
        """The rows as a pandas DataFrame.

        Timestamps are datetime64[us, UTC]; integers with nulls become floats.
        """
        table = self.arrow
        # If every column has several chunks, pandas copies column by column, and each column is
        # freed after its copy. A single-chunk column is not copied: the frame would be read-only.
        freely = min((column.num_chunks for column in table.columns), default=0) > 1
        frame: pd.DataFrame = table.to_pandas(split_blocks=freely, self_destruct=freely)
        return frame

    @property
    def polars(self) -> Any:  # noqa: ANN401 - polars is an extra
        """The rows as a polars LazyFrame, with projection and predicate pushdown.

        Needs the extra `polars`.
        """
        from headrace.datasets.loaders.frames import polars_frame

        return polars_frame(self.scan)

    @property
    def torch(self) -> "TorchRows":
        """The rows as an iterable torch dataset; call it to set options: `data.torch(batch=512)`.

        Needs torch. See `headrace.datasets.loaders.torch`.
        """
        from headrace.datasets.loaders.frames import library

        library("torch", "torch")
        from headrace.datasets.loaders.torch import TorchRows

        return TorchRows(self)

    def batches(self, rows: int = 65_536) -> Iterator[pa.RecordBatch]:
        """Yield the rows in batches of at most `rows`, for data larger than memory."""
        if rows < 1:
            raise DeclarationError(
                f"batches of {rows} rows are too small", where=self.ref, fix="rows=65_536"
            )
        return self.scan.batches(rows)

    def sql(self, query: str) -> pa.Table:
        """Run a DuckDB query over the views `dataset` and, if selected, `train`, `valid`, `test`.

        Reads only the data that the query needs, and spills to disk if memory does not suffice.
        """
        from headrace.datasets.loaders.duck import query as ask

        views = {name: replace(self.scan, splits=(name,)) for name in self.splits}
        return ask({**views, "dataset": self.scan}, query)

    def relation(self, connection: "duckdb.DuckDBPyConnection") -> Any:  # noqa: ANN401 - no types
        """The rows as a lazy DuckDB relation in your connection, whose time zone is set to UTC."""
        from headrace.datasets.loaders.duck import relation

        return relation(self.scan, connection)

    def hugging_face(self, *, streaming: bool = False) -> Any:  # noqa: ANN401 - an extra
        """A `datasets.Dataset`, or an `IterableDataset` if `streaming`; needs the extra `hf`."""
        from headrace.datasets.loaders.frames import hugging_face

        return hugging_face(self.scan, streaming=streaming)

    # Inspecting

    def verify(self) -> "Verification":
        """Read the whole release and compare object bytes, schema, rows and content hash."""
        from headrace.datasets.store.verify import verify

        return verify(self.store, self.manifest)

    @property
    def card(self) -> "Card":
        """The card of the release: `.to_json()` is Croissant, `.html()` an HTML page."""
        from headrace.datasets.card import card

        return card(self.store, self.manifest)

    def diff(self, other: "Dataset | str") -> "ReleaseDiff":
        """Compare this release with `other`, a release or its ref."""
        from headrace.datasets.diff import diff

        return diff(self, open_release(other, self.store.root) if isinstance(other, str) else other)

    def trace(self, **key: object) -> Any:  # noqa: ANN401 - a `headrace.lineage` Trace
        """Trace the row with this `key` to its sources: `data.trace(flight="...", day="...")`.

        Needs the home that made the release, `HEADRACE_HOME`, and the project that declares it.
        """
        return provided("row_trace")(self.ref, key, store=self.store)


def look(store: Store, manifest: Manifest, purpose: str | None) -> None:
    """Record an access to the evaluation split.

    Raises:
        DeclarationError: the purpose is missing.
    """
    from headrace.datasets.evaluation_access import record

    if not (purpose or "").strip():
        raise DeclarationError(
            "an access to the evaluation split needs a purpose, which is recorded with the access",
            where=manifest.ref,
            fix='state the purpose: split("evaluation", purpose="final test of model 7")',
        )
    record(store, manifest, purpose)


def open_release(
    ref: str,
    store: Path | str | None = None,
    *,
    split: str | None = None,
    columns: Sequence[str] | None = None,
    where: object = None,
    purpose: str | None = None,
    allow_tainted: str | None = None,
    allow_expired: str | None = None,
) -> Dataset:
    """Open `name@version`, `name@latest`, `name@champion` or `name`.

    Args:
        ref: reference of the release.
        store: a folder or `s3://bucket/prefix`; by default `HEADRACE_STORE`, else the store of the
            default home.
        split: split to select; by default all but the evaluation split.
        columns: columns to select, in this order.
        where: a condition on rows, as in `Dataset.select`.
        purpose: purpose of an access to the evaluation split; it is recorded.
        allow_tainted: the reason to open a release that holds a recalled batch; it is recorded
            beside the manifest, with the person who gave it.
        allow_expired: the reason to open a release past the retention of its sources; it is
            recorded in the same way.

    Raises:
        ExpiredError: the release is past its retention, and no reason was given.
        GoneError: its rows were erased, or it was retired; the error names the successor.
        StateError: there is no such release; the error lists the existing ones.
        DeclarationError: the selection names a missing column or split.
        TaintedError: the release holds a recalled batch, and no reason was given.
    """
    target = Store.find(store)
    manifest = target.manifest(*target.resolve(ref))
    refuse_expired(target, manifest, allow_expired)
    marks = taints(target, manifest)
    if marks and allow_tainted is not None:
        record_opening(target, manifest, marks, allow_tainted)
    elif marks:
        refuse_tainted(
            manifest.ref, marks, where=target.storage.address, fix=_instead(target, manifest)
        )
    names = tuple(column.name for column in manifest.columns)
    splits = tuple(name for name in manifest.splits if name != EVALUATION)
    dataset = Dataset(target, manifest, splits, names, marks).select(columns, where=where)
    return dataset if split is None else dataset.split(split, purpose=purpose)


def _instead(store: Store, manifest: Manifest) -> str:
    """Fix in the error on a tainted release: a clean version, or the argument that opens it."""
    clean = untainted(store, manifest.name)
    other = f"{manifest.name}@{clean} is clean" if clean else "make a clean one: headrace run"
    call = f'headrace.open("{manifest.ref}", allow_tainted="why")'
    return f"{other}; or {call}, which is recorded"
