"""Read-only connections to SQL databases, and their errors with a suggested fix."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.core.errors import DeclarationError, SourceError

if TYPE_CHECKING:
    import sqlalchemy as sa

PASSWORD = "HEADRACE_SQL_PASSWORD"  # noqa: S105 - the name of a variable
SECONDS = 60  # statement timeout while a source is sampled
# {backend name in an address: SQLAlchemy driver that Headrace installs for it}
_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}


def parsed(url: str) -> "sa.URL":
    """Parse an SQLAlchemy URL; add the password from `HEADRACE_SQL_PASSWORD` if it has none.

    Raises:
        SourceError: if `url` is not an SQLAlchemy URL.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        address = make_url(url)
    except ArgumentError as error:
        raise SourceError(
            "this is not an SQLAlchemy URL",
            where="the address of the database",
            fix='write something like "sqlite:///reference.db" or "postgresql://user@host/db"',
        ) from error
    address = address.set(drivername=_DRIVERS.get(address.drivername, address.drivername))
    password = os.environ.get(PASSWORD)
    if password and address.password is None and address.get_backend_name() != "sqlite":
        address = address.set(password=password)
    return address


def safe(url: str) -> str:
    """Return the address without its password."""
    text: str = parsed(url).set(password=None).render_as_string(hide_password=True)
    return text


@contextmanager
def reading(url: str, where: str, *, seconds: int | None = None) -> "Iterator[sa.Connection]":
    """Open a connection with a read-only transaction.

    Args:
        url: SQLAlchemy URL.
        where: description of what is read, for errors.
        seconds: statement timeout (PostgreSQL only); the database's default if None.

    Raises:
        SourceError: if the database does not answer, or an SQL error occurs within the block.
    """
    import sqlalchemy as sa

    address = parsed(url)
    _require_file(address, where)
    try:
        engine = sa.create_engine(address, poolclass=sa.NullPool)
        with engine.connect() as connection:
            _only_read(connection, seconds)
            yield connection
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise refused(error, where, address) from error


def _only_read(connection: "sa.Connection", seconds: int | None) -> None:
    import sqlalchemy as sa

    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SET TRANSACTION READ ONLY"))
        if seconds is not None:
            connection.execute(sa.text(f"SET LOCAL statement_timeout = '{seconds:d}s'"))
    elif connection.dialect.name == "sqlite":
        connection.execute(sa.text("PRAGMA query_only = ON"))


def table_of(table: str, schema: str | None) -> "sa.TableClause":
    """Return the table as a clause with quoted names, so that any name works."""
    import sqlalchemy as sa

    quoted = sa.quoted_name(table, quote=True)
    return sa.table(quoted, schema=schema and sa.quoted_name(schema, quote=True))


def _require_file(address: "sa.URL", where: str) -> None:
    """Raise if an SQLite file is missing: SQLite would create it and report a missing table."""
    path = address.database if address.get_backend_name() == "sqlite" else None
    if path and path != ":memory:" and not path.startswith("file:") and not Path(path).exists():
        raise SourceError(
            f"there is no file {path}", where=where, fix="correct the url, or create the database"
        )


_ADVICE = (
    ("refused", "check that the database runs, and the host and port of the address"),
    ("translate host name", "check the host of the address"),
    ("resolve host", "check the host of the address"),
    ("timeout expired", "check the host and port, and the firewall between"),
    ("statement timeout", "the read took too long: name a smaller table, or an indexed view"),
    ("password", f"set {PASSWORD} in the environment; never write it into the address"),
    ("permission denied", "ask for the right to read it: GRANT SELECT ON <table> TO <user>"),
    ("not authorized", "ask for the right to read it"),
    ("does not exist", "check the names of database, schema and table"),
    ("no such table", "check the name of the table"),
    ("no such column", "check the names of the columns"),
    ("locked", "another program writes to it: try again"),
    ("NoSuchModule", "install its SQLAlchemy dialect, or write another address"),
    ("plugin", "install its SQLAlchemy dialect, or write another address"),
    ("No module named", "install the driver, such as headrace[postgres]"),
    ("not a database", "this is not an SQLite file"),
)


def refused(error: Exception, where: str, address: "sa.URL") -> SourceError:
    """Convert a database's error to a SourceError: one line, without the password, with a fix."""
    text = str(getattr(error, "orig", None) or error)
    secret = address.password
    text = text.replace(str(secret), "***") if secret else text
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fix = next((fix for part, fix in _ADVICE if part.lower() in text.lower()), "")
    return SourceError(
        lines[0] if lines else type(error).__name__,
        where=where,
        fix=fix or "check the url, the driver and the table",
    )


def split_address(address: str) -> tuple[str, str | None, str]:
    """Split `url#schema.table` into (url, schema or None, table or "").

    Raises:
        DeclarationError: if the name after # has more than one dot.
    """
    url, _, name = address.partition("#")
    parts = name.split(".") if name else [""]
    if len(parts) > 2:
        raise DeclarationError(
            f"{name!r} is not a table", where="after the #", fix="write #schema.table, or #table"
        )
    return url, (parts[0] if len(parts) == 2 else None), parts[-1]
