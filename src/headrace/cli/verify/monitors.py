"""`headrace verify monitors`: false alarms and detected faults on the project's own history."""

from typing import Annotated, Any

import typer
from rich.text import Text

from headrace.cli.options import AsJson
from headrace.cli.output import creating, emit_json, explained, grid, out, progress


@explained
@creating
def monitors(
    *,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Inject only the simplest faults, twice in each history."),
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the choice of windows, columns and segments.")
    ] = 0,
    repeats: Annotated[
        int, typer.Option(min=1, help="Number of injections of each fault in each history.")
    ] = 16,
    peers: Annotated[
        bool,
        typer.Option(
            "--peers", help="Also run other detectors on the same windows, if a study declares any."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the monitors on your own history: false alarms, faults detected and attributed.

    The released rows of each pipeline are replayed window by window under the pipeline's policy,
    with its champion's predictions; so is every additional history that the project declares. The
    alarms in these unmodified windows count as false. Then faults are injected into copies, each in
    other windows, columns and segments: into the data (units, nulls, codes, sensors, rows, another
    population), into the relation of data and label (labels flipped, effects reversed), or both. A
    fault is detected if the monitor raised an alarm in its windows, and attributed if the monitor
    also identified its kind: data, relation or both.

    Nothing is written. For a year of a few hundred thousand rows the command takes minutes; with
    --quick usually less than one.

    For example:

      headrace verify monitors --quick
    """
    from headrace.core.home import Home
    from headrace.verification.drift_study.histories import bench_monitors
    from headrace.verification.drift_study.scoring import StudyPlan
    from headrace.verification.drift_study.study import quick as quick_plan

    plan = quick_plan(seed) if quick else StudyPlan(seed=seed, repeats=repeats)
    with progress(quiet=as_json):
        report = bench_monitors(Home.find(), plan, peers=peers)
    if as_json:
        emit_json(report)
        return
    _show(report)


def _show(report: dict[str, Any]) -> None:
    natural = [*report["natural"]["histories"], {"history": "together", **report["natural"]}]
    if "tuning" in report:
        natural[:0] = report["tuning"]["natural"]["histories"]
    grid(
        "unmodified windows",
        ["history", "windows#", "data alarms#", "95%", "scored#", "concept alarms#", "95%",
         "retrainings a year#"],
        [_natural(history) for history in natural],
    )  # fmt: skip
    grid(
        "injected faults",
        ["fault", "kind", "in windows#", "injected#", "detected#", "95%", "attributed#", "95%"],
        [_fault(fault) for fault in report["faults"]],
    )
    if not report["faults"]:
        out.print(
            "no fault was injected: no window has enough clean windows before it", style="dim"
        )
    for peer in report["peers"]:
        grid(
            f"{peer['name']}, {peer['setting']}",
            ["fault", "kind", "in windows#", "injected#", "detected#", "95%", "attributed#", "95%"],
            [_fault(fault) for fault in peer["faults"]],
        )
    decisions = report["decisions"]
    out.print(
        f"{decisions['retrained_on_data_faults']} retrainings in {decisions['data_faults']} data"
        f" faults; {decisions['untouched_retrainings']} in {decisions['untouched_years']}"
        " unmodified years",
        highlight=False,
    )
    for sentence in report["not_studied"]:
        out.print(sentence, highlight=False)
    if "tuning" in report:
        out.print(
            Text("Settings were chosen on tuning histories; fault counts exclude them.", "dim")
        )


def _natural(history: dict[str, Any]) -> list[object]:
    name = (
        f"{history['history']} (tuning)" if history.get("part") == "tuning" else history["history"]
    )
    years = history.get("years")
    return [
        name, history["windows"], _share(history["data_alarms"], history["windows"]),
        _interval(history["data_interval"]), history["scored_windows"],
        _share(history["concept_alarms"], history["scored_windows"]),
        _interval(history["concept_interval"]),
        f"{history['retrainings'] / years:.1f}" if years else "",
    ]  # fmt: skip


def _fault(fault: dict[str, Any]) -> list[object]:
    return [
        fault["fault"], fault["kind"], fault["windows"], fault["injected"],
        _share(fault["detected"], fault["injected"]), _interval(fault["detected_interval"]),
        _share(fault["attributed"], fault["detected"]), _interval(fault["attributed_interval"]),
    ]  # fmt: skip


def _share(part: int, total: int) -> str:
    return f"{part / total:.0%}" if total else ""


def _interval(ends: list[float]) -> str:
    return f"{ends[0]:.0%} to {ends[1]:.0%}"
