"""Police stops in Minneapolis in 2017: a source for measuring the gate, without a model.

The gate's thresholds were chosen on the flights. This source has another kind of data: 365 local
days of 33 to 251 rows, texts with few and with many categories, and nulls that depend on the kind
of stop.
"""

from pathlib import Path

from headrace.contracts import load_contract
from headrace.core.home import default_root
from headrace.gates import load_suite
from headrace.lake.table import Table
from headrace.sources.files import DropFolder

HERE = Path(__file__).parent
SUITES = HERE.parents[1] / "quality_suites" / "stops"
FOLDER = default_root() / "deliveries" / "stops"

_CONTRACT = load_contract(HERE / "contracts" / "stops.yaml")
TABLES = (
    Table(
        "stops",
        DropFolder("stops", FOLDER, "stops_{slot}.csv", "police-department"),
        _CONTRACT,
        load_suite(SUITES / "stops.yaml", _CONTRACT),
    ),
)


def make_deliveries() -> None:
    from demo.stops import make

    make(FOLDER)
