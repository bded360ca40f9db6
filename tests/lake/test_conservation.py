"""Whatever is delivered, in whatever order, every row has exactly one fate."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.lake import Lake
from tests.examples import examples
from tests.lake.kit import SLOTS, Meter, balanced

VALUES = st.lists(st.sampled_from([1, 2, 3, 900, 2000, -1]), max_size=4)
DROPS = st.lists(
    st.tuples(st.sampled_from(SLOTS[:3]), VALUES, st.integers(0, 9), st.booleans()),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=examples(12),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
@given(DROPS)
def test_every_row_has_one_fate(drops):
    with TemporaryDirectory() as folder:
        meter = Meter(Path(folder))
        raw = 0
        for number, (slot, values, arrived, run_now) in enumerate(drops):
            meter.drop(slot, values, name=f"_{number}", arrived=arrived)
            raw += len(values)
            if run_now:
                ingest(meter.table, [slot], meter.home)
        results = ingest(meter.table, SLOTS[:3], meter.home)
        status = table_status(meter.home, meter.table)
        check(meter, status, results, raw)
        again = ingest(meter.table, SLOTS[:3], meter.home)
        assert not any(r.changed for r in again)
        assert table_status(meter.home, meter.table) == status


def check(meter, status, results, raw):
    assert balanced(status)
    apart = status["repeated"] + status["redelivered"]["rows"] + status["superseded"]["rows"]
    assert status["delivered"] + apart == raw
    for fate in ("delivered", "published", "quarantined", "pending"):
        assert sum(getattr(r, fate) for r in results) == status[fate]
    lake = Lake(meter.home)
    live = lake.scan("meter", ["_batch"]).num_rows if lake.snapshot_id("meter") else 0
    assert live == status["published"]
    with Ledger(meter.home) as ledger:
        assert {b.state for b in ledger.batches("meter").values()} <= {
            "published",
            "pending",
            "superseded",
        }
