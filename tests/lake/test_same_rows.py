"""The same rows in other bytes are published once; what a correction changes is published."""

from headrace.lake.ingest.protocol import ingest, outstanding
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.lake import Lake
from tests.lake.kit import ROWS, SLOTS, Meter

GOOD = list(range(ROWS))


def turn(meter: Meter, name: str = "") -> None:
    """The records of a file of the first slot in another order."""
    path = meter.folder / f"meter_{SLOTS[0]}{name}.csv"
    header, *lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, *lines[::-1]]))


def published(meter: Meter) -> int:
    return sum(file.rows for file in Lake(meter.home).files("meter"))


def states(meter: Meter) -> list[str]:
    with Ledger(meter.home) as ledger:
        return [batch.state for batch in ledger.batches("meter").values()]


def test_turned_round_it_is_the_same_delivery(tmp_path):
    meter = Meter(tmp_path)
    meter.drop(SLOTS[0], GOOD)
    ingest(meter.table, SLOTS[:1], meter.home)
    meter.drop(SLOTS[0], GOOD, name="_z", arrived=1)
    turn(meter, "_z")
    assert outstanding(meter.table, SLOTS[:1], meter.home) == SLOTS[:1]
    ingest(meter.table, SLOTS[:1], meter.home)
    assert published(meter) == ROWS
    assert states(meter) == ["published", "superseded"]
    assert outstanding(meter.table, SLOTS[:1], meter.home) == []
    status = table_status(meter.home, meter.table)
    assert (status["delivered"], status["superseded"]["rows"]) == (ROWS, ROWS)


def test_both_at_once(tmp_path):
    meter = Meter(tmp_path)
    meter.drop(SLOTS[0], GOOD)
    meter.drop(SLOTS[0], GOOD, name="_z", arrived=1)
    turn(meter, "_z")
    ingest(meter.table, SLOTS[:1], meter.home)
    assert published(meter) == ROWS


def test_a_correction_and_the_one_that_takes_it_back_are_news(tmp_path):
    meter = Meter(tmp_path)
    meter.drop(SLOTS[0], GOOD)
    ingest(meter.table, SLOTS[:1], meter.home)
    meter.drop(SLOTS[0], [*GOOD, ROWS], arrived=1)
    ingest(meter.table, SLOTS[:1], meter.home)
    assert published(meter) == 2 * ROWS + 1
    meter.drop(SLOTS[0], GOOD)
    turn(meter)
    ingest(meter.table, SLOTS[:1], meter.home)
    assert published(meter) == 3 * ROWS + 1
