"""Feature vectors from an online store, with the interface and the bytes of `FeatureService`."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

from headrace.contracts.model import Contract
from headrace.core.errors import StateError
from headrace.features import transforms
from headrace.features.kernel.arrays import FURTHEST
from headrace.features.kernel.row_content import Cell
from headrace.features.spec import Mode, RowTransform, Spine, View, output_columns
from headrace.features.validate import validate
from headrace.serving.online import staleness, store_metadata
from headrace.serving.online.kernel.answers import Answerer
from headrace.serving.online.layout import Layout, layout_of
from headrace.serving.online.staleness import Staleness
from headrace.serving.online.stores.port import Reader, Store
from headrace.serving.online.vector import OnlineVector
from headrace.serving.online.view_values import best_answerer, values
from headrace.serving.request import RequestError
from headrace.serving.vectors import DeclaredVectors, Vector, Vectors, plain_cells


@dataclass
class OnlineService(DeclaredVectors):
    """Service of feature vectors from an online store; safe to use from several threads.

    Args:
        spine: declares the columns of a request.
        views: the features to serve.
        contracts: contracts of all tables in use, by name.
        store: a store with the layout of these views; see `layout_of`.
        mode: the mode in which the store was filled.
        max_staleness: staleness limits of views.

    Raises:
        DeclarationError: views, contracts and spine do not fit together.
    """

    spine: Spine
    views: tuple[View, ...]
    contracts: Mapping[str, Contract]
    store: Store
    mode: Mode
    max_staleness: tuple[Staleness, ...] = ()
    _local: threading.local = field(default_factory=threading.local, init=False, repr=False)

    def __post_init__(self) -> None:
        validate(self.views, self.contracts, self.spine)
        self._limits = staleness.limits(self.max_staleness, self.views)

    @cached_property
    def layout(self) -> Layout:
        return layout_of(self.views, self.contracts, self.mode)

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """Tables that the views read."""
        return tuple(sorted(self.layout.tables))

    @cached_property
    def types(self) -> dict[str, pa.DataType]:
        """Arrow types of the request's columns, of `t`, and of the features."""
        stored = {r.name: r.type for call in self.layout.calls for r in call.results}
        derived = {v.name: transforms.output_type(v) for v in self._transforms}
        return self.schema.types | stored | derived

    @cached_property
    def _transforms(self) -> tuple[RowTransform, ...]:
        return tuple(view for view in self.views if isinstance(view, RowTransform))

    @cached_property
    def _outputs(self) -> list[str]:
        return output_columns(self.views)

    @cached_property
    def _fields(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.schema.fields)

    def get(self, request: Mapping[str, object], at: int) -> dict[str, Cell]:
        """Return the features of one request as of `at`; timestamps as int microseconds UTC.

        Raises:
            RequestError: the request does not fit the spine, or `at` is out of range.
            StateError: nothing was applied yet, the store has another layout, or `at` is before
                the store's horizon.
            StaleError: a view exceeds its staleness limit.
        """
        row = dict(zip(self._fields, self.schema.cells(request), strict=True))
        with self.store.reading() as reader:
            self._check_moments(reader, (at,))
            vectors = values(reader, self.layout, self._answerer, [row], [at])
        return (self._transformed([row], [at], vectors) if self._transforms else vectors)[0]

    def vector(self, request: Mapping[str, object], at: int) -> Vector:
        """Return the features of one request as of `at`, microseconds UTC, with their frontier.

        Raises:
            RequestError: the request does not fit the spine, or `at` is out of range.
            StateError: nothing was applied yet, the store has another layout, or `at` is before
                the store's horizon.
            StaleError: a view exceeds its staleness limit.
        """
        return self.vectors([(request, at)])[0]

    def vectors(self, requests: Sequence[tuple[Mapping[str, object], int]]) -> Vectors:
        """Return vectors for many (request, at) pairs, read in one transaction of the store."""
        schema, fields = self.schema, self._fields
        rows: list[dict[str, Cell]] = [
            dict(zip(fields, schema.cells(request, number), strict=True))
            for number, (request, _) in enumerate(requests)
        ]
        moments = [at for _, at in requests]
        with self.store.reading() as reader:
            snapshots, stale = self._check_moments(reader, moments)
            vectors = values(reader, self.layout, self._answerer, rows, moments)
        if self._transforms:
            vectors = self._transformed(rows, moments, vectors)

        def vector_at(place: int) -> OnlineVector:
            at = moments[place]
            context = (self.types, schema.key, snapshots, self.definition, stale[at])
            return OnlineVector(rows[place], at, vectors[place], *context)

        late = tuple(sorted({view for views in stale.values() for view in views}))
        keys = [tuple([row[name] for name in schema.key]) for row in rows]
        return Vectors(
            [plain_cells(vector) for vector in vectors], keys, snapshots, vector_at, late
        )

    def frontier(self) -> dict[str, int]:
        """Return the applied snapshot of each table.

        Raises:
            StateError: a table was never applied.
        """
        with self.store.reading() as reader:
            return dict(self._frontier(reader))

    @cached_property
    def _answerer(self) -> Answerer:
        return best_answerer()

    def _check_moments(
        self, reader: Reader, moments: Sequence[int]
    ) -> tuple[Mapping[str, int], dict[int, tuple[str, ...]]]:
        """Refuse times that the store cannot answer; return snapshots, and stale views by time."""
        for number, at in enumerate(moments):
            if not -FURTHEST <= at <= FURTHEST:  # as in training: int64 sums would overflow
                raise RequestError(
                    f"t lies more than 146,000 years from 1970: {at}",
                    where="request",
                    fix="t is int microseconds since 1970 UTC; check the unit",
                    number=number,
                )
        metadata = self._metadata(reader)
        horizon = metadata.horizon
        if horizon is not None and min(moments, default=horizon.retained) < horizon.retained:
            raise StateError(
                f"t {min(moments)} is before {horizon.retained}; older history was pruned",
                where="online store",
                fix="for earlier times, compute from the published tables: `feature_service`",
            )
        if not self._limits:
            return metadata.snapshots, dict.fromkeys(moments, ())
        stale = {at: staleness.stale_views(self._limits, metadata.as_of, at) for at in set(moments)}
        return metadata.snapshots, stale

    def _frontier(self, reader: Reader) -> Mapping[str, int]:
        return self._metadata(reader).snapshots

    def _metadata(self, reader: Reader) -> store_metadata.StoreMetadata:
        """Return the store's metadata; parse them only if they have changed."""
        raw = store_metadata.raw_metadata(reader, self.tables)
        local = self._local
        if getattr(local, "raw", None) != raw:
            local.metadata = store_metadata.parsed_metadata(self.layout, self.tables, raw)
            local.raw = raw
        metadata: store_metadata.StoreMetadata = local.metadata
        return metadata

    def _transformed(
        self, rows: list[dict[str, Cell]], moments: list[int], vectors: list[dict[str, Cell]]
    ) -> list[dict[str, Cell]]:
        """Add the row transforms to the stored features, and order the outputs like the views."""
        inputs = [
            {**row, "t": t, **vector} for row, t, vector in zip(rows, moments, vectors, strict=True)
        ]
        for view in self._transforms:
            columns = [
                pa.array([row[name] for row in inputs], self.types[name]) for name in view.inputs
            ]
            column = transforms.apply(view, columns)
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.int64())
            for row, value in zip(inputs, column.to_pylist(), strict=True):
                row[view.name] = value
        return [{name: row[name] for name in self._outputs} for row in inputs]
