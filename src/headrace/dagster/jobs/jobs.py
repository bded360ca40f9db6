"""Jobs and schedules: ingest (daily partitions), reference (snapshot tables) and build."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from headrace.core.home import Home
from headrace.dagster import asset_names
from headrace.dagster.partitions import Span, spans
from headrace.dagster.sensors.pending_partitions import due_slots

if TYPE_CHECKING:
    # The type that `define_asset_job` returns has no public name.
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition as AssetJob,
    )

    from headrace.pipeline import Pipeline

INGEST = "ingest"
REFERENCE = "reference"
BUILD = "build"

_BUILT = (asset_names.FEATURES, asset_names.DATASETS, asset_names.MODELS, asset_names.MONITORING)


def jobs(pipeline: "Pipeline") -> "list[AssetJob]":
    """Return the pipeline's jobs: build, ingest and reference, if it has parts for them.

    The ingest jobs omit the checks, because the assets log the gate's verdicts themselves.
    """
    asset_jobs = []
    if pipeline.datasets:
        description = "Build features, dataset, model and monitors from the published tables."
        asset_jobs.append(_job(pipeline, BUILD, dg.AssetSelection.groups(*_BUILT), description))
    if daily_tables := asset_names.partitioned(pipeline.tables):
        keys = [asset_names.table_key(table.name) for table in daily_tables]
        description = "Ingest, validate and publish days of the partitioned tables."
        selection = dg.AssetSelection.assets(*keys).without_checks()
        asset_jobs.append(_job(pipeline, INGEST, selection, description))
    if snapshot_tables := asset_names.snapshots(pipeline.tables):
        keys = [asset_names.table_key(table.name) for table in snapshot_tables]
        description = "Ingest, validate and publish the tables that are delivered as snapshots."
        selection = dg.AssetSelection.assets(*keys).without_checks()
        asset_jobs.append(_job(pipeline, REFERENCE, selection, description))
    return asset_jobs


def schedules(
    pipeline: "Pipeline", home: Callable[[], Home] = Home.find
) -> list[dg.ScheduleDefinition]:
    """Return the daily schedules for reference, ingest and build; all are off by default."""
    schedule_list = []
    if pipeline.datasets:
        description = "Run the build after the daily ingest."
        schedule_list.append(_plain("daily_build", BUILD, "30 4 * * *", description))
    if asset_names.snapshots(pipeline.tables):
        description = "Ingest the snapshot tables, before the daily ingest."
        schedule_list.append(_plain("daily_reference", REFERENCE, "45 2 * * *", description))
    if asset_names.partitioned(pipeline.tables):
        schedule_list.append(_daily_ingest(pipeline, home))
    return schedule_list


def _daily_ingest(pipeline: "Pipeline", home: Callable[[], Home]) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="daily_ingest",
        job_name=INGEST,
        cron_schedule="0 3 * * *",
        execution_timezone="UTC",
        description="Ingest every partition with an outstanding delivery, also late and corrected "
        "ones, and the newest partition, so that a missing delivery is reported.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        moment = context.scheduled_execution_time
        yesterday = (moment.date() - timedelta(days=1)).isoformat()
        work = due_slots(pipeline, home(), newest=yesterday)
        requests = [_request(span, moment.date().isoformat()) for span in spans(work)]
        yield from requests
        if not requests:
            yield dg.SkipReason("nothing is outstanding")

    return tick


def _request(span: Span, day: str) -> dg.RunRequest:
    """Return the run request of a span; its run key prevents duplicates if a tick is repeated."""
    keys = [asset_names.table_key(table) for table in span.tables]
    run_key = f"{day} {span}"
    if span.first == span.last:
        return dg.RunRequest(
            run_key=run_key, partition_key=span.first, asset_selection=keys, asset_check_keys=[]
        )
    return dg.RunRequest(run_key=run_key, tags=span.tags, asset_selection=keys, asset_check_keys=[])


def _job(
    pipeline: "Pipeline", name: str, selection: dg.AssetSelection, description: str
) -> "AssetJob":
    tags = {"headrace/pipeline": pipeline.name}
    return dg.define_asset_job(name, selection=selection, description=description, tags=tags)


def _plain(name: str, job: str, cron: str, description: str) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=name,
        job_name=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        description=description,
    )
