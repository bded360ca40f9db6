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
from headrace.datasets.loaders.row_filter import EVERY_ROW, Where, parse
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
    from headrace.datasets.diff import Diff
    from headrace.datasets.loaders.torch import TorchRows
    from headrace.datasets.store.verify import Verification


@dataclass(frozen=True)
class Dataset:
    """A release, or a selection of its splits, columns and rows. Data is read when asked for.

    Attributes:
        store, manifest: where it lies, and what it says of itself.
        splits, columns: those selected, in the release's order and in the order asked for.
        taints: the recalled batches it holds: empty, unless it was opened nevertheless.
        where: the condition on rows; without one, all are selected.
    """

    store: Store
    manifest: Manifest
    splits: tuple[str, ...]
    columns: tuple[str, ...]
    taints: tuple[Recall, ...] = ()
    where: Where = EVERY_ROW

    @property
    def ref(self) -> str:
        return self.manifest.ref

    @property
    def content_hash(self) -> str:
        """Of the whole release, whatever is selected."""
        return self.manifest.content_hash

    def __len__(self) -> int:
        """Rows; with a condition they are counted, which reads the columns that it names."""
        if self.where:
            return sum(batch.num_rows for batch in self.scan.counting().batches(65_536))
        return sum(self.manifest.splits[name].rows for name in self.splits)

    def __bool__(self) -> bool:
        return True  # and not whether there are rows, which may have to be counted

    def __repr__(self) -> str:
        chosen = ", ".join(f"{name} {self.manifest.splits[name].rows:,}" for name in self.splits)
        mark = " TAINTED" if self.taints else ""
        where = f", where {self.where}" if self.where else ""
        return f"<{self.ref}{mark}: {chosen} rows x {len(self.columns)} columns{where}>"

    def _repr_html_(self) -> str:
        from headrace.datasets.loaders.notebook import html

        return html(self)

    # Selecting

    def split(self, name: str, *, purpose: str | None = None) -> "Dataset":
        """Only `train`, `valid`, `test` or `evaluation`.

        `evaluation`, where a release has it, is kept apart from all tuning: it needs a `purpose`,
        and each look at it is recorded beside the release.
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
        """A narrower dataset; only what is selected is ever read.

        Args:
            columns: in the order wanted.
            splits: names; rows come in the release's order all the same.
            where: a condition on rows, over all columns of the release: `("distance", ">", 500)`, a
                list of such, `{"origin": "EWR"}`, or an expression of pyarrow. It is added to the
                one there is.

        Raises:
            DeclarationError: there is no such column or split, or the condition makes no sense.
        """
        chosen = self.splits if splits is None else self._known("split", splits, self.splits)
        return replace(
            self,
            splits=tuple(name for name in self.splits if name in chosen),
            columns=self.columns
            if columns is None
            else self._known("column", columns, self.columns),
            where=self.where + parse(where, self.scan.types, self.ref),
        )

    def _known(self, what: str, asked: Sequence[str], known: tuple[str, ...]) -> tuple[str, ...]:
        if isinstance(asked, str):
            raise DeclarationError(
                f"{what}s are a list, not {asked!r}", where=self.ref, fix=f'{what}s=["{asked}"]'
            )
        for name in asked:
            if name not in known:
                fix = choose(str(name), known)
                if name == EVALUATION and EVALUATION in self.manifest.splits:
                    fix = 'data.split("evaluation", purpose="why"): each look is recorded'
                raise DeclarationError(f"there is no {what} {name!r}", where=self.ref, fix=fix)
        if not asked or len(set(asked)) < len(asked):
            raise DeclarationError(
                f"{what}s are {'none' if not asked else 'named twice'}: {list(asked)}",
                where=self.ref,
                fix=f"name each {what} once",
            )
        return tuple(asked)

    # Reading

    @property
    def scan(self) -> Scan:
        """What is read of it, for loaders."""
        return Scan(self.store, self.manifest, self.splits, self.columns, self.where)

    @property
    def schema(self) -> pa.Schema:
        """Names and dtypes of the selected columns, in order; no file is read."""
        return self.scan.schema

    @property
    def arrow(self) -> pa.Table:
        """Rows by (split, t, key); `content_hash` of a whole release's table is its own."""
        return self.scan.table()

    @property
    def df(self) -> "pd.DataFrame":
        """A pandas frame: moments are datetime64[us, UTC], whole numbers with nulls are floats."""
        table = self.arrow
        # Columns in several pieces are copied once, each by itself, and let go, for nobody else
        # holds the table. One in a single piece would come uncopied, and could not be written to.
        freely = min((column.num_chunks for column in table.columns), default=0) > 1
        frame: pd.DataFrame = table.to_pandas(split_blocks=freely, self_destruct=freely)
        return frame

    @property
    def polars(self) -> Any:  # noqa: ANN401 - polars is an extra
        """A polars LazyFrame, into whose scan columns and conditions are pushed; `.collect()` it.

        Needs the extra `polars`.
        """
        from headrace.datasets.loaders.frames import polars_frame

        return polars_frame(self.scan)

    @property
    def torch(self) -> "TorchRows":
        """An iterable dataset of torch in batches; call it for options: `data.torch(batch=512)`.

        Needs torch. See `headrace.datasets.loaders.torch`.
        """
        from headrace.datasets.loaders.frames import library

        library("torch", "torch")
        from headrace.datasets.loaders.torch import TorchRows

        return TorchRows(self)

    def batches(self, rows: int = 65_536) -> Iterator[pa.RecordBatch]:
        """The same rows as a stream of at most `rows` each, for data larger than memory."""
        if rows < 1:
            raise DeclarationError(f"batches of {rows} rows", where=self.ref, fix="rows=65_536")
        return self.scan.batches(rows)

    def sql(self, query: str) -> pa.Table:
        """DuckDB over the views `dataset`, and `train`, `valid`, `test` as far as selected.

        Reads only what the query needs, and spills to disk what does not fit into memory.
        """
        from headrace.datasets.loaders.duck import query as ask

        views = {name: replace(self.scan, splits=(name,)) for name in self.splits}
        return ask({**views, "dataset": self.scan}, query)

    def relation(self, connection: "duckdb.DuckDBPyConnection") -> Any:  # noqa: ANN401 - no types
        """The rows as a lazy DuckDB relation in your connection, whose zone becomes UTC."""
        from headrace.datasets.loaders.duck import relation

        return relation(self.scan, connection)

    def hugging_face(self, *, streaming: bool = False) -> Any:  # noqa: ANN401 - an extra
        """A `datasets.Dataset`, or an `IterableDataset` if `streaming`; needs the extra `hf`."""
        from headrace.datasets.loaders.frames import hugging_face

        return hugging_face(self.scan, streaming=streaming)

    # What is known of it

    def verify(self) -> "Verification":
        """Read everything and compare: bytes of objects, schema, rows, content hash."""
        from headrace.datasets.store.verify import verify

        return verify(self.store, self.manifest)

    @property
    def card(self) -> "Card":
        """Its card, for people and for audits: `.to_json()` is Croissant, `.html()` a page."""
        from headrace.datasets.card import card

        return card(self.store, self.manifest)

    def diff(self, other: "Dataset | str") -> "Diff":
        """What changed from this release to `other`, a release or its reference."""
        from headrace.datasets.diff import diff

        return diff(self, open_release(other, self.store.root) if isinstance(other, str) else other)

    def trace(self, **key: object) -> Any:  # noqa: ANN401 - a `headrace.lineage` Trace
        """Where the row with this `key` comes from: `data.trace(flight="...", day="...")`.

        Needs the home that made the release, `HEADRACE_HOME`, and the project that declares it.
        """
        return provided("row_trace")(self.ref, key, store=self.store)


