"""A day's work in one process, with the functions that Dagster's runs call.

`python -m headrace.verification.simulation.daily_work MODULE` ingests once, in a process that the
simulation can kill.
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
from headrace.retraining.pending_triggers import open_triggers
from headrace.retraining.service import retrain_by_trigger


def take_in(pipeline: Pipeline, home: Home, *, full_scan: bool = False) -> list[SlotResult]:
    """Ingest all outstanding deliveries that have arrived, then update the alerts."""
    slot_results: list[SlotResult] = []
    for name, slots in arrived(pipeline, home, now_us(), all_slots=full_scan).items():
        table = pipeline.table(name)
        results = ingest(table, slots, home)
        report_unreadable_sources(home, table, results)
        slot_results += results
    update_alerts(home, pipeline.tables)
    return slot_results


def build(pipeline: Pipeline, home: Home) -> str:
    """Build features, release, model and monitors, and retrain if due; return an error or ""."""
    from headrace.features.spec import RowTransform

    context = BuildContext(pipeline, home)
    for view in pipeline.views:
        if not isinstance(view, RowTransform):
            build_view(pipeline, view, home, context)
    for part in pipeline.each_dataset():
        build_release(part, home, context)
    stopped = ""
    for part in pipeline.each_model():
        try:
            train_model(part, home)
        except HeadraceError as error:  # too few labels are mature yet
            stopped = error.what
    for part in pipeline.each_monitor():
        run_monitors(part, home, context=context)
        for trigger in open_triggers(part, home):
            try:
                retrain_by_trigger(part, home, trigger.trigger_id)
            except HeadraceError as error:  # the error is recorded; the next build tries again
                stopped = error.what
    if not stopped:
        mark_current(pipeline, home)
    return stopped


def try_build(pipeline: Pipeline, home: Home) -> str:
    """Build, and return the error as text, or "" for success.

    As in a Dagster run, an error stops nothing else.
    """
    try:
        return build(pipeline, home)
    except Exception as error:  # noqa: BLE001 - a Dagster run would also only fail
        return f"{type(error).__name__}: {error}"


def main(arguments: Sequence[str]) -> None:
    """Ingest once, in the home that the environment names."""
    from headrace.verification.simulation.pipeline_override import find_pipeline

    home = Home.find()
    take_in(find_pipeline(arguments[0], home), home)


if __name__ == "__main__":
    main(sys.argv[1:])
