"""Order of the rows in an epoch, and their distribution over several readers.

The order depends only on (seed, epoch): it is the same on all machines and numpy versions. Parts
are shuffled, then the rows within each part; the resulting sequence of rows is cut into shards
whose lengths differ by at most one row. A shard reads its parts in chunks of at least `buffer` rows
and shuffles each chunk once more. Each row occurs exactly once; one chunk is in memory at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]
_PARTS, _ROWS, _CHUNK = range(3)


@dataclass(frozen=True)
class PartSegment:
    """The rows `start` to `stop` of a part, in the order that `Order.within` gives them."""

    part: int
    start: int
    stop: int


@dataclass(frozen=True)
class Order:
    """Order of rows; `sizes` are the row counts of parts, `buffer` the minimum rows of a chunk."""

    sizes: tuple[int, ...]
    seed: int = 0
    shuffle: bool = True
    buffer: int = 262_144

    @property
    def rows(self) -> int:
        return sum(self.sizes)

    def share(self, shard: int, shards: int) -> tuple[int, int]:
        """Start and end of a shard in the sequence of rows of an epoch."""
        return shard * self.rows // shards, (shard + 1) * self.rows // shards

    def chunks(self, epoch: int, shard: int, shards: int) -> list[tuple[PartSegment, ...]]:
        """Segments that a shard reads in an epoch, chunk by chunk."""
        first, end = self.share(shard, shards)
        chunks: list[list[PartSegment]] = []
        chunk_rows, place = self.buffer, 0
        for part in self._parts(epoch):
            start, stop = max(first - place, 0), min(end - place, self.sizes[part])
            place += self.sizes[part]
            if start >= stop:
                continue
            if chunk_rows >= self.buffer:
                chunks.append([])
                chunk_rows = 0
            chunks[-1].append(PartSegment(part, start, stop))
            chunk_rows += stop - start
        return [tuple(chunk) for chunk in chunks]

    def _parts(self, epoch: int) -> list[int]:
        if not self.shuffle:
            return list(range(len(self.sizes)))
        order: list[int] = self._shuffled(len(self.sizes), _PARTS, epoch).tolist()
        return order

    def within(self, epoch: int, segment: PartSegment) -> Places:
        """Row numbers of a segment in its part, in the order of the epoch."""
        if not self.shuffle:
            return np.arange(segment.start, segment.stop)
        part_order = self._shuffled(self.sizes[segment.part], _ROWS, epoch, segment.part)
        return part_order[segment.start : segment.stop]

    def mixed(self, rows: int, epoch: int, shard: int, chunk: int) -> Places:
        """Permutation of the `rows` rows of a chunk."""
        if not self.shuffle:
            return np.arange(rows)
        return self._shuffled(rows, _CHUNK, epoch, shard, chunk)

    def _shuffled(self, rows: int, *of: int) -> Places:
        # Numpy guarantees a stable raw stream, but not stable shuffles.
        words = np.random.PCG64(np.random.SeedSequence([self.seed, *of])).random_raw(rows)
        return np.argsort(words, kind="stable")


def total(chunks: Sequence[tuple[PartSegment, ...]]) -> int:
    """Number of rows in `chunks`."""
    return sum(segment.stop - segment.start for chunk in chunks for segment in chunk)
