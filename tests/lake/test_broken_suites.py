"""A suite that breaks stops new batches, with the cause, and takes nothing away that was good."""

from dataclasses import replace

from kit import SUITE, Meter

from headrace.gates import load_suite
from headrace.lake.ingest.protocol import ingest, outstanding
from headrace.lake.ledger.batch_listing import batch_rows
from headrace.lake.ledger.ledger import Ledger

BEFORE, AFTER = "2024-01-01", "2024-01-02"


def meter_with(root, text: str):
    meter = Meter(root)
    path = root / "suite.yaml"
    path.write_text(text)
    return meter, path


def test_new_batches_are_errors_and_published_ones_stay(tmp_path) -> None:
    good = SUITE.replace("LIMIT", "1000").replace("VERSION", "1")
    meter, path = meter_with(tmp_path, good)
    contract = meter.table.contract

    def table():
        return replace(meter.table, suite=load_suite(path, contract))

    meter.drop(BEFORE, range(5))
    assert ingest(table(), [BEFORE], meter.home)[0].state == "published"

    path.write_text(good.replace("expect_column_values_to_be_between", "expect_miracles", 1))
    meter.drop(AFTER, range(5))
    old, new = ingest(table(), [BEFORE, AFTER], meter.home)
    assert (old.state, old.verdict) == ("published", "PASS")
    assert (new.state, new.verdict, new.published) == ("pending", "ERROR", 0)
    assert "unknown expectation type 'expect_miracles'" in new.reasons[0]
    assert str(path) in new.reasons[0]
    assert outstanding(table(), [BEFORE, AFTER], meter.home) == [AFTER]
    with Ledger(meter.home) as ledger:
        judged = [batch for batch, _ in ledger.judgements("meter")]
    assert len(judged) == 2  # the published one was not judged by what cannot be read

    path.write_text("name: [")
    new = ingest(table(), [AFTER], meter.home)[0]
    assert (new.state, new.verdict) == ("pending", "ERROR")
    assert "not valid YAML" in new.reasons[0]

    path.write_text(good)
    results = ingest(table(), [BEFORE, AFTER], meter.home)
    assert [(one.state, one.verdict) for one in results] == [("published", "PASS")] * 2
    assert outstanding(table(), [BEFORE, AFTER], meter.home) == []
    assert [row["verdict"] for row in batch_rows(meter.home, table())] == ["PASS", "PASS"]
