"""A table of a SQL database, read whole."""

from dataclasses import dataclass

from headrace.core.clock import now_us
from headrace.core.errors import SourceError
from headrace.sources.base import Delivery
from headrace.sources.relational.connections import reading, safe, table_of
from headrace.sources.relational.json_values import NotPlainError, Row, Value, ndjson, plain, rank

SNAPSHOT = "snapshot"  # the only slot of a table that is always read whole


@dataclass(frozen=True)
class TableSnapshot:
    """All rows of a table as they are now, from SQLite, Postgres or any other database by URL.

    The payload is NDJSON: rows in order of the key, fields in alphabetical order. The same
    content gives the same bytes from every database, so an unchanged table is the same batch.

    Attributes:
        name: name of the source.
        url: SQLAlchemy URL, such as `"sqlite:///reference.db"` or
            `"postgresql://user@host/database"`; the password is in `HEADRACE_SQL_PASSWORD`.
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
        delivery = Delivery(
            source=self.name,
            slot=slot,
            payload=ndjson(self._rows()),
            format="ndjson",
            origin=f"{safe(self.url)}#{self.table}",
            arrived_at=now_us(),
            producer=self.producer,
        )
        return [delivery]

    def _rows(self) -> list[Row]:
        import sqlalchemy as sa

        with reading(self.url, self._where) as connection:
            query = sa.select(sa.text("*")).select_from(table_of(self.table, self.schema))
            result = connection.execute(query)
            names = list(result.keys())
            records = [tuple(record) for record in result]
        missing = set(self.key) - set(names)
        if missing:
            raise self._error(
                f"no key column {', '.join(sorted(missing))}; there are {', '.join(names)}",
                "correct `key` where the source is declared",
            )
        rows = [dict(zip(names, map(self._plain, record), strict=True)) for record in records]
        return sorted(rows, key=lambda row: [rank(row[column]) for column in self.key])

    def _plain(self, value: object) -> Value:
        try:
            return plain(value)
        except NotPlainError as error:
            raise self._error(
                f"a value of type {error} cannot be delivered",
                "read a view that turns the column into text or numbers",
            ) from error

    @property
    def _where(self) -> str:
        return f"source {self.name}: table {self.table} of {safe(self.url)}"

    def _error(self, what: str, fix: str) -> SourceError:
        return SourceError(f"source {self.name}: {what}", where=self._where, fix=fix)
