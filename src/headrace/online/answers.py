"""Answers for one entity, from what a reader finds: by the compiled kernel, or in plain Python."""

import struct
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from headrace.features.arrays import Ints
from headrace.online import chunks, exact
from headrace.online.layout import MEAN_OP, OP, Call
from headrace.online.port import Reader


class Answerer(Protocol):
    """Values of a call's results for one entity at t, as words or floats; None where null."""

    def __call__(self, reader: Reader, call: Call, entity: Sequence[int], t: int) -> list[Any]: ...


def entity_bytes(words: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(words)}q", *words)


_NO_LINES = np.zeros((chunks.TILE, 0), dtype=np.int64)
_NONE_READ = np.zeros(0, dtype=np.bool_)


class Compiled:
    """By numba. Reads one leaf, or a directory and the leaves that the question needs.

    One instance serves one thread at a time: answers are written to arrays it keeps.
    """

    def __init__(self) -> None:
        from headrace.online import compiled

        self._answer, self._needed = compiled.answer, compiled.needed
        self._parts = compiled.PARTS
        self._rooms: dict[int, tuple[Any, Any, Any]] = {}

    def __call__(self, reader: Reader, call: Call, entity: Sequence[int], t: int) -> list[Any]:
        root = chunks.root_key(call.join, entity_bytes(entity))
        blob = reader.get(root)
        if blob is None:
            return nothing(call)
        lines, read = _NO_LINES, _NONE_READ
        if chunks.is_directory(blob):
            lines = chunks.read_directory(blob)
            read = self._needed(lines, call.program, t)
            records = gathered(reader, call, root, lines, read)
        else:
            records = chunks.read_leaf(blob)
        numbers, reals, parts = self._room(call)
        state = self._answer(
            records, records.view(np.float64), lines, lines.view(np.float64), read,
            call.program, t, numbers, reals, parts,
        )  # fmt: skip
        return finished(call, state.tolist(), numbers.tolist(), reals.tolist(), parts)

    def _room(self, call: Call) -> tuple[Any, Any, Any]:
        size = len(call.results)
        if size not in self._rooms:
            self._rooms[size] = (
                np.zeros(size, dtype=np.int64),
                np.zeros(size, dtype=np.float64),
                np.zeros((size, self._parts), dtype=np.int64),
            )
        return self._rooms[size]


def nothing(call: Call) -> list[Any]:
    """The answers for an entity without history."""
    return list(call.empty)


def gathered(reader: Reader, call: Call, root: bytes, lines: Ints, read: Any) -> Ints:  # noqa: ANN401
    """The records of the leaves that are read, in event order."""
    keys = [chunks.leaf_key(root, start) for start in lines[chunks.START, read].tolist()]
    leaves = [chunks.read_leaf(blob) for blob in reader.get_many(keys) if blob is not None]
    if not leaves:
        return np.zeros((0, call.join.key_from + 1), dtype=np.int64)
    if len(leaves) == 1:
        return leaves[0]
    width = min(leaf.shape[1] for leaf in leaves)  # keys have done their work in ordering
    return np.vstack([leaf[:, :width] for leaf in leaves])


def finished(
    call: Call, state: list[int], numbers: list[int], reals: list[float], parts: Ints
) -> list[Any]:
    found: list[Any] = []
    for f, (done, real) in enumerate(zip(state, call.real, strict=True)):
        if done == 1:
            found.append(reals[f] if real else numbers[f])
        elif done != 2:  # a null that was found stays null, whatever the default
            found.append(call.empty[f] if done == 0 else None)
        else:
            n, total, *squares = parts[f].tolist()
            scale = call.results[f].scale or 0
            is_mean = call.program[f, OP] == MEAN_OP
            found.append(
                exact.mean(n, total, scale) if is_mean else exact.std(n, total, squares, scale)
            )
    return found
