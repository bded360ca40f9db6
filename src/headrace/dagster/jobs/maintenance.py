"""Maintenance of the lake as a job of its own, every night after the build."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from headrace.core.home import Home

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline

MAINTAIN = "maintain"


def maintenance_job(pipeline: "Pipeline", home: Callable[[], Home] = Home.find) -> dg.JobDefinition:
    """Return the job that forgets old snapshots and deletes what nothing needs; pins stay."""

    @dg.op(name="maintain_tables", description="Forget snapshots, delete files without a use.")
    def work(context: dg.OpExecutionContext) -> None:
        from headrace.operations.maintenance import look_after

        done = look_after(home(), [table.name for table in pipeline.tables], apply=True)
        for one in done.tables:
            context.log.info(
                "%s: %d snapshots kept (%d pinned), %d forgotten; %d files, %d bytes deleted",
                one.table or "landed bytes",
                one.snapshots,
                one.pinned,
                len(one.forgotten),
                len(one.removed),
                one.bytes,
            )
        for ref in done.unreproducible:
            context.log.warning("%s cannot be made again: a snapshot is gone", ref)

    @dg.job(
        name=MAINTAIN,
        description="Keep the lake from growing by what nothing needs. See `headrace maintain`.",
    )
    def maintain() -> None:
        work()

    return maintain


def maintenance_schedule() -> dg.ScheduleDefinition:
    """Return the schedule of maintenance, nightly after the build. Off until it is switched on."""
    return dg.ScheduleDefinition(
        name="nightly_maintenance",
        job_name=MAINTAIN,
        cron_schedule="30 5 * * *",
        execution_timezone="UTC",
        description="Old snapshots and files without a use go; what a release was made of stays.",
    )
