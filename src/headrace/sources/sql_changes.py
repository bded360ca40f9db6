"""Source of the changed rows of a table in an SQL database, read incrementally."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from headrace.core.clock import duration, iso, now_us
from headrace.core.errors import DeclarationError, SourceError
from headrace.sources.base import Delivery, Offsets, Past
from headrace.sources.relational.change_cursor import (
    Horizon,
    Position,
    bound,
    horizon_of,
    moment_of,
    next_low,
    style_of,
)
from headrace.sources.relational.connections import reading, safe, table_of
from headrace.sources.relational.json_values import NotPlainError, Row, ndjson, plain, rank
from headrace.sources.relational.table_differences import DeliveredRows, delivered_rows, key_of
from headrace.sources.sql import SNAPSHOT

if TYPE_CHECKING:
    import sqlalchemy as sa

NOTICED, DELETED = "noticed_at", "deleted"
_SECOND = duration("1s")


@dataclass(frozen=True)
class TableChanges:
    """Rows of a table that are new or changed since they were last delivered.

    Each delivery holds the changed rows with all their columns, and an additional column
    `noticed_at`: the time since when the row could be read. This is the row's cursor in the first
    load, and the time of reading in later ones. With `deletions`, there is also a column `deleted`:
    it is true in a tombstone, which repeats the row as last delivered. An unchanged table gives no
    delivery. The ledger records the position in the same transaction as the delivery.

    With a cursor, a read covers only rows changed since the last one, and every `full_every` the
    whole table is compared with the delivered rows. Guarantees:

    - A row is delivered if its transaction commits within `overlap` of the row's cursor.
    - In PostgreSQL, it is delivered however late it commits, if writers set the cursor (a
      `timestamptz`) from the database's clock (`now()`), the user in `url` may see other sessions
      (`pg_read_all_stats`), and `url` is the address of the primary.
    - The next comparison of the whole table finds changes that the cursor misses.

    Attributes:
        name: name of the source; if it changes, the next read is a full load.
        url: SQLAlchemy URL; the password is in `HEADRACE_SQL_PASSWORD`.
        table: name of the table; it is quoted, so any name works.
        key: columns that identify a row.
        producer: team or system that maintains the table.
        cursor: the column with the time of a row's last change; without one, the whole table is
            read each time. A time without a time zone is taken as UTC.
        overlap: how far each read goes back; choose at least ten times the longest transaction.
        full_every: how often the whole table is compared, such as "1d"; None: only in the first
            load.
        deletions: True if a key that is missing from the whole table counts as deleted.
        most_deleted: greatest share of the known keys that may be deleted at once; more is an
            error, since the table was probably emptied or is being reloaded.
        schema: schema of the table, if the database has schemas.
    """

    name: str
    url: str
    table: str
    key: tuple[str, ...]
    producer: str
    cursor: str | None = None
    overlap: str = "10m"
    full_every: str | None = "1d"
    deletions: bool = False
    most_deleted: float = 0.5
    schema: str | None = None

    def __post_init__(self) -> None:
        if duration(self.overlap) < _SECOND:
            raise self._misdeclared(f"overlap {self.overlap!r} is too short", "1s or more")
        if self.full_every is not None and duration(self.full_every) < 0:
            raise self._misdeclared(f"full_every {self.full_every!r} is negative", "1d, or None")
        if self.cursor and self.deletions and self.full_every is None:
            raise self._misdeclared(
                "a cursor does not show deleted rows: deletions need reads of the whole table",
                'add full_every="1d", or drop deletions',
            )
        if not self.key:
            raise self._misdeclared("no key", "name the columns that identify a row")

    def deliveries(self, slot: str) -> list[Delivery]:
        """Raise an error: changes depend on earlier deliveries, which only `resume` receives."""
        raise DeclarationError(
            f"source {self.name} needs the ledger to find what is new",
            where=f"slot {slot}",
            fix="ingest its table: headrace run",
        )

    def resume(self, slot: str, past: Past) -> list[Delivery]:
        """Return the changes since `past` as one delivery; [] if there are none.

        Slots other than "snapshot" have no deliveries.

        Raises:
            SourceError: if the connection fails, the table or a column is missing, the cursor is
                not a time, two rows have the same key, or more rows are missing than
                `most_deleted` allows.
        """
        if slot != SNAPSHOT:
            return []
        at = past.position()
        before = self._position(at, past.hint)
        now = max(now_us(), before.read_at + 1)
        full = self._is_full(before, now)
        with reading(self.url, self._where) as connection:
            horizon = horizon_of(connection)
            names, records = self._read(connection, before, full=full)
        rows = self._rows(names, records)
        moments, style = self._moments(names, records, before)
        delivered = delivered_rows(past, self.key, rows, None if full else before.low)
        changed = [
            self._noticed(row, moment, now, first=not at)
            for row, moment in zip(rows, moments, strict=True)
            if delivered.differs(row)
        ]
        deleted = self._tombstones(delivered, rows, now) if full and self.deletions else []
        after = self._after(before, moments, style, horizon, now, full=full)
        if not changed and not deleted:
            past.remember(f"{at}\n{after.text()}")
            return []
        return [self._delivery([*changed, *deleted], at, after)]

    def _position(self, at: str, hint: str) -> Position:
        """Return the position in the ledger, or a later one from a hint that refers to it."""
        try:
            recorded = Position.read(at)
        except (ValueError, TypeError) as error:
            raise self._error(
                "its position in the ledger was written by another source",
                "give this source a name that no other source has used",
            ) from error
        since, _, later = hint.partition("\n")
        if since != at or not later:
            return recorded
        try:
            return Position.read(later)
        except (ValueError, TypeError):
            return recorded

    def _is_full(self, before: Position, now: int) -> bool:
        if self.cursor is None or before.low is None:
            return True
        return self.full_every is not None and now - before.full_at >= duration(self.full_every)

    def _read(
        self, connection: "sa.Connection", before: Position, *, full: bool
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        import sqlalchemy as sa

        query = sa.select(sa.text("*")).select_from(table_of(self.table, self.schema))
        if not full and self.cursor and before.low is not None:
            column: sa.ColumnClause[Any] = sa.column(sa.quoted_name(self.cursor, quote=True))
            query = query.where(column >= bound(before.low, before.style))
        result = connection.execution_options(stream_results=True).execute(query)
        return list(result.keys()), [tuple(record) for record in result]

    def _rows(self, names: Sequence[str], records: Sequence[tuple[Any, ...]]) -> list[Row]:
        required = {*self.key, *([self.cursor] if self.cursor else [])}
        if missing := sorted(required - set(names)):
            raise self._error(
                f"no column {', '.join(missing)}; there are {', '.join(names)}",
                "correct `key` and `cursor` where the source is declared",
            )
        if reserved := sorted({NOTICED, DELETED} & set(names)):
            raise self._error(
                f"the table already has a column {', '.join(reserved)}, which this source adds",
                "read a view in which that column has another name",
            )
        rows = [dict(zip(names, map(self._plain, record), strict=True)) for record in records]
        if len({key_of(row, self.key) for row in rows}) < len(rows):
            raise self._error(
                f"two rows have the same {', '.join(self.key)}",
                "name all columns of the key where the source is declared",
            )
        return rows

    def _plain(self, value: object) -> Any:  # noqa: ANN401
        try:
            return plain(value)
        except NotPlainError as error:
            raise self._error(
                f"a value of type {error} cannot be delivered",
                "read a view that turns the column into text or numbers, or leaves it out",
            ) from error

    def _moments(
        self, names: Sequence[str], records: Sequence[tuple[Any, ...]], before: Position
    ) -> tuple[list[int | None], str]:
        """Return each row's cursor in microseconds UTC, and how the database writes cursors."""
        if self.cursor is None:
            return [None] * len(records), ""
        place = list(names).index(self.cursor)
        values = [record[place] for record in records]
        moments: list[int | None] = []
        styles = {before.style} if before.style else set()
        for value in values:
            if value is None:
                moments.append(None)
                continue
            try:
                moment = datetime(value.year, value.month, value.day) if _is_day(value) else value  # noqa: DTZ001
                styles.add(style_of(moment))
                moments.append(moment_of(moment))
            except (ValueError, TypeError, AttributeError) as error:
                raise self._error(
                    f"cursor {self.cursor} holds {value!r}, which is not a time",
                    "name a column of times; without `cursor`, the whole table is read each time",
                ) from error
        if len(styles) > 1:
            raise self._error(
                f"cursor {self.cursor} has times in several formats: {', '.join(sorted(styles))}",
                "read a view that writes it in one format, or drop `cursor`",
            )
        return moments, next(iter(styles), "")

    def _noticed(self, row: Row, moment: int | None, now: int, *, first: bool) -> Row:
        """Add `noticed_at` to a row: its cursor in the first load, else the time of reading."""
        at = min(moment, now) if first and moment is not None else now
        return {**row, NOTICED: iso(at), **({DELETED: False} if self.deletions else {})}

    def _tombstones(self, delivered: DeliveredRows, rows: Sequence[Row], now: int) -> list[Row]:
        missing = delivered.missing(rows)
        if len(missing) > self.most_deleted * delivered.alive:
            raise self._error(
                f"{len(missing)} of {delivered.alive} rows are gone at once",
                "if they were deleted, raise `most_deleted` for one run; else restore the table",
            )
        return [{**row, NOTICED: iso(now), DELETED: True} for row in missing]

    def _after(
        self,
        before: Position,
        moments: Sequence[int | None],
        style: str,
        horizon: Horizon,
        now: int,
        *,
        full: bool,
    ) -> Position:
        cursors = [cursor for cursor in (*moments, before.high) if cursor is not None]
        high = max(cursors, default=None)
        low = None if high is None else next_low(high, horizon, duration(self.overlap))
        # Without a time zone, the cursor cannot be compared with a transaction's start.
        exact = horizon.exact and style == "zone"
        full_at = now if full else before.full_at
        return Position(low, high, style, now, full_at, exact)

    def _delivery(self, rows: list[Row], at: str, after: Position) -> Delivery:
        ordered = sorted(rows, key=lambda row: [rank(row[name]) for name in self.key])
        text = after.text()
        return Delivery(
            source=self.name,
            slot=SNAPSHOT,
            payload=ndjson(ordered),
            format="changes",
            origin=f"{safe(self.url)}#{self.table}@{iso(after.read_at)}",
            arrived_at=after.read_at,
            producer=self.producer,
            offsets=Offsets(
                stream=self.name,
                lane="",
                after=at,
                first=text,
                last=text,
                events=len(rows),
                first_at=after.read_at,
                last_at=after.read_at,
            ),
        )

    @property
    def _where(self) -> str:
        return f"source {self.name}: table {self.table} of {safe(self.url)}"

    def _error(self, what: str, fix: str) -> SourceError:
        return SourceError(f"source {self.name}: {what}", where=self._where, fix=fix)

    def _misdeclared(self, what: str, fix: str) -> DeclarationError:
        return DeclarationError(f"source {self.name}: {what}", where="TableChanges", fix=fix)


def _is_day(value: object) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)
