"""SQLite database with a write-ahead log, full sync, and a schema version that only grows."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from headrace.core.errors import StateError

# Two processes may write the same ledger; the second waits this long for the first.
_BUSY_MS = 60_000
_WAIT = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def open_database(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    """Open `path` and migrate it; `migrations[n]` upgrades schema version n to n + 1.

    Returns a connection in autocommit mode: group writes with `transaction`.

    Raises:
        StateError: the file was written by a newer Headrace, or cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    try:
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection, path, migrations)
    except sqlite3.Error as error:
        connection.close()
        raise StateError(
            f"the database cannot be opened: {error}",
            where=str(path),
            fix="check the disk and the file's permissions; restore a damaged file from a backup",
        ) from error
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run the statements of the block atomically; take the write lock at the beginning."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn on WAL, with retries: SQLite does not wait if two processes create the file at once."""
    deadline = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in _WAIT or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    if _version(connection) == len(migrations):
        return
    # Another process may migrate at the same moment, so the version is read again under the lock.
    with transaction(connection):
        version = _version(connection)
        if version > len(migrations):
            raise StateError(
                f"this database has schema {version}, but this version of Headrace reads only up to"
                f" schema {len(migrations)}",
                where=str(path),
                fix="upgrade headrace, or point HEADRACE_HOME at another folder",
            )
        for script in migrations[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


def _statements(script: str) -> Iterator[str]:
    """Yield single statements, because `executescript` would commit the transaction."""
    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        # A trigger's body contains semicolons of its own.
        if sqlite3.complete_statement(statement):
            if part.strip():
                yield statement
            statement = ""
    if statement.strip(" ;\n"):
        yield statement
