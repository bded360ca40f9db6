"""`headrace monitor …`: what is watched, what was decided and why, what another policy would do."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from headrace.cli.output import BLOCKED, emit_json, explained, grid, out

if TYPE_CHECKING:
    from headrace.core.home import Home
    from headrace.monitoring.decisions.replay import Replayed, Tally
    from headrace.pipeline import Pipeline
    from headrace.reports.monitor import MonitorReport

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Name = Annotated[
    str | None, typer.Option("--pipeline", "-p", help="Which pipeline; the only one if left out.")
]
Window = Annotated[
    str, typer.Argument(help="A day of the window (2013-02-12), or `last` for the newest one.")
]
Who = Annotated[
    str | None,
    typer.Option("--as", help="Who acts; HEADRACE_PRINCIPAL, or the user of this machine."),
]
SHOWN = 8
_LONG = 160
_STYLES = {"watch": "yellow", "investigate": "bold red", "retrain": "magenta", "none": "green"}
_TONES = {**_STYLES, "PASS": "green"}

app = typer.Typer(
    name="monitor",
    help="What the monitors saw, what was decided and why; try another policy before you trust it.",
    no_args_is_help=True,
)


@app.command("status")
@explained
def status(*, pipeline: Name = None, as_json: Json = False) -> None:
    """Whether all is well: the last windows, what is open, the champion's age, what may retrain.

    Ends with 1 if a delivery of a watched table is held back (blocked, pending or in ERROR), or
    something is open that nobody has acknowledged, so that a script can ask.
    """
    from headrace.reports.monitor.document import status_json
    from headrace.reports.monitor.facts import monitor_report

    reports = [monitor_report(one, _home()) for one in _pipelines(pipeline)]
    if as_json:
        emit_json({"monitors": [status_json(one, SHOWN) for one in reports]})
    else:
        for one in reports:
            _tell_status(one)
    if any(one.needs_attention for one in reports):
        raise typer.Exit(BLOCKED)


def _tell_status(report: "MonitorReport") -> None:
    from headrace.reports.monitor import sentences

    out.print(
        Text.assemble((f"monitor {report.monitor}: ", "bold"), (sentences.headline(report),
                      _TONES.get(sentences.tone(report), ""))), soft_wrap=True,
    )  # fmt: skip
    if not report.windows:
        out.print("windows are judged once they are over: headrace run", style="dim")
        return
    grid(
        "the last windows",
        ["window", "decided", "cause", "why"],
        [
            [
                view.entry.window.text,
                _action(view.action),
                view.attribution.cause,
                _short(" ".join(view.entry.decision.reasons[:1])),
            ]
            for view in report.windows[-SHOWN:]
        ],
    )
    for incident in report.open:
        ack = incident.acknowledged
        known = f"{ack.principal}: {ack.reason}" if ack else "nobody has acknowledged it"
        _line("open", f"{sentences.incident_words(incident)}; {known}. {incident.sentence}")
        if ack is None:
            _line("  then", sentences.acknowledgement(incident, report.pipeline))
            if right := sentences.acceptance(report, incident):
                _line("  or, if the data are right", right)
    reign = report.champion
    _line("champion", f"{reign.ref}, its data {sentences.champion_age(report)} old" if reign else
          "none in charge")  # fmt: skip
    _line("retraining", f"{sentences.next_retraining(report)} at the earliest; budget left: "
          f"{sentences.budget(report)}")  # fmt: skip
    found = report.figures
    _line("judged", f"{found.judged} of {found.windows} windows on their columns, "
          f"{found.labelled} on labels")  # fmt: skip
    for note in report.notes:
        _line("not watched", note)
    out.print("why a window was decided so: headrace monitor explain DAY", style="dim")


@app.command("explain")
@explained
def explain(window: Window = "last", *, pipeline: Name = None, as_json: Json = False) -> None:
    """Why one window was decided as it was: evidence, cause, rules, and what others would do.

    The decision and its evidence are from the ledger, so it is explained as it was made, however
    long ago that is.
    """
    from headrace.operations.monitor_acknowledge import window_of
    from headrace.reports.monitor.document import window_json
    from headrace.reports.monitor.facts import monitor_report

    chosen, home = _pipeline(pipeline), _home()
    entry = window_of(chosen, home, window)
    report = monitor_report(chosen, home)
    view = report.window(entry.window.end)
    if view is None:  # decided between the two readings
        raise typer.Exit(BLOCKED)
    if as_json:
        emit_json(window_json(report, view))
        return
    _tell_window(report, window_json(report, view))


def _tell_window(report: "MonitorReport", told: dict[str, Any]) -> None:
    out.print(Text.assemble((f"{told['window_text']}: ", "bold"), _action(told["action"])))
    out.print(told["attribution"]["sentence"], highlight=False, markup=False, soft_wrap=True)
    grid(
        "evidence",
        ["about", "kind", "severity", "statistic#", "limit#", "in words"],
        [
            [e["subject"], e["kind"], e["severity"], e["statistic"], e["threshold"], e["sentence"]]
            for e in told["evidence"]
        ],
    )
    for reason in told["reasons"]:
        _line("because", reason)
    same = "the policy of now" if told["policy_hash"] == report.policy.hash else "not that of now"
    _line("policy", f"{told['policy_hash'][:12]}, {same} ({report.policy_path})")
    if told["trigger_id"]:
        _line("trigger", told["trigger_id"])
    for ack in told["acknowledged"]:
        _line("known to", f"{ack['principal']} since {ack['at']}: {ack['reason']}")
    for one in told["accepted"]:
        verb = "no longer accepted" if one["withdrawn"] else "accepted"
        about = ", ".join(topic.partition(":")[2] for topic in one["about"])
        _line(verb, f"{about} by {one['principal']} since {one['at']}: {one['reason']}")
    grid("what other policies would have decided", ["policy", "decision"],
         [[name, _action(action)] for name, action in told["alternatives"].items()])  # fmt: skip


@app.command("replay")
@explained
def replay(
    *,
    policy: Annotated[Path, typer.Option("--policy", help="A policy file, as monitors.yaml.")],
    pipeline: Name = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show all windows, not only those decided otherwise.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Decide the whole history again by another policy, beside what was decided.

    It reads the evidence on the ledger and no data, so a year takes a moment, and changes nothing.
    Copy the pipeline's monitors.yaml, change a rule, replay it, and read what would have been
    retrained and paged. What detection asks for (the part `detection:`) makes the evidence and
    cannot be tried so.
    """
    from headrace.monitoring.decisions.policy import load_policy
    from headrace.monitoring.decisions.replay import compared
    from headrace.reports.monitor.facts import replayed

    chosen, home, other = _pipeline(pipeline), _home(), load_policy(policy)
    rows, acks = replayed(chosen, home, other)
    recorded, told = compared(rows, acks)
    same = other.detection == chosen.monitor.policy().detection
    if as_json:
        emit_json(
            {
                "monitor": chosen.monitor.name,
                "policy": str(policy),
                "policy_hash": other.hash,
                "same_detection": same,
                "recorded": recorded.to_json(),
                "replayed": told.to_json(),
                "windows": [row.to_json() for row in rows],
            }
        )
        return
    _tell_replay(rows, recorded, told, every=every)
    if not same:
        out.print(
            "its detection differs: evidence is as it was recorded, by the detection of then",
            style="yellow",
        )


