"""What checks in shadow would have done, from the ledger and by a rehearsal."""

from dataclasses import replace

from kit import SUITE, Meter

from headrace.gates import load_suite
from headrace.lake.ingest.protocol import ingest, outstanding
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.shadow_checks import recorded, rehearsed
from headrace.lake.tables.lake import Lake

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]
SHADOW = """
  - type: expect_column_max_to_be_between
    kwargs: {column: value, max_value: 6}
    meta: {id: small, shadow: true}
"""


def test_shadow_over_history_moves_nothing(tmp_path) -> None:
    meter, path = Meter(tmp_path), tmp_path / "suite.yaml"
    plain = SUITE.replace("LIMIT", "1000").replace("VERSION", "1")

    def table(text: str):
        path.write_text(text)
        return replace(meter.table, suite=load_suite(path, meter.table.contract))

    meter.drop_all(DAYS)
    ingest(table(plain), DAYS[:2], meter.home)
    before = Lake(meter.home).snapshot_id("meter")
    shadowed = table(plain + SHADOW)

    # A new check in shadow judges nothing again ...
    assert outstanding(shadowed, DAYS[:2], meter.home) == []
    ingest(shadowed, DAYS[:2], meter.home)
    assert Lake(meter.home).snapshot_id("meter") == before
    assert recorded(meter.home, shadowed) == []

    # ... knows the past by a rehearsal ...
    with Ledger(meter.home) as ledger:
        judged = len(ledger.judgements("meter"))
    told = rehearsed(meter.home, shadowed)[0].document()
    assert (told["check"], told["batches"], told["block"]) == ("small", 2, 0)
    with Ledger(meter.home) as ledger:
        assert len(ledger.judgements("meter")) == judged

    # ... and is told of what comes.
    results = ingest(shadowed, DAYS, meter.home)
    assert [one.verdict for one in results] == ["PASS"] * 4
    told = recorded(meter.home, shadowed)[0].document()
    assert (told["batches"], told["first"], told["last"], told["block"]) == (2, *DAYS[2:], 1)
    assert told["days"]["block"][0]["slot"] == DAYS[3]
    assert "maximum of value 7 is above 6" in told["days"]["block"][0]["reason"]
    assert rehearsed(meter.home, shadowed, (DAYS[3], DAYS[3]))[0].document()["batches"] == 1

    # Out of shadow it counts, and batches are judged by it.
    counts = table(plain + SHADOW.replace(", shadow: true", ""))
    assert outstanding(counts, DAYS, meter.home) == DAYS
    assert ingest(counts, DAYS, meter.home)[3].verdict == "BLOCK"
