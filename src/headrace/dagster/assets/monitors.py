"""Monitors as assets: profiles, drift, and the resulting decision; one op computes all three."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from headrace.core.home import Home
from headrace.dagster import asset_names, metadata
from headrace.dagster.assets.stage import CONTEXT, Upstream, stage_metadata
from headrace.dagster.failures import readable
from headrace.dagster.sensors.recovery import mark

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline
    from headrace.reports.monitor.facts import MonitorStatus


def monitor_assets(
    pipeline: "Pipeline",
    home: Callable[[], Home] = Home.find,
    *,
    data: Upstream,
    model: dg.AssetsDefinition,
    name: Sequence[str] = (),
) -> dg.AssetsDefinition:
    """Return the assets of a pipeline's monitor: profiles, drift and the decision.

    The profiles depend on `data` (the release and the tables); drift depends on the profiles and
    the model. `name` is the monitor's path in the asset graph, by default the pipeline's name.
    """
    path = name or (pipeline.name,)
    specs = _specs(pipeline, data, model, path)
    decision = specs[-1].key
    check = dg.AssetCheckSpec(
        asset_names.MONITOR,
        asset=decision,
        description="No incident is open. Warns while a window is watched or every open incident "
        "is acknowledged; fails while an incident needs attention.",
    )

    @dg.multi_asset(
        specs=specs,
        name=asset_names.op_name(asset_names.monitor_key(path, "monitors")),
        check_specs=[check],
        required_resource_keys={CONTEXT},
    )
    def monitors(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        from headrace.operations.monitor_run import run_monitors
        from headrace.reports.monitor.facts import monitor_standing

        mark(context)
        with readable():
            build_context = getattr(context.resources, CONTEXT)()
            built = run_monitors(pipeline, home(), context=build_context)
            standing = monitor_standing(pipeline, home())
        entries = metadata.built(standing.metadata)
        for spec in specs[:-1]:
            yield dg.MaterializeResult(asset_key=spec.key, metadata=entries)
        yield dg.MaterializeResult(
            asset_key=decision, metadata={**entries, **stage_metadata(built)}
        )
        yield _checked(decision, standing, entries)

    return monitors


def _checked(
    key: dg.AssetKey, standing: "MonitorStatus", entries: Mapping[str, Any]
) -> dg.AssetCheckResult:
    open_windows = standing.state == "open"
    return dg.AssetCheckResult(
        passed=standing.state == "well",
        severity=dg.AssetCheckSeverity.ERROR if open_windows else dg.AssetCheckSeverity.WARN,
        check_name=asset_names.MONITOR,
        asset_key=key,
        description=standing.sentence,
        metadata=entries,
    )


def _specs(
    pipeline: "Pipeline", data: Upstream, model: dg.AssetsDefinition, path: Sequence[str]
) -> list[dg.AssetSpec]:
    """Return the specs of the three assets: profiles, drift and decision, in this order."""
    profiles, drift, decision = (
        asset_names.monitor_key(path, part) for part in ("profiles", "drift", "decision")
    )
    return [
        _spec(
            pipeline,
            profiles,
            data,
            "Mergeable statistics of every column, by day.",
        ),
        _spec(
            pipeline,
            drift,
            [profiles, *model.keys],
            "Columns and model scores of each window, compared with earlier windows.",
        ),
        _spec(
            pipeline,
            decision,
            [drift],
            "The action to take on the drift, with reasons; the action can be `none`.",
        ),
    ]


def _spec(
    pipeline: "Pipeline", key: dg.AssetKey, deps: Upstream | list[dg.AssetKey], description: str
) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=deps,
        group_name=asset_names.MONITORING,
        description=description,
        kinds={"monitor"},
        owners=asset_names.owners(pipeline.tables[0].contract.owner),
    )
