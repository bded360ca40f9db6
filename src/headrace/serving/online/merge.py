"""Add and remove records of many entities, and update their leaves and directories."""

from dataclasses import dataclass, field

import numpy as np

from headrace.features.kernel.arrays import FURTHEST, Bools, Ints
from headrace.serving.online import entity_records
from headrace.serving.online.entity_records import LEVEL, START, TOP_LEVEL, Piece
from headrace.serving.online.layout import SEQ, E, JoinLayout, K
from headrace.serving.online.stores.port import Writer


@dataclass(frozen=True)
class Coming:
    """Records of a join, int64[n, width], and the entity of each record, int64[n, parts]."""

    entities: Ints
    records: Ints


@dataclass
class _Slots:
    """Leaves that a change touches: entity, start, level and current content of each."""

    entity: list[int] = field(default_factory=list)
    start: list[int] = field(default_factory=list)
    level: list[int] = field(default_factory=list)
    blobs: list[bytes | None] = field(default_factory=list)

    def add(self, entity: int, start: int, level: int, blob: bytes | None) -> int:
        self.entity.append(entity)
        self.start.append(start)
        self.level.append(level)
        self.blobs.append(blob)
        return len(self.entity) - 1


@dataclass(frozen=True)
class _Entities:
    """Entities of a batch: root keys, root blobs, and the directories that exist, by index."""

    writer: Writer
    join: JoinLayout
    roots: list[bytes]
    blobs: list[bytes | None]
    directories: dict[int, Ints]
    limit: int


def merge(
    writer: Writer,
    join: JoinLayout,
    coming: Coming,
    going: Coming,
    limit: int = entity_records.LIMIT,
) -> None:
    """Remove the stored records with the event time, key and K of `going`, then add `coming`."""
    distinct, of = distinct_rows(np.vstack([coming.entities, going.entities]))
    if not len(distinct):
        return
    roots = [entity_records.root_key(join, entity.tobytes()) for entity in distinct]
    blobs = writer.get_many(roots)
    directories = {
        i: entity_records.read_directory(blob)
        for i, blob in enumerate(blobs)
        if blob is not None and entity_records.is_directory(blob)
    }
    entities = _Entities(writer, join, roots, blobs, directories, limit)
    slots, slot = _slots(entities, of, np.concatenate([coming.records[:, E], going.records[:, E]]))
    n = len(coming.records)
    old, lot = _stored(slots, coming.records.shape[1])
    if len(going.records):
        stay = _remaining(join, (old, lot), (going.records, slot[n:]))
        old, lot = old[stay], lot[stay]
    records, lot = _sorted(join, (old, lot), (coming.records, slot[:n]))
    _write(entities, slots, records, lot)


def distinct_rows(rows: Ints) -> tuple[Ints, Ints]:
    """Return the distinct rows, and for each row the index of its distinct row."""
    if rows.shape[1] == 1:
        values, inverse = np.unique(rows[:, 0], return_inverse=True)
        return values.reshape(-1, 1), inverse
    order = np.lexsort(rows.T)
    ordered = rows[order]
    new = np.ones(len(rows), dtype=np.bool_)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    inverse = np.empty(len(rows), dtype=np.int64)
    inverse[order] = np.cumsum(new) - 1
    return np.ascontiguousarray(ordered[new]), inverse


def _slots(entities: _Entities, of: Ints, e: Ints) -> tuple[_Slots, Ints]:
    """Return the touched leaves, and for each change the index of its leaf."""
    slots = _Slots()
    roots, blobs, directories = entities.roots, entities.blobs, entities.directories
    if not directories:
        for i, blob in enumerate(blobs):
            slots.add(i, -FURTHEST, TOP_LEVEL, blob)
        return slots, of
    first = np.full(len(roots), -1, dtype=np.int64)
    for i, blob in enumerate(blobs):
        if i not in directories:
            first[i] = slots.add(i, -FURTHEST, TOP_LEVEL, blob)
    slot = first[of]
    order = np.argsort(of, kind="stable")
    edges = np.searchsorted(of[order], np.arange(len(roots) + 1))
    for i, lines in directories.items():
        changes = order[edges[i] : edges[i + 1]]
        leaves = np.searchsorted(lines[START], e[changes], side="right") - 1
        touched, inverse = np.unique(leaves, return_inverse=True)
        keys = [entity_records.leaf_key(roots[i], int(lines[START, j])) for j in touched]
        places = [
            slots.add(i, int(lines[START, j]), int(lines[LEVEL, j]), blob)
            for j, blob in zip(touched, entities.writer.get_many(keys), strict=True)
        ]
        slot[changes] = np.array(places, dtype=np.int64)[inverse]
    return slots, slot


_Lots = tuple[Ints, Ints]  # records, and the index of each record's leaf


def _sorted(join: JoinLayout, old: _Lots, coming: _Lots) -> _Lots:
    """Return all records of the touched leaves after the change, sorted within each leaf."""
    width = max(old[0].shape[1], coming[0].shape[1])
    records = np.vstack(
        [entity_records.widen(old[0], width), entity_records.widen(coming[0], width)]
    )
    lot = np.concatenate([old[1], coming[1]])
    keys = [records[:, i] for i in range(width - 1, join.key_from - 1, -1)]
    order = np.lexsort([*keys, records[:, SEQ], records[:, E], lot])
    return records[order], lot[order]


