"""Flow of a pipeline's assets: the only module that connects the asset factories.

The asset of a table validates, quarantines and publishes: passing and quarantined rows are written
in one transaction. Asset checks show the gate's verdicts, one check for each action (block,
quarantine, warn).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from headrace.core.home import Home
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
        release: the dataset, with its versions.
        model: the pipeline's model; each version is trained on a dataset version.
        monitors: profiles, drift, and the decision that may trigger a retraining.
        online_store: the rows of each entity that serving needs.
        served_log: served vectors, compared with recomputed ones.
    """

    deliveries: tuple[dg.AssetSpec, ...]
    tables: tuple[dg.AssetsDefinition, ...]
    gate_checks: tuple[dg.AssetChecksDefinition, ...]
    views: tuple[dg.AssetsDefinition, ...]
    release: dg.AssetsDefinition
    model: dg.AssetsDefinition
    monitors: dg.AssetsDefinition
    online_store: dg.AssetsDefinition
    served_log: dg.AssetsDefinition

    def __iter__(self) -> Iterator[Asset]:
        yield from self.deliveries
        yield from self.tables
        yield from self.gate_checks
        yield from self.views
        yield from (self.release, self.model, self.monitors)
        yield from (self.online_store, self.served_log)


def flow(pipeline: "Pipeline", home: Callable[[], Home] = Home.find) -> Flow:
    """Connect all assets of a pipeline, from its sources to the monitor and the served log."""
    days = daily(pipeline.first_slot, pipeline.last_slot)
    deliveries = {table.name: source_spec(table) for table in pipeline.tables}
    tables = {
        table.name: table_asset(table, days, home, deps=[deliveries[table.name]])
        if table.partitioned
        else snapshot_asset(table, home, deps=[deliveries[table.name]])
        for table in pipeline.tables
    }
    events = [tables[table.name] for table in pipeline.tables if table.partitioned]
    views = {
        view.name: view_asset(pipeline, view, home, deps=[tables[view.table]])
        for view in stored(pipeline.views)
    }
    read = dict.fromkeys((pipeline.spine.table, pipeline.label.table))
    release = release_asset(
        pipeline, home, deps=[*views.values(), *(tables[name] for name in read)]
    )
    model = model_asset(pipeline, home, deps=[release])
    served = dict.fromkeys(view.table for view in stored(pipeline.views))
    return Flow(
        deliveries=tuple(deliveries.values()),
        tables=tuple(tables.values()),
        gate_checks=tuple(gate_checks(table, home) for table in pipeline.tables),
        views=tuple(views.values()),
        release=release,
        model=model,
        monitors=monitor_assets(pipeline, home, data=[release, *events], model=model),
        online_store=online_asset(pipeline, home, deps=[tables[name] for name in served]),
        served_log=served_asset(pipeline, home, deps=list(views.values())),
    )


def stages(pipeline: "Pipeline", home: Callable[[], Home] = Home.find) -> list[Asset]:
    """Return all assets and checks of a pipeline, in the order of the flow."""
    return list(flow(pipeline, home))
