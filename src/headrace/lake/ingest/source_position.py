"""Deliveries of a source: all of them, or only new ones if the source can resume."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.core.files import write_atomically
from headrace.core.home import Home
from headrace.lake.ingest.landing import landed_delivery
from headrace.lake.ledger.ledger import Ledger
from headrace.sources.base import Delivery, Resuming, Source


def deliveries_of(source: Source | Resuming, slot: str, home: Home, table: str) -> list[Delivery]:
    """Return the deliveries of a partition; from a resuming source, only those new to `table`.

    Raises:
        SourceError: the source could not be read.
    """
    if not isinstance(source, Resuming):
        return source.deliveries(slot)
    with Ledger(home) as ledger:
        return source.resume(slot, SourceHistory(ledger, home, table, source.name))


@dataclass(frozen=True)
class SourceHistory:
    """Earlier deliveries of one source to one table; the source continues after them."""

    ledger: Ledger
    home: Home
    table: str
    source: str

    def position(self, lane: str = "") -> str:
        return self.ledger.position(self.table, self.source, lane)

    def deliveries(self, lane: str = "") -> Iterator[tuple[str, bytes]]:
        batches = self.ledger.batches(self.table)
        for position, batch_id in self.ledger.chain(self.table, self.source, lane):
            yield position, landed_delivery(self.home, batches[batch_id]).payload

    def positions(self) -> dict[str, str]:
        return self.ledger.positions(self.table, self.source)

    def is_published(self, lane: str = "") -> bool:
        chain = self.ledger.chain(self.table, self.source, lane)
        return bool(chain) and self.ledger.batches(self.table)[chain[0][1]].state == "published"

    @property
    def hint(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except OSError:
            return ""

    def remember(self, hint: str) -> None:
        write_atomically(self._path, hint.encode())

    @property
    def _path(self) -> Path:
        return self.home.sources / f"{self.table}.{self.source}.json"
