"""A table of a SQL database, read on from where it was left: only rows that changed."""

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
from headrace.sources.relational.table_differences import Known, key_of, known_rows
from headrace.sources.sql import SNAPSHOT

if TYPE_CHECKING:
    import sqlalchemy as sa

NOTICED, DELETED = "noticed_at", "deleted"
_SECOND = duration("1s")


@dataclass(frozen=True)
class TableChanges:
    """Rows of a table that are new or changed since they were last delivered.

    Each delivery holds changed rows, whole, with a column more: `noticed_at`, from when the row
    could be read. At the first load that is the row's cursor, later the moment of reading. Where
    deletions are declared there is `deleted` too: true in a tombstone, which is the row as it was
    last seen. An unchanged table is no delivery. Where to go on is in the ledger, beside the
    delivery itself.

    With a cursor, rows from a moment on are read, and every `full_every` the whole table is
    compared with what was delivered. What is guaranteed:

    - a row is delivered if its transaction commits within `overlap` of the row's cursor;
    - in PostgreSQL however late it commits, if the cursor is a `timestamptz` that the writing
      transaction takes from the database's clock (`now()`), this user may see the sessions of
      others (`pg_read_all_stats`), and the primary is asked;
    - whatever the cursor does not tell is found by the next comparison of the whole table.

    Attributes:
        name: name of the source; renaming it starts it anew.
        url: SQLAlchemy URL; the password is in `HEADRACE_SQL_PASSWORD`.
        table: name of the table; quoted, so any name will do.
        key: columns that tell the rows apart.
        producer: who keeps the table.
        cursor: the column that says when a row last changed; without, all is read each time.
            A time without a zone is read as UTC.
        overlap: how far back is read again; ten times what a transaction may take, or more.
        full_every: how often the whole table is compared, such as "1d"; None: only at first.
        deletions: a key that a whole table does not hold any more was deleted. Nothing else is.
        most_deleted: greatest share of the known keys that may be gone at once; more is taken for
            a table that was emptied or is being filled anew.
        schema: schema of the table, where the database has schemas.
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
                "a cursor does not tell what is gone: deletions need whole tables",
                'add full_every="1d", or drop deletions',
            )
        if not self.key:
            raise self._misdeclared("no key", "name the columns that tell the rows apart")

    def deliveries(self, slot: str) -> list[Delivery]:
        """Nothing: what is new depends on what was taken, which `resume` is given."""
        raise DeclarationError(
            f"source {self.name} can only be asked together with a ledger",
            where=f"slot {slot}",
            fix="ingest its table: headrace run",
        )

    def resume(self, slot: str, past: Past) -> list[Delivery]:
        """The changes since `past`, if `slot` is "snapshot"; at most one delivery.

        Raises:
            SourceError: no connection, no such table or column, a cursor that is no moment, a key
                that does not tell rows apart, or more rows gone than may be.
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
        known = known_rows(past, self.key, rows, None if full else before.low)
        changed = [
            self._noticed(row, moment, now, first=not at)
            for row, moment in zip(rows, moments, strict=True)
            if known.differs(row)
        ]
        gone = self._gone(known, rows, now) if full and self.deletions else []
        after = self._after(before, moments, style, horizon, now, full=full)
        if not changed and not gone:
            past.remember(f"{at}\n{after.text()}")
            return []
        return [self._delivery([*changed, *gone], at, after)]

    def _position(self, at: str, hint: str) -> Position:
        """What the ledger says; what was read since without finding anything, if that is known."""
        try:
            found = Position.read(at)
        except (ValueError, TypeError) as error:
            raise self._error(
                "its position in the ledger is not one of this source",
                "another source had this name: give this one another",
            ) from error
        since, _, later = hint.partition("\n")
        if since != at or not later:
            return found
        try:
            return Position.read(later)
        except (ValueError, TypeError):
            return found

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
        wanted = {*self.key, *([self.cursor] if self.cursor else [])}
        if missing := sorted(wanted - set(names)):
            raise self._error(
                f"no column {', '.join(missing)}; there are {', '.join(names)}",
                "correct `key` and `cursor` where the source is declared",
            )
        if taken := sorted({NOTICED, DELETED} & set(names)):
            raise self._error(
                f"the table has a column {', '.join(taken)} of its own, which this source adds",
                "read a view that gives it another name",
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
        """The cursor of each row, and how the database writes it."""
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
                whole = datetime(value.year, value.month, value.day) if _is_day(value) else value  # noqa: DTZ001
                styles.add(style_of(whole))
                moments.append(moment_of(whole))
            except (ValueError, TypeError, AttributeError) as error:
                raise self._error(
                    f"cursor {self.cursor} holds {value!r}, which is no moment",
                    "name a column of times, or drop `cursor`: then all is read each time",
                ) from error
        if len(styles) > 1:
            raise self._error(
                f"cursor {self.cursor} is written in several ways: {', '.join(sorted(styles))}",
                "read a view that writes it in one way, or drop `cursor`",
            )
        return moments, next(iter(styles), "")

    def _noticed(self, row: Row, moment: int | None, now: int, *, first: bool) -> Row:
        """From when the row could be read: what was found later was not there before."""
        at = min(moment, now) if first and moment is not None else now
        return {**row, NOTICED: iso(at), **({DELETED: False} if self.deletions else {})}

    def _gone(self, known: Known, rows: Sequence[Row], now: int) -> list[Row]:
        missing = known.missing(rows)
        if len(missing) > self.most_deleted * known.alive:
            raise self._error(
                f"{len(missing)} of {known.alive} rows are gone at once",
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
        seen = [one for one in (*moments, before.high) if one is not None]
        high = max(seen, default=None)
        # A clock without a zone cannot be compared with when a transaction began.
        low = None if high is None else next_low(high, horizon, duration(self.overlap))
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
