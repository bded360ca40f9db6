"""Batches of arrays in an order that can be taken up again, by one reader or by several."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from headrace.datasets.loaders.arrays import Array, Encoder
from headrace.datasets.loaders.row_order import Order, Places, Segment, total
from headrace.datasets.loaders.scan import Scan
from headrace.datasets.manifest import Part

Arrays = dict[str, Array]


@dataclass(frozen=True)
class At:
    """Where a shard stands in an epoch: `row` rows of chunk `chunk` are behind it."""

    chunk: int = 0
    row: int = 0


@dataclass(frozen=True)
class Stream:
    """The rows of `scan` in batches of `batch`; the last one of a shard is shorter.

    With `drop_last` it is left out. All shards then give as many batches, unless there is a
    condition on rows.
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

    def most(self, shard: int, shards: int) -> int:
        """Batches of a shard in an epoch; with a condition on rows, no more than that."""
        first, end = self.order.share(shard, shards)
        if self.drop_last:
            return self.order.rows // shards // self.batch
        return -(-(end - first) // self.batch)

    def batches(
        self, epoch: int, shard: int = 0, shards: int = 1, at: At | None = None
    ) -> Iterator[tuple[At, Arrays]]:
        """Each batch, and where the shard stands behind it: give that as `at` to go on there."""
        chunks = self.order.chunks(epoch, shard, shards)
        start = at or At()
        left = self.most(shard, shards) - self._behind(chunks, start)
        carried: list[Arrays] = []
        for number in range(start.chunk, len(chunks)):
            if left <= 0:
                return
            rows, mixed = self._chunk(epoch, shard, number, chunks[number])
            place = start.row if number == start.chunk else 0
            while place < len(mixed) and left > 0:
                stop = min(place + self.batch - sum(map(_length, carried)), len(mixed))
                carried.append({name: one[mixed[place:stop]] for name, one in rows.items()})
                place = stop
                if sum(map(_length, carried)) == self.batch:
                    yield At(number, place), _joined(carried)
                    carried = []
                    left -= 1
        if carried and not self.drop_last:
            yield At(len(chunks)), _joined(carried)

    def _behind(self, chunks: list[tuple[Segment, ...]], at: At) -> int:
        """Batches given before `at`; with a condition, no fewer are left than it leaves."""
        return (total(chunks[: at.chunk]) + at.row) // self.batch

    def _chunk(
        self, epoch: int, shard: int, number: int, chunk: tuple[Segment, ...]
    ) -> tuple[Arrays, Places]:
        """The rows of a chunk as they lie in their parts, and the order to take them in."""
        found, order, rows = [], [], 0
        for segment in chunk:
            table, kept = self.scan.part(self.parts[segment.part])
            places = self.order.within(epoch, segment)
            if kept is not None:
                # From places in the part to places among the rows that are kept of it.
                among = np.full(self.order.sizes[segment.part], -1)
                among[kept] = np.arange(len(kept))
                places = among[places]
                places = places[places >= 0]
            if len(places) < table.num_rows:
                table, places = table.take(places), np.arange(len(places))
            found.append(self.encoder.encode(table))
            order.append(places + rows)
            rows += len(places)
        mixed = self.order.mixed(rows, epoch, shard, number)
        return _joined(found), np.concatenate(order)[mixed]


def _length(arrays: Arrays) -> int:
    return len(next(iter(arrays.values())))


def _joined(found: list[Arrays]) -> Arrays:
    if len(found) == 1:
        return found[0]
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}
