"""Apply rows to a store. The result does not depend on their order, or on repeated rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.features.kernel.arrays import NEVER, Bools, Ints
from headrace.serving.online import store_metadata
from headrace.serving.online.encoding import encode, key_words, text_collision
from headrace.serving.online.entity_records import LIMIT
from headrace.serving.online.layout import (
    COMMIT,
    DEAD,
    ROW_E,
    ROW_FLAGS,
    ROW_SEQ,
    JoinLayout,
    Layout,
    TableLayout,
)
from headrace.serving.online.merge import Coming, merge
from headrace.serving.online.stores.port import Store, Writer
from headrace.serving.online.text_hash import text_key
from headrace.serving.online.versions import merged, seen_until


@dataclass(frozen=True)
class Applied:
    """Numbers of applied rows and changed keys; `refused` are the rows that came too late.

    `refused` has row numbers. The keys of these rows must be rebuilt from all their versions.
    """

    rows: int
    changed: int
    refused: tuple[int, ...] = ()


@dataclass
class _Change:
    """Versions to add to entities or to remove: rows, keys, and the times when superseded."""

    rows: list[Ints] = field(default_factory=list)
    keys: list[Ints] = field(default_factory=list)
    until: list[Ints] = field(default_factory=list)

    @classmethod
    def of(cls, rows: Ints, keys: Ints) -> "_Change":
        """Return an empty change with the widths of `rows` and `keys`."""
        return cls([rows[:0]], [keys[:0]], [rows[:0, 0]])

    def add(self, rows: Ints, keys: Ints, until: Ints) -> None:
        self.rows.append(rows)
        self.keys.append(keys)
        self.until.append(until)


def apply(
    store: Store,
    layout: Layout,
    table: str,
    rows: pa.Table,
    *,
    frontier: Mapping[str, object] | None = None,
    rebuilding: bool = False,
    limit: int = LIMIT,
) -> Applied:
    """Apply rows of a table to the store, in one transaction.

    Args:
        store: a store of this layout.
        layout: layout of the served views.
        table: name of the table of the rows.
        rows: complete rows as published: contract columns, event_time and known_at; committed_at
            (int64 microseconds) in recorded mode; `_deleted` if there are deletions.
        frontier: record of the applied part of the table, written in the same transaction.
        rebuilding: True if the rows are all versions of their keys; then no row is too late.
        limit: maximum number of records in a leaf.

    Raises:
        DeclarationError: no view reads the table.
        HeadraceError: null keys or times, missing columns.
        StateError: `frontier` is given and the store has another layout.
    """
    with store.writing() as writer:
        if frontier is not None:
            store_metadata.claim_layout(writer, layout)
        applied = apply_in(writer, layout, table, rows, rebuilding=rebuilding, limit=limit)
        if frontier is not None:
            store_metadata.write_frontier(writer, table, frontier)
    return applied


def apply_in(
    writer: Writer,
    layout: Layout,
    table: str,
    rows: pa.Table,
    *,
    rebuilding: bool = False,
    thinned: bool = True,
    limit: int = LIMIT,
) -> Applied:
    """Apply rows within an open transaction; `thinned=False` ignores the retention horizon."""
    if table not in layout.tables:
        raise DeclarationError(
            f"no view reads table {table!r}",
            where="online store",
            fix=f"apply rows of {', '.join(layout.tables)}",
        )
    new = encode(layout.tables[table], rows, layout.mode)
    if not len(new.rows):
        return Applied(0, 0)
    form, joins = layout.tables[table], layout.joins_of(table)
    horizon = store_metadata.read_horizon(writer) if thinned else None
    _keep_texts(writer, new.texts)
    stored = writer.get_many(new.names)
    single = _single(new.names) & np.array([blob is None for blob in stored])
    coming, going = _Change.of(new.rows, new.keys), _Change.of(new.rows, new.keys)
    refused: set[int] = set()
    simple = np.flatnonzero(single)
    late = horizon.too_late(new.rows) if horizon else np.zeros(len(single), dtype=np.bool_)
    if horizon is not None:
        if rebuilding:
            useless = horizon.forgotten(joins, new.rows)
        else:
            # Do not store an unneeded late row: if its key were in the index again, other late rows
            # of the key would not be refused.
            useless = late & horizon.unneeded(joins, new.rows)
            refused |= set(np.flatnonzero(single & late & ~useless).tolist())
        simple = np.flatnonzero(single & ~useless & (~late | rebuilding))
    plain = new.rows[simple]
    visible = plain[:, DEAD] == 0
    coming.add(plain[visible], new.keys[simple][visible], np.full(int(visible.sum()), NEVER))
    data, size = plain.tobytes(), 8 * form.width
    entries = [
        (new.names[i], data[n * size : n * size + size]) for n, i in enumerate(simple.tolist())
    ]
    changed = len(simple)
    deletes: list[bytes] = []
    for name, places in _groups(new.names, ~single).items():
        blob = stored[places[0]]
        if blob is None and horizon and not rebuilding and late[places].any():
            refused |= {i for i in places if late[i]}
        applicable = [i for i in places if i not in refused]
        if not applicable:
            continue
        old, versions = merged(writer, form, blob, new.rows[applicable])
        if versions is None:
            continue
        changed += 1
        key = new.keys[places[:1]]
        _show(going, old, key)
        if horizon is not None and horizon.forgotten(joins, versions).all():
            deletes.append(name)
            continue
        _show(coming, versions, key)
        entries.append((name, versions.tobytes()))
    writer.put_many(entries)
    writer.delete_many(deletes)
    _merge(writer, joins, coming, going, horizon, limit)
    return Applied(len(new.rows), changed, tuple(sorted(refused)))


def replace_in(
    writer: Writer,
    layout: Layout,
    table: str,
    keys: pa.Table,
    rows: pa.Table,
    *,
    limit: int = LIMIT,
) -> int:
    """Replace all versions of `keys` by `rows`; a key without rows is removed.

    Args:
        writer: a transaction of a store of this layout.
        layout: layout of the served views.
        table: name of the table of the keys.
        keys: distinct primary keys.
        rows: all versions of these keys, as for `apply`.
        limit: maximum number of records in a leaf.

    Returns:
        Number of keys that changed.
    """
    form, joins = layout.tables[table], layout.joins_of(table)
    horizon = store_metadata.read_horizon(writer)
    words, names = key_words(form, keys)
    new = encode(form, rows, layout.mode)
    _keep_texts(writer, new.texts)
    versions = _groups(new.names, np.ones(len(new.names), dtype=np.bool_))
    coming, going = _Change.of(new.rows, words), _Change.of(new.rows, words)
    entries: list[tuple[bytes, bytes]] = []
    deletes: list[bytes] = []
    for i, (name, blob) in enumerate(zip(names, writer.get_many(names), strict=True)):
        places = versions.get(name)
        current = None if places is None else merged(writer, form, None, new.rows[places])[1]
        if current is not None and horizon is not None and horizon.forgotten(joins, current).all():
            current = None
        if blob == (None if current is None else current.tobytes()):
            continue
        if blob is not None:
            _show(going, np.frombuffer(blob, np.int64).reshape(-1, form.width), words[i : i + 1])
        if current is None:
            deletes.append(name)
        else:
            _show(coming, current, words[i : i + 1])
            entries.append((name, current.tobytes()))
    writer.put_many(entries)
    writer.delete_many(deletes)
    _merge(writer, joins, coming, going, horizon, limit)
    return len(entries) + len(deletes)


def _merge(  # noqa: PLR0917
    writer: Writer,
    joins: list[JoinLayout],
    coming: _Change,
    going: _Change,
    horizon: store_metadata.RetentionHorizon | None,
    limit: int,
) -> None:
    retained = horizon.retained if horizon else None
    for join in joins:
        come, go = _records(join, coming, retained), _records(join, going, retained)
        merge(writer, join, come, go, limit)


def _single(names: list[bytes]) -> Bools:
    """Return a mask of the rows whose key occurs once in the batch."""
    if len(set(names)) == len(names):
        return np.ones(len(names), dtype=np.bool_)
    counts: dict[bytes, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return np.array([counts[name] == 1 for name in names])


def _groups(names: list[bytes], mask: Bools) -> dict[bytes, list[int]]:
    groups: dict[bytes, list[int]] = {}
    for i in np.flatnonzero(mask).tolist():
        groups.setdefault(names[i], []).append(i)
    return groups


def _show(change: _Change, versions: Ints, key: Ints) -> None:
    """Add to `change` the versions of one key that are visible at any time."""
    until = seen_until(versions)
    visible = (versions[:, DEAD] == 0) & (versions[:, COMMIT] < until)
    change.add(versions[visible], np.repeat(key, int(visible.sum()), axis=0), until[visible])


def _keep_texts(writer: Writer, texts: Mapping[int, bytes]) -> None:
    codes = list(texts)
    keys = [text_key(code) for code in codes]
    fresh = []
    for code, key, stored in zip(codes, keys, writer.get_many(keys), strict=True):
        if stored is None:
            fresh.append((key, texts[code]))
        elif stored != texts[code]:
            raise text_collision(stored, texts[code])
    writer.put_many(fresh)


def _records(join: JoinLayout, change: _Change, retained: int | None) -> Coming:
    """Convert the rows to records of `join`; skip rows that have a null in the entity."""
    form: TableLayout = join.table
    rows, keys, until = (
        np.concatenate(change.rows),
        np.concatenate(change.keys),
        np.concatenate(change.until),
    )
    useful = np.ones(len(rows), dtype=np.bool_)
    for column in join.entity:
        word, mask = form.flag(column)
        useful &= (rows[:, ROW_FLAGS + word] & np.int64(mask)) != 0
    if retained is not None:
        useful &= last_use(join, rows[:, ROW_E], until) > retained
    rows, keys, until = rows[useful], keys[useful], until[useful]
    flags = rows[:, ROW_FLAGS : ROW_FLAGS + form.flag_words]
    columns = rows[:, [form.word(column) for column in join.columns]]
    times = np.column_stack([rows[:, ROW_E], rows[:, ROW_SEQ], rows[:, COMMIT], until])
    entities = rows[:, [form.word(column) for column in join.entity]]
    return Coming(np.ascontiguousarray(entities), np.hstack([times, flags, columns, keys]))


def last_use(join: JoinLayout, e: Ints, until: Ints) -> Ints:
    """Return the time from which a version cannot affect answers (rule 9: t < e - a + 1)."""
    return until if join.reach is None else np.minimum(until, e + join.reach + 1)
