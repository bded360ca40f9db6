"""A run of a pipeline's monitor: score, judge, watch promotions, alert, show. Safe to run again."""

from dataclasses import replace

from headrace.core.clock import now_us
from headrace.core.home import Home
from headrace.core.progress import report
from headrace.pipeline.build import Built, feature_frame
from headrace.pipeline.build_context import leave, workshop
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.monitor_inputs import answers, before, gate_rows, judged_at, label_derived


def run_monitors(pipeline: Pipeline, home: Home, now: int | None = None) -> Built:
    """Judge every closed window over all rows, released or not, and record the decisions.

    `now` (us, UTC) is the moment to judge by, instead of the clock's: windows that end later wait.
    """
    from headrace.datasets import open_release
    from headrace.monitoring.run import monitor
    from headrace.monitoring.run_details import keep_seen
    from headrace.pipeline.table_profiles import tables_told
    from headrace.reports.monitor import markdown
    from headrace.reports.monitor.facts import tell_owner
    from headrace.retraining.service import watch_promotions

    report("monitors", 0, 1)
    shop = workshop(pipeline, home)
    moment = judged_at(pipeline, now_us() if now is None else now)
    features = open_release(f"{pipeline.dataset.name}@latest", store=home.store).manifest.features
    frame = before(feature_frame(shop), moment)
    scores, trained_at, notes = answers(shop, frame, moment)
    spec = replace(
        pipeline.monitor,
        label_derived=pipeline.monitor.label_derived or label_derived(pipeline),
    )
    run = monitor(
        spec,
        frame.select(["t", *features]),
        scores,
        list(gate_rows(shop, moment)),
        home,
        moment,
        trained_at=trained_at,
    )
    run = replace(run, notes=(*run.notes, *notes))
    keep_seen(home, run)
    watched = watch_promotions(pipeline, home, moment)
    tell_owner(pipeline, home)
    tables = tables_told(shop, run.results[-1].window) if run.results else ""
    leave()
    report("monitors", 1, 1)
    metadata = {"windows": len(run.results), "plots": {"md": markdown(run)}}
    told = {f"retraining {one.trigger_id[:12]}": one.because for one in watched}
    return Built(
        {**run.to_json()["actions"], **metadata, **told, "tables": {"md": tables}},
        changed=run.recorded > 0 or any(one.step for one in watched),
    )
