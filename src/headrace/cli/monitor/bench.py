"""`headrace monitor bench`: how the monitors of this project do, on what has really been."""

from typing import Annotated, Any

import typer
from rich.text import Text

from headrace.cli.output import creating, emit_json, explained, grid, out, progress

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@explained
@creating
def bench(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="The plainest faults, twice in each history.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Other windows, columns and segments.")] = 0,
    repeats: Annotated[
        int, typer.Option(min=1, help="How often each fault is planted in each history.")
    ] = 16,
    peers: Annotated[
        bool,
        typer.Option("--peers", help="Others on the same windows too, where a study brings them."),
    ] = False,
    as_json: Json = False,
) -> None:
    """How the monitors do on your own history: false alarms, and faults found and told apart.

    The released rows of each pipeline are replayed window by window under its own policy, with its
    champion's answers, and so is every history that the project declares beside. That counts the
    alarms of weeks in which nothing was wrong. Then faults are planted in copies, each in other
    weeks, columns and segments: of data (units, nulls, codes, sensors, rows, another population),
    of the relation (labels flipped, effects reversed), and both. Detected is a fault for which the
    monitor alarmed in its weeks; attributed, for which it said rightly which of them it was.

    Nothing is written. Minutes for a year of a few hundred thousand rows; --quick takes less than
    one for most.
    """
    from headrace.core.home import Home
    from headrace.verification.drift_study.histories import bench_monitors
    from headrace.verification.drift_study.scoring import Plan
    from headrace.verification.drift_study.study import quick as quick_plan

    plan = quick_plan(seed) if quick else Plan(seed=seed, repeats=repeats)
    with progress(quiet=as_json):
        found = bench_monitors(Home.find(), plan, peers=peers)
    if as_json:
        emit_json(found)
        return
    _show(found)


def _show(found: dict[str, Any]) -> None:
    natural = [*found["natural"]["histories"], {"history": "together", **found["natural"]}]
    if "tuning" in found:
        natural[:0] = found["tuning"]["natural"]["histories"]
    grid(
        "untouched windows",
        ["history", "windows#", "data alarms#", "95%", "scored#", "concept alarms#", "95%",
         "retrainings a year#"],
        [_natural(one) for one in natural],
    )  # fmt: skip
    grid(
        "planted faults",
        ["fault", "kind", "in windows#", "planted#", "detected#", "95%", "attributed#", "95%"],
        [_fault(one) for one in found["faults"]],
    )
    if not found["faults"]:
        out.print("no fault was planted: no window has enough quiet ones before it", style="dim")
    for peer in found["peers"]:
        grid(
            f"{peer['name']}, {peer['setting']}",
            ["fault", "kind", "in windows#", "planted#", "detected#", "95%", "attributed#", "95%"],
            [_fault(one) for one in peer["faults"]],
        )
    done = found["decisions"]
    out.print(
        f"{done['retrained_on_data_faults']} retrainings in {done['data_faults']} faults of data; "
        f"{done['untouched_retrainings']} in {done['untouched_years']} untouched years",
        highlight=False,
    )
    if "tuning" in found:
        out.print(
            Text("Settings were chosen on tuning histories; faults are of the others.", "dim")
        )


def _natural(one: dict[str, Any]) -> list[object]:
    name = f"{one['history']} (tuning)" if one.get("part") == "tuning" else one["history"]
    years = one.get("years")
    return [
        name, one["windows"], _share(one["data_alarms"], one["windows"]),
        _interval(one["data_interval"]), one["scored_windows"],
        _share(one["concept_alarms"], one["scored_windows"]), _interval(one["concept_interval"]),
        f"{one['retrainings'] / years:.1f}" if years else "",
    ]  # fmt: skip


def _fault(one: dict[str, Any]) -> list[object]:
    return [
        one["fault"], one["kind"], one["windows"], one["injected"],
        _share(one["detected"], one["injected"]), _interval(one["detected_interval"]),
        _share(one["attributed"], one["detected"]), _interval(one["attributed_interval"]),
    ]  # fmt: skip


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else ""


def _interval(ends: list[float]) -> str:
    return f"{ends[0]:.0%} to {ends[1]:.0%}"
