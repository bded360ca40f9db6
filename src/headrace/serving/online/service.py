"""Vectors for requests, from an online store: the interface of `FeatureService`, and its bits."""

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
from headrace.serving.vectors import Declared, Vector, Vectors, plain_cells


@dataclass
class OnlineService(Declared):
    """Vectors of `views` for requests that are rows of `spine`; safe to use from several threads.

    Args:
        spine: what a request holds.
        views: what is answered.
        contracts: of every table that is used, by name.
        store: of the layout of these views, see `layout_of`.
        mode: as the store was filled.
        max_staleness: how old a view may be.

    Raises:
        DeclarationError: views, contracts and spine do not fit together.
    """

    spine: Spine
    views: tuple[View, ...]
    contracts: Mapping[str, Contract]
    store: Store
    mode: Mode
    max_staleness: tuple[Staleness, ...] = ()
    _own: threading.local = field(default_factory=threading.local, init=False, repr=False)

    def __post_init__(self) -> None:
        validate(self.views, self.contracts, self.spine)
        self._limits = staleness.limits(self.max_staleness, self.views)

    @cached_property
    def layout(self) -> Layout:
        return layout_of(self.views, self.contracts, self.mode)

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """The tables that the views read."""
        return tuple(sorted(self.layout.tables))

    @cached_property
    def types(self) -> dict[str, pa.DataType]:
        """Arrow types of the request's columns, of `t`, and of the features."""
        stored = {r.name: r.type for call in self.layout.calls for r in call.results}
        made = {v.name: transforms.output_type(v) for v in self._transforms}
        return self.schema.types | stored | made

    @cached_property
    def _transforms(self) -> tuple[RowTransform, ...]:
        return tuple(view for view in self.views if isinstance(view, RowTransform))

    @cached_property
    def _outputs(self) -> list[str]:
        return output_columns(self.views)

    @cached_property
    def _fields(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.schema.fields)

    def get(self, request: Mapping[str, object], at: int) -> dict[str, Cell]:
        """The features of one request as of `at`; timestamps as int microseconds UTC.

        Raises:
            RequestError: the request does not fit the spine, or `at` is absurd.
            StateError: nothing was applied yet, the store is of another layout, `at` is before
                what the store still knows.
            StaleError: a view is staler than it may be.
        """
        row = dict(zip(self._fields, self.schema.cells(request), strict=True))
        with self.store.reading() as reader:
            self._known(reader, (at,))
            found = values(reader, self.layout, self._answerer, [row], [at])
        return (self._transformed([row], [at], found) if self._transforms else found)[0]

    def vector(self, request: Mapping[str, object], at: int) -> Vector:
        """The features of one request as of `at`, microseconds UTC, with where they are from.

        Raises:
            RequestError: the request does not fit the spine, or `at` is absurd.
            StateError: nothing was applied yet, the store is of another layout, `at` is before
                what the store still knows.
            StaleError: a view is staler than it may be.
        """
        return self.vectors([(request, at)])[0]

    def vectors(self, requests: Sequence[tuple[Mapping[str, object], int]]) -> Vectors:
        """Like `vector` for many (request, at), all answered from the same state of the store."""
        schema, fields = self.schema, self._fields
        rows: list[dict[str, Cell]] = [
            dict(zip(fields, schema.cells(request, number), strict=True))
            for number, (request, _) in enumerate(requests)
        ]
        moments = [at for _, at in requests]
        with self.store.reading() as reader:
            known, stale = self._known(reader, moments)
            vectors = values(reader, self.layout, self._answerer, rows, moments)
        if self._transforms:
            vectors = self._transformed(rows, moments, vectors)

        def made(place: int) -> OnlineVector:
            at = moments[place]
            about = (self.types, schema.key, known, self.definition, stale[at])
            return OnlineVector(rows[place], at, vectors[place], *about)

        late = tuple(sorted({view for views in stale.values() for view in views}))
        keys = [tuple([row[name] for name in schema.key]) for row in rows]
        return Vectors([plain_cells(one) for one in vectors], keys, known, made, late)

    def frontier(self) -> dict[str, int]:
        """The snapshot of each table up to which the store is applied.

        Raises:
            StateError: a table was never applied.
        """
        with self.store.reading() as reader:
            return dict(self._frontier(reader))

    @cached_property
    def _answerer(self) -> Answerer:
        return best_answerer()

    def _known(
        self, reader: Reader, moments: Sequence[int]
    ) -> tuple[Mapping[str, int], dict[int, tuple[str, ...]]]:
        """Refuse what the store cannot answer; its frontier, and the stale views of each moment."""
        for number, at in enumerate(moments):
            if not -FURTHEST <= at <= FURTHEST:  # as training refuses: the kernel's sums would wrap
                raise RequestError(
                    f"t lies more than 146,000 years from 1970: {at}",
                    where="request",
                    fix="t is int microseconds since 1970 UTC; look for a wrong unit",
                    number=number,
                )
        about = self._about(reader)
        horizon = about.horizon
        if horizon is not None and min(moments, default=horizon.retained) < horizon.retained:
            raise StateError(
                f"{min(moments)} is before {horizon.retained}, from which on the store answers",
                where="online store",
                fix="ask the published tables for earlier moments: `feature_service`",
            )
        if not self._limits:
            return about.snapshots, dict.fromkeys(moments, ())
        stale = {at: staleness.stale_views(self._limits, about.as_of, at) for at in set(moments)}
        return about.snapshots, stale

    def _frontier(self, reader: Reader) -> Mapping[str, int]:
        return self._about(reader).snapshots

    def _about(self, reader: Reader) -> store_metadata.About:
        """What the store says of itself, read again only where it says another thing."""
        raw = store_metadata.raw_about(reader, self.tables)
        own = self._own
        if getattr(own, "raw", None) != raw:
            own.about = store_metadata.parsed_about(self.layout, self.tables, raw)
            own.raw = raw
        about: store_metadata.About = own.about
        return about

    def _transformed(
        self, rows: list[dict[str, Cell]], moments: list[int], found: list[dict[str, Cell]]
    ) -> list[dict[str, Cell]]:
        """The features with the row transforms among them, in the order of the views."""
        known = [{**row, "t": t, **one} for row, t, one in zip(rows, moments, found, strict=True)]
        for view in self._transforms:
            columns = [
                pa.array([one[name] for one in known], self.types[name]) for name in view.inputs
            ]
            made = transforms.apply(view, columns)
            if pa.types.is_timestamp(made.type):
                made = made.cast(pa.int64())
            for one, value in zip(known, made.to_pylist(), strict=True):
                one[view.name] = value
        return [{name: one[name] for name in self._outputs} for one in known]
