"""In which order rows come in an epoch, and which of them a reader among several takes.

A function of (seed, epoch) alone, the same on every machine and with every version of numpy: parts
are shuffled, rows within each part, and the line of rows that this gives is cut into shards of
equal length, to a row. A shard reads its parts in chunks of at least `buffer` rows, and shuffles
each chunk once more. No row is lost or doubled; at most a chunk is in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]
_PARTS, _ROWS, _CHUNK = range(3)


@dataclass(frozen=True)
class Segment:
    """The rows `start` to `stop` of a part, in the order that `Order.within` gives them."""

    part: int
    start: int
    stop: int


@dataclass(frozen=True)
class Order:
    """`sizes` are the rows of each part; `buffer` the rows that are shuffled together, at least."""

    sizes: tuple[int, ...]
    seed: int = 0
    shuffle: bool = True
    buffer: int = 262_144

    @property
    def rows(self) -> int:
        return sum(self.sizes)

    def share(self, shard: int, shards: int) -> tuple[int, int]:
        """From which to which place of the epoch's line a shard reads."""
        return shard * self.rows // shards, (shard + 1) * self.rows // shards

    def chunks(self, epoch: int, shard: int, shards: int) -> list[tuple[Segment, ...]]:
        """What a shard reads in an epoch, chunk by chunk."""
        first, end = self.share(shard, shards)
        found: list[list[Segment]] = []
        held, place = self.buffer, 0
        for part in self._parts(epoch):
            start, stop = max(first - place, 0), min(end - place, self.sizes[part])
            place += self.sizes[part]
            if start >= stop:
                continue
            if held >= self.buffer:
                found.append([])
                held = 0
            found[-1].append(Segment(part, start, stop))
            held += stop - start
        return [tuple(chunk) for chunk in found]

    def _parts(self, epoch: int) -> list[int]:
        if not self.shuffle:
            return list(range(len(self.sizes)))
        found: list[int] = self._shuffled(len(self.sizes), _PARTS, epoch).tolist()
        return found

    def within(self, epoch: int, segment: Segment) -> Places:
        """Places of a segment's rows in its part."""
        if not self.shuffle:
            return np.arange(segment.start, segment.stop)
        whole = self._shuffled(self.sizes[segment.part], _ROWS, epoch, segment.part)
        return whole[segment.start : segment.stop]

    def mixed(self, rows: int, epoch: int, shard: int, chunk: int) -> Places:
        """The order of a chunk's `rows`."""
        if not self.shuffle:
            return np.arange(rows)
        return self._shuffled(rows, _CHUNK, epoch, shard, chunk)

    def _shuffled(self, rows: int, *of: int) -> Places:
        # The raw stream is what numpy keeps the same for ever; its shuffles are not.
        words = np.random.PCG64(np.random.SeedSequence([self.seed, *of])).random_raw(rows)
        return np.argsort(words, kind="stable")


def total(chunks: Sequence[tuple[Segment, ...]]) -> int:
    """Rows of some chunks."""
    return sum(segment.stop - segment.start for chunk in chunks for segment in chunk)
