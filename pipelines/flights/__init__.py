"""Will a flight from New York arrive over 15 minutes late? Asked two hours before it leaves."""

from collections.abc import Mapping
from pathlib import Path

from headrace.contracts import load_contract
from headrace.core.progress import report
from headrace.gates import load_suite
from headrace.lake.table import Table
from headrace.pipeline.definition import Pipeline
from headrace.sources.base import Source
from headrace.sources.delivery_places import Place
from pipelines.flights import sources
from pipelines.flights.dataset import DATASET
from pipelines.flights.features import SPINE, VIEWS
from pipelines.flights.model import MODEL
from pipelines.flights.monitors import MONITOR

HERE = Path(__file__).parent
SUITES = HERE.parents[1] / "quality_suites" / "flights"


def table(name: str, source: Source, *, partitioned: bool) -> Table:
    contract = load_contract(HERE / "contracts" / f"{name}.yaml")
    return Table(name, source, contract, load_suite(SUITES / f"{name}.yaml", contract), partitioned)


def pipeline(folder: Path) -> Pipeline:
    """The pipeline over the deliveries in `folder`."""
    return Pipeline(
        name="flights",
        tables=(
            table("schedule", sources.schedule(folder), partitioned=True),
            table("outcomes", sources.feed("outcomes", folder, 1000), partitioned=True),
            table("weather", sources.feed("weather", folder, 50), partitioned=True),
            table("planes", sources.reference("planes", "tailnum", folder), partitioned=False),
            table("airlines", sources.reference("airlines", "carrier", folder), partitioned=False),
            table("airports", sources.reference("airports", "faa", folder), partitioned=False),
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
    from pipelines.flights.deliveries import world

    return world.places(held, live)


def make_deliveries(target: Path) -> None:
    from pipelines.flights import deliveries

    def show(share: float, what: str) -> None:
        report("deliveries", round(100 * share), 100, what)

    deliveries.make_deliveries(target, progress=show)


PIPELINE = pipeline(sources.deliveries_folder())
