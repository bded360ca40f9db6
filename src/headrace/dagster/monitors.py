"""Monitors as assets: profiles and drift, and the decision they lead to. One step computes all."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import dagster as dg

from headrace.dagster import names
from headrace.dagster.failures import readable
from headrace.dagster.stage import shown
from headrace.home import Home

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline


def monitor_assets(
    pipeline: "Pipeline", home: Callable[[], Home] = Home.find
) -> dg.AssetsDefinition:
    specs = _specs(pipeline)

    @dg.multi_asset(specs=specs, name=names.op_name(names.monitor_key(pipeline.name, "monitors")))
    def monitors() -> Iterator[dg.MaterializeResult[None]]:
        from headrace.pipeline import run_monitors

        with readable():
            done = run_monitors(pipeline, home())
        *evidence, decision = specs
        for spec in evidence:
            yield dg.MaterializeResult(asset_key=spec.key)
        yield dg.MaterializeResult(asset_key=decision.key, metadata=shown(done))

    return monitors


def _specs(pipeline: "Pipeline") -> list[dg.AssetSpec]:
    """Profiles of the tables, drift between them and what the model learned, the decision."""
    profiles, drift, decision = (
        names.monitor_key(pipeline.name, part) for part in ("profiles", "drift", "decision")
    )
    tables = [names.table_key(table.name) for table in names.partitioned(pipeline.tables)]
    release = names.release_key(pipeline.dataset.name)
    model = names.model_key(pipeline.model.name)
    return [
        _spec(
            pipeline,
            profiles,
            [release, *tables],
            "Mergeable statistics of every column, a day at a time.",
        ),
        _spec(
            pipeline, drift, [profiles, model], "Recent days against those the model learned from."
        ),
        _spec(
            pipeline, decision, [drift], "What to do about it, and why; 'nothing' is recorded too."
        ),
    ]


def _spec(
    pipeline: "Pipeline", key: dg.AssetKey, deps: list[dg.AssetKey], description: str
) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=deps,
        group_name=names.MONITORING,
        description=description,
        kinds={"monitor"},
        owners=names.owners(pipeline.tables[0].contract.owner),
    )
