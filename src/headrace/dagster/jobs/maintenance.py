"""Job and nightly schedule for the maintenance of the lake."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from headrace.core.home import Home

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline

MAINTAIN = "maintain"


def maintenance_job(pipeline: "Pipeline", home: Callable[[], Home] = Home.find) -> dg.JobDefinition:
    """Return the job that expires old snapshots and deletes unused files, except pinned ones."""

    @dg.op(name="maintain_tables", description="Expire old snapshots and delete unused files.")
    def work(context: dg.OpExecutionContext) -> None:
        from headrace.operations.maintenance import look_after

        report = look_after(home(), [table.name for table in pipeline.tables], apply=True)
        for table_report in report.tables:
            context.log.info(
                "%s: snapshots kept: %d (pinned: %d), expired: %d; files deleted: %d, bytes: %d",
                table_report.table or "raw files",
                table_report.snapshots,
                table_report.pinned,
                len(table_report.forgotten),
                len(table_report.removed),
                table_report.bytes,
            )
        for ref in report.unreproducible:
            context.log.warning("%s cannot be rebuilt: a snapshot is gone", ref)

    @dg.job(
        name=MAINTAIN,
        description="Remove snapshots and files that nothing needs. See `headrace maintain`.",
    )
    def maintain() -> None:
        work()

    return maintain


def maintenance_schedule() -> dg.ScheduleDefinition:
    """Return the nightly maintenance schedule, after the build and the audit; off by default."""
    return dg.ScheduleDefinition(
        name="nightly_maintenance",
        job_name=MAINTAIN,
        cron_schedule="0 6 * * *",
        execution_timezone="UTC",
        description="Remove old snapshots and unused files; the inputs of releases stay.",
    )
