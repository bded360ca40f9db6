"""Flow of a pipeline's assets: the only module that connects the asset factories.

The asset of a table validates, quarantines and publishes: passing and quarantined rows are written
in one transaction. Asset checks show the gate's verdicts, one check for each action (block,
quarantine, warn).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.dagster import asset_names
from headrace.dagster.asset_names import stored
from headrace.dagster.assets.features import view_asset
from headrace.dagster.assets.models import model_asset
from headrace.dagster.assets.monitors import monitor_assets
from headrace.dagster.assets.online import online_asset
from headrace.dagster.assets.releases import release_asset
from headrace.dagster.assets.served_log import served_asset
from headrace.dagster.assets.tables import gate_checks, snapshot_asset, source_spec, table_asset
from headrace.dagster.partitions import daily

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline

Asset = dg.AssetsDefinition | dg.AssetSpec | dg.AssetChecksDefinition


@dataclass(frozen=True)
class Flow:
    """Assets of a pipeline by stage; each stage depends on earlier stages.

    Attributes:
        deliveries: external assets: the deliveries of the tables' sources.
        tables: published tables, after validation by the gate.
        gate_checks: the gate's verdicts on each table.
        views: feature views and lookups.
        datasets: the datasets, with their versions.
        models: the models; each version is trained on a dataset version.
        monitoring: for each monitor, profiles, drift, and the decision that may trigger a
            retraining.
        serving: the rows of each entity that serving needs, and served vectors, compared with
            recomputed ones; nothing without a dataset.
    """

    deliveries: tuple[dg.AssetSpec, ...]
    tables: tuple[dg.AssetsDefinition, ...]
    gate_checks: tuple[dg.AssetChecksDefinition, ...]
    views: tuple[dg.AssetsDefinition, ...]
    datasets: tuple[dg.AssetsDefinition, ...]
    models: tuple[dg.AssetsDefinition, ...]
    monitoring: tuple[dg.AssetsDefinition, ...]
    serving: tuple[dg.AssetsDefinition, ...]

    def __iter__(self) -> Iterator[Asset]:
        yield from self.deliveries
        yield from self.tables
        yield from self.gate_checks
        yield from self.views
        yield from (*self.datasets, *self.models, *self.monitoring)
        yield from self.serving

    @property
    def release(self) -> dg.AssetsDefinition:
        """The only dataset."""
        return _only(self.datasets, "datasets")

    @property
    def model(self) -> dg.AssetsDefinition:
        """The only model."""
        return _only(self.models, "models")

    @property
    def monitors(self) -> dg.AssetsDefinition:
        """The only monitor: profiles, drift and decision."""
        return _only(self.monitoring, "monitoring")

    @property
    def online_store(self) -> dg.AssetsDefinition:
        """The rows of each entity that serving needs."""
        return _only(self.serving[:1], "serving")

    @property
    def served_log(self) -> dg.AssetsDefinition:
        """Served vectors, compared with recomputed ones."""
        return _only(self.serving[1:], "serving")


def _only(assets: tuple[dg.AssetsDefinition, ...], name: str) -> dg.AssetsDefinition:
    if len(assets) != 1:
        raise DeclarationError(
            f"the pipeline has {len(assets)} assets of this kind, not one",
            where="the project's list of assets",
            fix=f"list all of them: *chain.{name}",
        )
    return assets[0]


def flow(pipeline: "Pipeline", home: Callable[[], Home] = Home.find) -> Flow:
    """Connect all assets of a pipeline, from its sources to the monitors and the served log."""
    days = daily(pipeline.first_slot, pipeline.last_slot)
    deliveries = {table.name: source_spec(table) for table in pipeline.tables}
    tables = {
        table.name: table_asset(table, days, home, deps=[deliveries[table.name]])
        if table.partitioned
        else snapshot_asset(table, home, deps=[deliveries[table.name]])
        for table in pipeline.tables
    }
    events = [tables[table.name] for table in pipeline.tables if table.partitioned]
    parts = pipeline.each_dataset()
    read_views = {view.name for part in parts for view in stored(part.views)}
    views = {
        view.name: view_asset(pipeline, view, home, deps=[tables[view.table]])
        for view in stored(pipeline.views)
        if view.name in read_views
    }
    datasets = {part.dataset.name: _dataset(part, views, tables, home) for part in parts}
    models = {
        part.model.name: model_asset(part, home, deps=[datasets[part.dataset.name]])
        for part in pipeline.each_model()
    }
    monitoring = [
        monitor_assets(
            part,
            home,
            data=[datasets[part.dataset.name], *events],
            model=models[part.model.name],
            name=asset_names.monitor_path(pipeline, part.monitor.name),
        )
        for part in pipeline.each_monitor()
    ]
    served = dict.fromkeys(view.table for view in stored(pipeline.views) if view.name in views)
    serving = (
        online_asset(pipeline, home, deps=[tables[name] for name in served]),
        served_asset(pipeline, home, deps=list(views.values())),
    )
    return Flow(
        deliveries=tuple(deliveries.values()),
        tables=tuple(tables.values()),
        gate_checks=tuple(gate_checks(table, home) for table in pipeline.tables),
        views=tuple(views.values()),
        datasets=tuple(datasets.values()),
        models=tuple(models.values()),
        monitoring=tuple(monitoring),
        serving=serving if parts else (),
    )


def _dataset(
    part: "Pipeline",
    views: Mapping[str, dg.AssetsDefinition],
    tables: Mapping[str, dg.AssetsDefinition],
    home: Callable[[], Home],
) -> dg.AssetsDefinition:
    """Return the asset of a dataset, after the views, spine and label that it reads."""
    read = dict.fromkeys((part.spine.table, part.label.table))
    deps = [views[view.name] for view in stored(part.views)]
    return release_asset(part, home, deps=[*deps, *(tables[name] for name in read)])


def stages(pipeline: "Pipeline", home: Callable[[], Home] = Home.find) -> list[Asset]:
    """Return all assets and checks of a pipeline, in the order of the flow."""
    return list(flow(pipeline, home))