def _tell_replay(rows: "list[Replayed]", recorded: "Tally", told: "Tally", *, every: bool) -> None:
    names = list(recorded.actions)
    grid(
        f"{len(rows)} windows",
        ["", "retrainings#", "pages#", *(f"{name}#" for name in names)],
        [
            [who, len(one.retrainings), len(one.pages), *(one.actions[name] for name in names)]
            for who, one in (("on record", recorded), ("replayed", told))
        ],
    )
    shown = [row for row in rows if every or row.differs]
    if shown:
        grid(
            "all windows" if every else "windows decided otherwise",
            ["window", "on record", "replayed", "why"],
            [
                [
                    one.window.text,
                    _action(one.recorded.action),
                    _action(one.decision.action),
                    _short(one.decision.reasons[-1] if one.decision.reasons else ""),
                ]
                for one in shown
            ],
        )
    else:
        out.print("no window would have been decided otherwise")


@app.command("ack")
@explained
def ack(
    window: Window,
    *,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why; it is kept for good.")],
    pipeline: Name = None,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Say that somebody knows of a window: what it is about pages nobody again.

    A fault stays a fault: it is investigated as long as it lasts, and never retrains. Where data
    and relation moved together, it lets the policy retrain once that has lasted.
    """
    from headrace.core.clock import iso
    from headrace.core.permissions import acting
    from headrace.monitoring.evidence.model import Window as Days
    from headrace.operations.monitor_acknowledge import acknowledge

    chosen = _pipeline(pipeline)
    done, new = acknowledge(chosen, _home(), window, principal=acting(who), reason=reason)
    days = Days(done.window_end - chosen.monitor.window_days, done.window_end).text
    if as_json:
        emit_json(
            {
                "monitor": done.pipeline,
                "window_text": days,
                "principal": done.principal,
                "reason": done.reason,
                "at": iso(done.recorded_at),
                "changed": new,
            }
        )
        return
    first = "acknowledged" if new else "was acknowledged before"
    out.print(f"{days} of monitor {done.pipeline}: {first} by {done.principal}",
              highlight=False, markup=False, soft_wrap=True)  # fmt: skip


@app.command("accept")
@explained
def accept(
    window: Window,
    *,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why; it is kept for good.")],
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="It was a mistake: judge the window as before.")
    ] = False,
    pipeline: Name = None,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Say that the data of a window are right: from there on this is what they look like.

    For what rightly changed for good (a new code, another sensor, another unit), from the first
    window that has it. Faults found in its columns and rows become notices, later windows are held
    to it, and what moves again is told again. What gates held back, or did not come, is not
    accepted so. The next run of the monitor judges by it; of windows that were decided already it
    starts nothing.
    """
    from headrace.core.permissions import acting
    from headrace.monitoring.evidence.model import Window as Days
    from headrace.operations.monitor_accept import accept as accepted
    from headrace.reports.monitor.document import acceptance_json

    chosen = _pipeline(pipeline)
    done, new = accepted(
        chosen, _home(), window, principal=acting(who), reason=reason, withdraw=withdraw
    )
    days = Days(done.window_end - chosen.monitor.window_days, done.window_end).text
    if as_json:
        named = {"monitor": done.pipeline, "window_text": days}
        emit_json({**named, **acceptance_json(done), "changed": new})
        return
    verb = "taken back" if withdraw else "accepted"
    first = verb if new else f"was {verb} before"
    about = ", ".join(topic.partition(":")[2] for topic in done.about)
    out.print(f"{days} of monitor {done.pipeline}: {about} {first} by {done.principal}",
              highlight=False, markup=False, soft_wrap=True)  # fmt: skip
    if new:
        out.print("the next run of the monitor judges by it", style="dim")


@app.command("report")
@explained
def report(
    *,
    pipeline: Name = None,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="File to write; `-` prints. Default: under HEADRACE_HOME."),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Write the monitor's report as a single HTML file, which needs nothing else to be read.

    `headrace reports` serves the same page under /monitor/NAME.
    """
    import sys

    from headrace.core.errors import StateError
    from headrace.core.files import write_atomically
    from headrace.reports.monitor import render
    from headrace.reports.monitor.facts import monitor_report

    chosen, home = _pipeline(pipeline), _home()
    page = render(monitor_report(chosen, home))
    if str(to) == "-":
        sys.stdout.write(page)
        return
    path = (to or home.reports / "monitor" / f"{chosen.monitor.name}.html").absolute()
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise StateError(
            f"the report cannot be written: {error.strerror}",
            where=str(path),
            fix="--out with a file in a folder that you may write to",
        ) from error
    out.print(str(path), highlight=False, markup=False, soft_wrap=True)
    if show:
        typer.launch(path.as_uri())


# what they share


def _home() -> "Home":
    from headrace.core.home import Home

    return Home.find()


def _pipelines(name: str | None) -> "list[Pipeline]":
    from headrace.cli.shared import pipelines

    return pipelines(name)


def _pipeline(name: str | None) -> "Pipeline":
    from headrace.core.errors import DeclarationError

    found = _pipelines(name)
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise DeclarationError("which pipeline is not said", fix=f"--pipeline with one of {names}")
    return found[0]


def _action(name: str) -> Text:
    return Text(name, _STYLES.get(name, ""))


def _line(name: str, told: str) -> None:
    out.print(Text.assemble((f"{name}: ", "bold"), told), soft_wrap=True)


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
