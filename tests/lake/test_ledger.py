import sqlite3
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from headrace.core.errors import StateError
from headrace.core.sqlite import open_database, transaction
from headrace.lake.ingest.landing import land, read_landed
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.ledger.schema import MIGRATIONS
from headrace.sources.base import Delivery

FIRST = "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1)"
SECOND = "ALTER TABLE t ADD COLUMN b INTEGER; UPDATE t SET b = a + 1"


def delivery(payload=b"a\n1\n", origin="one.csv", arrived=5, sequence=0):
    return Delivery("meter", "2024-01-01", payload, "csv", origin, arrived, "the meter", sequence)


def test_a_ledger_migrates_forward_and_keeps_its_rows(tmp_path):
    path = tmp_path / "x.sqlite"
    open_database(path, [FIRST]).close()
    later = open_database(path, [FIRST, SECOND])
    assert later.execute("SELECT a, b FROM t").fetchall() == [(1, 2)]
    assert later.execute("PRAGMA user_version").fetchone() == (2,)
    later.close()


def test_a_failed_migration_changes_nothing(tmp_path):
    path = tmp_path / "x.sqlite"
    open_database(path, [FIRST]).close()
    with pytest.raises(StateError, match="syntax error"):
        open_database(path, [FIRST, SECOND + "; broken"])
    same = open_database(path, [FIRST])
    assert same.execute("SELECT * FROM t").fetchall() == [(1,)]
    same.close()


def test_a_newer_ledger_is_refused(tmp_path):
    path = tmp_path / "x.sqlite"
    open_database(path, [FIRST, SECOND]).close()
    with pytest.raises(
        StateError, match="schema 2, but this version of Headrace reads only up to schema 1"
    ):
        open_database(path, [FIRST])


def test_a_file_that_cannot_be_opened_is_told_of_at_once(tmp_path, monkeypatch):
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"no database " * 500)
    with pytest.raises(StateError, match=r"cannot be opened: file is not a database"):
        open_database(damaged, MIGRATIONS)
    # What a full disk answers: to wait would not help.
    full = sqlite3.OperationalError("disk I/O error")
    full.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("it waits"))
    monkeypatch.setattr(sqlite3, "connect", lambda *_, **__: Refusing(full))
    with pytest.raises(StateError, match="cannot be opened: disk I/O error"):
        open_database(tmp_path / "full.sqlite", MIGRATIONS)


class Refusing:
    def __init__(self, error):
        self.error = error

    def execute(self, sql):
        if "journal_mode" in sql:
            raise self.error

    def close(self):
        pass


def test_a_ledger_is_durable(tmp_path):
    connection = open_database(tmp_path / "x.sqlite", MIGRATIONS)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()


def test_a_ledger_can_be_made_by_several_at_once(tmp_path):
    for number in range(30):
        path, together = tmp_path / f"{number}.sqlite", Barrier(3)

        def make(path=path, together=together):
            together.wait()
            open_database(path, MIGRATIONS).close()

        with ThreadPoolExecutor(3) as pool:
            for made in [pool.submit(make) for _ in range(3)]:
                made.result()


def test_a_transaction_is_all_or_nothing(tmp_path):
    connection = open_database(tmp_path / "x.sqlite", [FIRST])

    def fail():
        with transaction(connection):
            connection.execute("INSERT INTO t VALUES (7)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert connection.execute("SELECT * FROM t").fetchall() == [(1,)]
    connection.close()


def test_delivering_twice_is_one_batch_with_its_origins(meter):
    with Ledger(meter.home) as ledger:
        for origin in ("one.csv", "one.csv", "two.csv"):
            ledger.deliver("meter", "metering", delivery(origin=origin), "aa/x.zst")
        batches = ledger.batches("meter")
        assert list(batches) == [delivery().batch_id]
        assert batches[delivery().batch_id].origin == "one.csv"
        assert ledger.origins("meter") == {delivery().batch_id: {"one.csv", "two.csv"}}


def test_batches_come_in_order_of_arrival(meter):
    late, early, middle = (delivery(bytes([65 + n]), arrived=a) for n, a in enumerate((9, 1, 4)))
    with Ledger(meter.home) as ledger:
        for one in (late, early, middle):
            ledger.deliver("meter", "metering", one, "x")
        assert list(ledger.batches("meter")) == [d.batch_id for d in (early, middle, late)]


def test_landed_bytes_come_back_as_they_were(meter):
    one = delivery(b"\x00\xff" * 5000, arrived=77, sequence=3)
    raw = land(meter.home, one)
    assert land(meter.home, one) == raw
    with Ledger(meter.home) as ledger:
        ledger.deliver("meter", "metering", one, raw)
    again = read_landed(meter.home, one.batch_id)
    assert again == one
    assert again.batch_id == one.batch_id


def test_an_empty_delivery_lands(meter):
    one = delivery(b"")
    with Ledger(meter.home) as ledger:
        ledger.deliver("meter", "metering", one, land(meter.home, one))
    assert read_landed(meter.home, one.batch_id).payload == b""


def test_lost_or_damaged_bytes_are_told(meter):
    one = delivery()
    raw = land(meter.home, one)
    with Ledger(meter.home) as ledger:
        ledger.deliver("meter", "metering", one, raw)
    with pytest.raises(StateError, match="no batch"):
        read_landed(meter.home, "0" * 64)
    path = meter.home.landing / raw
    path.write_bytes((meter.home.landing / land(meter.home, delivery(b"a\n2\n"))).read_bytes())
    with pytest.raises(StateError, match="damaged"):
        read_landed(meter.home, one.batch_id)
    path.unlink()
    with pytest.raises(StateError, match="are gone"):
        read_landed(meter.home, one.batch_id)


def test_only_a_pending_batch_can_be_rejected(meter):
    with Ledger(meter.home) as ledger:
        ledger.deliver("meter", "metering", delivery(), "x")
        with pytest.raises(StateError, match="is received, not"):
            ledger.reject("meter", delivery().batch_id, "why")
        with pytest.raises(StateError, match="is unknown, not"):
            ledger.reject("meter", "0" * 64, "why")
