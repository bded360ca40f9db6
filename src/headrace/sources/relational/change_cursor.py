"""Change cursor: a column with the time of each row's last change, and where reads start in it.

A slow transaction may commit rows whose `updated_at` is earlier than that of rows already read. So
each read goes back by an overlap and, if the database lists open transactions, to the start of the
oldest one.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from headrace.core.clock import from_us, now_us, to_us
from headrace.core.files import canonical_json

if TYPE_CHECKING:
    import sqlalchemy as sa

Raw = datetime | str
_FORMAT = 1


@dataclass(frozen=True)
class Position:
    """Position in a table at which the next read continues; times are int64 microseconds UTC.

    Attributes:
        low: the next read covers rows whose cursor is not less than this; None if no row was read
            yet, or the table has no cursor.
        high: the greatest cursor of all deliveries so far.
        style: how the database writes the cursor; see `style_of`.
        read_at: time of the last read, by our clock.
        full_at: time of the last full read, by our clock.
        exact: True if all open transactions were known, so that none of them can still commit a
            row whose cursor is less than `low`.
    """

    low: int | None = None
    high: int | None = None
    style: str = ""
    read_at: int = 0
    full_at: int = 0
    exact: bool = False

    def text(self) -> str:
        return canonical_json({"format": _FORMAT, **self.__dict__}).decode()

    @classmethod
    def read(cls, text: str) -> "Position":
        """Parse a position.

        Raises:
            ValueError: if the text is not a position.
        """
        if not text:
            return cls()
        document = json.loads(text)
        if document.pop("format", None) != _FORMAT:
            raise ValueError(text)
        return cls(**document)


@dataclass(frozen=True)
class Horizon:
    """Current time of a database, and the start of its oldest open transaction, if known.

    `exact` is True if all open transactions are visible. Times are int64 microseconds UTC.
    """

    now: int
    oldest: int | None
    exact: bool


def horizon_of(connection: "sa.Connection") -> Horizon:
    """Read the horizon; must be called before the rows are read.

    If writers set the cursor from the database's clock, all rows that are not yet visible have a
    cursor at or after the start of the oldest open transaction.
    """
    import sqlalchemy as sa

    if connection.dialect.name != "postgresql":
        return Horizon(now_us(), None, exact=False)
    row = connection.execute(
        sa.text(
            "SELECT clock_timestamp(), least(min(a.xact_start),"
            " (SELECT min(prepared) FROM pg_prepared_xacts WHERE database = current_database())),"
            " count(*) FILTER (WHERE a.query = '<insufficient privilege>'), pg_is_in_recovery(),"
            " (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database())"
            " FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid()"
            " AND (a.datname = current_database() OR a.datname IS NULL)"
        )
    ).one()
    now, oldest, hidden, replica, prepared = row
    exact = not hidden and not replica and not prepared
    return Horizon(to_us(now), to_us(oldest) if oldest else None, exact)


def next_low(high: int, horizon: Horizon, overlap: int) -> int:
    """Return the cursor at which the next read starts, in microseconds UTC.

    That is `overlap` before the least of `high`, the database's clock and the start of its oldest
    open transaction.
    """
    return min(high, horizon.now, horizon.oldest or horizon.now) - overlap


def style_of(value: Raw) -> str:
    """Return how a cursor is written: `zone` or `clock` for timestamps with or without a time zone.

    For texts, it is `text`, the separator ("T" or " "), and "Z" if there is a UTC offset.
    """
    if isinstance(value, datetime):
        return "zone" if value.tzinfo else "clock"
    separator = "T" if "T" in value else " "
    return f"text{separator}{'Z' if datetime.fromisoformat(value).tzinfo else ''}"


def moment_of(value: Raw) -> int:
    """Convert a cursor to int64 microseconds UTC; without a time zone, it is taken as UTC.

    Raises ValueError for text that is not an ISO timestamp.
    """
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def bound(us: int, style: str) -> Any:  # noqa: ANN401 - depends on the driver
    """Return a value of the cursor's type, at or slightly before `us`, for a WHERE condition."""
    moment = from_us(us)
    if style == "zone":
        return moment
    if style == "clock":
        return moment.replace(tzinfo=None)
    # As text, whole seconds sort before the same second with a fraction or an offset.
    second = moment.replace(microsecond=0, tzinfo=None) - timedelta(seconds=1)
    return second.isoformat(sep=style[4])
