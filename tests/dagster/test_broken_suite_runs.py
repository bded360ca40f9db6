"""One suite that cannot be read, in a real run: its table stops, the others do not."""

import shutil

import pytest
import shop_pipeline as shop
from shop_pipeline import deliver_all
from test_runs import SALES, VISITS, evaluations, partition_status

from headrace.dagster import definitions
from headrace.dagster.execute import ingest_due
from headrace.lake.ledger.batch_listing import find_batches


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        ("name: [", "not valid YAML"),
        (None, "unknown expectation type 'expect_miracles'"),
    ],
)
def test_the_location_loads_and_other_tables_go_on(
    broken, cause, monkeypatch, tmp_path, folder, home, instance
) -> None:
    shutil.copytree(shop.HERE, tmp_path / "shop")
    suite = tmp_path / "shop" / "visits.suite.yaml"
    good = suite.read_text()
    wrong = good.replace("expect_table_row_count_to_be_between", "expect_miracles")
    suite.write_text(broken or wrong)
    monkeypatch.setattr(shop, "HERE", tmp_path / "shop")
    pipeline = shop.shop_pipeline(folder)
    defs = definitions(pipeline, home=lambda: home)  # the code location
    deliver_all(folder)

    ingest_due(defs, pipeline, home, instance)
    assert len(partition_status(instance, defs, SALES)[0]) == 6
    assert partition_status(instance, defs, VISITS)[0] == set()
    assert all(not passed for _, passed, _ in evaluations(instance, VISITS, "block"))
    told = find_batches(home, pipeline.table("visits"), "2024-03-01")[0]
    assert (told["verdict"], told["state"]) == ("ERROR", "pending")
    assert cause in told["summary"]
    assert str(suite) in told["summary"]

    suite.write_text(good)
    mended = shop.shop_pipeline(folder)
    ingest_due(definitions(mended, home=lambda: home), mended, home, instance)
    assert len(partition_status(instance, defs, VISITS)[0]) == 5
