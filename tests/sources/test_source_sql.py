"""Database tables as snapshots: the same bytes from every database."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from headrace.core.errors import SourceError
from headrace.sources.parse import read_rows
from headrace.sources.sql import TableSnapshot
from tests.sources.databases import BOTH, POSTGRES, require_postgres

TABLE = 'a "strange" name; DROP TABLE x'
ROWS = [("b", 2, 0.1, None, "é"), ("a", 10, -1.5, "x", 'say "so"\n'), ("a", 9, 3.0, "y", "")]


@contextmanager
def filled(url: str) -> Iterator[str]:
    """A database that holds the table, gone afterwards."""
    engine = sa.create_engine(url)
    table = sa.Table(
        TABLE,
        sa.MetaData(),
        sa.Column("name", sa.String),
        sa.Column("number", sa.Integer),
        sa.Column("share", sa.Double),
        sa.Column("missing", sa.String),
        sa.Column("Text", sa.String),
    )
    try:
        with engine.begin() as connection:
            table.drop(connection, checkfirst=True)
            table.create(connection)
            connection.execute(table.insert(), [dict(zip(table.c.keys(), r)) for r in ROWS])  # noqa: B905
        yield url
        with engine.begin() as connection:
            table.drop(connection)
    finally:
        engine.dispose()


@pytest.fixture
def postgres() -> sa.Engine:
    require_postgres()
    return sa.create_engine(POSTGRES, poolclass=sa.NullPool)


@pytest.fixture(params=BOTH)
def url(request, tmp_path) -> Iterator[str]:
    if request.param == "postgres":
        request.getfixturevalue("postgres")
    address = f"sqlite:///{tmp_path}/a.db" if request.param == "sqlite" else POSTGRES
    with filled(address) as made:
        yield made


def snapshot(url: str, table: str = TABLE, key=("name", "number")) -> TableSnapshot:
    return TableSnapshot("names", url, table, key, "the registry")


def test_rows_are_ordered_and_exact_on_every_database(url):
    (delivery,) = snapshot(url).deliveries("snapshot")
    assert delivery.payload.decode() == (
        '{"Text":"","missing":"y","name":"a","number":9,"share":3.0}\n'
        '{"Text":"say \\"so\\"\\n","missing":"x","name":"a","number":10,"share":-1.5}\n'
        '{"Text":"é","missing":null,"name":"b","number":2,"share":0.1}\n'
    )
    raw = read_rows(delivery)
    assert raw.columns == ("Text", "missing", "name", "number", "share")
    assert raw.lines.tolist() == [1, 2, 3]
    assert raw.table["share"].to_pylist() == ["3.0", "-1.5", "0.1"]


def test_an_unchanged_table_is_the_same_batch(url):
    first, again = (snapshot(url).deliveries("snapshot")[0] for _ in range(2))
    assert first.batch_id == again.batch_id


def test_there_is_one_slot(url):
    assert snapshot(url).deliveries("2013-01-01") == []


def test_a_missing_table_or_key_is_an_error_that_says_so(url):
    with pytest.raises(SourceError, match="gone"):
        snapshot(url, table="gone").deliveries("snapshot")
    with pytest.raises(SourceError, match=r"no key column code; there are name, number"):
        snapshot(url, key=("code",)).deliveries("snapshot")


def test_a_missing_sqlite_file_is_not_created(tmp_path):
    with pytest.raises(SourceError, match="there is no file"):
        snapshot(f"sqlite:///{tmp_path}/b.db").deliveries("snapshot")
    assert list(tmp_path.iterdir()) == []


def test_a_password_is_never_shown():
    with pytest.raises(SourceError) as caught:
        snapshot("postgresql+nodriver://me:secret@127.0.0.1:1/x").deliveries("snapshot")
    assert "secret" not in str(caught.value)


def test_values_that_json_cannot_hold_exactly(tmp_path):
    path = f"sqlite:///{tmp_path}/c.db"
    engine = sa.create_engine(path)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (k INTEGER, v)"))
        connection.execute(sa.text("INSERT INTO t VALUES (2, 9e999), (1, -9e999), (NULL, 'x')"))
    (delivery,) = snapshot(path, "t", ("k",)).deliveries("snapshot")
    assert read_rows(delivery).table["v"].to_pylist() == ["x", "-inf", "inf"]
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO t VALUES (3, x'00')"))
    engine.dispose()
    with pytest.raises(SourceError, match="type bytes cannot be delivered"):
        snapshot(path, "t", ("k",)).deliveries("snapshot")


@pytest.mark.postgres
def test_moments_are_utc_and_decimals_keep_their_scale(postgres):
    select = "SELECT 1 AS k, timestamptz '2013-01-01 12:00-05' AS at, 1.50::numeric AS d, true AS b"
    with postgres.begin() as connection:
        connection.execute(sa.text(f"CREATE OR REPLACE VIEW moments AS {select}"))
    (delivery,) = snapshot(POSTGRES, "moments", ("k",)).deliveries("snapshot")
    with postgres.begin() as connection:
        connection.execute(sa.text("DROP VIEW moments"))
    assert delivery.payload == b'{"at":"2013-01-01T17:00:00Z","b":true,"d":"1.50","k":1}\n'
