"""A table of a SQL database, read whole."""

import math
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path

from headrace.clock import iso, now_us, to_us
from headrace.errors import SourceError
from headrace.files import canonical_json
from headrace.sources.base import Delivery

SNAPSHOT = "snapshot"  # the only slot of a table that is always read whole
Value = str | int | float | bool | None


@dataclass(frozen=True)
class TableSnapshot:
    """All rows of a table as they are now; SQLite, Postgres or any other database by URL.

    The payload is NDJSON: rows in order of the key, fields in alphabetical order. The same
    content gives the same bytes from every database, so an unchanged table is the same batch.

    Attributes:
        name: name of the source.
        url: SQLAlchemy URL, such as `"sqlite:///reference.db"` or
            `"postgresql+psycopg://user@host/database"`.
        table: name of the table; quoted, so any name will do.
        key: columns that order the rows.
        producer: who keeps the table.
        schema: schema of the table, where the database has schemas.
    """

    name: str
    url: str
    table: str
    key: tuple[str, ...]
    producer: str
    schema: str | None = None

    def deliveries(self, slot: str) -> list[Delivery]:
        """The table now, if `slot` is "snapshot"; an empty table is a delivery without rows.

        Raises:
            SourceError: no connection, no such table or key column, or a value that is not text,
                number, boolean or time.
        """
        if slot != SNAPSHOT:
            return []
        rows = self._rows()
        delivery = Delivery(
            source=self.name,
            slot=slot,
            payload=b"".join(canonical_json(row) + b"\n" for row in rows),
            format="ndjson",
            origin=f"{self._safe_url()}#{self.table}",
            arrived_at=now_us(),
            producer=self.producer,
        )
        return [delivery]

    def _rows(self) -> list[dict[str, Value]]:
        import sqlalchemy as sa

        self._require_file()
        quoted = sa.quoted_name(self.table, quote=True)
        table = sa.table(quoted, schema=self.schema and sa.quoted_name(self.schema, quote=True))
        try:
            engine = sa.create_engine(self.url, poolclass=sa.NullPool)
            with engine.connect() as connection:
                result = connection.execute(sa.select(sa.text("*")).select_from(table))
                names = list(result.keys())
                records = [tuple(record) for record in result]
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise self._error(
                str(getattr(error, "orig", None) or error),
                "check the url, the driver and the table",
            ) from error
        missing = set(self.key) - set(names)
        if missing:
            raise self._error(
                f"no key column {', '.join(sorted(missing))}; there are {', '.join(names)}",
                "correct `key` where the source is declared",
            )
        plain = [dict(zip(names, map(self._plain, record), strict=True)) for record in records]
        return sorted(plain, key=lambda row: [_rank(row[column]) for column in self.key])

    def _plain(self, value: object) -> Value:
        """A value as JSON can hold it exactly; moments in UTC, decimals as their text."""
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if value is None or isinstance(value, str | int):
            return value
        if isinstance(value, datetime) and value.tzinfo:
            return iso(to_us(value))
        if isinstance(value, date | time):
            return value.isoformat()
        if isinstance(value, Decimal):
            return str(value)
        raise self._error(
            f"a value of type {type(value).__name__} cannot be delivered",
            "read a view that turns the column into text or numbers",
        )

    def _require_file(self) -> None:
        """SQLite would create a missing database, and then say that the table is missing."""
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            url = make_url(self.url)
        except ArgumentError as error:
            raise SourceError(
                f"source {self.name}: its url is not a SQLAlchemy URL",
                where=f"table {self.table}",
                fix='write something like "sqlite:///reference.db"',
            ) from error
        path = url.database if url.get_backend_name() == "sqlite" else None
        if path and path != ":memory:" and not path.startswith("file:") and not Path(path).exists():
            raise self._error(f"there is no file {path}", "correct the url, or create the database")

    def _safe_url(self) -> str:
        from sqlalchemy.engine import make_url

        return make_url(self.url).render_as_string(hide_password=True)

    def _error(self, what: str, fix: str) -> SourceError:
        return SourceError(
            f"source {self.name}: {what}",
            where=f"table {self.table} of {self._safe_url()}",
            fix=fix,
        )


def _rank(value: Value) -> tuple[str, Value]:
    """Order within a type and between types, the same on every database and collation."""
    return ("", 0) if value is None else (type(value).__name__, value)
