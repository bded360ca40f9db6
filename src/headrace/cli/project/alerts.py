"""`headrace alert`: alerts, their messages and acknowledgements."""

from typing import Annotated

import typer

from headrace.cli.commands import CommandGroup
from headrace.cli.options import AsJson, Principal
from headrace.cli.output import BLOCKED, emit_json, explained, grid, out, verdict

app = CommandGroup(
    no_args_is_help=True,
    help="Alerts about batches and monitors; alerts.yaml at the project's root routes them.",
)


@app.command("ls")
@explained
def ls(
    *,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Include closed alerts.")] = False,
    as_json: AsJson = False,
) -> None:
    """List open alerts, oldest first: one per batch and cause.

    An alert closes when its batch is approved, rejected or superseded, or when the next batch of
    its table passes. A message that its target did not accept is retried until the alert closes.
    """
    from headrace.alerts import AlertStore
    from headrace.core.home import Home

    with AlertStore(Home.find()) as store:
        alerts = [
            alert
            for alert in (store.alerts() if everything else store.open_alerts())
            if table in {None, alert.condition.table}
        ]
    if as_json:
        emit_json([alert.document() for alert in alerts])
        return
    grid(
        "alerts",
        ["alert", "state", "table", "partition", "verdict", "cause", "messages", "owner", "note"],
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
            for alert in alerts
        ],
    )
    if not alerts:
        out.print("no open alerts" if not everything else "no alerts yet")


@app.command("ack")
@explained
def ack(
    alert: Annotated[str, typer.Argument(help="Id of an alert, or the start of it.")],
    *,
    principal: Principal = None,
    reason: Annotated[
        str, typer.Option("--reason", "-m", help="Reason, kept in the audit trail.")
    ] = "seen, working on it",
    as_json: AsJson = False,
) -> None:
    """Acknowledge an alert: its unsent messages are dropped. The batch is unchanged.

    For example:

      headrace alert ack 3f2a9c --reason "looking into it"
    """
    from headrace.alerts.acknowledge import acknowledge
    from headrace.core.home import Home
    from headrace.core.permissions import acting

    acknowledged = acknowledge(Home.find(), alert, principal=acting(principal), reason=reason)
    if as_json:
        emit_json(acknowledged.document())
        return
    condition = acknowledged.condition
    out.print(
        f"{condition.table} {condition.slot}: acknowledged by {acknowledged.acknowledged_by}",
        highlight=False,
    )


@app.command("send")
@explained
def send(*, as_json: AsJson = False) -> None:
    """Open and close alerts and send pending messages, as every run and the sensor do.

    Exit code 1: a target did not accept its message; the next check retries it.
    """
    from headrace.alerts import load_config, update_alerts
    from headrace.core.home import Home
    from headrace.pipeline import project_pipelines

    config = load_config()
    tables = [table for pipeline in project_pipelines() for table in pipeline.tables]
    outcome = update_alerts(Home.find(), tables, config=config)
    if as_json:
        emit_json(outcome.to_json())
    elif config.path is None:
        out.print("no alerts.yaml at the project's root: no alerts are sent")
    else:
        out.print(str(outcome), highlight=False)
    if outcome.failed:
        raise typer.Exit(BLOCKED)


@app.command("test")
@explained
def rehearsal(
    owner: Annotated[
        str | None, typer.Argument(help="Only this owner's targets; default: all.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Send a test message to every target in alerts.yaml and show which targets accepted it."""
    from headrace.alerts.sample_message import send_test_messages

    targets = send_test_messages(owner)
    if as_json:
        emit_json(targets)
    else:
        grid(
            "targets",
            ["owner", "target", "accepted", "error"],
            [
                [target["owner"], target["target"], target["sent"], target["error"]]
                for target in targets
            ],
        )
    if not all(target["sent"] for target in targets):
        raise typer.Exit(BLOCKED)
