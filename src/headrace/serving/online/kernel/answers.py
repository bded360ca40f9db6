"""Answers for entities, from what a reader finds: by the compiled kernel, or in plain Python."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import Any, Protocol, TypeAlias

import numpy as np

from headrace.features.kernel.arrays import FURTHEST, Ints
from headrace.serving.online.kernel import exact_rounding
from headrace.serving.online.layout import MEAN_OP, OP, Call
from headrace.serving.online.stores.port import Reader

Row: TypeAlias = Sequence[Any]


class Answerer(Protocol):
    """Values of a call's results for each entity at its moment, as words or floats.

    `entities` are their bytes, `moments` microseconds UTC. A value is None where it is null.
    """

    def __call__(
        self, reader: Reader, call: Call, entities: Sequence[bytes], moments: Sequence[int]
    ) -> list[Row]: ...


_NO_WORDS = np.frombuffer(b"", np.int64), np.zeros(1, dtype=np.int64)
_NONE_READ = np.zeros(0, dtype=np.bool_)
_KEPT = 4096  # patterns of states


class Compiled:
    """By numba. Looks twice at the store: for the roots, and for the leaves that directories name.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        from headrace.serving.online.kernel import compiled

        self._answer, self._needed = compiled.answer, compiled.needed
        self._nothing, self._done, self._exact = compiled.NOTHING, compiled.DONE, compiled.EXACT
        self._parts = compiled.PARTS

    def __call__(
        self, reader: Reader, call: Call, entities: Sequence[bytes], moments: Sequence[int]
    ) -> list[Row]:
        roots = [call.root + entity for entity in entities]
        at, read, named = np.array(moments, dtype=np.int64), _NONE_READ, _NO_WORDS
        data, sizes = reader.get_joined(roots)
        words = as_words(data, sizes)
        if has_directory(data, sizes):
            read, owners, starts = self._needed(*words, call.program, at)
            named = as_words(*reader.get_joined(leaf_keys(roots, owners, starts)))
        shape = len(entities), len(call.results)
        state, numbers = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.int64)
        reals, parts = np.zeros(shape), np.empty((*shape, self._parts), dtype=np.int64)
        self._answer(*words, *named, read, call.program, at, state, numbers, reals, parts)
        return self._rows(call, state, numbers, reals, parts)

    def _rows(self, call: Call, state: Any, numbers: Ints, reals: Any, parts: Ints) -> list[Row]:  # noqa: ANN401
        size, states, tail = len(call.results), state.tobytes(), [*call.empty, None]
        found: list[Row] = []
        for i, (whole, real) in enumerate(zip(numbers.tolist(), reals.tolist(), strict=True)):
            pattern = states[i * size : i * size + size]
            if self._exact in pattern:
                for f in np.flatnonzero(state[i] == self._exact).tolist():
                    real[f] = rounded(call, f, parts[i, f].tolist())
            found.append(self._picker(call, pattern)(whole + real + tail))
        return found

    def _picker(self, call: Call, pattern: bytes) -> Callable[[Row], Row]:
        """What takes a row out of its integers, its floats, the defaults, and None."""
        found = call.pickers.get(pattern)
        if found is None:
            if len(call.pickers) >= _KEPT:
                call.pickers.clear()
            found = call.pickers[pattern] = self._made(call, pattern)
        return found

    def _made(self, call: Call, pattern: bytes) -> Callable[[Row], Row]:
        size = len(pattern)
        places = []
        for f, (done, real) in enumerate(zip(pattern, call.real, strict=True)):
            if done == self._nothing:
                places.append(2 * size + f)
            elif done in {self._done, self._exact}:
                places.append(size + f if real else f)
            else:  # a null that was found stays null, whatever the default
                places.append(3 * size)
        if size == 1:
            return lambda row: (row[places[0]],)
        return itemgetter(*places)


def as_words(data: bytes, sizes: Sequence[int]) -> tuple[Ints, Ints]:
    """Blobs that follow one another as words, and where each begins and the last one ends."""
    # For one entity, which is the usual case, numpy takes longer to add up.
    edges = [0, *accumulate([size >> 3 for size in sizes])]
    return np.frombuffer(data, np.int64), np.array(edges, dtype=np.int64)


def has_directory(data: bytes, sizes: Sequence[int]) -> bool:
    """See `chunks.is_directory`; most batches of few entities have none."""
    end = 0
    for size in sizes:
        if size and data[end + 7] >= 0x80:
            return True
        end += size
    return False


def leaf_keys(roots: Sequence[bytes], owners: Ints, starts: Ints) -> list[bytes]:
    """Keys of the leaves that start there, of these roots; as `chunks.leaf_key`."""
    return [
        b"l" + roots[owner][1:] + (start + FURTHEST).to_bytes(8, "big")
        for owner, start in zip(owners.tolist(), starts.tolist(), strict=True)
    ]


def rounded(call: Call, place: int, parts: Sequence[int]) -> float:
    """A mean or a deviation whose products leave int64, from its exact parts."""
    n, total, *squares = parts
    scale = call.results[place].scale or 0
    if call.program[place, OP] == MEAN_OP:
        return exact_rounding.mean(n, total, scale)
    return exact_rounding.std(n, total, squares, scale)
