"""Sum of the row digests: with `hashlib`, or in machine code if numba is installed.

Both give the same sum. Machine code is used if there are enough rows to justify loading it.
"""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.datasets.hashing.cell_encoding import Cells, Schema, Words, cells

# Compiled code is used for tables of at least MIN_ROWS rows, once numba is loaded or this process
# has hashed WORTH_IT rows, because loading numba takes half a second.
WORTH_IT, MIN_ROWS = 250_000, 4_096
_MOST_THREADS = 8
# Limits of the segments that a thread encodes at a time, in bytes and rows.
_SEGMENT_BYTES, _LEAST_ROWS, _MOST_ROWS = 32 << 20, 1 << 13, 1 << 18
# Row bytes assembled at a time, small enough for the processor's cache.
_BLOCK_BYTES = 256 << 10

_rows_seen = 0

Limbs = npt.NDArray[np.uint64]


def sum_of_digests(table: pa.Table, schema: Schema, *, compiled: bool | None = None) -> int:
    """Sum of all row digests, before modulo 2^256; `compiled` overrides the automatic choice."""
    if compiled is None:
        compiled = _pays(table.num_rows)
    # For messages as short as rows, hashlib holds the GIL, so threads would gain nothing.
    threads = min(_MOST_THREADS, pa.cpu_count()) if compiled else 1
    width = 9 * len(schema) + 9
    share = -(-table.num_rows // threads)
    rows = max(_LEAST_ROWS, min(_MOST_ROWS, share, _SEGMENT_BYTES // width))
    segments = [table.slice(start, rows) for start in range(0, table.num_rows, rows)]
    segment_sum = _compiled(schema) if compiled else _by_hashlib(schema)
    if len(segments) <= 1 or threads <= 1:
        return sum(map(segment_sum, segments))
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(segment_sum, segments))


def _pays(rows: int) -> bool:
    """True if compiled code pays off for `rows` more rows, given the rows hashed so far."""
    global _rows_seen  # noqa: PLW0603 - affects the speed only, not the result
    _rows_seen += rows
    return rows >= MIN_ROWS and (_rows_seen >= WORTH_IT or "numba" in sys.modules) and _has_numba()


def _has_numba() -> bool:
    return find_spec("numba") is not None


def _compiled(schema: Schema) -> Callable[[pa.Table], int]:
    from headrace.datasets.hashing import compiled_blake2b as compiled

    def digests(texts: pa.Array) -> Words:
        _, offsets, data = texts.buffers()
        ends = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
        text_bytes = np.frombuffer(data or b"", dtype=np.uint8)
        words: Words = compiled.digests(text_bytes, ends).view(np.int64)
        return words

    def segment_sum(segment: pa.Table) -> int:
        segment_cells = cells(segment, schema, digests)
        return _total(
            compiled.sum_of_rows(segment_cells.tags, segment_cells.words, segment_cells.wide)
        )

    return segment_sum


def _by_hashlib(schema: Schema) -> Callable[[pa.Table], int]:
    def digests(texts: pa.Array) -> Words:
        return np.frombuffer(_digests(texts.to_pylist(), 16), dtype="<i8").reshape(-1, 2).copy()

    return lambda segment: _sum_of_rows(cells(segment, schema, digests))


def _sum_of_rows(encoded: Cells) -> int:
    """Assemble rows as bytes, a block at a time, hash each row and add up the digests."""
    rows = int(encoded.tags.shape[1])
    layout: list[tuple[str, str]] = []
    for n, wide in enumerate(encoded.wide):
        layout += [(f"tag{n}", "u1"), *((f"word{len(layout)}.{k}", "<i8") for k in range(1 + wide))]
    width = np.dtype(layout).itemsize
    if not width:
        return rows * int.from_bytes(blake2b(b"", digest_size=32).digest(), "little")
    many = max(1, _BLOCK_BYTES // width)
    block: npt.NDArray[np.void] = np.empty(min(many, rows), dtype=layout)
    tags = [block[name] for name in block.dtype.names or () if name.startswith("tag")]
    words = [block[name] for name in block.dtype.names or () if name.startswith("word")]
    limbs = np.zeros(8, dtype=np.uint64)
    for start in range(0, rows, many):
        count = min(many, rows - start)
        for part, columns in ((tags, encoded.tags), (words, encoded.words)):
            for field, values in zip(part, columns, strict=True):
                field[:count] = values[start : start + count]
        digests = _digests(block[:count].view(f"V{width}").tolist(), 32)
        limbs += np.frombuffer(digests, dtype="<u4").reshape(-1, 8).sum(axis=0, dtype=np.uint64)
    return _total(limbs)


def _digests(messages: list[bytes], size: int) -> bytes:
    """Concatenated digests of the messages. Copying an empty hash is faster than making one."""
    begin = blake2b(digest_size=size).copy
    digests = []
    for message in messages:
        hasher = begin()
        hasher.update(message)
        digests.append(hasher.digest())
    return b"".join(digests)


def _total(limbs: Limbs) -> int:
    """Number that eight limbs of 32 bits represent; their sums stay far below 2^64."""
    return sum(int(limb) << (32 * n) for n, limb in enumerate(limbs))
