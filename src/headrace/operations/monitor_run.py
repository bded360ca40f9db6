"""Run of a pipeline's monitor: score rows, evaluate windows, watch promotions, alert, render.

`run_monitors` calls a function for each step. It is safe to run again.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.core.clock import now_us
from headrace.core.home import Home
from headrace.core.progress import report
from headrace.pipeline.build import Built, feature_frame
from headrace.pipeline.build_context import BuildContext, current_context
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.monitor_inputs import (
    ScoredRows,
    before,
    gate_rows,
    judged_at,
    label_derived,
    score_rows,
)

if TYPE_CHECKING:
    from headrace.monitoring.spec import MonitorRun
    from headrace.retraining.promotion_watch import Watched


def run_monitors(
    pipeline: Pipeline,
    home: Home,
    now: int | None = None,
    context: BuildContext | None = None,
) -> Built:
    """Evaluate every closed window on all rows, released or not, and record the decisions.

    `now` (us, UTC) is the evaluation time, by default the current time. A later run evaluates
    windows that end after it.
    """
    from headrace.reports.monitor.facts import tell_owner
    from headrace.retraining.service import watch_promotions

    report("monitors", 0, 1)
    context = current_context(pipeline, home, context)
    moment = judged_at(pipeline, now_us() if now is None else now)
    scored = score(context, moment)
    run = judge(context, scored, moment)
    watched = watch_promotions(pipeline, home, moment, context)
    tell_owner(pipeline, home)
    built = render(context, run, watched)
    context.clear()
    report("monitors", 1, 1)
    return built


def score(context: BuildContext, moment: int) -> ScoredRows:
    """Score every row with `t` before `moment` (us) by the model that was champion at that `t`."""
    return score_rows(context, before(feature_frame(context), moment), moment)


def judge(context: BuildContext, scored: ScoredRows, moment: int) -> "MonitorRun":
    """Evaluate the windows closed by `moment` (us); record the decisions and their evidence."""
    from headrace.datasets import open_release
    from headrace.monitoring.run import monitor
    from headrace.monitoring.run_details import write_details

    pipeline, home = context.pipeline, context.home
    release = open_release(f"{pipeline.dataset.name}@latest", store=home.store)
    spec = replace(
        pipeline.monitor,
        label_derived=pipeline.monitor.label_derived or label_derived(pipeline),
    )
    run = monitor(
        spec,
        scored.frame.select(["t", *release.manifest.features]),
        scored.scores,
        list(gate_rows(context, moment)),
        home,
        moment,
        trained_at=scored.trained_at,
        metric=pipeline.model.kind.title,
    )
    run = replace(run, notes=(*run.notes, *scored.notes))
    write_details(home, run)
    return run


def render(context: BuildContext, run: "MonitorRun", watched: "Sequence[Watched]") -> Built:
    """Return the results for display: actions, plots, promotions, tables of the latest window."""
    from headrace.pipeline.table_profiles import tables_told
    from headrace.reports.monitor import markdown

    tables = tables_told(context, run.results[-1].window) if run.results else ""
    promotions = {f"retraining {watch.trigger_id[:12]}": watch.because for watch in watched}
    return Built(
        {
            **run.to_json()["actions"],
            "windows": len(run.results),
            "plots": {"md": markdown(run)},
            **promotions,
            "tables": {"md": tables},
        },
        changed=run.recorded > 0 or any(watch.step for watch in watched),
    )
