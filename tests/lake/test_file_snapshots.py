"""Full snapshots as files: only what changed is delivered, and absence deletes where declared."""

import os
from dataclasses import replace

import pytest

from headrace.contracts import load_contract
from headrace.core.clock import SECOND, parse_iso
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.gates import load_suite
from headrace.lake.ingest.protocol import ingest, outstanding
from headrace.lake.table import Table
from headrace.lake.tables.history import history
from headrace.sources.file_snapshots import FileSnapshots
from tests.lake.test_sql_changes import CONTRACT, SLOT, SUITE

START = parse_iso("2024-01-01")
DAY = 86_400 * SECOND


class Shop:
    """A shop that writes its whole stock into one file a day."""

    def __init__(self, root, **declared) -> None:
        self.folder, self.home = root / "drop", Home(root / "home")
        self.folder.mkdir()
        column, absent = "{property: fieldId, value: 14}", ", {property: mayBeAbsent, value: true}"
        (root / "stock.yaml").write_text(CONTRACT.replace(column, column + absent))
        (root / "suite.yaml").write_text(SUITE)
        source = FileSnapshots("shop", self.folder, "stock_*.csv", ("sku",), "the shop", **declared)
        contract, suite = load_contract(root / "stock.yaml"), load_suite(root / "suite.yaml")
        self.table = Table("stock", source, contract, suite, partitioned=False)

    def write(self, day: int, stock: dict[str, int], more: str = "") -> None:
        lines = [f"{sku},{amount},then" for sku, amount in stock.items()]
        path = self.folder / f"stock_{day}.csv"
        path.write_text("\n".join(["sku,amount,updated_at", *lines, ""]) + more)
        os.utime(path, ns=((START + day * DAY) * 1000,) * 2)

    def run(self) -> list[str]:
        return [result.state for result in ingest(self.table, SLOT, self.home)]

    def versions(self) -> list[tuple]:
        """(key, amount, deleted, day from which it is known) of every version."""
        rows = history(self.home, "stock", ["sku", "amount"]).to_pylist()
        day = [round((row["known_at"].timestamp() * SECOND - START) / DAY) for row in rows]
        pairs = zip(rows, day, strict=True)
        return sorted((r["sku"], r["amount"], bool(r["_deleted"]), on) for r, on in pairs)


@pytest.mark.parametrize("together", [True, False])
def test_a_key_that_a_later_snapshot_lacks_is_deleted_from_then_on(tmp_path, together):
    shop = Shop(tmp_path, deletions=True)
    days = [{"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 5}, {"a": 1, "b": 5}, {"a": 1, "b": 5, "c": 4}]
    for day, stock in enumerate(days):
        shop.write(day, stock)
        if not together:
            shop.run()
    shop.run()
    assert shop.versions() == [
        ("a", 1, False, 0), ("b", 2, False, 0), ("b", 5, False, 1),
        ("c", 3, False, 0), ("c", 3, True, 1), ("c", 4, False, 3),
    ]  # fmt: skip
    assert outstanding(shop.table, SLOT, shop.home) == []


def test_absence_deletes_nothing_where_it_is_not_declared(tmp_path):
    shop = Shop(tmp_path)
    shop.write(0, {"a": 1, "b": 2})
    shop.write(1, {"a": 1})
    shop.run()
    assert shop.versions() == [("a", 1, False, 0), ("b", 2, False, 0)]


@pytest.mark.parametrize(
    ("stock", "more", "why"),
    [
        ({"a": 0}, "", "9 of 10 rows are gone at once"),
        ({}, "", "10 of 10 rows are gone at once"),
        (dict.fromkeys("abcdefgh", 0), 'i,"9', "cannot be read completely"),
        (dict.fromkeys("abcdefgh", 0), "a,1,then\n", "have the same sku"),
    ],
)
def test_a_snapshot_that_shrank_or_was_cut_deletes_nothing(tmp_path, stock, more, why):
    shop = Shop(tmp_path, deletions=True)
    shop.write(0, dict.fromkeys("abcdefghij", 0))
    shop.run()
    shop.write(1, stock, more)
    (result,) = ingest(shop.table, SLOT, shop.home)
    assert result.state == "failed"
    assert why in " ".join(result.reasons)
    assert all(not deleted for _, _, deleted, _ in shop.versions())
    if not more and stock:
        source = replace(shop.table.source, most_deleted=1.0)
        shop.table = replace(shop.table, source=source)
        shop.run()
        assert sum(deleted for _, _, deleted, _ in shop.versions()) == 9


def test_what_is_declared_wrong_is_refused():
    for declared in ({"key": ()}, {"pattern": "stock_{slot}.csv"}, {"most_deleted": 2.0}):
        given = {"pattern": "stock_*.csv", "key": ("sku",)} | declared
        with pytest.raises(DeclarationError):
            FileSnapshots("shop", "drop", producer="the shop", **given)
