"""Source of full snapshots of a table in an SQL database."""

from dataclasses import dataclass

from headrace.core.clock import now_us
from headrace.core.errors import SourceError
from headrace.sources.base import Delivery
from headrace.sources.relational.connections import reading, safe, table_of
from headrace.sources.relational.json_values import NotPlainError, Row, Value, ndjson, plain, rank

SNAPSHOT = "snapshot"  # the only partition of a table that is not partitioned by day


@dataclass(frozen=True)
class TableSnapshot:
    """All current rows of a table in SQLite, PostgreSQL or another SQLAlchemy database.

    The payload is NDJSON with rows in key order and fields in alphabetical order. Equal content
    gives equal bytes on every database, so an unchanged table is the same batch.

    Attributes:
        name: name of the source.
        url: SQLAlchemy URL, such as `"sqlite:///reference.db"` or
            `"postgresql://user@host/database"`; the password is in `HEADRACE_SQL_PASSWORD`.
        table: name of the table; it is quoted, so any name works.
        key: columns by which the rows are ordered.
        producer: team or system that maintains the table.
        schema: schema of the table, if the database has schemas.
    """

    name: str
    url: str
    table: str
    key: tuple[str, ...]
    producer: str
    schema: str | None = None

    def deliveries(self, slot: str) -> list[Delivery]:
        """Return the current table as one delivery if `slot` is "snapshot", else [].

        An empty table gives a delivery without rows.

        Raises:
            SourceError: if the connection fails, the table or a key column is missing, or a value
                has no exact JSON form.
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
