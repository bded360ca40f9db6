"""`headrace monitor …`: what is watched, what was decided and why, what another policy would do."""

from typing import Annotated

import typer

from headrace.cli.output import emit_json, explained, grid

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Name = Annotated[str | None, typer.Option("--pipeline", "-p", help="Only this pipeline.")]
SHOWN = 8

app = typer.Typer(
    name="monitor",
    help="What the monitors saw, what was decided and why; try another policy before you trust it.",
    no_args_is_help=True,
)


@app.command("status")
@explained
def status(*, pipeline: Name = None, as_json: Json = False) -> None:
    """The last windows of each pipeline's monitor, and what was decided."""
    from headrace.cli.which import pipelines
    from headrace.home import Home
    from headrace.monitoring import DecisionLedger

    ledger = DecisionLedger(Home.find())
    found = {one.monitor.name: ledger.entries(one.monitor.name) for one in pipelines(pipeline)}
    if as_json:
        emit_json({name: [one.to_json() for one in rows[-SHOWN:]] for name, rows in found.items()})
        return
    for name, rows in found.items():
        told = [
            [one.window.text, one.decision.action, " ".join(one.decision.reasons)]
            for one in rows[-SHOWN:]
        ]
        grid(f"monitor {name}", ["window", "action", "why"], told)
