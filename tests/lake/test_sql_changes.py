"""A table that is read on, through the ledger into its published table: once, also killed."""

import getpass
import itertools
import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from headrace.contracts import load_contract
from headrace.core.errors import RefusedError, StateError
from headrace.core.home import Home
from headrace.gates import load_suite
from headrace.lake.ingest.protocol import ingest, outstanding
from headrace.lake.ingest.source_position import deliveries_of
from headrace.lake.ledger.batch_listing import batch_rows
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.batch_case import open_case
from headrace.lake.overrides.failing_rows import failing_rows
from headrace.lake.table import Table
from headrace.lake.tables.history import history
from headrace.operations.batch_actions import release
from headrace.sources.sql_changes import TableChanges
from tests.killing import child
from tests.lake.kit import balanced
from tests.sources.databases import Stock

SLOT = ["snapshot"]
KILLS = 8
CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: stock
name: stock
version: 1.0.0
status: active
description: {purpose: What is in store.}
schema:
  - name: stock
    dataGranularityDescription: one row per article
    properties:
      - {name: sku, logicalType: string, description: the article, primaryKey: true,
         primaryKeyPosition: 1, customProperties: [{property: fieldId, value: 10}]}
      - {name: amount, logicalType: integer, description: pieces,
         customProperties: [{property: fieldId, value: 11}]}
      - {name: updated_at, logicalType: string, description: when it last changed,
         customProperties: [{property: fieldId, value: 12}]}
      - {name: noticed_at, logicalType: timestamp, description: from when it could be read,
         customProperties: [{property: fieldId, value: 13}, {property: rounding, value: up}]}
      - {name: deleted, logicalType: boolean, description: whether it is gone,
         customProperties: [{property: fieldId, value: 14}]}
    customProperties:
      - {property: tableKind, value: state}
      - {property: eventTime, value: {expression: noticed_at, description: from then on}}
      - {property: knownAt, value: {expression: noticed_at, description: from then on}}
      - {property: deleted, value: {expression: deleted, description: it is gone}}
team: {name: shop}
customProperties:
  - {property: consumers, value: [tests]}
  - {property: licence, value: CC0-1.0}
  - {property: allowedPurposes, value: [testing]}
  - {property: privacyClass, value: public}
"""
# A change counts from the moment that the shop writes into the row.
DATED = CONTRACT.replace("expression: noticed_at", "expression: CAST(updated_at AS TIMESTAMPTZ)")
SUITE = """
name: test.stock
meta: {table: stock, version: 1, max_quarantined_share: 0.9}
expectations:
  - type: expect_column_values_to_be_between
    kwargs: {column: amount, min_value: 0}
    meta: {id: negative, action: block, reason: there is no such amount}
