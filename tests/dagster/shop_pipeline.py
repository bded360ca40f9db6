"""A small pipeline over real drop folders: two event tables, a snapshot, one view, stub stages."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from headrace.contracts import load_contract
from headrace.core.home import Home
from headrace.datasets import DatasetSpec, TimeSplits
from headrace.features.spec import FeatureView, Label, Mean, Rows, RowTransform, Spine, Window
from headrace.gates import load_suite
from headrace.lake.table import Table
from headrace.models import ModelSpec
from headrace.monitoring import MonitorSpec
from headrace.pipeline import Pipeline
from headrace.sources.files import DropFolder

HERE = Path(__file__).parent / "shop"
DAYS = [f"2024-03-0{day}" for day in range(1, 7)]


def shop_table(name: str, folder: Path, *, partitioned: bool = True) -> Table:
    contract = load_contract(HERE / f"{name}.yaml")
    source = DropFolder(name, folder, f"{name}_{{slot}}*.csv", producer="till")
    return Table(name, source, contract, load_suite(HERE / f"{name}.suite.yaml"), partitioned)


VISITS = FeatureView(
    "recent_visits",
    table="visits",
    entity=("shop",),
    features=(Rows(Window("-7d")), Mean("visitors", Window("-7d"))),
)
DATASET = DatasetSpec(
    "shop_takings",
    ("shop", "hour"),
    Label("takings", "sales", ("shop", "hour"), ("takings",), horizon="2h", settle="0s"),
    TimeSplits("2024-03-03", "2024-03-04", "2024-03-06"),
    "2024-03-07",
    description="Takings of the next hour.",
)


def shop_tables(folder: Path) -> tuple[Table, ...]:
    return (
        shop_table("visits", folder),
        shop_table("sales", folder),
        shop_table("shops", folder, partitioned=False),
    )


def shop_pipeline(folder: Path) -> Pipeline:
    return Pipeline(
        name="shop",
        tables=shop_tables(folder),
        views=(
            VISITS,
            RowTransform("same_hour", ("hour",), lambda hour: hour.cast("int64"), "int64"),
        ),
        spine=Spine("sales"),
        dataset=DATASET,
        model=ModelSpec("takings", "shop_takings", baseline=("same_hour",)),
        monitor=MonitorSpec("shop", folder / "monitors.yaml", DAYS[0]),
        first_slot=DAYS[0],
        last_slot=DAYS[-1],
    )


def deliver(folder: Path, table: str, day: str, values: list[int], suffix: str = "") -> Path:
    """One CSV for a day; `values` are hourly."""
    folder.mkdir(parents=True, exist_ok=True)
    column = {"visits": "visitors", "sales": "takings"}[table]
    rows = [f"hats,{day}T{hour:02}:00:00Z,{value}" for hour, value in enumerate(values, 9)]
    path = folder / f"{table}_{day}{suffix}.csv"
    path.write_text("\n".join([f"shop,hour,{column}", *rows]) + "\n")
    return path


def deliver_all(folder: Path) -> None:
    """Every expected day of both event tables, and the shops."""
    for day in DAYS:
        deliver(folder, "sales", day, [900, 1200, 700])
        if day != DAYS[-1]:
            deliver(folder, "visits", day, [10, 20, 30])
    (folder / "shops_snapshot.csv").write_text("shop,updated_at\nhats,2024-01-01T00:00:00Z\n")


def stub_stages(done: list[str]) -> dict[str, Callable]:
    """The stages of a pipeline by their dotted names, which here only say that they were called."""

    def built(what: str) -> SimpleNamespace:
        done.append(what)
        return SimpleNamespace(
            rows=3,
            columns=2,
            seconds=0.0,
            changed=True,
            metadata={"rows": 3, "note": {"md": f"*{what}*"}},
        )

    def build_view(
        pipeline: Pipeline, view: FeatureView, home: Home, context: object
    ) -> SimpleNamespace:
        return built(view.name)

    return {
        "headrace.pipeline.build_view": build_view,
        "headrace.pipeline.build_release": lambda pipeline, home, context: built("release"),
        "headrace.pipeline.train_model": lambda pipeline, home: built("model"),
        "headrace.operations.monitor_run.run_monitors": lambda pipeline, home, context: built(
            "monitors"
        ),
        "headrace.reports.monitor.facts.monitor_standing": lambda pipeline, home: SimpleNamespace(
            state="well", sentence="nothing is open", metadata={"open": 0}
        ),
    }
