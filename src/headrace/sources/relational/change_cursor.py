"""Change cursor: a column with the time of a row's last change, and where the next read starts.

A slow transaction commits rows with an `updated_at` earlier than rows that were read long ago. So
each read goes back by an overlap and, where the database lists open transactions, to the start of
the oldest of them.
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
    """Position in a table, from which the next read continues.

    Attributes:
        low: rows with a cursor from here on are read again, int64 microseconds UTC; None before the
            first row, or without a cursor.
        high: the greatest cursor of any delivery so far, microseconds UTC.
        style: how the database writes the cursor; see `style_of`.
        read_at: when the table was last read, microseconds UTC by our clock.
        full_at: when it was last read whole.
        exact: True if the open transactions were known, so that none can commit below `low`.
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
            ValueError: the text is not a position.
        """
        if not text:
            return cls()
        document = json.loads(text)
        if document.pop("format", None) != _FORMAT:
            raise ValueError(text)
        return cls(**document)


@dataclass(frozen=True)
class Horizon:
    """Clock of a database, and the start of its oldest open transaction, if it is known."""

    now: int
    oldest: int | None
    exact: bool


def horizon_of(connection: "sa.Connection") -> Horizon:
    """Read the horizon; call it before reading rows.

    Rows of transactions that are open then, or begin later, have a later cursor, if the writing
    transaction takes the cursor from the database's own clock.
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
    """From where the next read starts; never beyond what the database's clock has reached."""
    return min(high, horizon.now, horizon.oldest or horizon.now) - overlap


def style_of(value: Raw) -> str:
    """`zone` or `clock` for moments with a zone and without; for texts, how they are written."""
    if isinstance(value, datetime):
        return "zone" if value.tzinfo else "clock"
    separator = "T" if "T" in value else " "
    return f"text{separator}{'Z' if datetime.fromisoformat(value).tzinfo else ''}"


def moment_of(value: Raw) -> int:
    """int64 microseconds UTC; what has no zone is read as UTC. Raises ValueError for other text."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def bound(us: int, style: str) -> Any:  # noqa: ANN401 - what the driver compares with
    """`us` as the column's own kind of value, at or before it."""
    moment = from_us(us)
    if style == "zone":
        return moment
    if style == "clock":
        return moment.replace(tzinfo=None)
    # Whole seconds: as text, they come before the same second with a fraction or an offset.
    second = moment.replace(microsecond=0, tzinfo=None) - timedelta(seconds=1)
    return second.isoformat(sep=style[4])
