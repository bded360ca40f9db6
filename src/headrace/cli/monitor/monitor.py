"""`headrace monitor …`: status of monitors, reasons of decisions, and replays of policies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from headrace.cli.commands import CommandGroup
from headrace.cli.options import AnyPipeline, AsJson, OneMonitor, OnePipeline, Principal, Reason
from headrace.cli.output import BLOCKED, emit_json, explained, grid, out
from headrace.cli.shared import monitor_pipelines, one_monitor

if TYPE_CHECKING:
    from headrace.core.home import Home
    from headrace.monitoring.decisions.replay import ActionTally, Replayed
    from headrace.reports.monitor import MonitorReport

Window = Annotated[
    str, typer.Argument(help="Day in the window (2013-02-12), or `last` for the newest window.")
]
RECENT = 8
_LONG = 160
_STYLES = {"watch": "yellow", "investigate": "bold red", "retrain": "magenta", "none": "green"}
_TONES = {**_STYLES, "PASS": "green"}

app = CommandGroup(
    name="monitor",
    help="Drift monitors: findings, decisions and their reasons; replay other policies.",
    no_args_is_help=True,
)


@app.command("status")
@explained
def status(*, pipeline: AnyPipeline = None, as_json: AsJson = False) -> None:
    """Show recent windows, open incidents, the champion's age and the next possible retraining.

    Exit code 1: a delivery of a monitored table is held (blocked, pending or in ERROR), or an open
    incident is not acknowledged.
    """
    from headrace.reports.monitor.document import status_json
    from headrace.reports.monitor.facts import monitor_report

    reports = [monitor_report(declared, _home()) for declared in monitor_pipelines(pipeline)]
    if as_json:
        emit_json({"monitors": [status_json(report, RECENT) for report in reports]})
    else:
        for report in reports:
            _tell_status(report)
    if any(report.needs_attention for report in reports):
        raise typer.Exit(BLOCKED)


def _tell_status(report: "MonitorReport") -> None:
    from headrace.reports.monitor import sentences

    out.print(
        Text.assemble((f"monitor {report.monitor}: ", "bold"), (sentences.headline(report),
                      _TONES.get(sentences.tone(report), ""))), soft_wrap=True,
    )  # fmt: skip
    if not report.windows:
        out.print("windows are evaluated after they end: headrace run", style="dim")
        return
    grid(
        "recent windows",
        ["window", "decision", "cause", "reason"],
        [
            [
                view.entry.window.text,
                _action(view.action),
                view.attribution.cause,
                _short(" ".join(view.entry.decision.reasons[:1])),
            ]
            for view in report.windows[-RECENT:]
        ],
    )
    for incident in report.open:
        ack = incident.acknowledged
        acknowledgement = f"{ack.principal}: {ack.reason}" if ack else "not acknowledged"
        _line(
            "open", f"{sentences.incident_words(incident)}; {acknowledgement}. {incident.sentence}"
        )
        if ack is None:
            _line("  then", sentences.acknowledgement(incident, report.options))
            if right := sentences.acceptance(report, incident):
                _line("  or, if the data are right", right)
    reign = report.champion
    _line("champion", f"{reign.ref}, its data {sentences.champion_age(report)} old" if reign else
          "none")  # fmt: skip
    _line("retraining", f"{sentences.next_retraining(report)} at the earliest; budget left: "
          f"{sentences.budget(report)}")  # fmt: skip
    figures = report.figures
    _line("evaluated", f"{figures.evaluated} of {figures.windows} windows on their columns, "
          f"{figures.labelled} on labels")  # fmt: skip
    for note in report.notes:
        _line("not monitored", note)
    out.print("reasons of a decision: headrace monitor explain DAY", style="dim")


@app.command("explain")
@explained
def explain(
    window: Window = "last",
    *,
    pipeline: OnePipeline = None,
    monitor: OneMonitor = None,
    as_json: AsJson = False,
) -> None:
    """Explain the decision on a window: evidence, cause, rules, and decisions of other policies.

    The decision and its evidence are read from the ledger, so they appear exactly as they were
    recorded.

    For example:

      headrace monitor explain 2013-02-12
    """
    from headrace.operations.monitor_acknowledge import window_of
    from headrace.reports.monitor.document import window_json
    from headrace.reports.monitor.facts import monitor_report

    declared, home = one_monitor(pipeline, monitor), _home()
    entry = window_of(declared, home, window)
    report = monitor_report(declared, home)
    view = report.window(entry.window.end)
    if view is None:  # a run has changed the window since `entry` was read
        raise typer.Exit(BLOCKED)
    if as_json:
        emit_json(window_json(report, view))
        return
    _tell_window(report, window_json(report, view))


def _tell_window(report: "MonitorReport", document: dict[str, Any]) -> None:
    out.print(Text.assemble((f"{document['window_text']}: ", "bold"), _action(document["action"])))
    out.print(document["attribution"]["sentence"], highlight=False, markup=False, soft_wrap=True)
    grid(
        "evidence",
        ["subject", "kind", "severity", "statistic#", "limit#", "in words"],
        [
            [e["subject"], e["kind"], e["severity"], e["statistic"], e["threshold"], e["sentence"]]
            for e in document["evidence"]
        ],
    )
    for reason in document["reasons"]:
        _line("because", reason)
    policy = (
        "the current policy"
        if document["policy_hash"] == report.policy.hash
        else "not the current one"
    )
    _line("policy", f"{document['policy_hash'][:12]}, {policy} ({report.policy_path})")
    if document["trigger_id"]:
        _line("trigger", document["trigger_id"])
    for ack in document["acknowledged"]:
        _line("acknowledged by", f"{ack['principal']} since {ack['at']}: {ack['reason']}")
    for acceptance in document["accepted"]:
        verb = "no longer accepted" if acceptance["withdrawn"] else "accepted"
        topics = ", ".join(topic.partition(":")[2] for topic in acceptance["about"])
        _line(
            verb,
            f"{topics} by {acceptance['principal']} since {acceptance['at']}:"
            f" {acceptance['reason']}",
        )
    alternatives = document["alternatives"].items()
    grid(
        "decisions of other policies",
        ["policy", "decision"],
        [[name, _action(action)] for name, action in alternatives],
    )


@app.command("replay")
@explained
def replay(
    *,
    policy: Annotated[
        Path, typer.Option("--policy", help="Policy file, such as a copy of monitors.yaml.")
    ],
    pipeline: OnePipeline = None,
    monitor: OneMonitor = None,
    whole_history: Annotated[
        bool, typer.Option("--all", help="List all windows, not only those whose decision differs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Replay the decision history under another policy and compare the decisions.

    The replay reads the evidence in the ledger and no data, so a year takes a moment; it changes
    nothing. Copy the pipeline's monitors.yaml, change a rule, replay the copy, and see which
    windows would have triggered a retraining or a page. Changes to `detection:` cannot be tested
    this way, since detection produces the evidence.

    For example:

      headrace monitor replay --policy candidate.yaml
    """
    from headrace.monitoring.decisions.policy import load_policy
    from headrace.monitoring.decisions.replay import compared
    from headrace.reports.monitor.facts import replayed

    declared, home, other = one_monitor(pipeline, monitor), _home(), load_policy(policy)
    rows, acks = replayed(declared, home, other)
    recorded, replayed_tally = compared(rows, acks)
    same_detection = other.detection == declared.monitor.policy().detection
    if as_json:
        emit_json(
            {
                "monitor": declared.monitor.name,
                "policy": str(policy),
                "policy_hash": other.hash,
                "same_detection": same_detection,
                "recorded": recorded.to_json(),
                "replayed": replayed_tally.to_json(),
                "windows": [row.to_json() for row in rows],
            }
        )
        return
    _tell_replay(rows, recorded, replayed_tally, whole_history=whole_history)
    if not same_detection:
        out.print(
            "`detection:` of this policy differs, but the evidence is from the recorded detection",
            style="yellow",
        )


