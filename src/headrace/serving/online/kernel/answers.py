"""Features of entities, computed from stored records by the compiled kernel."""

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
    """Function that computes a call's results for each entity at its prediction time.

    `entities` are encoded entity keys; `moments` are prediction times in microseconds UTC. Results
    are words (int), floats, or None for null.
    """

    def __call__(
        self, reader: Reader, call: Call, entities: Sequence[bytes], moments: Sequence[int]
    ) -> list[Row]: ...


_NO_WORDS = np.frombuffer(b"", np.int64), np.zeros(1, dtype=np.int64)
_NONE_READ = np.zeros(0, dtype=np.bool_)
_MAX_PICKERS = 4096  # maximum number of cached pickers, one for each pattern of states


class Compiled:
    """Answerer with the numba kernel; safe to use from several threads.

    It reads the store at most twice: first the roots, then the leaves that the directories list.
    """

    def __init__(self) -> None:
        from headrace.serving.online.kernel import compiled

        self._answer, self._needed = compiled.answer, compiled.needed
        self._default, self._computed, self._exact = (
            compiled.DEFAULT,
            compiled.COMPUTED,
            compiled.EXACT,
        )
        self._parts = compiled.PARTS

    def __call__(
        self, reader: Reader, call: Call, entities: Sequence[bytes], moments: Sequence[int]
    ) -> list[Row]:
        roots = [call.root + entity for entity in entities]
        at, read, leaves = np.array(moments, dtype=np.int64), _NONE_READ, _NO_WORDS
        data, sizes = reader.get_joined(roots)
        words = as_words(data, sizes)
        if has_directory(data, sizes):
            read, owners, starts = self._needed(*words, call.program, at)
            leaves = as_words(*reader.get_joined(leaf_keys(roots, owners, starts)))
        shape = len(entities), len(call.results)
        state, numbers = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.int64)
        reals, parts = np.zeros(shape), np.empty((*shape, self._parts), dtype=np.int64)
        self._answer(*words, *leaves, read, call.program, at, state, numbers, reals, parts)
        return self._rows(call, state, numbers, reals, parts)

    def _rows(self, call: Call, state: Any, numbers: Ints, reals: Any, parts: Ints) -> list[Row]:  # noqa: ANN401
        size, states, tail = len(call.results), state.tobytes(), [*call.empty, None]
        rows: list[Row] = []
        for i, (integers, real) in enumerate(zip(numbers.tolist(), reals.tolist(), strict=True)):
            pattern = states[i * size : i * size + size]
            if self._exact in pattern:
                for f in np.flatnonzero(state[i] == self._exact).tolist():
                    real[f] = rounded(call, f, parts[i, f].tolist())
            rows.append(self._picker(call, pattern)(integers + real + tail))
        return rows

    def _picker(self, call: Call, pattern: bytes) -> Callable[[Row], Row]:
        """Return a cached function that assembles a result row for a pattern of states.

        The function picks from the concatenated integers, floats, defaults and None.
        """
        picker = call.pickers.get(pattern)
        if picker is None:
            if len(call.pickers) >= _MAX_PICKERS:
                call.pickers.clear()
            picker = call.pickers[pattern] = self._make_picker(call, pattern)
        return picker

    def _make_picker(self, call: Call, pattern: bytes) -> Callable[[Row], Row]:
        size = len(pattern)
        places = []
        for f, (state, real) in enumerate(zip(pattern, call.real, strict=True)):
            if state == self._default:
                places.append(2 * size + f)
            elif state in {self._computed, self._exact}:
                places.append(size + f if real else f)
            else:  # a stored null stays null, even if there is a default
                places.append(3 * size)
        if size == 1:
            return lambda row: (row[places[0]],)
        return itemgetter(*places)


def as_words(data: bytes, sizes: Sequence[int]) -> tuple[Ints, Ints]:
    """Return concatenated blobs as words, and int64[blobs + 1] with the bounds of the blobs."""
    # Python's `accumulate` is faster than numpy for a single entity, the usual case.
    edges = [0, *accumulate([size >> 3 for size in sizes])]
    return np.frombuffer(data, np.int64), np.array(edges, dtype=np.int64)


def has_directory(data: bytes, sizes: Sequence[int]) -> bool:
    """Return True if any blob is a directory."""
    end = 0
    for size in sizes:
        if size and data[end + 7] >= 0x80:
            return True
        end += size
    return False


def leaf_keys(roots: Sequence[bytes], owners: Ints, starts: Ints) -> list[bytes]:
    """Return the keys of leaves; the fast form of `entity_records.leaf_key`."""
    return [
        b"l" + roots[owner][1:] + (start + FURTHEST).to_bytes(8, "big")
        for owner, start in zip(owners.tolist(), starts.tolist(), strict=True)
    ]


def rounded(call: Call, place: int, parts: Sequence[int]) -> float:
    """Compute a mean or standard deviation from its exact parts, if its products exceed int64."""
    n, total, *squares = parts
    scale = call.results[place].scale or 0
    if call.program[place, OP] == MEAN_OP:
        return exact_rounding.mean(n, total, scale)
    return exact_rounding.std(n, total, squares, scale)
