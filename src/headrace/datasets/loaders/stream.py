"""Batches of arrays in a resumable order, for one reader or several."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from headrace.datasets.loaders.arrays import Array, Encoder
from headrace.datasets.loaders.row_order import Order, PartSegment, Places, total
from headrace.datasets.loaders.scan import Scan
from headrace.datasets.manifest import Part

Arrays = dict[str, Array]


@dataclass(frozen=True)
class At:
    """Position of a shard in an epoch: it has read `row` rows of chunk `chunk`."""

    chunk: int = 0
    row: int = 0


@dataclass(frozen=True)
class RowStream:
    """The rows of `scan` in batches of `batch`; the last batch of a shard is shorter.

    With `drop_last` the last batch is dropped. All shards then yield the same number of batches,
    unless there is a condition on rows.
    """

    scan: Scan
    encoder: Encoder
    batch: int = 1024
    seed: int = 0
    shuffle: bool = True
    buffer: int = 262_144
    drop_last: bool = False

    @cached_property
    def parts(self) -> list[Part]:
        return self.scan.parts()

    @cached_property
    def order(self) -> Order:
        sizes = tuple(part.rows for part in self.parts)
        return Order(sizes, self.seed, self.shuffle, self.buffer)

    def max_batches(self, shard: int, shards: int) -> int:
        """Number of batches of a shard in an epoch; an upper bound if rows are filtered."""
        first, end = self.order.share(shard, shards)
        if self.drop_last:
            return self.order.rows // shards // self.batch
        return -(-(end - first) // self.batch)

    def batches(
        self, epoch: int, shard: int = 0, shards: int = 1, at: At | None = None
    ) -> Iterator[tuple[At, Arrays]]:
        """Yield (position, batch). To resume after a batch, pass its position as `at`."""
        chunks = self.order.chunks(epoch, shard, shards)
        start = at or At()
        remaining = self.max_batches(shard, shards) - self._behind(chunks, start)
        carried: list[Arrays] = []
        for number in range(start.chunk, len(chunks)):
            if remaining <= 0:
                return
            rows, mixed = self._chunk(epoch, shard, number, chunks[number])
            place = start.row if number == start.chunk else 0
            while place < len(mixed) and remaining > 0:
                stop = min(place + self.batch - sum(map(_length, carried)), len(mixed))
                carried.append({name: array[mixed[place:stop]] for name, array in rows.items()})
                place = stop
                if sum(map(_length, carried)) == self.batch:
                    yield At(number, place), _joined(carried)
                    carried = []
                    remaining -= 1
        if carried and not self.drop_last:
            yield At(len(chunks)), _joined(carried)

    def _behind(self, chunks: list[tuple[PartSegment, ...]], at: At) -> int:
        """Number of batches before `at`; an upper bound if rows are filtered."""
        return (total(chunks[: at.chunk]) + at.row) // self.batch

    def _chunk(
        self, epoch: int, shard: int, number: int, chunk: tuple[PartSegment, ...]
    ) -> tuple[Arrays, Places]:
        """Encoded rows of a chunk in part order, and the permutation that shuffles them."""
        encoded, order, rows = [], [], 0
        for segment in chunk:
            table, matching = self.scan.part(self.parts[segment.part])
            places = self.order.within(epoch, segment)
            if matching is not None:
                # Map places in the part to places among its matching rows.
                among = np.full(self.order.sizes[segment.part], -1)
                among[matching] = np.arange(len(matching))
                places = among[places]
                places = places[places >= 0]
            if len(places) < table.num_rows:
                table, places = table.take(places), np.arange(len(places))
            encoded.append(self.encoder.encode(table))
            order.append(places + rows)
            rows += len(places)
        mixed = self.order.mixed(rows, epoch, shard, number)
        return _joined(encoded), np.concatenate(order)[mixed]


def _length(arrays: Arrays) -> int:
    return len(next(iter(arrays.values())))


def _joined(pieces: list[Arrays]) -> Arrays:
    if len(pieces) == 1:
        return pieces[0]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
