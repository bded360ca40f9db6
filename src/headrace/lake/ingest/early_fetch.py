"""Fetch of partitions from a source ahead of their validation."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from headrace.core.errors import SourceError
from headrace.core.home import Home
from headrace.lake.ingest.landing import land
from headrace.lake.ingest.source_position import deliveries_of
from headrace.sources.base import Delivery, IncompleteError, Source

# Number of partitions that are fetched ahead, so that validation does not wait for the network.
AHEAD = 24


@dataclass(frozen=True)
class Landed:
    """Delivery whose bytes are stored under `raw_path`."""

    delivery: Delivery
    raw_path: str


@dataclass(frozen=True)
class Fetched:
    """Deliveries of one partition, and the error if some or all of them could not be read."""

    slot: str
    landed: tuple[Landed, ...] = ()
    error: SourceError | None = None


def fetch_slots(source: Source, slots: Sequence[str], home: Home, table: str) -> Iterator[Fetched]:
    """Yield the fetched partitions in order.

    A single thread reads the source, so a source need not be thread-safe.
    """
    waiting: deque[Future[Fetched]] = deque()
    remaining = iter(slots)
    with ThreadPoolExecutor(1, thread_name_prefix="headrace-fetch") as worker:

        def start_next() -> None:
            for slot in remaining:
                waiting.append(worker.submit(_fetch, source, slot, home, table))
                return

        for _ in range(AHEAD):
            start_next()
        try:
            while waiting:
                fetched = waiting.popleft().result()
                start_next()
                yield fetched
        finally:
            for future in waiting:
                future.cancel()


def _fetch(source: Source, slot: str, home: Home, table: str) -> Fetched:
    try:
        deliveries = deliveries_of(source, slot, home, table)
    except IncompleteError as error:
        return Fetched(slot, _landed(error.deliveries, home), error)
    except SourceError as error:
        return Fetched(slot, error=error)
    except Exception as error:  # noqa: BLE001 - a crash at one slot must not stop the others
        crash = SourceError(
            f"source {source.name} crashed: {type(error).__name__}: {error}",
            where=f"slot {slot}",
            fix="correct the source's code; for an expected error, it must raise SourceError",
        )
        return Fetched(slot, error=crash)
    return Fetched(slot, _landed(deliveries, home))


def _landed(deliveries: Sequence[Delivery], home: Home) -> tuple[Landed, ...]:
    """Store the delivered bytes; the ledger records them later, so each ledger row has a file."""
    return tuple(Landed(delivery, land(home, delivery)) for delivery in deliveries)
