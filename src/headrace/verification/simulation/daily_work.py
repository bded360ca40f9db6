"""What a day's work is, in one process: the same functions that runs of Dagster call.

`python -m headrace.verification.simulation.daily_work MODULE` does it once, so that it can be
killed while it does.
"""

import sys
from collections.abc import Sequence

from headrace.alerts import report_unreadable_sources, update_alerts
from headrace.core.clock import now_us
from headrace.core.errors import HeadraceError
from headrace.core.home import Home
from headrace.dagster.sensors.pending_partitions import arrived
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.partition_state import SlotResult
from headrace.operations.monitor_run import run_monitors
from headrace.pipeline.build import build_release, build_view, train_model
from headrace.pipeline.build_context import BuildContext
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.staleness import mark_current
from headrace.retraining.service import retrain_by_trigger
from headrace.retraining.triggers import open_triggers


def take_in(pipeline: Pipeline, home: Home, *, whole: bool = False) -> list[SlotResult]:
    """Everything that has come and is not settled; then alerts look at how it went."""
    found: list[SlotResult] = []
    for name, slots in arrived(pipeline, home, now_us(), all_slots=whole).items():
        table = pipeline.table(name)
        results = ingest(table, slots, home)
        report_unreadable_sources(home, table, results)
        found += results
    update_alerts(home, pipeline.tables)
    return found


def build(pipeline: Pipeline, home: Home) -> str:
    """Features to monitors over what is published, and what these ask for; what failed, or ""."""
    from headrace.features.spec import RowTransform

    context = BuildContext(pipeline, home)
    for view in pipeline.views:
        if not isinstance(view, RowTransform):
            build_view(pipeline, view, home, context)
    build_release(pipeline, home, context)
    stopped = ""
    try:
        train_model(pipeline, home)
    except HeadraceError as error:  # too few labels are mature yet
        stopped = error.what
    run_monitors(pipeline, home, context=context)
    for trigger in open_triggers(pipeline, home):
        try:
            retrain_by_trigger(pipeline, home, trigger.trigger_id)
        except HeadraceError as error:  # on record; the next build tries again
            stopped = error.what
    if not stopped:
        mark_current(pipeline, home)
    return stopped


def try_build(pipeline: Pipeline, home: Home) -> str:
    """What failed of it; like a run that fails, it stops nothing else."""
    try:
        return build(pipeline, home)
    except Exception as error:  # noqa: BLE001 - as a run of it would
        return f"{type(error).__name__}: {error}"


def main(arguments: Sequence[str]) -> None:
    """Take in once, in the home of the environment."""
    from headrace.verification.simulation.pipeline_override import find_pipeline

    home = Home.find()
    take_in(find_pipeline(arguments[0], home), home)


if __name__ == "__main__":
    main(sys.argv[1:])
