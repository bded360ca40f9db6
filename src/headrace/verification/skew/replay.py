"""Replay through a feature service, which gets the history as it was published, and requests.

Each request is processed like a live request: it has values in their units, the request schema
converts them, and the vector has plain values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

import numpy as np
import pyarrow as pa

from headrace.contracts.model import Contract
from headrace.features.kernel.arrays import Ints, whole
from headrace.features.kernel.republication import SHOWN_BEFORE
from headrace.features.kernel.visibility import History
from headrace.features.spec import Mode, Spine, View, output_columns
from headrace.serving.vector_table import FeatureValues, as_columns
from headrace.serving.vectors import FeatureService
from headrace.verification.parity import published_order

PROVENANCE = (
    "event_time", "known_at", "committed_at", "_deleted", "_batch", "_line", SHOWN_BEFORE,
)  # fmt: skip


class ReplayedService(Protocol):
    """Interface of a feature service that the replay needs."""

    def vectors(
        self, requests: Sequence[tuple[Mapping[str, object], int]]
    ) -> Sequence[FeatureValues]: ...


@dataclass
class PublishedSoFar:
    """Tables as published until `until`; an implementation of `Published`.

    The snapshot id of a table is its number of published rows.
    """

    history: History
    contracts: Mapping[str, Contract]
    mode: Mode
    until: int = -(2**62)
    _read: dict[str, tuple[pa.Table, Ints]] = field(default_factory=dict)

    def ordered(self, table: str) -> tuple[pa.Table, Ints]:
        """Return all rows in the order of publication, and their times of publication."""
        if table not in self._read:
            columns = [column.name for column in self.contracts[table].fields]
            rows = self.history(table, columns)
            self._read[table] = published_order(rows, self.mode, f"table {table}")
        return self._read[table]

    def snapshot_id(self, table: str) -> int:
        return int(np.searchsorted(self.ordered(table)[1], self.until, side="right"))

    def rows(self, table: str, columns: list[str], snapshot_id: int) -> pa.Table:
        rows = self.ordered(table)[0]
        names = {*columns, *PROVENANCE}
        return rows.select([n for n in rows.column_names if n in names]).slice(0, snapshot_id)


@dataclass
class TablesPath:
    """Serving path for `parity`: a `FeatureService` over the tables as published so far."""

    spine: Spine
    views: tuple[View, ...]
    contracts: Mapping[str, Contract]
    history: History
    types: pa.Schema
    mode: Mode = "declared"
    published: PublishedSoFar = field(init=False)
    service: ReplayedService = field(init=False)

    def __post_init__(self) -> None:
        self.published = PublishedSoFar(self.history, self.contracts, self.mode)
        self.service = FeatureService(
            self.spine, self.views, self.contracts, self.published, self.mode
        )

    def publish(self, until: int) -> None:
        self.published.until = until

    def serve(self, points: pa.Table) -> pa.Table:
        requests = as_requests(points, self.contracts[self.spine.table])
        return as_columns(self.service.vectors(requests), self.types, output_columns(self.views))

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


def as_requests(points: pa.Table, contract: Contract) -> list[tuple[dict[str, object], int]]:
    """Convert spine rows to client requests (request, t): scaled integers become exact Decimals."""
    columns = {}
    for name in points.column_names:
        values = whole(points[name]).to_pylist()
        scale = None if name == "t" else contract.field(name).scale
        if scale is not None:
            values = [None if v is None else Decimal(v).scaleb(-scale) for v in values]
        columns[name] = values
    moments = columns.pop("t")
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return list(zip(rows, moments, strict=True))
