"""Study monitors and peers on real histories, unchanged and with injected faults.

    python -m bench.monitoring_study [--quick] [--seed 0] [--repeats 16] [--no-peers] [--json]

Prints a line for each fault and peer, or with `--json` the output of `headrace verify monitors
--peers --json`. `python -m bench monitoring_study` renews its section of docs/benchmarks.md and
docs/images/monitor-*.svg.
"""

import argparse
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from textwrap import fill
from typing import Any

from bench import monitoring_peers
from bench.monitoring_data import histories
from bench.page import machine
from headrace.verification.drift_study.cases import Cases
from headrace.verification.drift_study.scoring import StudyPlan
from headrace.verification.drift_study.study import quick, run_study
from headrace.web.svg_plots import svg

IMAGES = Path(__file__).parents[1] / "docs" / "images"
INTRO = """
`python -m bench.monitoring_study`, about half an hour with peers, gives the same numbers as
`headrace verify monitors --peers --json`. It uses seven real histories
(`bench/monitoring_data.py`). Each has a LightGBM model that was trained on the first part of the
history and makes predictions for the rest. The settings of the monitor were chosen on {tuning}. All
numbers here are of the other histories ({report}), except in the line that says otherwise. Weather
counts only up to the day on which its known drift begins.

Each fault is injected in {repeats} places of each history, each time in another week, column,
segment and with another seed, in weeks without alarms. The model predicts again where its inputs
changed. A fault of one window has to be detected in that window, a weak fault within its four
windows.

- "Detected": the monitor raised an alarm.
- "Attributed": the share of the detected faults for which the monitor said correctly, in the first
  window with an alarm, whether the cause was the data, the relation between inputs and outcomes
  ("concept"), or both.
- Intervals are Wilson's, 95%.
"""
PEERS = """
Peers read the same windows as Parquet, in environments of their own. They are fitted on the first
six windows with scores, which are therefore not counted. Of each fault, {sample} injections into
each history are shown to them, and the line of Headrace counts only these, too. Evidently and
NannyML run with their defaults, and with tuned settings. These are two thresholds, one for data and
one for the relation. Each is the smallest threshold with which at most 10% (data) or 4% (relation)
of the windows of {tuned} raise an alarm.

The comparison favours the peers. Their reference never has faults. A fault counts as detected even
in a week in which the peer raises an alarm without the fault. A data fault counts as identified
even if the relation raises an alarm as well. PSI and the tests (KS and chi squared) do not use
labels.
"""
Line = dict[str, Any]
FULL = StudyPlan()


def study(plan: StudyPlan, *, peers: bool = True) -> Line:
    """Return the results of `headrace verify monitors --json` for the declared histories."""
    from pipelines.flights.monitors import MONITOR

    policy = MONITOR.policy()
    cases = Cases() if peers else None
    done = run_study([(one, policy, MONITOR.policy_path) for one in histories()], plan, cases)
    return {**done.to_json(), "peers": monitoring_peers.peers(cases) if cases else []}


def page(found: Line) -> str:
    """Return the section of docs/benchmarks.md."""
    names = _histories(found)
    tuning = _histories(found["tuning"]) if "tuning" in found else []
    intro = INTRO.format(repeats=found["repeats"], tuning=_and(tuning), report=_and(names))
    parts = [
        intro.strip(),
        machine(),
        *_naturals(found),
        *_groups(found["groups"]),
        *_faults(found),
    ]
    if found["peers"]:
        tuned = _and([name for name in tuning if name not in monitoring_peers.LEFT_OUT])
        parts += [_filled(PEERS.format(sample=Cases().sample, tuned=tuned)), _peers(found["peers"])]
    return "\n\n".join(parts)


def _filled(words: str) -> str:
    """Wrap paragraphs to the width of the page."""
    return "\n\n".join(fill(one, 98) for one in words.strip().split("\n\n"))


def _histories(found: Line) -> list[str]:
    return [one["history"] for one in found["natural"]["histories"]]


