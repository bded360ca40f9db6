"""Replay of a history through an online store: rows arrive in random order, some of them twice."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.contracts.model import Contract
from headrace.features.kernel.visibility import History
from headrace.features.spec import Mode, Spine, View, output_columns
from headrace.serving.online import LmdbStore, OnlineService, Store, apply
from headrace.serving.vector_table import as_columns
from headrace.verification.skew.replay import PROVENANCE, PublishedSoFar, as_requests

_REPEAT_SHARE = 0.02
_ROWS = 200_000


@dataclass
class StorePath:
    """Serving path for `parity`: an `OnlineService` over an LMDB store in a temporary folder."""

    spine: Spine
    views: tuple[View, ...]
    contracts: Mapping[str, Contract]
    history: History
    types: pa.Schema
    mode: Mode = "declared"
    published: PublishedSoFar = field(init=False)
    service: OnlineService = field(init=False)
    store: Store = field(init=False)
    _applied: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="headrace-replay-")
        self.store = LmdbStore(Path(self._folder.name), durable=False)
        self.published = PublishedSoFar(self.history, self.contracts, self.mode)
        self.service = OnlineService(self.spine, self.views, self.contracts, self.store, self.mode)
        self._chance = np.random.default_rng(0)

    def publish(self, until: int) -> None:
        self.published.until = until
        for table in self.service.tables:
            rows, _ = self.published.ordered(table)
            applied, upto = self._applied.get(table, 0), self.published.snapshot_id(table)
            fresh = np.arange(applied, upto)
            repeats = (
                self._chance.integers(0, applied, int(len(fresh) * _REPEAT_SHARE))
                if applied
                else fresh[:0]
            )
            order = self._chance.permutation(np.concatenate([fresh, repeats]))
            columns = [*self._columns(table), *PROVENANCE]
            part = rows.select([name for name in rows.column_names if name in columns])
            chunks = np.array_split(order, max(1, -(-len(order) // _ROWS)))
            for chunk in chunks:
                batch = part.take(pa.array(chunk, pa.int64()))
                frontier = {"snapshot_id": upto, "as_of": until}
                apply(self.store, self.service.layout, table, batch, frontier=frontier)
            self._applied[table] = upto

    def serve(self, points: pa.Table) -> pa.Table:
        requests = as_requests(points, self.contracts[self.spine.table])
        return as_columns(self.service.vectors(requests), self.types, output_columns(self.views))

    def close(self) -> None:
        self.store.close()
        self._folder.cleanup()

    def _columns(self, table: str) -> list[str]:
        return [column.name for column in self.contracts[table].fields]