def look(store: Store, manifest: Manifest, purpose: str | None) -> None:
    """Record a look at the evaluation split.

    Raises:
        DeclarationError: there is no purpose.
    """
    from headrace.datasets.evaluation_access import record

    if not (purpose or "").strip():
        raise DeclarationError(
            "the evaluation split is kept apart from tuning, and each look at it is recorded",
            where=manifest.ref,
            fix='say what for: split("evaluation", purpose="final test of model 7")',
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
        ref: what to open.
        store: a folder or `s3://bucket/prefix`; by default `HEADRACE_STORE`, else the store of the
            default home.
        split: only this one; by default all but the evaluation split.
        columns: only these, in this order.
        where: a condition on rows, as in `Dataset.select`.
        purpose: what a look at the evaluation split is for; it is recorded.
        allow_tainted: the reason to open a release that holds a recalled batch; it is recorded
            beside the manifest, with who gave it.
        allow_expired: the reason to open a release that its sources' retention allows to keep no
            longer; it is recorded in the same way.

    Raises:
        ExpiredError: it is past its retention, and no reason was given.
        GoneError: its rows were erased, or it was retired; it names the successor.
        StateError: there is no such release; it lists what exists.
        DeclarationError: the selection names what is not there.
        TaintedError: a batch that the release holds was recalled, and no reason was given.
    """
    found = Store.find(store)
    manifest = found.manifest(*found.resolve(ref))
    refuse_expired(found, manifest, allow_expired)
    marks = taints(found, manifest)
    if marks and allow_tainted is not None:
        record_opening(found, manifest, marks, allow_tainted)
    elif marks:
        refuse_tainted(
            manifest.ref, marks, where=found.storage.address, fix=_instead(found, manifest)
        )
    names = tuple(column.name for column in manifest.columns)
    splits = tuple(name for name in manifest.splits if name != EVALUATION)
    whole = Dataset(found, manifest, splits, names, marks).select(columns, where=where)
    return whole if split is None else whole.split(split, purpose=purpose)


def _instead(store: Store, manifest: Manifest) -> str:
    """What to do about a tainted release."""
    clean = untainted(store, manifest.name)
    other = f"{manifest.name}@{clean} is clean" if clean else "make a clean one: headrace run"
    call = f'headrace.open("{manifest.ref}", allow_tainted="why")'
    return f"{other}; or {call}, which is recorded"
