"""Encoding of Arrow rows as int64 words, and of keys as bytes that sort like the values."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core.errors import HeadraceError
from headrace.features.kernel.arrays import Ints, bools, times, values_of, whole
from headrace.features.kernel.filters import passes
from headrace.features.kernel.scaled_integers import quantised
from headrace.features.kernel.visibility import Versions, alive, event_times, sequences, usable
from headrace.features.spec import Mode
from headrace.serving.online.layout import (
    COMMIT,
    DEAD,
    KNOWN_AT,
    ROW_E,
    ROW_FLAGS,
    ROW_SEQ,
    TableLayout,
)
from headrace.serving.online.text_hash import code_of

SIGN = np.uint64(2**63)
MIN_WORD = -(2**63)  # a key word of zero bytes
_LONGEST_KEY = 400
Texts = dict[int, bytes]


@dataclass
class Encoded:
    """Rows of one table as words.

    `rows` is int64[n, width]. `keys` is int64[n, any] and sorts like the primary keys. `names` are
    the keys of the rows in the store's index. `texts` maps codes to texts (UTF-8).
    """

    rows: Ints
    keys: Ints
    names: list[bytes]
    texts: Texts = field(default_factory=dict)


def encode(layout: TableLayout, table: pa.Table, mode: Mode) -> Encoded:
    """Encode history rows with contract columns, event_time, known_at, committed_at and _deleted.

    `committed_at` is needed only in recorded mode; `_deleted` is optional.

    Raises:
        HeadraceError: a null key or time; a column is missing.
    """
    shape = layout.shape
    texts: Texts = {}
    _refuse_incomplete(layout, table, mode)
    table = quantised(shape, table, layout.columns)
    n = table.num_rows
    rows = np.zeros((n, layout.width), dtype=np.int64)
    e = event_times(table, shape.name)
    known_at = times(table, "known_at", f"table {shape.name}")
    commit = times(table, "committed_at", f"table {shape.name}") if mode == "recorded" else None
    rows[:, KNOWN_AT], rows[:, ROW_E] = known_at, e
    rows[:, COMMIT] = usable(known_at, commit)
    rows[:, ROW_SEQ] = sequences(shape, table)
    rows[:, DEAD] = ~alive(table)
    for column in layout.columns:
        words, valid = _words(table[column], shape.columns[column].type, texts)
        rows[:, layout.word(column)] = words
        word, mask = layout.flag(column)
        rows[:, ROW_FLAGS + word] |= np.where(valid, np.int64(mask), np.int64(0))
    versions = Versions(shape, table, np.arange(n), e, known_at, known_at)
    for where in layout.filters:
        word, mask = layout.flag(where)
        passing = np.logical_and.reduce([passes(condition, versions) for condition in where])
        rows[:, ROW_FLAGS + word] |= np.where(passing, np.int64(mask), np.int64(0))
    keys, names = key_words(layout, table)
    return Encoded(rows, keys, names, texts)


def _refuse_incomplete(layout: TableLayout, table: pa.Table, mode: Mode) -> None:
    times_ = ("event_time", "known_at", *(("committed_at",) if mode == "recorded" else ()))
    missing = [c for c in (*layout.columns, *times_) if c not in table.column_names]
    if missing:
        raise HeadraceError(
            f"rows lack {', '.join(missing)}",
            where=f"online store, table {layout.shape.name}",
            fix="apply rows with all columns of the published table",
        )
    for name in layout.shape.primary_key:
        if table[name].null_count:
            raise HeadraceError(
                f"{table[name].null_count} rows have a null {name}, part of the primary key",
                where=f"online store, table {layout.shape.name}",
                fix="apply only rows that the gate has published; it quarantines rows like these",
            )


def _words(
    column: pa.ChunkedArray, kind: pa.DataType, texts: Texts
) -> tuple[Ints, NDArray[np.bool_]]:
    """Return a column as words (0 for null), and a mask that is True for non-null values."""
    array = whole(column)
    if array.type != kind:
        array = array.cast(kind)
    if pa.types.is_string(kind):
        return _text_words(array, texts)
    if pa.types.is_boolean(kind):
        return bools(array).astype(np.int64), bools(array.is_valid())
    values = values_of(array)
    valid = np.ones(len(array), dtype=np.bool_) if values.valid is None else values.valid
    data = np.where(valid, values.data, 0)
    return np.ascontiguousarray(data).view(np.int64), valid


def _text_words(array: pa.Array, texts: Texts) -> tuple[Ints, NDArray[np.bool_]]:
    encoded = array.dictionary_encode()
    distinct = [text.encode() for text in encoded.dictionary.to_pylist()]
    codes = [code_of(text) for text in distinct]
    for code, text in zip(codes, distinct, strict=True):
        if texts.setdefault(code, text) != text:
            raise text_collision(texts[code], text)
    valid = bools(array.is_valid())
    table = np.array([*codes, 0], dtype=np.int64)
    places = np.asarray(encoded.indices.fill_null(len(codes)), dtype=np.int64)
    return table[places], valid


def text_collision(first: bytes, second: bytes) -> HeadraceError:
    return HeadraceError(
        f"two texts have the same code: {first[:40]!r} and {second[:40]!r}",
        where="online store",
        fix="such codes occur once in 10^12 stores of a million texts; add a character to one text",
    )


def key_words(layout: TableLayout, table: pa.Table) -> tuple[Ints, list[bytes]]:
    """Return `keys` and `names` of `Encoded`; `table` needs only the primary-key columns."""
    shape = layout.shape
    parts = [(table[name], shape.columns[name].type) for name in shape.primary_key]
    prefix = b"v%02x" % layout.number
    if any(pa.types.is_string(kind) for _, kind in parts):
        encodings = [_ordered(whole(column), kind) for column, kind in parts]
        whole_keys = [b"".join(row) for row in zip(*encodings, strict=True)]
        longest = max(map(len, whole_keys), default=0)
        width = max(-(-longest // 8), 1) * 8
        padded = np.array(whole_keys, dtype=f"S{width}").reshape(-1)
        numbers = np.frombuffer(padded.tobytes(), dtype=">u8").astype(np.uint64)
        keys = (numbers ^ SIGN).view(np.int64).reshape(-1, width // 8)
        return keys, [prefix + _fitted(key) for key in whole_keys]
    columns = [_sortable(column, kind) for column, kind in parts]
    keys = np.column_stack(columns) if len(table) else np.zeros((0, len(parts)), dtype=np.int64)
    big = (keys.view(np.uint64) ^ SIGN).astype(">u8").tobytes()
    size = 8 * len(parts)
    return keys, [prefix + big[i : i + size] for i in range(0, len(big), size)]


def _fitted(key: bytes) -> bytes:
    if len(key) <= _LONGEST_KEY:
        return key
    return key[: _LONGEST_KEY - 32] + hashlib.blake2b(key, digest_size=32).digest()


def _sortable(column: pa.ChunkedArray, kind: pa.DataType) -> Ints:
    words, _ = _words(column, kind, {})
    if pa.types.is_float64(kind):  # negative floats sort backwards by their bits
        words = np.where(words < 0, ~words ^ np.int64(MIN_WORD), words)
    return words


def _ordered(array: pa.Array, kind: pa.DataType) -> list[bytes]:
    """Encode each value as bytes that sort like the values; none is a prefix of another."""
    if pa.types.is_string(kind):
        encoded = {
            text: text.encode().replace(b"\0", b"\0\xff") + b"\0\0"
            for text in array.unique().to_pylist()
        }
        return [encoded[text] for text in array.to_pylist()]
    big = (_sortable(array, kind).view(np.uint64) ^ SIGN).astype(">u8").tobytes()
    return [big[i : i + 8] for i in range(0, len(big), 8)]
