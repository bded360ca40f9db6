"""Pruning of history that is not needed to answer requests after a given time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
import pyarrow as pa

from headrace.core.clock import duration_text, iso, now_us
from headrace.core.errors import HeadraceError
from headrace.core.files import canonical_json
from headrace.features.kernel.arrays import Ints
from headrace.serving.online import entity_records, store_metadata
from headrace.serving.online.apply import last_use
from headrace.serving.online.layout import E, JoinLayout, Layout, TableLayout, X
from headrace.serving.online.merge import Coming, merge
from headrace.serving.online.stores.port import Reader, Store, Writer
from headrace.serving.online.text_hash import text_key

_THINNED = b"m:thinned"
_AT_ONCE = 1000  # batch size: entities or keys
T = TypeVar("T")


@dataclass(frozen=True)
class Thinned:
    """Numbers of pruned records, primary keys and texts."""

    records: int = 0
    keys: int = 0
    texts: int = 0


def retain(
    store: Store,
    layout: Layout,
    frontier: int,
    *,
    lateness: int,
    limit: int = entity_records.LIMIT,
    clock: Callable[[], int] = now_us,
) -> Thinned:
    """Prune history that answers from `frontier` on do not need.

    A version is pruned if min(k', e + W + 1) <= frontier, where e is its event time, k' is the time
    at which it was superseded, and W is the longest window. Its key stays in the index for
    `lateness` longer. A correction that arrives even later needs a rebuild of its key.

    Args:
        store: a store of this layout.
        layout: layout of the served views.
        frontier: microseconds UTC; not earlier than in the last run.
        lateness: microseconds by which a correction may be late without a rebuild of its key.
        limit: maximum number of records in a leaf.
        clock: returns the present time, which is stored as the time of the last pruning.

    Raises:
        HeadraceError: the frontier would move back, or the lateness would grow.
    """
    with store.writing() as writer:
        before = store_metadata.read_horizon(writer)
        if before is not None and (frontier < before.retained or lateness > before.lateness):
            raise HeadraceError(
                f"history before {iso(before.retained)} was pruned, as were corrections more than"
                f" {duration_text(before.lateness)} late; the retention horizon cannot move back",
                where="online store",
                fix="give a later time and no more lateness, or run headrace online sync"
                " --full-refresh",
            )
        horizon = store_metadata.RetentionHorizon(frontier, lateness)
        store_metadata.write_horizon(writer, horizon)
        writer.put_many([(_THINNED, canonical_json(clock()))])
        counts = [drop_useless(writer, layout, table, horizon, limit) for table in layout.tables]
        texts = _drop_texts(writer, layout)
    return Thinned(
        sum(count.records for count in counts), sum(count.keys for count in counts), texts
    )


def last_thinned(reader: Reader) -> int | None:
    """Return the time of the last run of `retain`, microseconds UTC."""
    blob = reader.get(_THINNED)
    return None if blob is None else int(blob)


def drop_useless(
    writer: Writer,
    layout: Layout,
    table: str,
    horizon: store_metadata.RetentionHorizon,
    limit: int = entity_records.LIMIT,
) -> Thinned:
    """Prune the history of one table that answers after the horizon do not need."""
    form, joins = layout.tables[table], layout.joins_of(table)
    records = 0
    for join in joins:
        # Collect the roots first: the scanned entries must not change during the scan.
        roots = [
            root
            for root, blob in writer.scan(b"e" + join.prefix)
            if any(True for _ in _useless(writer, join, root, blob, horizon.retained))
        ]
        for batch in _batched(roots, _AT_ONCE):
            going = _together(writer, join, batch, horizon.retained)
            records += len(going.records)
            merge(writer, join, Coming(going.entities[:0], going.records[:0]), going, limit)
    keys = [
        key
        for key, blob in writer.scan(b"v%02x" % form.number)
        if horizon.forgotten(joins, np.frombuffer(blob, np.int64).reshape(-1, form.width)).all()
    ]
    writer.delete_many(keys)
    return Thinned(records, len(keys))


def _together(reader: Reader, join: JoinLayout, roots: Sequence[bytes], frontier: int) -> Coming:
    """Return the prunable records of the entities at `roots`."""
    records, entities = [], []
    for root, blob in zip(roots, reader.get_many(roots), strict=True):
        entity = np.frombuffer(root[1 + len(join.prefix) :], np.int64).reshape(1, -1)
        for useless in _useless(reader, join, root, blob or b"", frontier):
            records.append(useless)
            entities.append(np.repeat(entity, len(useless), axis=0))
    width = max(record.shape[1] for record in records)
    return Coming(
        np.vstack(entities), np.vstack([entity_records.widen(record, width) for record in records])
    )


def _drop_texts(writer: Writer, layout: Layout) -> int:
    """Delete texts that no row uses, and return their number."""
    used = [np.zeros(0, dtype=np.int64)]
    for form in layout.tables.values():
        places = _text_words(form)
        for batch in _batched(writer.scan(b"v%02x" % form.number), _AT_ONCE) if places else ():
            rows = np.frombuffer(b"".join(blob for _, blob in batch), np.int64)
            used.append(np.unique(rows.reshape(-1, form.width)[:, places]))
    used_keys = {text_key(code) for code in np.unique(np.concatenate(used)).tolist()}
    unused = [key for key, _ in writer.scan(b"t") if key not in used_keys]
    writer.delete_many(unused)
    return len(unused)


def _batched(many: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(many)
    while batch := list(islice(rest, size)):
        yield batch


def _text_words(form: TableLayout) -> list[int]:
    columns = form.shape.columns
    return [form.word(name) for name in form.columns if pa.types.is_string(columns[name].type)]


def _useless(
    reader: Reader, join: JoinLayout, root: bytes, blob: bytes, frontier: int
) -> Iterator[Ints]:
    """Yield the prunable records of an entity, one array for each leaf that has any."""
    for leaf in _leaves(reader, root, blob):
        useless = leaf[last_use(join, leaf[:, E], leaf[:, X]) <= frontier]
        if len(useless):
            yield useless


def _leaves(reader: Reader, root: bytes, blob: bytes) -> Iterator[Ints]:
    if not entity_records.is_directory(blob):
        yield entity_records.read_leaf(blob)
        return
    starts = entity_records.read_directory(blob)[entity_records.START].tolist()
    for leaf in reader.get_many([entity_records.leaf_key(root, start) for start in starts]):
        if leaf is not None:
            yield entity_records.read_leaf(leaf)
