"""Drop what no answer from a moment on can need."""

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
_AT_ONCE = 1000  # entities, or keys
T = TypeVar("T")


@dataclass(frozen=True)
class Thinned:
    """How many records of entities, primary keys and texts were dropped."""

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
    """Prune history before `frontier`: later answers do not need it.

    A version goes when min(k', e + W + 1) <= frontier, W being the widest window; its key stays in
    the index for `lateness` more. Corrections older than that need a rebuild of their key.

    Args:
        store: of this layout.
        layout: of the views that are served.
        frontier: microseconds UTC; never less than it was.
        lateness: microseconds, how late a correction may still come by itself.
        limit: the most records of a leaf.
        clock: gives the moment that is kept as the last thinning.

    Raises:
        HeadraceError: the frontier would move back.
    """
    with store.writing() as writer:
        before = store_metadata.read_horizon(writer)
        if before is not None and (frontier < before.retained or lateness > before.lateness):
            raise HeadraceError(
                f"history before {iso(before.retained)} was pruned, as were corrections more than"
                f" {duration_text(before.lateness)} late; the retention horizon cannot move back",
                where="online store",
                fix="a later time and no greater lateness, or: headrace online sync --full-refresh",
            )
        horizon = store_metadata.Horizon(frontier, lateness)
        store_metadata.write_horizon(writer, horizon)
        writer.put_many([(_THINNED, canonical_json(clock()))])
        counts = [drop_useless(writer, layout, table, horizon, limit) for table in layout.tables]
        texts = _drop_texts(writer, layout)
    return Thinned(
        sum(count.records for count in counts), sum(count.keys for count in counts), texts
    )


def last_thinned(reader: Reader) -> int | None:
    """When `retain` was last run, microseconds UTC."""
    found = reader.get(_THINNED)
    return None if found is None else int(found)


def drop_useless(
    writer: Writer,
    layout: Layout,
    table: str,
    horizon: store_metadata.Horizon,
    limit: int = entity_records.LIMIT,
) -> Thinned:
    """Drop what of one table no answer from the horizon on can need."""
    form, joins = layout.tables[table], layout.joins_of(table)
    records = 0
    for join in joins:
        # The roots first, as what is scanned may not change meanwhile.
        roots = [
            root
            for root, blob in writer.scan(b"e" + join.prefix)
            if any(True for _ in _useless(writer, join, root, blob, horizon.retained))
        ]
        for some in _batched(roots, _AT_ONCE):
            going = _together(writer, join, some, horizon.retained)
            records += len(going.records)
            merge(writer, join, Coming(going.entities[:0], going.records[:0]), going, limit)
    gone = [
        key
        for key, blob in writer.scan(b"v%02x" % form.number)
        if horizon.forgotten(joins, np.frombuffer(blob, np.int64).reshape(-1, form.width)).all()
    ]
    writer.delete_many(gone)
    return Thinned(records, len(gone))


def _together(reader: Reader, join: JoinLayout, roots: Sequence[bytes], frontier: int) -> Coming:
    """What goes of some entities."""
    records, entities = [], []
    for root, blob in zip(roots, reader.get_many(roots), strict=True):
        entity = np.frombuffer(root[1 + len(join.prefix) :], np.int64).reshape(1, -1)
        for gone in _useless(reader, join, root, blob or b"", frontier):
            records.append(gone)
            entities.append(np.repeat(entity, len(gone), axis=0))
    width = max(record.shape[1] for record in records)
    return Coming(
        np.vstack(entities), np.vstack([entity_records.widen(record, width) for record in records])
    )


def _drop_texts(writer: Writer, layout: Layout) -> int:
    """Texts that no row holds any more: keys and codes of what was dropped."""
    used = [np.zeros(0, dtype=np.int64)]
    for form in layout.tables.values():
        places = _text_words(form)
        for some in _batched(writer.scan(b"v%02x" % form.number), _AT_ONCE) if places else ():
            rows = np.frombuffer(b"".join(blob for _, blob in some), np.int64)
            used.append(np.unique(rows.reshape(-1, form.width)[:, places]))
    kept = {text_key(code) for code in np.unique(np.concatenate(used)).tolist()}
    gone = [key for key, _ in writer.scan(b"t") if key not in kept]
    writer.delete_many(gone)
    return len(gone)


def _batched(many: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(many)
    while some := list(islice(rest, size)):
        yield some


def _text_words(form: TableLayout) -> list[int]:
    columns = form.shape.columns
    return [form.word(name) for name in form.columns if pa.types.is_string(columns[name].type)]


def _useless(
    reader: Reader, join: JoinLayout, root: bytes, blob: bytes, frontier: int
) -> Iterator[Ints]:
    """By leaf, the records of an entity that no answer from the frontier on can need."""
    for leaf in _leaves(reader, root, blob):
        gone = leaf[last_use(join, leaf[:, E], leaf[:, X]) <= frontier]
        if len(gone):
            yield gone


def _leaves(reader: Reader, root: bytes, blob: bytes) -> Iterator[Ints]:
    if not entity_records.is_directory(blob):
        yield entity_records.read_leaf(blob)
        return
    starts = entity_records.read_directory(blob)[entity_records.START].tolist()
    for found in reader.get_many([entity_records.leaf_key(root, start) for start in starts]):
        if found is not None:
            yield entity_records.read_leaf(found)
