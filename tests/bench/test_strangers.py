"""The benchmark of strangers, tiny: made-up orders, and every fault in their last day."""

from bench.strangers import FAULTS, Stranger, faults
from headrace.scaffold import new_project
from tests.scaffold.shop import ask, orders

SHOP = Stranger(
    "shop", ("--time", "ordered_at", "--key", "Order ID"),
    "amount", "amount", "channel", "web", "ordered_at", "made up",
)  # fmt: skip


def test_gross_faults_are_stopped(tmp_path):
    data = orders(tmp_path / "shop.csv")
    root = new_project("shop", ask(data), tmp_path).root
    found = faults(SHOP, root)
    assert list(found) == list(FAULTS)
    passed = {fault for fault, one in found.items() if not one["stopped"]}
    assert {"unit: measure times 1000", "column renamed", "header missing"}.isdisjoint(passed)
    assert len(passed) <= 8, passed
    assert all(one["by"] for fault, one in found.items() if one["stopped"])
