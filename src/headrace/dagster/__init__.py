"""Headrace in Dagster: factories for assets, checks, jobs, schedules and sensors.

Loading the definitions does not read the home and imports no heavy library; runs do both.
"""

import importlib
import importlib.util
import tomllib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from headrace.core.home import Home, project_root
from headrace.dagster.asset_names import monitor_suffix, partitioned, snapshots, stored
from headrace.dagster.assets.features import view_asset
from headrace.dagster.assets.models import model_asset
from headrace.dagster.assets.monitors import monitor_assets
from headrace.dagster.assets.online import online_asset, online_job, online_key, online_sensor
from headrace.dagster.assets.releases import release_asset
from headrace.dagster.assets.served_log import audit_job, audit_schedule, served_asset, served_key
from headrace.dagster.assets.stage import build_resources
from headrace.dagster.assets.streams import stream_job, stream_sensor
from headrace.dagster.assets.tables import gate_checks, snapshot_asset, source_spec, table_asset
from headrace.dagster.flow import Asset, Flow, flow, stages
from headrace.dagster.jobs.batch_actions import oncall_jobs
from headrace.dagster.jobs.jobs import BUILD, INGEST, REFERENCE, jobs, schedules
from headrace.dagster.jobs.maintenance import maintenance_job, maintenance_schedule
from headrace.dagster.jobs.retraining import retrain_job
from headrace.dagster.partitions import daily
from headrace.dagster.sensors.alerts import alert_sensor
from headrace.dagster.sensors.deliveries import build_sensor, deliveries_sensor
from headrace.dagster.sensors.retraining_trigger import retraining_sensor

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline

__all__ = [
    "Asset",
    "Flow",
    "alert_sensor",
    "build_resources",
    "build_sensor",
    "daily",
    "definitions",
    "deliveries_sensor",
    "flow",
    "gate_checks",
    "jobs",
    "maintenance_job",
    "maintenance_schedule",
    "model_asset",
    "monitor_assets",
    "oncall_jobs",
    "online_asset",
    "online_sensor",
    "partitioned",
    "project_definitions",
    "release_asset",
    "retrain_job",
    "retraining_sensor",
    "schedules",
    "served_asset",
    "snapshot_asset",
    "snapshots",
    "source_spec",
    "stages",
    "stored",
    "stream_job",
    "stream_sensor",
    "table_asset",
    "view_asset",
]


def definitions(
    pipeline: "Pipeline",
    assets: Sequence[Asset] | None = None,
    home: Callable[[], Home] = Home.find,
) -> dg.Definitions:
    """Return the code location of a pipeline.

    Args:
        pipeline: the pipeline to define.
        assets: assets and checks of the pipeline; default: all, `stages(pipeline)`.
        home: returns the home; called when a run starts, not when the definitions are loaded.
    """
    flow_assets = stages(pipeline, home) if assets is None else assets
    keys = set().union(*map(_keys, flow_assets))
    audited = served_key(pipeline.name) in keys
    stored_online = online_key(pipeline.name) in keys
    jobs_by_name = {job.name: job for job in jobs(pipeline)}
    retrained = [
        (part, monitor_suffix(pipeline, part.monitor.name)) for part in pipeline.each_monitor()
    ]
    return dg.Definitions(
        assets=[asset for asset in flow_assets if not isinstance(asset, dg.AssetChecksDefinition)],
        asset_checks=[
            asset for asset in flow_assets if isinstance(asset, dg.AssetChecksDefinition)
        ],
        jobs=[
            *jobs_by_name.values(),
            *oncall_jobs(pipeline, home),
            *(retrain_job(part, home, suffix=suffix) for part, suffix in retrained),
            maintenance_job(pipeline, home),
            *([audit_job(pipeline)] if audited else []),
            *([online_job(pipeline)] if stored_online else []),
            *(stream_job(pipeline, stream, home) for stream in pipeline.streams),
        ],
        schedules=[
            *schedules(pipeline, home),
            maintenance_schedule(),
            *([audit_schedule()] if audited else []),
        ],
        sensors=[
            deliveries_sensor(
                pipeline,
                [jobs_by_name[name] for name in (INGEST, REFERENCE) if name in jobs_by_name],
                home,
            ),
            *([build_sensor(pipeline, jobs_by_name[BUILD], home)] if pipeline.datasets else []),
            *(retraining_sensor(part, home, suffix=suffix) for part, suffix in retrained),
            alert_sensor(pipeline.tables, home),
            *([online_sensor(pipeline, home)] if stored_online else []),
            *(stream_sensor(pipeline, stream, home) for stream in pipeline.streams),
        ],
        resources=build_resources(pipeline, home),
        # A separate process for each step would spend seconds on start and imports.
        executor=dg.in_process_executor,
    )


def _keys(asset: Asset) -> set[dg.AssetKey]:
    return set(asset.keys) if isinstance(asset, dg.AssetsDefinition) else set()


def project_definitions(pipeline: "Pipeline") -> dg.Definitions:
    """Return `defs` of the project's `definitions` module for the pipeline, else the default."""
    config = project_root() / "pyproject.toml"
    project: dict[str, Any] = tomllib.loads(config.read_text()) if config.exists() else {}
    for module in project.get("tool", {}).get("headrace", {}).get("pipelines", []):
        name = f"{module}.definitions"
        if module.rpartition(".")[2] == pipeline.name and importlib.util.find_spec(name):
            defs: dg.Definitions = importlib.import_module(name).defs
            return defs
    return definitions(pipeline)