def _and(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else "".join(names)


def _share(part: int, whole: int, ends: Sequence[float] | None = None) -> str:
    if not whole:
        return ""
    between = f" ({100 * ends[0]:.0f} to {100 * ends[1]:.0f})" if ends else ""
    return f"{100 * part / whole:.1f}%{between}"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    ends = ["---" if at == 0 else "---:" for at in range(len(head))]
    lines = [head, ends, *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _naturals(found: Line) -> list[str]:
    head = ("untouched", "windows", "data alarms", "with scores", "concept alarms",
            "retrainings a year")  # fmt: skip
    rows = [_natural(one) for one in found["natural"]["histories"]]
    rows.append(_natural({**found["natural"], "history": "**together**"}))
    tuning = found.get("tuning")
    if tuning:
        rows.append(_natural({**tuning["natural"], "history": "tuning histories"}))
    done = found["decisions"]
    drift = [one for one in found["natural"]["histories"] if one["drift_known"]]
    known = [
        f"The known drift of {one['history']} was reported as a change of the relation "
        + (f"in window {one['drift_found_in_windows']} after it."
           if one["drift_found_in_windows"] else "in none of the windows after it.")
        for one in drift
    ]  # fmt: skip
    decided = (
        f"Retrainings: {done['retrained_on_data_faults']} started by the evidence of "
        f"{done['data_faults']:,} faults of data, and {done['untouched_retrainings']} in "
        f"{done['untouched_years']} years of untouched data, scheduled ones included, with at most "
        f"{done['most_retrainings_a_year']} a year in one history. The policy is that of "
        f"`pipelines/flights/monitors.yaml`. {' '.join(known)}"
    )
    return [_table(head, rows), _filled(decided)]


def _natural(one: Line) -> list[object]:
    years = one.get("years")
    return [
        one["history"], one["windows"],
        _share(one["data_alarms"], one["windows"], one["data_interval"]), one["scored_windows"],
        _share(one["concept_alarms"], one["scored_windows"], one["concept_interval"]),
        f"{one['retrainings'] / years:.1f}" if years else "",
    ]  # fmt: skip


def _counts(one: Line) -> list[object]:
    return [
        one["injected"], _share(one["detected"], one["injected"], one["detected_interval"]),
        _share(one["attributed"], one["detected"], one["attributed_interval"]),
        _share(one["named"], one["detected"]),
    ]  # fmt: skip


HEAD = ("planted", "detected", "attributed", "column or segment named")


def _groups(groups: Sequence[Line]) -> list[str]:
    rows = [[f"{one['kind']}, {one['grade']}", *_counts(one)] for one in groups]
    return [_table(("kind and grade", *HEAD), rows)]


def _faults(found: Line) -> list[str]:
    rows = [
        [one["fault"], f"{one['kind']}, {one['grade']}", one["windows"], *_counts(one)]
        for one in found["faults"]
    ]
    return [_table(("fault", "kind and grade", "windows", *HEAD), rows)]


def _peers(peers: Sequence[Line]) -> str:
    columns = (("data", "certain"), ("data", "gross"), ("data", "weak"), ("concept", "strong"),
               ("concept", "weak"))  # fmt: skip
    head = ("who", "windows", "data alarms", "concept alarms",
            *(f"{kind}, {grade}" for kind, grade in columns), "data attributed",
            "concept attributed")  # fmt: skip
    rows = []
    for one in peers:
        calm, told = one["natural"], {(g["kind"], g["grade"]): g for g in one["groups"]}
        parts = [told.get(column) for column in columns]
        every = [told.get((kind, "all")) for kind in ("data", "concept")]
        rows.append([
            f"{one['name']}, {one['setting']}", calm["windows"],
            _share(calm["data_alarms"], calm["windows"]),
            _share(calm["concept_alarms"], calm["windows"]),
            *(_share(part["detected"], part["injected"]) if part else "" for part in parts),
            *(_share(part["attributed"], part["detected"]) if part else "" for part in every),
        ])  # fmt: skip
    return _table(head, rows)


def pictures(found: Line) -> dict[str, str]:
    """Return {file name: SVG}: windows with a false alarm, and attributed faults, by monitor."""
    bars = [("data", "h3"), ("relation", "h4")]
    calm = [
        (f"{one['name']}, {one['setting']}",
         [one["natural"][f"{side}_alarms"] / max(1, one["natural"]["windows"])
          for side in ("data", "concept")])
        for one in found["peers"]
    ]  # fmt: skip
    groups = [("data", "certain"), ("data", "gross"), ("concept", "strong"), ("concept", "weak")]
    hits = []
    for one in found["peers"]:
        told = {(g["kind"], g["grade"]): g for g in one["groups"]}
        shares = [told[key]["attributed"] / told[key]["injected"] for key in groups if key in told]
        hits.append((f"{one['name']}, {one['setting']}", shares))
    names = [(f"{kind}, {grade}", f"h{at + 1}") for at, (kind, grade) in enumerate(groups)]
    return {
        "monitor-quiet.svg": _bars("Untouched windows with an alarm", bars, calm),
        "monitor-found.svg": _bars("Planted faults that were found, and told apart", names, hits),
    }


def _bars(
    title: str, names: Sequence[tuple[str, str]], rows: Sequence[tuple[str, Sequence[float]]]
) -> str:
    """Draw horizontal bars: a group for each row, a shade for each name."""
    left, thin, wide, top = 300, 12, 400, 44
    tall = thin * len(names) + 8
    parts = []
    for at, (name, shade) in enumerate(names):
        x = left + at * 110
        parts.append(f'<rect class="{shade}" x="{x}" y="27" width="10" height="10"/>')
        parts.append(_words(x + 14, 36, name))
    for at, (name, shares) in enumerate(rows):
        y = top + at * tall
        parts.append(_words(left - 8, y + tall / 2 + 2, name, "end"))
        for place, share in enumerate(shares):
            shade = names[place][1]
            parts.append(
                f'<rect class="{shade}" x="{left}" y="{y + place * thin}" '
                f'width="{max(1.0, share * wide):.1f}" height="{thin - 1}"/>'
            )
            parts.append(
                _words(left + max(1.0, share * wide) + 4, y + place * thin + 9, f"{share:.0%}")
            )
    return svg(left + wide + 50, top + tall * len(rows) + 8, title, parts)


def _words(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text class="t" x="{x:g}" y="{y:g}" text-anchor="{anchor}" >{escape(words)}</text>'


def draw(found: Line) -> None:
    """Write the pictures of measured numbers."""
    if not found["peers"]:
        return
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures(found).items():
        (IMAGES / name).write_text(picture + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few faults and repeats")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=16)
    parser.add_argument("--no-peers", action="store_true", help="only Headrace")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    given = parser.parse_args()
    plan = quick(given.seed) if given.quick else StudyPlan(seed=given.seed, repeats=given.repeats)
    found = study(plan, peers=not given.no_peers)
    if given.json:
        print(json.dumps(found, indent=1))
        return
    print("\n\n".join([*_naturals(found), *_groups(found["groups"]), *_faults(found)]))
    if found["peers"]:
        print(f"\n{_peers(found['peers'])}")


if __name__ == "__main__":
    main()
