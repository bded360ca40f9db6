"""blake2b in machine code, eight messages at a time. Imported only if numba is installed.

The digests equal those of `hashlib`, which the tests check, but need no Python object for each
message. The code releases the GIL, so that threads run in parallel.
"""
# ruff: noqa: ANN401, C901  # the compiler's objects have no types; a call costs more than a branch

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

Ints = npt.NDArray[np.int64]
Longs = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]

_compiled: Any = njit(cache=True, nogil=True)

_LANES = 8
_BLOCK = 128  # bytes of a blake2b block
_START = np.array(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ],
    dtype=np.uint64,
)  # fmt: skip
_ORDER = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)
_ROUNDS = 12  # the last two rounds use the first two orders again
# Columns and diagonals of the four by four words of the state.
_QUARTERS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip
_ROTATIONS = (32, 24, 16, 63)  # to the right
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_NOT_LAST, _LAST = np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF)
_NO_KEY = np.uint64(0x01010000)  # fan-out 1 and depth 1; `_begin` adds the digest size


@intrinsic
def _compress(typing: Any, state: Any, message: Any, read: Any, last: Any) -> Any:
    """Compress one block into the state.

    `state` is (8, lanes), `message` (16, lanes); `read` and `last` have one word for each lane.
    The code uses explicit vectors, since the compiler does not vectorise the loop by itself.
    """
    del typing
    return types.void(state, message, read, last), _emit


def _emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    ir = cgutils.ir
    vector = ir.VectorType(ir.IntType(64), _LANES)

    def words(n: int) -> Any:
        array = context.make_array(signature.args[n])(context, builder, arguments[n])
        return builder.bitcast(array.data, vector.as_pointer())

    def word(start: Any, n: int) -> Any:
        return builder.gep(start, [ir.Constant(ir.IntType(64), n)])

    def load(start: Any, n: int) -> Any:
        return builder.load(word(start, n), align=8)

    def constant(value: int) -> Any:
        return ir.Constant(vector, [value] * _LANES)

    def turned(value: Any, bits: int) -> Any:
        down = builder.lshr(value, constant(bits))
        return builder.or_(down, builder.shl(value, constant(64 - bits)))

    state, message = words(0), words(1)
    h = [load(state, n) for n in range(8)]
    m = [load(message, n) for n in range(16)]
    v = h + [constant(int(value)) for value in _START]
    v[12] = builder.xor(v[12], load(words(2), 0))
    v[14] = builder.xor(v[14], load(words(3), 0))
    for turn in range(_ROUNDS):
        order = _ORDER[turn % len(_ORDER)]
        for n, (a, b, c, d) in enumerate(_QUARTERS):
            for half in (0, 1):
                v[a] = builder.add(builder.add(v[a], v[b]), m[order[2 * n + half]])
                v[d] = builder.xor(v[d], v[a])
                v[d] = turned(v[d], _ROTATIONS[2 * half])
                v[c] = builder.add(v[c], v[d])
                v[b] = builder.xor(v[b], v[c])
                v[b] = turned(v[b], _ROTATIONS[2 * half + 1])
    for n in range(8):
        mixed = builder.xor(h[n], builder.xor(v[n], v[n + 8]))
        builder.store(mixed, word(state, n), align=8)
    return context.get_dummy_value()


@_compiled
def _begin(state: Longs, size: int) -> None:
    for n in range(8):
        for lane in range(_LANES):
            state[n, lane] = _START[n]
    for lane in range(_LANES):
        state[0, lane] ^= _NO_KEY ^ np.uint64(size)


@_compiled
def sum_of_rows(tags: Bytes, words: Ints, wide: Bytes) -> Longs:
    """The sum of the row digests, as eight 32-bit limbs whose carries are not yet propagated.

    `tags` is (columns, rows). `words` is (words of a row, rows): a column has one word, or two if
    it is `wide`.
    """
    columns, rows = tags.shape
    width = columns + 8 * len(words)
    blocks = max(1, (width + _BLOCK - 1) // _BLOCK)
    bytes_ = np.zeros((_LANES, blocks * _BLOCK), dtype=np.uint8)
    longs = bytes_.view(np.uint64)
    message = np.empty((16, _LANES), dtype=np.uint64)
    state = np.empty((8, _LANES), dtype=np.uint64)
    read, final = np.empty(_LANES, dtype=np.uint64), np.empty(_LANES, dtype=np.uint64)
    limbs = np.zeros(8, dtype=np.uint64)
    for start in range(0, rows, _LANES):
        lanes = min(_LANES, rows - start)
        at, word = np.uint64(0), 0
        for column in range(columns):
            for lane in range(lanes):
                bytes_[lane, at] = tags[column, start + lane]
            at += np.uint64(1)
            for _ in range(1 + wide[column]):
                for lane in range(lanes):
                    value = np.uint64(words[word, start + lane])
                    for n in range(8):
                        byte = (value >> np.uint64(8 * n)) & np.uint64(255)
                        bytes_[lane, at + np.uint64(n)] = np.uint8(byte)
                at += np.uint64(8)
                word += 1
        _begin(state, 32)
        for block in range(blocks):
            ends = block == blocks - 1
            for lane in range(_LANES):
                read[lane] = width if ends else _BLOCK * (block + 1)
                final[lane] = _LAST if ends else _NOT_LAST
                for n in range(16):
                    message[n, lane] = longs[lane, 16 * block + n]
            _compress(state, message, read, final)
        for n in range(4):
            for lane in range(lanes):
                limbs[2 * n] += state[n, lane] & _LOW
                limbs[2 * n + 1] += state[n, lane] >> _HALF
    return limbs


@_compiled
def digests(data: Bytes, offsets: Ints) -> Longs:
    """Digests of texts as (texts, 2) words; text n is data[offsets[n]:offsets[n + 1]]."""
    digest_words = np.empty((len(offsets) - 1, 2), dtype=np.uint64)
    bytes_ = np.zeros((_LANES, _BLOCK), dtype=np.uint8)
    longs = bytes_.view(np.uint64)
    message = np.empty((16, _LANES), dtype=np.uint64)
    state = np.empty((8, _LANES), dtype=np.uint64)
    read, final = np.empty(_LANES, dtype=np.uint64), np.empty(_LANES, dtype=np.uint64)
    for start in range(0, len(digest_words), _LANES):
        lanes = min(_LANES, len(digest_words) - start)
        longest = 0
        for lane in range(lanes):
            longest = max(longest, offsets[start + lane + 1] - offsets[start + lane])
        _begin(state, 16)
        for block in range(max(1, (longest + _BLOCK - 1) // _BLOCK)):
            before = block * _BLOCK
            for lane in range(lanes):
                size = offsets[start + lane + 1] - offsets[start + lane]
                filled = min(_BLOCK, max(0, size - before))
                begin = offsets[start + lane] + before
                for n in range(filled):
                    bytes_[lane, n] = data[begin + n]
                for n in range(filled, _BLOCK):
                    bytes_[lane, n] = 0
                read[lane] = before + filled
                final[lane] = _LAST if before + filled == size else _NOT_LAST
            for lane in range(_LANES):
                for n in range(16):
                    message[n, lane] = longs[lane, n]
            _compress(state, message, read, final)
            for lane in range(lanes):
                # Only the last block of a text counts; later blocks of its lane are ignored.
                size = offsets[start + lane + 1] - offsets[start + lane]
                if before <= size <= before + _BLOCK and (size > before or not size):
                    digest_words[start + lane, 0] = state[0, lane]
                    digest_words[start + lane, 1] = state[1, lane]
    return digest_words
