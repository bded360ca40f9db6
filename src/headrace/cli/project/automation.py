"""`headrace automation`: switch Dagster's schedules and sensors on and off, and list them."""

import os
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.output import creating, emit_json, err, explained, grid, out

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.core.home import Home
    from headrace.dagster.automation import Automation

app = typer.Typer(
    help="Switch on what runs by itself: ingest, builds, alerts, maintenance.",
    no_args_is_help=True,
)
Names = Annotated[
    list[str] | None, typer.Argument(help="Schedules or sensors, as in `headrace automation ls`.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


@app.command("on")
@explained
@creating
def on(names: Names = None, *, as_json: Json = False) -> None:
    """Switch on the usual ones, or those that are named. It also works while the UI runs.

    They tick while a daemon runs: `headrace ui` starts one, or `dagster-daemon run` on a server.
    """
    _switch(names or (), on=True, as_json=as_json)


@app.command("off")
@explained
@creating
def off(names: Names = None, *, as_json: Json = False) -> None:
    """Switch off everything, or those that are named. Runs that are under way go on."""
    _switch(names or (), on=False, as_json=as_json)


@app.command("ls")
@explained
def ls(*, as_json: Json = False) -> None:
    """List each schedule and sensor: its state, its work, and when to switch it on."""
    from headrace.dagster.automation import list_automation

    home, root = _places()
    _show(list_automation(home, root), as_json=as_json)


def _switch(names: "list[str] | tuple[str, ...]", *, on: bool, as_json: bool) -> None:
    from headrace.dagster.automation import switch

    home, root = _places()
    _show(switch(home, root, on=on, only=names), as_json=as_json)


def _places() -> "tuple[Home, Path]":
    """The project's home, made ready for Dagster if it was never opened, and its folder."""
    from headrace.core.home import Home, project_root
    from headrace.dagster.instance import prepare
    from headrace.pipeline.load import make_importable, pipeline_modules

    root = project_root()
    pipeline_modules(root)  # outside a project nothing is made
    make_importable(root)
    home = Home.find()
    prepare(home, root)
    os.chdir(root)
    return home, root


def _show(found: "list[Automation]", *, as_json: bool) -> None:
    if as_json:
        emit_json([one.to_json() for one in found])
        return
    grid(
        "automation",
        ["pipeline", "name", "kind", "state", "usual", "work", "when to switch it on"],
        [
            [
                one.pipeline,
                one.name,
                one.kind,
                Text("on", "green") if one.running else Text("off", "dim"),
                "yes" if one.usual else "",
                one.description,
                one.when,
            ]
            for one in found
        ],
    )
    if any(one.usual and not one.running for one in found):
        out.print("switch on the usual ones: headrace automation on", highlight=False)
    err.print("they tick while a daemon runs, as under headrace ui", highlight=False)
