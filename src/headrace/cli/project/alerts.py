"""`headrace alert`: who was told of what, and that somebody is on it."""

from typing import Annotated

import typer

from headrace.cli.output import BLOCKED, emit_json, explained, grid, out, verdict

app = typer.Typer(
    no_args_is_help=True,
    help="Who was told of which batch, and why. Routes are in alerts.yaml at the project's root.",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


@app.command("ls")
@explained
def ls(
    *,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    as_json: Json = False,
) -> None:
    """List alerts that are not over, oldest first: one for each batch and cause.

    An alert is over when its batch is released, rejected or superseded, or when the next batch of
    its table passes. Messages wait until their target takes them, or the alert is over.
    """
    from headrace.alerts import AlertStore
    from headrace.core.home import Home

    with AlertStore(Home.find()) as store:
        found = [
            alert
            for alert in (store.alerts() if everything else store.open_alerts())
            if table in {None, alert.condition.table}
        ]
    if as_json:
        emit_json([alert.document() for alert in found])
        return
    grid(
        "alerts",
        ["alert", "state", "table", "slot", "verdict", "cause", "messages", "owner", "note"],
        [
            [
                alert.alert_id[:8],
                alert.state,
                alert.condition.table,
                alert.condition.slot,
                verdict(alert.condition.verdict),
                alert.condition.words,
                ", ".join(f"{count} {state}" for state, count in alert.messages.items()),
                alert.condition.owner,
                alert.closed_by or alert.acknowledged_by or alert.error,
            ]
            for alert in found
        ],
    )
    if not found:
        out.print("no alert is open" if not everything else "there was no alert yet")


@app.command("ack")
@explained
def ack(
    alert: Annotated[str, typer.Argument(help="An alert's id, or how it starts.")],
    *,
    principal: Annotated[
        str | None,
        typer.Option("--as", help="Who; else HEADRACE_PRINCIPAL, else the user of this machine."),
    ] = None,
    reason: Annotated[str, typer.Option(help="For the record.")] = "seen, working on it",
    as_json: Json = False,
) -> None:
    """Say that you are on it. Messages that still wait are not sent; the batch stays as it is."""
    from headrace.alerts.acknowledge import acknowledge
    from headrace.core.home import Home
    from headrace.core.permissions import acting

    done = acknowledge(Home.find(), alert, principal=acting(principal), reason=reason)
    if as_json:
        emit_json(done.document())
        return
    given = done.condition
    out.print(f"{given.table} {given.slot}: {done.acknowledged_by} is on it", highlight=False)


@app.command("send")
@explained
def send(*, as_json: Json = False) -> None:
    """Look for what is new or over, and send what waits: what runs and the sensor do by themselves.

    Ends with 1 if a target did not take its message; it is tried again by the next look.
    """
    from headrace.alerts import load_config, look
    from headrace.core.home import Home
    from headrace.pipeline import project_pipelines

    config = load_config()
    tables = [table for pipeline in project_pipelines() for table in pipeline.tables]
    done = look(Home.find(), tables, config=config)
    if as_json:
        emit_json(done.to_json())
    elif config.path is None:
        out.print("no alerts.yaml at the project's root: nobody is told")
    else:
        out.print(str(done), highlight=False)
    if done.failed:
        raise typer.Exit(BLOCKED)


@app.command("test")
@explained
def rehearsal(
    owner: Annotated[
        str | None, typer.Argument(help="Only this owner's targets; all if left out.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Send a test message to every target of alerts.yaml, and say which ones took it."""
    from headrace.alerts.test_message import rehearse

    found = rehearse(owner)
    if as_json:
        emit_json(found)
    else:
        grid(
            "targets",
            ["owner", "target", "took it", "why not"],
            [[one["owner"], one["target"], one["sent"], one["error"]] for one in found],
        )
    if not all(one["sent"] for one in found):
        raise typer.Exit(BLOCKED)