"""


def table_at(root: Path) -> Table:
    """The table of a shop in SQLite under `root`; the database is there already."""
    (root / "stock.yaml").write_text(CONTRACT)
    (root / "suite.yaml").write_text(SUITE)
    url, key = f"sqlite:///{root}/stock.db", ("sku",)
    source = TableChanges(
        "shop", url, "stock", key, "the shop",
        cursor="updated_at", overlap="1m", full_every="0s", deletions=True,
    )  # fmt: skip
    contract, suite = load_contract(root / "stock.yaml"), load_suite(root / "suite.yaml")
    return Table("stock", source, contract, suite, partitioned=False)


def shop(root: Path) -> Stock:
    root.mkdir(parents=True, exist_ok=True)
    return Stock(f"sqlite:///{root}/stock.db", "stock")


def run(root: Path) -> None:
    ingest(table_at(root), SLOT, Home(root / "home"))


def content(root: Path):
    """What must not depend on how often a run was killed: all but the moments of reading."""
    home, table = Home(root / "home"), table_at(root)
    rows = history(home, "stock", ["sku", "amount"]).to_pylist()
    plain = sorted((r["sku"], r["amount"] or 0, bool(r["_deleted"])) for r in rows)
    status = table_status(home, table)
    with Ledger(home) as ledger:
        chain = len(ledger.chain("stock", "shop", ""))
    return plain, status["delivered"], status["published"], chain


def first(stock: Stock) -> None:
    for number in range(20):
        stock.put(f"s{number:02}", number, number)


def then(stock: Stock) -> None:
    stock.put("s03", 33, 100)
    stock.put("new", 1, 101)
    stock.drop("s04")


def test_changes_and_deletions_are_published_once(tmp_path):
    stock, home = shop(tmp_path), Home(tmp_path / "home")
    first(stock)
    (result,) = ingest(table_at(tmp_path), SLOT, home)
    assert (result.state, result.published) == ("published", 20)
    assert outstanding(table_at(tmp_path), SLOT, home) == []
    (again,) = ingest(table_at(tmp_path), SLOT, home)
    assert not again.changed
    then(stock)
    assert outstanding(table_at(tmp_path), SLOT, home) == SLOT
    run(tmp_path)
    rows, delivered, published, chain = content(tmp_path)
    assert (delivered, published, chain) == (23, 23, 2)
    assert [row for row in rows if row[0] in {"s03", "s04", "new"}] == [
        ("new", 1, False),
        ("s03", 3, False),
        ("s03", 33, False),
        ("s04", 4, False),
        ("s04", 4, True),
    ]


def test_a_blocked_delivery_is_not_superseded_by_the_next(tmp_path):
    """They hold other rows: what is wrong waits for on-call, and the others go on."""
    stock, home = shop(tmp_path), Home(tmp_path / "home")
    first(stock)
    run(tmp_path)
    stock.put("s01", -1, 100)
    run(tmp_path)
    stock.put("s02", 2, 101)
    run(tmp_path)
    status = table_status(home, table_at(tmp_path))
    assert balanced(status)
    assert (status["published"], status["pending"]) == (21, 1)


def test_a_warning_is_told_until_the_next_delivery(tmp_path):
    stock, home = shop(tmp_path), Home(tmp_path / "home")
    first(stock)
    table = table_at(tmp_path)
    (tmp_path / "suite.yaml").write_text(SUITE.replace("action: block", "action: warn"))
    table = replace(table, suite=load_suite(tmp_path / "suite.yaml"))
    verdicts = []
    for amount in (-1, 5):
        stock.put("s01", amount, 100 + amount)
        (result,) = ingest(table, SLOT, home)
        verdicts.append(result.verdict)
    assert verdicts == ["WARN", "PASS"]


def test_on_call_releases_and_judges_anew_what_was_read(tmp_path):
    stock, home = shop(tmp_path), Home(tmp_path / "home")
    first(stock)
    stock.put("s01", -1, 100)
    table = table_at(tmp_path)
    (result,) = ingest(table, SLOT, home)
    assert result.state == "pending"
    user = getpass.getuser()
    (line,) = [n for n, sku in enumerate(sorted(stock.content()), 1) if sku == "s01"]
    given = {"principal": user, "reason": "it is so", "scope": {"lines": [line]}}
    release(home, table, result.batches[0], **given)
    assert content(tmp_path)[1:3] == (20, 20)
    assert outstanding(table, SLOT, home) == []


def test_two_at_once_take_each_row_once(tmp_path):
    stock, home = shop(tmp_path), Home(tmp_path / "home")
    first(stock)
    table = table_at(tmp_path)
    early = deliveries_of(table.source, "snapshot", home, "stock")
    run(tmp_path)
    with Ledger(home) as ledger, pytest.raises(StateError, match="another consumer has recorded"):
        ledger.deliver("stock", "shop", early[0], "nowhere")
    assert content(tmp_path)[1:] == (20, 20, 1)


def test_another_home_starts_at_the_beginning(tmp_path):
    first(shop(tmp_path))
    run(tmp_path)
    other = Home(tmp_path / "other")
    (result,) = ingest(table_at(tmp_path), SLOT, other)
    assert result.published == 20


def test_kills_change_nothing(tmp_path):
    calm = tmp_path / "calm"
    stock = shop(calm)
    first(stock)
    assert child(run, calm) == 0
    then(stock)
    assert child(run, calm) == 0
    calls = int((calm / "calls").read_text())
    expected = content(calm)
    moments, kills = random.Random(3), 0
    for number in itertools.count():
        root = tmp_path / str(number)
        stock = shop(root)
        for change in (first, then):
            change(stock)
            codes = [child(run, root, moments.randrange(calls)) for _ in range(2)]
            assert set(codes) <= {0, -signal.SIGKILL}
            kills += codes.count(-signal.SIGKILL)
            run(root)
        assert content(root) == expected
        if kills >= KILLS:
            return


def test_the_published_key_is_what_the_table_holds(tmp_path):
    """Under random changes, deletions and returns, read after some of them."""
    stock, home = shop(tmp_path), Home(tmp_path / "home")
    chance = random.Random(11)
    table = replace(table_at(tmp_path))
    source = replace(table.source, most_deleted=1.0)
    table = replace(table, source=source)
    for step in range(40):
        skus = [f"s{chance.randrange(8)}" for _ in range(chance.randrange(1, 4))]
        if chance.random() < 0.4:
            stock.drop(*skus)
        for sku in skus if chance.random() < 0.7 else ():
            stock.put(sku, chance.randrange(3), chance.choice([step, None]))
        if chance.random() < 0.5:
            ingest(table, SLOT, home)
    ingest(table, SLOT, home)
    rows = history(home, "stock", ["sku", "amount"]).to_pylist()
    latest = {}
    for row in sorted(rows, key=lambda row: row["known_at"]):
        latest[row["sku"]] = row
    alive = {sku: row["amount"] for sku, row in latest.items() if not row["_deleted"]}
    assert alive == stock.content()
    assert isinstance(stock.engine, sa.Engine)


def test_a_row_that_changes_without_its_moment_contradicts_the_published_one(tmp_path):
    """The table keeps the first version; the other is held until somebody decides."""
    stock, home = shop(tmp_path), Home(tmp_path / "home")
    table = table_at(tmp_path)
    (tmp_path / "stock.yaml").write_text(DATED)
    table = replace(table, contract=load_contract(tmp_path / "stock.yaml"))
    first(stock)
    ingest(table, SLOT, home)
    stock.put("s03", 33, 3)  # at the moment of its first version
    stock.put("s04", 44, 100)
    (result,) = ingest(table, SLOT, home)
    assert (result.verdict, result.published, result.quarantined) == ("QUARANTINE", 21, 1)
    assert amounts(home, "s03") == [3]
    assert amounts(home, "s04") == [4, 44]
    *_, last = sorted(batch_rows(home, table), key=lambda row: row["arrived_at"])
    assert last["conflicts"] == 1
    (held,) = failing_rows(open_case(home, table, last["batch"]))
    assert (held["values"]["amount"], held["earlier"]["values"]["amount"]) == (33, 3)
    assert outstanding(table, SLOT, home) == []
    (again,) = ingest(table, SLOT, home)
    assert not again.changed
    given = {"principal": getpass.getuser(), "reason": "it is so"}
    with pytest.raises(RefusedError, match="other values than published rows"):
        release(home, table, last["batch"], scope={"checks": ["conflict"]}, **given)
    stock.put("s03", 34, 101)  # as the shop should have written it
    ingest(table, SLOT, home)
    assert amounts(home, "s03") == [3, 34]
    assert balanced(table_status(home, table))


def amounts(home: Home, sku: str) -> list[int]:
    """Published amounts of an article, in the order in which they became known."""
    rows = history(home, "stock", ["sku", "amount"]).to_pylist()
    mine = [row for row in rows if row["sku"] == sku]
    return [row["amount"] for row in sorted(mine, key=lambda row: row["known_at"])]