def _tell_replay(
    rows: "list[Replayed]", recorded: "ActionTally", replayed: "ActionTally", *, whole_history: bool
) -> None:
    names = list(recorded.actions)
    grid(
        f"{len(rows)} windows",
        ["", "retrainings#", "pages#", *(f"{name}#" for name in names)],
        [
            [
                label,
                len(tally.retrainings),
                len(tally.pages),
                *(tally.actions[name] for name in names),
            ]
            for label, tally in (("recorded", recorded), ("replayed", replayed))
        ],
    )
    listed = [row for row in rows if whole_history or row.differs]
    if listed:
        grid(
            "all windows" if whole_history else "windows whose decision differs",
            ["window", "recorded", "replayed", "reason"],
            [
                [
                    row.window.text,
                    _action(row.recorded.action),
                    _action(row.decision.action),
                    _short(row.decision.reasons[-1] if row.decision.reasons else ""),
                ]
                for row in listed
            ],
        )
    else:
        out.print("every window has the same decision")


@app.command("ack")
@explained
def ack(
    window: Window,
    *,
    reason: Reason,
    pipeline: OnePipeline = None,
    monitor: OneMonitor = None,
    principal: Principal = None,
    as_json: AsJson = False,
) -> None:
    """Acknowledge a window; stop paging about its findings.

    An acknowledged data fault stays open as long as it lasts, and never triggers a retraining. If
    both the data and their relation to the label changed, the policy may trigger a retraining once
    the change has lasted long enough.

    For example:

      headrace monitor ack 2013-02-12 --reason "storm week, sensors are fine"
    """
    from headrace.core.clock import iso
    from headrace.core.permissions import acting
    from headrace.monitoring.evidence.model import Window as Days
    from headrace.operations.monitor_acknowledge import acknowledge

    declared = one_monitor(pipeline, monitor)
    acknowledged, new = acknowledge(
        declared, _home(), window, principal=acting(principal), reason=reason
    )
    days = Days(
        acknowledged.window_end - declared.monitor.window_days, acknowledged.window_end
    ).text
    if as_json:
        emit_json(
            {
                "monitor": acknowledged.pipeline,
                "window_text": days,
                "principal": acknowledged.principal,
                "reason": acknowledged.reason,
                "at": iso(acknowledged.recorded_at),
                "changed": new,
            }
        )
        return
    first = "acknowledged" if new else "already acknowledged"
    out.print(f"{days} of monitor {acknowledged.pipeline}: {first} by {acknowledged.principal}",
              highlight=False, markup=False, soft_wrap=True)  # fmt: skip


