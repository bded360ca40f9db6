"""Run jobs from Python, in this process and on the persistent instance, without a daemon."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from headrace.core.home import Home, project_root
from headrace.dagster import asset_names
from headrace.dagster.instance import open_instance, prepare
from headrace.dagster.jobs.jobs import BUILD, INGEST, REFERENCE
from headrace.dagster.partitions import Span, spans
from headrace.dagster.sensors.pending_partitions import due_slots, expected
from headrace.dagster.sensors.recovery import MARK, TABLES, abandoned, close, process_mark, slots_of
from headrace.lake.table import SNAPSHOT_SLOT

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline

# By default Dagster prints every event to the console; the event log has them anyway.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class JobRun:
    """Result of a Dagster run in this process; `failures` are (step, message) pairs."""

    job: str
    run_id: str
    success: bool
    seconds: float
    scope: str = ""
    failures: tuple[tuple[str, str], ...] = ()


@dataclass
class PipelineOutcome:
    """Outcome of `run_pipeline`; `runs` is empty if nothing was outstanding."""

    pipeline: str
    runs: list[JobRun] = field(default_factory=list)
    lineage: str = ""  # error in writing the lineage events; it does not fail the outcome

    @property
    def ok(self) -> bool:
        return all(run.success for run in self.runs)

    def to_json(self) -> dict[str, Any]:
        runs = [
            {
                "job": run.job,
                "run_id": run.run_id,
                "success": run.success,
                "seconds": round(run.seconds, 3),
                "scope": run.scope,
                "failures": [{"step": step, "message": text} for step, text in run.failures],
            }
            for run in self.runs
        ]
        return {"pipeline": self.pipeline, "ok": self.ok, "runs": runs, "lineage": self.lineage}

    def lines(self) -> list[str]:
        failures = [
            f"{run.job} {run.scope}: {text}".replace(" :", ":")
            for run in self.runs
            for _, text in run.failures
        ]
        return [*failures, *([self.lineage] if self.lineage else [])]


def run_pipeline(
    pipeline: "Pipeline",
    home: Home,
    *,
    first: str | None = None,
    last: str | None = None,
    stage: str = "all",
    defs: dg.Definitions | None = None,
    project: Path | None = None,
) -> PipelineOutcome:
    """Bring a pipeline up to date: ingest outstanding deliveries, then build all that uses them.

    Args:
        pipeline: the pipeline to run.
        home: the home with its state.
        first: first partition to consider; default: the pipeline's first.
        last: last partition to consider, included; default: the pipeline's last.
        stage: "ingest" (event and state tables), "build" (features to monitors) or "all".
        defs: definitions of the code location; default: found by the pipeline's name.
        project: folder in which `.env` is written for `dagster dev`; default: this project.
    """
    from headrace.alerts import update_alerts_quietly
    from headrace.dagster import project_definitions
    from headrace.lineage.events.pipeline_events import record_quietly
    from headrace.pipeline.staleness import is_current, mark_current

    prepare(home, project or project_root())
    outcome = PipelineOutcome(pipeline.name)
    defs = defs or project_definitions(pipeline)
    with open_instance(home) as instance:
        if stage in ("ingest", "all"):
            outcome.runs += ingest_due(
                defs, pipeline, home, instance, first=first or "", last=last or ""
            )
            outcome.runs += reference_due(defs, pipeline, home, instance)
        outdated = stage == "build" or (stage == "all" and not is_current(pipeline, home))
        if outdated and pipeline.datasets:
            built = run_job(defs, pipeline, BUILD, instance)
            outcome.runs.append(built)
            if built.success:
                mark_current(pipeline, home)
    update_alerts_quietly(home, pipeline.tables)
    if outcome.runs:
        outcome.lineage = record_quietly(pipeline, home)
    return outcome


def ingest_due(
    defs: dg.Definitions,
    pipeline: "Pipeline",
    home: Home,
    instance: dg.DagsterInstance,
    *,
    first: str = "",
    last: str = "",
) -> list[JobRun]:
    """Ingest every outstanding partition, and those that a killed run planned but did not reach."""
    tables = [table.name for table in asset_names.partitioned(pipeline.tables)]
    fresh = [
        t for t in tables if not instance.get_materialized_partitions(asset_names.table_key(t))
    ]
    work = due_slots(pipeline, home, first=first, last=last, fresh=fresh)
    dead = abandoned(instance, pipeline.name)
    for table, slots in slots_of(instance, dead, INGEST).items():
        table_slots = set(expected(pipeline, pipeline.table(table), first, last))
        work[table] = sorted({*work[table], *(table_slots & slots)})
    runs = [run_span(defs, pipeline, span, instance) for span in spans(work)]
    close(instance, dead)
    return runs


def reference_due(
    defs: dg.Definitions, pipeline: "Pipeline", home: Home, instance: dg.DagsterInstance
) -> list[JobRun]:
    """Ingest the snapshot tables that have an outstanding delivery or were never run."""
    from headrace.lake.ingest.protocol import outstanding

    due = [
        asset_names.table_key(table.name)
        for table in asset_names.snapshots(pipeline.tables)
        if outstanding(table, [SNAPSHOT_SLOT], home) or _never_ran(instance, table.name)
    ]
    return [run_job(defs, pipeline, REFERENCE, instance, assets=due)] if due else []


def run_range(
    defs: dg.Definitions,
    pipeline: "Pipeline",
    first: str,
    last: str,
    instance: dg.DagsterInstance,
) -> list[JobRun]:
    """Run all expected partitions from `first` to `last`, both included, whatever their state."""
    work = {
        table.name: expected(pipeline, table, first, last)
        for table in asset_names.partitioned(pipeline.tables)
    }
    return [run_span(defs, pipeline, span, instance) for span in spans(work)]


def run_span(
    defs: dg.Definitions, pipeline: "Pipeline", span: Span, instance: dg.DagsterInstance
) -> JobRun:
    """Execute a run over a range of days; a single day runs as that partition, as in the UI."""
    single = span.first == span.last
    return run_job(
        defs,
        pipeline,
        INGEST,
        instance,
        assets=[asset_names.table_key(table) for table in span.tables],
        partition=span.first if single else None,
        tags=None if single else span.tags,
        scope=span.first if single else f"{span.first}..{span.last}",
    )


def run_job(
    defs: dg.Definitions,
    pipeline: "Pipeline",
    job: str,
    instance: dg.DagsterInstance,
    *,
    assets: Sequence[dg.AssetKey] | None = None,
    partition: str | None = None,
    tags: Mapping[str, str] | None = None,
    scope: str = "",
) -> JobRun:
    """Execute a job in this process; a failing step does not raise."""
    start = time.perf_counter()
    # `execute_in_process(asset_selection=)` would add the checks that the job excludes.
    job_definition = defs.resolve_job_def(job).get_subset(
        asset_selection=frozenset(assets or ()), asset_check_selection=frozenset()
    )
    result = job_definition.execute_in_process(
        instance=instance,
        run_config=QUIET,
        raise_on_error=False,
        partition_key=partition,
        tags={**(tags or {}), **_run_tags(pipeline.name, assets or ())},
    )
    seconds = time.perf_counter() - start
    return JobRun(job, result.run_id, result.success, seconds, scope, _failures(result))


def _run_tags(pipeline: str, assets: Sequence[dg.AssetKey]) -> dict[str, str]:
    """Return the tags of a run.

    The UI uses them to list the run under its code location; later processes use them to detect
    that this process died.
    """
    tags = {
        ".dagster/repository": f"__repository__@{pipeline}",
        "headrace/pipeline": pipeline,
        MARK: process_mark(os.getpid()),
    }
    tables = ",".join(key.path[-1] for key in assets)
    return {**tags, TABLES: tables} if tables else tags


def _failures(result: dg.ExecuteInProcessResult) -> tuple[tuple[str, str], ...]:
    failures = []
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            message = data.user_failure_data.description if data.user_failure_data else None
            failures.append(
                (event.step_key or "", message or (data.error.message if data.error else ""))
            )
    return tuple(failures)


def _never_ran(instance: dg.DagsterInstance, table: str) -> bool:
    return instance.get_latest_materialization_event(asset_names.table_key(table)) is None
