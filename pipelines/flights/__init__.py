"""Predict if a flight from New York arrives over 15 minutes late, two hours before it leaves."""

from collections.abc import Mapping
from pathlib import Path

from headrace.contracts import load_contract
from headrace.core.progress import report
from headrace.gates import load_suite
from headrace.lake.table import Table
from headrace.pipeline.definition import Pipeline
from headrace.sources.base import Source
from headrace.sources.delivery_places import Place
from pipelines.flights.dataset import DATASET
from pipelines.flights.features import SPINE, VIEWS
from pipelines.flights.model import MODEL
from pipelines.flights.monitors import MONITOR
from pipelines.flights.sources import daily, deliveries_folder, snapshots

HERE = Path(__file__).parent
SUITES = HERE.parents[1] / "quality_suites" / "flights"


def table(name: str, source: Source, *, partitioned: bool) -> Table:
    """Return a table; its source, contract and suite are found by its name."""
    contract = load_contract(HERE / "contracts" / f"{name}.yaml")
    return Table(name, source, contract, load_suite(SUITES / f"{name}.yaml", contract), partitioned)


def pipeline(folder: Path) -> Pipeline:
    """Return the pipeline over the deliveries in `folder`."""
    return Pipeline(
        name="flights",
        tables=(
            *(table(name, source, partitioned=True) for name, source in daily(folder).items()),
            *(table(name, source, partitioned=False) for name, source in snapshots(folder).items()),
        ),
        spine=SPINE,
        views=VIEWS,
        dataset=DATASET,
        model=MODEL,
        monitor=MONITOR,
        first_slot="2013-01-01",
        last_slot="2014-01-01",
        make_deliveries=make_deliveries,
        places=places,
    )


def places(held: Path, live: Path) -> Mapping[str, Place]:
    from demo.flights import world

    return world.places(held, live)


def make_deliveries(target: Path) -> None:
    from demo import flights

    def show(share: float, what: str) -> None:
        report("deliveries", round(100 * share), 100, what)

    flights.make_deliveries(target, progress=show)


PIPELINE = pipeline(deliveries_folder())
