"""Drop what no answer from a moment on can need."""

from collections.abc import Iterator

import numpy as np

from headrace.errors import HeadraceError
from headrace.features.arrays import Ints
from headrace.online import chunks, meta
from headrace.online.apply import last_use
from headrace.online.layout import E, JoinLayout, Layout, X
from headrace.online.merge import Coming, merge
from headrace.online.port import Reader, Store


def retain(
    store: Store, layout: Layout, frontier: int, *, lateness: int, limit: int = chunks.LIMIT
) -> None:
    """Answers before `frontier` are given up, and what only they need is dropped.

    A version goes when min(k', e + W + 1) <= frontier, W being the widest window; its key stays in
    the index for `lateness` more. Corrections older than that need a rebuild of their key.

    Args:
        store: of this layout.
        layout: of the views that are served.
        frontier: microseconds UTC; never less than it was.
        lateness: microseconds, how late a correction may still come by itself.
        limit: the most records of a leaf.

    Raises:
        HeadraceError: the frontier would move back.
    """
    with store.writing() as writer:
        before = meta.read_horizon(writer)
        if before is not None and (frontier < before.retained or lateness > before.lateness):
            raise HeadraceError(
                f"what was dropped up to {before.retained} does not come back",
                where="online store",
                fix="give a later frontier and no greater lateness, or materialise a new store",
            )
        horizon = meta.Horizon(frontier, lateness)
        meta.write_horizon(writer, horizon)
        for join in layout.joins:
            for going in list(_useless(writer, join, frontier)):
                none = Coming(going.entities[:0], going.records[:0])
                merge(writer, join, none, going, limit)
        for form in layout.tables.values():
            joins = layout.joins_of(form.shape.name)
            gone = [
                key
                for key, blob in writer.scan(b"v%02x" % form.number)
                if horizon.forgotten(
                    joins, np.frombuffer(blob, np.int64).reshape(-1, form.width)
                ).all()
            ]
            writer.delete_many(gone)


def _useless(reader: Reader, join: JoinLayout, frontier: int) -> Iterator[Coming]:
    """By entity, the records that no answer from the frontier on can need."""
    for root, blob in reader.scan(b"e" + join.prefix):
        for leaf in _leaves(reader, root, blob):
            gone = leaf[last_use(join, leaf[:, E], leaf[:, X]) <= frontier]
            if len(gone):
                entity = np.frombuffer(root[1 + len(join.prefix) :], np.int64)
                yield Coming(np.repeat(entity.reshape(1, -1), len(gone), axis=0), gone)


def _leaves(reader: Reader, root: bytes, blob: bytes) -> Iterator[Ints]:
    if not chunks.is_directory(blob):
        yield chunks.read_leaf(blob)
        return
    starts = chunks.read_directory(blob)[chunks.START].tolist()
    for found in reader.get_many([chunks.leaf_key(root, start) for start in starts]):
        if found is not None:
            yield chunks.read_leaf(found)
