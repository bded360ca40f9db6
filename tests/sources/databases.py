"""A table in SQLite and in PostgreSQL, for tests that run on both."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa

from headrace.sources.base import Delivery

POSTGRES = os.environ.get("HEADRACE_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1/test")


def require_postgres() -> None:
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    engine = sa.create_engine(POSTGRES, poolclass=sa.NullPool)
    try:
        engine.connect().close()
    except sa.exc.OperationalError as error:
        pytest.skip(f"no PostgreSQL at {POSTGRES} (HEADRACE_TEST_POSTGRES): {error.orig}")


@dataclass
class Stock:
    """A table `sku, amount, updated_at` of a name of its own; moments are seconds of 2024."""

    url: str
    name: str = field(default_factory=lambda: f"stock_{os.getpid()}")

    def __post_init__(self):
        self.engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        moment = "TIMESTAMPTZ" if self.is_postgres else "TEXT"
        self.run(
            f"DROP TABLE IF EXISTS {self.name}",
            f"CREATE TABLE {self.name} (sku TEXT, amount INTEGER, updated_at {moment})",
        )

    @property
    def is_postgres(self) -> bool:
        return self.url.startswith("postgresql")

    def run(self, *statements: str) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    def put(self, sku: str, amount: int | None, second: float | None) -> None:
        """Insert a row, or change it."""
        value = "NULL" if amount is None else amount
        self.run(
            f"DELETE FROM {self.name} WHERE sku = '{sku}'",
            f"INSERT INTO {self.name} VALUES ('{sku}', {value}, {self.moment(second)})",
        )

    def drop(self, *skus: str) -> None:
        self.run(*(f"DELETE FROM {self.name} WHERE sku = '{sku}'" for sku in skus))

    def moment(self, second: float | None) -> str:
        if second is None:
            return "NULL"
        zone = "+00" if self.is_postgres else ""
        return f"'2024-01-01 00:{int(second) // 60:02}:{second % 60:09.6f}{zone}'"

    def content(self) -> dict[str, int]:
        with self.engine.begin() as connection:
            rows = connection.execute(sa.text(f"SELECT sku, amount FROM {self.name}"))
            return {row[0]: row[1] for row in rows}

    def close(self) -> None:
        self.run(f"DROP TABLE IF EXISTS {self.name}")
        self.engine.dispose()


def stocks(kind: str, folder) -> Iterator[Stock]:
    """The body of a fixture."""
    if kind == "postgres":
        require_postgres()
    made = Stock(POSTGRES if kind == "postgres" else f"sqlite:///{folder}/stock.db")
    yield made
    made.close()


BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@dataclass
class Remembered:
    """A past kept in memory, as the ledger would keep it."""

    taken: list[Delivery] = field(default_factory=list)
    hint: str = ""
    published: bool = False

    def positions(self) -> dict[str, str]:
        return {d.offsets.lane: d.offsets.last for d in self.taken}

    def is_published(self, lane: str = "") -> bool:
        return self.published and bool(self.position(lane))

    def position(self, lane: str = "") -> str:
        found = [d.offsets.last for d in self.taken if d.offsets.lane == lane]
        return found[-1] if found else ""

    def deliveries(self, lane: str = ""):
        for one in reversed(self.taken):
            if one.offsets.lane == lane:
                yield one.offsets.last, one.payload

    def remember(self, hint: str) -> None:
        self.hint = hint

    def take(self, deliveries: list[Delivery]) -> list[Delivery]:
        for one in deliveries:
            assert one.offsets.after == self.position(one.offsets.lane)
            self.taken.append(one)
        return deliveries
