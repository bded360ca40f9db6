"""Reading a table on: what changed, what is gone, and what committed late, on two databases."""

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from headrace.core.clock import parse_iso
from headrace.core.errors import DeclarationError, SourceError
from headrace.sources.parse import read_rows
from headrace.sources.relational.change_cursor import Position
from headrace.sources.sql_changes import TableChanges
from tests.sources.databases import BOTH, POSTGRES, Remembered, Stock, require_postgres, stocks


@pytest.fixture(params=BOTH)
def stock(request, tmp_path):
    yield from stocks(request.param, tmp_path)


@pytest.fixture
def postgres(tmp_path):
    yield from stocks("postgres", tmp_path)


def source(stock: Stock, **more) -> TableChanges:
    given = {"cursor": "updated_at", "deletions": True, "full_every": "1d", **more}
    return TableChanges("stock", stock.url, stock.name, ("sku",), "the shop", **given)


def polled(of: TableChanges, past: Remembered) -> list[dict]:
    return [
        json.loads(line)
        for delivery in past.take(of.resume("snapshot", past))
        for line in delivery.payload.splitlines()
    ]


def told(rows):
    return [(row["sku"], row["amount"], row["deleted"]) for row in rows]


def test_first_all_rows_then_those_that_changed(stock):
    past, of = Remembered(), source(stock)
    stock.put("b", 2, 20)
    stock.put("a", 1, 10)
    first = polled(of, past)
    assert told(first) == [("a", 1, False), ("b", 2, False)]
    assert [row["noticed_at"] for row in first] == ["2024-01-01T00:00:10Z", "2024-01-01T00:00:20Z"]
    assert polled(of, past) == []
    stock.put("b", 3, 30)
    stock.put("c", None, 31)
    (b, c) = polled(of, past)
    assert told([b, c]) == [("b", 3, False), ("c", None, False)]
    assert parse_iso(b["noticed_at"]) > parse_iso("2025-01-01"), "from when it was read"
    raw = read_rows(past.taken[-1])
    assert raw.table["amount"].to_pylist() == ["3", None]


def test_a_row_that_becomes_visible_late_is_found_within_the_overlap(stock):
    past, of = Remembered(), source(stock, overlap="1m")
    stock.put("a", 1, 300)
    polled(of, past)
    stock.put("late", 2, 245)
    stock.put("too late", 3, 235)
    assert told(polled(of, past)) == [("late", 2, False)]
    assert polled(of, past) == [], "and only once"
    whole = source(stock, full_every="0s")
    assert told(polled(whole, past)) == [("too late", 3, False)]


def test_absence_from_a_whole_table_is_a_deletion_only_if_declared(stock):
    for deletions, expected in ((False, []), (True, [("b", 2, True)])):
        past = Remembered()
        of = source(stock, deletions=deletions, full_every="0s")
        for sku, amount in (("a", 1), ("b", 2), ("c", 3)):
            stock.put(sku, amount, 10)
        polled(of, past)
        stock.drop("b")
        rows = polled(of, past)
        assert [(r["sku"], r["amount"], r["deleted"]) for r in rows] == expected
        assert polled(of, past) == [], "a deletion is told once"
    stock.put("b", 2, 10)
    assert told(polled(of, past)) == [("b", 2, False)], "it came back as it was"


def test_a_partial_read_deletes_nothing(stock):
    past, of = Remembered(), source(stock)
    stock.put("a", 1, 10)
    stock.put("b", 1, 3500)
    polled(of, past)
    stock.drop("a")
    assert polled(of, past) == []


def test_without_a_cursor_whole_tables_are_compared(stock):
    past, of = Remembered(), source(stock, cursor=None)
    stock.put("a", 1, None)
    stock.put("b", 2, None)
    stock.put("c", 2, None)
    assert len(polled(of, past)) == 3
    stock.put("a", 5, None)
    stock.drop("c")
    assert told(polled(of, past)) == [("a", 5, False), ("c", 2, True)]
    stock.put("a", 1, None)
    assert told(polled(of, past)) == [("a", 1, False)], "back to what it was is a change, too"


