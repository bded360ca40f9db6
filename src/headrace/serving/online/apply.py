"""Apply rows to a store: what it holds depends on the rows it was given, not on order or number."""

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
    """Outcome of applied rows: new or repeated; `refused` are row numbers that need a rebuild."""

    rows: int
    changed: int
    refused: tuple[int, ...] = ()


@dataclass
class _Change:
    """Rows that are to be seen, and rows that were: with keys, and until when."""

    rows: list[Ints] = field(default_factory=list)
    keys: list[Ints] = field(default_factory=list)
    until: list[Ints] = field(default_factory=list)

    @classmethod
    def of(cls, rows: Ints, keys: Ints) -> "_Change":
        """None yet, in the shape of these."""
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
    """Bring rows of a table into the store, in one transaction.

    Args:
        store: a store of this layout.
        layout: of the views that are served.
        table: which table the rows are of.
        rows: whole rows as published: contract columns, event_time, known_at, in recorded mode
            committed_at (int64 microseconds), and `_deleted` where there are deletions.
        frontier: written in the same transaction: what of the table has now been applied.
        rebuilding: the rows are all versions of their keys, so that none is too late.
        limit: the most records of a leaf.

    Raises:
        DeclarationError: no view reads the table.
        HeadraceError: null keys or times, missing columns.
        StateError: with a frontier: the store is of another layout.
    """
    with store.writing() as writer:
        if frontier is not None:
            store_metadata.claim_layout(writer, layout)
        done = apply_in(writer, layout, table, rows, rebuilding=rebuilding, limit=limit)
        if frontier is not None:
            store_metadata.write_frontier(writer, table, frontier)
    return done


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
    """`apply` within a transaction that holds more; without `thinned`, nothing is left out."""
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
    alone = _alone(new.names) & np.array([blob is None for blob in stored])
    coming, going = _Change.of(new.rows, new.keys), _Change.of(new.rows, new.keys)
    refused: set[int] = set()
    simple = np.flatnonzero(alone)
    late = horizon.too_late(new.rows) if horizon else np.zeros(len(alone), dtype=np.bool_)
    if horizon is not None:
        forgotten = horizon.forgotten(joins, new.rows)
        if not rebuilding:
            refused |= set(np.flatnonzero(alone & late & ~forgotten).tolist())
        simple = np.flatnonzero(alone & ~forgotten & (~late | rebuilding))
    plain = new.rows[simple]
    shown = plain[:, DEAD] == 0
    coming.add(plain[shown], new.keys[simple][shown], np.full(int(shown.sum()), NEVER))
    data, size = plain.tobytes(), 8 * form.width
    puts = [(new.names[i], data[n * size : n * size + size]) for n, i in enumerate(simple.tolist())]
    changed = len(simple)
    deletes: list[bytes] = []
    for name, places in _groups(new.names, ~alone).items():
        blob = stored[places[0]]
        if blob is None and horizon and not rebuilding and late[places].any():
            refused |= {i for i in places if late[i]}
        taken = [i for i in places if i not in refused]
        if not taken:
            continue
        old, one = merged(writer, form, blob, new.rows[taken])
        if one is None:
            continue
        changed += 1
        key = new.keys[places[:1]]
        _show(going, old, key)
        if horizon is not None and horizon.forgotten(joins, one).all():
            deletes.append(name)
            continue
        _show(coming, one, key)
        puts.append((name, one.tobytes()))
    writer.put_many(puts)
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
    """Give keys exactly these versions, whatever they had; one without any is forgotten.

    Args:
        writer: a transaction of a store of this layout.
        layout: of the views that are served.
        table: which table the keys are of.
        keys: primary keys, each once.
        rows: all versions of these keys, as for `apply`.
        limit: the most records of a leaf.

    Returns:
        How many keys changed.
    """
    form, joins = layout.tables[table], layout.joins_of(table)
    horizon = store_metadata.read_horizon(writer)
    words, names = key_words(form, keys)
    new = encode(form, rows, layout.mode)
    _keep_texts(writer, new.texts)
    versions = _groups(new.names, np.ones(len(new.names), dtype=np.bool_))
    coming, going = _Change.of(new.rows, words), _Change.of(new.rows, words)
    puts: list[tuple[bytes, bytes]] = []
    deletes: list[bytes] = []
    for i, (name, blob) in enumerate(zip(names, writer.get_many(names), strict=True)):
        places = versions.get(name)
        one = None if places is None else merged(writer, form, None, new.rows[places])[1]
        if one is not None and horizon is not None and horizon.forgotten(joins, one).all():
            one = None
        if blob == (None if one is None else one.tobytes()):
            continue
        if blob is not None:
            _show(going, np.frombuffer(blob, np.int64).reshape(-1, form.width), words[i : i + 1])
        if one is None:
            deletes.append(name)
        else:
            _show(coming, one, words[i : i + 1])
            puts.append((name, one.tobytes()))
    writer.put_many(puts)
    writer.delete_many(deletes)
    _merge(writer, joins, coming, going, horizon, limit)
    return len(puts) + len(deletes)