def _stored(slots: _Slots, width: int) -> tuple[Ints, Ints]:
    present = [(i, blob) for i, blob in enumerate(slots.blobs) if blob is not None]
    if not present:
        return np.zeros((0, width), dtype=np.int64), np.zeros(0, dtype=np.int64)
    widths = {blob[:8] for _, blob in present}
    if len(widths) == 1:
        words = int.from_bytes(next(iter(widths)), "little")
        joined = b"".join([memoryview(blob)[8:] for _, blob in present])
        old = np.frombuffer(joined, np.int64).reshape(-1, words)
        counts = [(len(blob) - 8) // (8 * words) for _, blob in present]
    else:
        leaves = [entity_records.read_leaf(blob) for _, blob in present]
        widest = max(leaf.shape[1] for leaf in leaves)
        old = np.vstack([entity_records.widen(leaf, widest) for leaf in leaves])
        counts = [len(leaf) for leaf in leaves]
    return old, np.repeat([i for i, _ in present], counts)


def _remaining(join: JoinLayout, old: _Lots, going: _Lots) -> Bools:
    """Return a mask of the stored records that stay."""
    width = max(old[0].shape[1], going[0].shape[1])

    def names(records: Ints, where: Ints) -> list[bytes]:
        wide = entity_records.widen(records, width)
        columns = np.column_stack([where, wide[:, E], wide[:, K], wide[:, join.key_from :]])
        data, size = columns.tobytes(), 8 * columns.shape[1]
        return [data[i : i + size] for i in range(0, len(data), size)]

    removed = set(names(*going))
    remaining = np.ones(len(old[0]), dtype=np.bool_)
    at = np.flatnonzero(np.isin(old[1], going[1]))
    remaining[at] = [name not in removed for name in names(old[0][at], old[1][at])]
    return remaining


def _write(entities: _Entities, slots: _Slots, records: Ints, lot: Ints) -> None:
    join, roots = entities.join, entities.roots
    edges = np.searchsorted(lot, np.arange(len(slots.entity) + 1)).tolist()
    entries: list[tuple[bytes, bytes]] = []
    deletes: list[bytes] = []

    def write(key: bytes, begin: int, end: int) -> None:
        if end > begin:
            entries.append((key, entity_records.write_leaf(join, records[begin:end])))
        else:
            deletes.append(key)

    pieces: list[Piece] = []
    for i, entity in enumerate(slots.entity):
        begin, end = edges[i], edges[i + 1]
        if entity not in entities.directories and end - begin <= entities.limit:
            write(roots[entity], begin, end)
        else:
            leaf = Piece(entity, slots.start[i], slots.level[i], begin, end)
            pieces += entity_records.halve(records[:, E], leaf, entities.limit)
    for piece in pieces:
        write(entity_records.leaf_key(roots[piece.entity], piece.start), piece.begin, piece.end)
    # Write the leaves before the directories, because joining siblings reads the new leaves.
    entities.writer.delete_many(deletes)
    entities.writer.put_many(entries)
    if pieces:
        _write_directories(entities, pieces, records)


def _write_directories(entities: _Entities, pieces: list[Piece], records: Ints) -> None:
    fresh = entity_records.summaries(entities.join, records, pieces)
    owners = np.array([piece.entity for piece in pieces])
    order = np.argsort(owners, kind="stable")
    touched, starts = np.unique(owners[order], return_index=True)
    entries = []
    for entity, columns in zip(touched.tolist(), np.split(order, starts[1:]), strict=True):
        lines = _replaced(entities.directories.get(entity), fresh[:, columns])
        directory = _joined(entities, entities.roots[entity], lines)
        if directory is not None:
            entries.append((entities.roots[entity], entity_records.write_directory(directory)))
    entities.writer.put_many(entries)


def _replaced(old: Ints | None, fresh: Ints) -> Ints:
    """Return the directory with the touched leaves replaced."""
    lines = fresh
    if old is not None:
        # Each touched leaf was replaced by one or more leaves; the first has the same start.
        untouched = old[:, ~np.isin(old[START], fresh[START])]
        lines = np.hstack([untouched, fresh])
    return np.ascontiguousarray(lines[:, np.argsort(lines[START])])


def _joined(entities: _Entities, root: bytes, lines: Ints) -> Ints | None:
    """Merge sibling leaves with few records, and return the new directory.

    If a single leaf remains, write it as the root and return None.
    """
    writer, join = entities.writer, entities.join
    while (i := entity_records.siblings(lines, entities.limit)) is not None:
        starts = [int(lines[START, i]), int(lines[START, i + 1])]
        keys = [entity_records.leaf_key(root, start) for start in starts]
        leaves = [
            entity_records.read_leaf(blob) for blob in writer.get_many(keys) if blob is not None
        ]
        width = max((leaf.shape[1] for leaf in leaves), default=join.key_from + 1)
        leaves = [entity_records.widen(leaf, width) for leaf in leaves]
        records = np.vstack([*leaves, np.zeros((0, width), dtype=np.int64)])
        union = Piece(0, starts[0], int(lines[LEVEL, i]) + 1, 0, len(records))
        fresh = entity_records.summaries(join, records, [union])
        lines = np.hstack([lines[:, :i], fresh, lines[:, i + 2 :]])
        writer.delete_many(keys)
        if lines.shape[1] == 1:
            if len(records):
                writer.put_many([(root, entity_records.write_leaf(join, records))])
            else:
                writer.delete_many([root])
            return None
        if len(records):
            writer.put_many([(keys[0], entity_records.write_leaf(join, records))])
    return np.ascontiguousarray(lines)