def test_a_table_that_was_emptied_is_no_thousand_deletions(stock):
    past, of = Remembered(), source(stock, full_every="0s")
    for number in range(5):
        stock.put(f"s{number}", number, 10)
    polled(of, past)
    stock.drop("s0", "s1", "s2")
    with pytest.raises(SourceError, match="3 of 5 rows are gone at once"):
        polled(of, past)
    assert len(polled(replace(of, most_deleted=1.0), past)) == 3


def test_what_was_seen_unchanged_is_only_a_hint(stock):
    """It spares reading; without it the same rows come."""
    past, of = Remembered(), source(stock, overlap="1s")
    stock.put("a", 1, 10)
    polled(of, past)
    assert polled(of, past) == []
    assert Position.read(past.hint.partition("\n")[2]).read_at > 0
    for hint in ("", "nonsense", f"{past.position()}\nnonsense", f"other\n{past.position()}"):
        past.hint = hint
        assert polled(of, past) == []
    stock.put("b", 1, 11)
    assert told(polled(of, past)) == [("b", 1, False)]


def test_rows_from_the_future_do_not_hide_others(stock):
    past, of = Remembered(), source(stock, full_every=None, deletions=False)
    year = "2099-01-01 00:00:00" + ("+00" if stock.is_postgres else "")
    stock.run(f"INSERT INTO {stock.name} VALUES ('x', 1, '{year}')")
    rows = polled(of, past)
    assert parse_iso(rows[0]["noticed_at"]) < parse_iso("2099-01-01")
    now = "now()" if stock.is_postgres else "strftime('%Y-%m-%d %H:%M:%f', 'now')"
    stock.run(f"INSERT INTO {stock.name} VALUES ('y', 1, {now})")
    assert [row["sku"] for row in polled(of, past)] == ["y"]


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"cursor": "nope"}, "no column nope"),
        ({"cursor": "sku"}, "not a time"),
        ({"key": ("amount",)}, "two rows have the same amount"),
        ({"table": "nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_be_read_says_so(stock, more, what):
    stock.put("a", 1, 10)
    stock.put("b", 1, 20)
    with pytest.raises(SourceError, match=what) as caught:
        polled(replace(source(stock), **more), Remembered())
    assert caught.value.fix


def test_declarations_that_cannot_work():
    for more in ({"full_every": None}, {"overlap": "0s"}, {"key": ()}):
        given = {"key": ("a",), "cursor": "at", "deletions": True, **more}
        with pytest.raises(DeclarationError):
            TableChanges("x", "sqlite://", "x", producer="x", **given)


def test_it_cannot_be_asked_without_a_past(stock):
    with pytest.raises(DeclarationError, match="needs the ledger"):
        source(stock).deliveries("snapshot")
    assert source(stock).resume("2024-01-01", Remembered()) == []


@pytest.mark.parametrize("seed", range(4))
def test_what_was_delivered_adds_up_to_the_table(stock, seed):
    """Random changes, some behind the cursor, some deletions; read by cursor, whole at the end."""
    chance, past = random.Random(seed), Remembered()
    of = source(stock, overlap="5s", full_every=None, deletions=False)
    whole = source(stock, overlap="5s", full_every="0s", most_deleted=1.0)
    for step in range(25):
        for _ in range(chance.randrange(3)):
            sku = f"s{chance.randrange(6)}"
            if chance.random() < 0.25:
                stock.drop(sku)
            else:
                second = chance.choice([step, max(step - chance.randrange(20), 0), None])
                stock.put(sku, chance.randrange(3), second)
        if chance.random() < 0.6:
            polled(chance.choice([of, of, whole]), past)
    polled(whole, past)
    assert folded(past) == stock.content()
    assert polled(whole, past) == []
    moments = [json.loads(row)["noticed_at"] for d in past.taken for row in lines(d)]
    assert len(past.taken) > 2
    assert all(moments)


def lines(delivery):
    return delivery.payload.splitlines()


def folded(past):
    """The last delivered row of each key, without what is gone."""
    found = {}
    for row in (json.loads(line) for delivery in past.taken for line in lines(delivery)):
        found[row["sku"]] = row
    return {sku: row["amount"] for sku, row in found.items() if not row.get("deleted")}


# Transactions that commit late


def insert(connection, stock, sku):
    connection.execute(sa.text(f"INSERT INTO {stock.name} VALUES ('{sku}', 1, now())"))


@pytest.mark.postgres
def test_an_open_transaction_holds_the_cursor_back_however_long_it_takes(postgres):
    past = Remembered()
    of = source(postgres, overlap="1s", full_every=None, deletions=False)
    with postgres.engine.connect() as slow:
        insert(slow, postgres, "slow")
        time.sleep(1.5)
        with postgres.engine.begin() as quick:
            insert(quick, postgres, "quick")
        assert [row["sku"] for row in polled(of, past)] == ["quick"]
        assert Position.read(past.position()).exact
        with postgres.engine.begin() as quick:
            insert(quick, postgres, "later")
        assert [row["sku"] for row in polled(of, past)] == ["later"]
        slow.commit()
    assert [row["sku"] for row in polled(of, past)] == ["slow"]
    assert polled(of, past) == []


@pytest.mark.postgres
def test_without_the_right_to_see_sessions_only_the_overlap_is_promised(postgres):
    """And what it misses is found when the whole table is compared."""
    role = f"hr_blind_{postgres.name}"
    postgres.run(
        f"CREATE ROLE {role} LOGIN",
        f"GRANT SELECT ON {postgres.name} TO {role}",
        f"GRANT USAGE ON SCHEMA public TO {role}",
    )
    try:
        url = sa.engine.make_url(POSTGRES).set(username=role).render_as_string()
        past = Remembered()
        of = replace(source(postgres, overlap="1s", full_every=None, deletions=False), url=url)
        with postgres.engine.connect() as slow:
            insert(slow, postgres, "slow")
            time.sleep(1.5)
            with postgres.engine.begin() as quick:
                insert(quick, postgres, "quick")
            polled(of, past)
            assert not Position.read(past.position()).exact
            slow.commit()
        assert polled(of, past) == []
        assert [row["sku"] for row in polled(replace(of, full_every="0s"), past)] == ["slow"]
    finally:
        postgres.run(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@pytest.mark.postgres
def test_many_writers_at_once_lose_and_double_nothing(postgres):
    """Transactions of random length beside a reader that never waits for them."""
    past, seed = Remembered(), 5
    of = source(postgres, overlap="1s", full_every=None, deletions=False)
    stop = time.monotonic() + 6

    def write(number: int) -> int:
        chance, written = random.Random(seed + number), 0
        while time.monotonic() < stop:
            with postgres.engine.begin() as connection:
                for _ in range(chance.randrange(1, 4)):
                    insert(connection, postgres, f"{number}-{written}")
                    written += 1
                    time.sleep(chance.choice([0, 0.05, 0.2, 1.3]))
        return written

    def read(done: threading.Event) -> list[str]:
        found: list[str] = []
        while not done.is_set():
            found += [row["sku"] for row in polled(of, past)]
        return found + [row["sku"] for row in polled(of, past)]

    done = threading.Event()
    with ThreadPoolExecutor(7) as pool:
        reading = pool.submit(read, done)
        written = sum(pool.map(write, range(6)))
        done.set()
        found = reading.result()
    assert len(found) == len(set(found)) == written
    assert set(found) == set(postgres.content())
    assert len(past.taken) > 5


def test_require_postgres_skips_by_name(monkeypatch):
    monkeypatch.setattr("tests.sources.databases.POSTGRES", "postgresql+psycopg://x@127.0.0.1:1/x")
    with pytest.raises(pytest.skip.Exception, match="HEADRACE_TEST_POSTGRES"):
        require_postgres()