def _merge(  # noqa: PLR0917
    writer: Writer,
    joins: list[JoinLayout],
    coming: _Change,
    going: _Change,
    horizon: store_metadata.Horizon | None,
    limit: int,
) -> None:
    retained = horizon.retained if horizon else None
    for join in joins:
        come, go = _records(join, coming, retained), _records(join, going, retained)
        merge(writer, join, come, go, limit)


def _alone(names: list[bytes]) -> Bools:
    """Which rows are the only ones of their key in the batch."""
    if len(set(names)) == len(names):
        return np.ones(len(names), dtype=np.bool_)
    counts: dict[bytes, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return np.array([counts[name] == 1 for name in names])


def _groups(names: list[bytes], chosen: Bools) -> dict[bytes, list[int]]:
    groups: dict[bytes, list[int]] = {}
    for i in np.flatnonzero(chosen).tolist():
        groups.setdefault(names[i], []).append(i)
    return groups


def _show(change: _Change, versions: Ints, key: Ints) -> None:
    """The versions of one key that are visible at some time."""
    until = seen_until(versions)
    shown = (versions[:, DEAD] == 0) & (versions[:, COMMIT] < until)
    change.add(versions[shown], np.repeat(key, int(shown.sum()), axis=0), until[shown])


def _keep_texts(writer: Writer, texts: Mapping[int, bytes]) -> None:
    codes = list(texts)
    keys = [text_key(code) for code in codes]
    fresh = []
    for code, key, known in zip(codes, keys, writer.get_many(keys), strict=True):
        if known is None:
            fresh.append((key, texts[code]))
        elif known != texts[code]:
            raise text_collision(known, texts[code])
    writer.put_many(fresh)


def _records(join: JoinLayout, change: _Change, retained: int | None) -> Coming:
    """What the join keeps of rows; those with a null in the entity concern nobody."""
    form: TableLayout = join.table
    rows, keys, until = (
        np.concatenate(change.rows),
        np.concatenate(change.keys),
        np.concatenate(change.until),
    )
    kept = np.ones(len(rows), dtype=np.bool_)
    for column in join.entity:
        word, mask = form.flag(column)
        kept &= (rows[:, ROW_FLAGS + word] & np.int64(mask)) != 0
    if retained is not None:
        kept &= last_use(join, rows[:, ROW_E], until) > retained
    rows, keys, until = rows[kept], keys[kept], until[kept]
    flags = rows[:, ROW_FLAGS : ROW_FLAGS + form.flag_words]
    columns = rows[:, [form.word(column) for column in join.columns]]
    times = np.column_stack([rows[:, ROW_E], rows[:, ROW_SEQ], rows[:, COMMIT], until])
    entities = rows[:, [form.word(column) for column in join.entity]]
    return Coming(np.ascontiguousarray(entities), np.hstack([times, flags, columns, keys]))


def last_use(join: JoinLayout, e: Ints, until: Ints) -> Ints:
    """The first moment at which a version can matter no more (rule 9: t < e - a + 1)."""
    return until if join.reach is None else np.minimum(until, e + join.reach + 1)
