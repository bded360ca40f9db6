"""`headrace automation on`, `off`, `ls`: state of Dagster's schedules and sensors."""

import os
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.commands import CommandGroup
from headrace.cli.options import AsJson
from headrace.cli.output import creating, emit_json, err, explained, grid, out

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.core.home import Home
    from headrace.dagster.automation import Automation

app = CommandGroup(
    help="Schedules and sensors: turn ingest, builds, alerts and maintenance on and off.",
    no_args_is_help=True,
)
Names = Annotated[
    list[str] | None, typer.Argument(help="Schedules or sensors from `headrace automation ls`.")
]


@app.command("on")
@explained
@creating
def on(names: Names = None, *, as_json: AsJson = False) -> None:
    """Turn on the recommended schedules and sensors, or the named ones.

    The command also works while the UI runs. Schedules and sensors only tick while a Dagster daemon
    runs: `headrace ui` starts one; on a server run `dagster-daemon run`.

    For example:

      headrace automation on
    """
    _switch(names or (), on=True, as_json=as_json)


@app.command("off")
@explained
@creating
def off(names: Names = None, *, as_json: AsJson = False) -> None:
    """Turn off all schedules and sensors, or the named ones. Runs in progress continue."""
    _switch(names or (), on=False, as_json=as_json)


@app.command("ls")
@explained
def ls(*, as_json: AsJson = False) -> None:
    """List schedules and sensors with their state, their task, and advice when to turn them on."""
    from headrace.dagster.automation import list_automation

    home, root = _places()
    _show(list_automation(home, root), as_json=as_json)


def _switch(names: "list[str] | tuple[str, ...]", *, on: bool, as_json: bool) -> None:
    from headrace.dagster.automation import switch

    home, root = _places()
    _show(switch(home, root, on=on, only=names), as_json=as_json)


def _places() -> "tuple[Home, Path]":
    """Return the project's home and the project's folder; prepare the home for Dagster first."""
    from headrace.core.home import Home, project_root
    from headrace.dagster.instance import prepare
    from headrace.pipeline.load import make_importable, pipeline_modules

    root = project_root()
    pipeline_modules(root)  # outside a project, this raises an error before anything is created
    make_importable(root)
    home = Home.find()
    prepare(home, root)
    os.chdir(root)
    return home, root


def _show(automations: "list[Automation]", *, as_json: bool) -> None:
    if as_json:
        emit_json([automation.to_json() for automation in automations])
        return
    grid(
        "automation",
        ["pipeline", "name", "kind", "state", "recommended", "does", "when to turn it on"],
        [
            [
                automation.pipeline,
                automation.name,
                automation.kind,
                Text("on", "green") if automation.running else Text("off", "dim"),
                "yes" if automation.usual else "",
                automation.description,
                automation.when,
            ]
            for automation in automations
        ],
    )
    if any(automation.usual and not automation.running for automation in automations):
        out.print("to turn on the recommended ones: headrace automation on", highlight=False)
    err.print(
        "schedules and sensors only tick while a Dagster daemon runs; headrace ui starts one",
        highlight=False,
    )
