"""The sum of the row digests: by `hashlib` everywhere, in machine code where numba is installed.

Both give the same sum. Machine code is taken where there are rows enough to pay for loading it.
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

# Rows, of all tables of this process, after which it pays to load numba, which takes half a second;
# and rows of a table below which a call is not worth it.
WORTH_IT, LEAST = 250_000, 4_096
_MOST_THREADS = 8
# Rows whose cells are in memory at a time, for a thread: what fits, within these.
_SEGMENT_BYTES, _LEAST_ROWS, _MOST_ROWS = 32 << 20, 1 << 13, 1 << 18
# Row bytes assembled at a time: they stay in the processor's cache.
_BLOCK_BYTES = 256 << 10

_rows_seen = 0

Limbs = npt.NDArray[np.uint64]


def sum_of_digests(table: pa.Table, schema: Schema, *, compiled: bool | None = None) -> int:
    """The sum over all rows, not yet modulo 2^256. `compiled` overrules what would be taken."""
    if compiled is None:
        compiled = _pays(table.num_rows)
    # hashlib holds the interpreter's lock for messages as short as rows: threads gain nothing.
    threads = min(_MOST_THREADS, pa.cpu_count()) if compiled else 1
    width = 9 * len(schema) + 9
    share = -(-table.num_rows // threads)
    rows = max(_LEAST_ROWS, min(_MOST_ROWS, share, _SEGMENT_BYTES // width))
    segments = [table.slice(start, rows) for start in range(0, table.num_rows, rows)]
    one = _compiled(schema) if compiled else _by_hashlib(schema)
    if len(segments) <= 1 or threads <= 1:
        return sum(map(one, segments))
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(one, segments))


def _pays(rows: int) -> bool:
    """Parts of a release come one by one, so that rows are counted together."""
    global _rows_seen  # noqa: PLW0603 - a guess of what is to come, which changes no answer
    _rows_seen += rows
    return rows >= LEAST and (_rows_seen >= WORTH_IT or "numba" in sys.modules) and _has_numba()


def _has_numba() -> bool:
    return find_spec("numba") is not None


def _compiled(schema: Schema) -> Callable[[pa.Table], int]:
    from headrace.datasets.hashing import compiled_blake2b as compiled

    def digests(texts: pa.Array) -> Words:
        _, offsets, data = texts.buffers()
        ends = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
        held = np.frombuffer(data or b"", dtype=np.uint8)
        found: Words = compiled.digests(held, ends).view(np.int64)
        return found

    def one(segment: pa.Table) -> int:
        found = cells(segment, schema, digests)
        return _total(compiled.sum_of_rows(found.tags, found.words, found.wide))

    return one


def _by_hashlib(schema: Schema) -> Callable[[pa.Table], int]:
    def digests(texts: pa.Array) -> Words:
        return np.frombuffer(_digests(texts.to_pylist(), 16), dtype="<i8").reshape(-1, 2).copy()

    return lambda segment: _sum_of_rows(cells(segment, schema, digests))


def _sum_of_rows(found: Cells) -> int:
    """Rows are assembled as their bytes, a block at a time, and each is hashed."""
    rows = int(found.tags.shape[1])
    layout: list[tuple[str, str]] = []
    for n, wide in enumerate(found.wide):
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
        for part, given in ((tags, found.tags), (words, found.words)):
            for field, values in zip(part, given, strict=True):
                field[:count] = values[start : start + count]
        digests = _digests(block[:count].view(f"V{width}").tolist(), 32)
        limbs += np.frombuffer(digests, dtype="<u4").reshape(-1, 8).sum(axis=0, dtype=np.uint64)
    return _total(limbs)


def _digests(messages: list[bytes], size: int) -> bytes:
    """One after the other. A copy of an empty hash is made faster than a hash."""
    begin = blake2b(digest_size=size).copy
    found = []
    for message in messages:
        one = begin()
        one.update(message)
        found.append(one.digest())
    return b"".join(found)


def _total(limbs: Limbs) -> int:
    """Eight limbs of 32 bits; their sums stay far below 2^64."""
    return sum(int(limb) << (32 * n) for n, limb in enumerate(limbs))