@app.command("accept")
@explained
def accept(
    window: Window,
    *,
    reason: Reason,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Withdraw the acceptance.")] = False,
    pipeline: OnePipeline = None,
    monitor: OneMonitor = None,
    principal: Principal = None,
    as_json: AsJson = False,
) -> None:
    """Accept a window's data as the new baseline.

    Use it for changes that are correct and permanent (a new code, another sensor, another unit), on
    the first window that shows them. Faults in the window's columns and rows become notices, later
    windows are compared with this window, and further changes are reported again. Rows held by
    gates and missing deliveries cannot be accepted this way. The acceptance takes effect at the
    next run of the monitor; it triggers nothing for windows that are already decided.

    For example:

      headrace monitor accept 2013-02-12 --reason "new carrier code"
    """
    from headrace.core.permissions import acting
    from headrace.monitoring.evidence.model import Window as Days
    from headrace.operations.monitor_accept import accept as accepted
    from headrace.reports.monitor.document import acceptance_json

    declared = one_monitor(pipeline, monitor)
    acceptance, new = accepted(
        declared, _home(), window, principal=acting(principal), reason=reason, withdraw=withdraw
    )
    days = Days(acceptance.window_end - declared.monitor.window_days, acceptance.window_end).text
    if as_json:
        names = {"monitor": acceptance.pipeline, "window_text": days}
        emit_json({**names, **acceptance_json(acceptance), "changed": new})
        return
    verb = "withdrawn" if withdraw else "accepted"
    first = verb if new else f"already {verb}"
    topics = ", ".join(topic.partition(":")[2] for topic in acceptance.about)
    out.print(
        f"{days} of monitor {acceptance.pipeline}: {topics} {first} by {acceptance.principal}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    if new:
        out.print("it takes effect at the next run of the monitor", style="dim")


@app.command("report")
@explained
def report(
    *,
    pipeline: OnePipeline = None,
    monitor: OneMonitor = None,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="File to write; `-` prints; default: under HEADRACE_HOME."),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
) -> None:
    """Write the monitor's report as one self-contained HTML file.

    `headrace reports` serves the same page under /monitor/NAME.
    """
    import sys

    from headrace.core.errors import StateError
    from headrace.core.files import write_atomically
    from headrace.reports.monitor import render
    from headrace.reports.monitor.facts import monitor_report

    declared, home = one_monitor(pipeline, monitor), _home()
    page = render(monitor_report(declared, home))
    if str(to) == "-":
        sys.stdout.write(page)
        return
    path = (to or home.reports / "monitor" / f"{declared.monitor.name}.html").absolute()
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise StateError(
            f"the report cannot be written: {error.strerror}",
            where=str(path),
            fix="give --out with a file in a folder that you may write to",
        ) from error
    out.print(str(path), highlight=False, markup=False, soft_wrap=True)
    if show:
        typer.launch(path.as_uri())


# Helpers


def _home() -> "Home":
    from headrace.core.home import Home

    return Home.find()


def _action(name: str) -> Text:
    return Text(name, _STYLES.get(name, ""))


def _line(name: str, text: str) -> None:
    out.print(Text.assemble((f"{name}: ", "bold"), text), soft_wrap=True)


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
