"""Online store on SQLite, with which the embedded backend is compared."""

import sqlite3
from contextlib import contextmanager


class SqliteStore:
    def __init__(self, path):
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA cache_size = -262144")
        self._db.execute("PRAGMA mmap_size = 17179869184")
        self._db.execute("CREATE TABLE IF NOT EXISTS e (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID")

    @contextmanager
    def reading(self):
        yield self

    @contextmanager
    def writing(self):
        self._db.execute("BEGIN IMMEDIATE")
        yield self
        self._db.execute("COMMIT")

    def get(self, key):
        found = self._db.execute("SELECT v FROM e WHERE k = ?", (key,)).fetchone()
        return found and found[0]

    def get_many(self, keys):
        return [self.get(key) for key in keys]

    def put_many(self, entries):
        self._db.executemany("INSERT OR REPLACE INTO e VALUES (?, ?)", sorted(entries))

    def delete_many(self, keys):
        self._db.executemany("DELETE FROM e WHERE k = ?", [(key,) for key in keys])

    def close(self):
        self._db.close()
