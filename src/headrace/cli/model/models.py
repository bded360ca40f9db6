"""`headrace model`: models, and the current champion."""

from typing import Annotated

import typer
from rich.text import Text

from headrace.cli.commands import CommandGroup
from headrace.cli.options import AsJson, Principal
from headrace.cli.output import emit_json, explained, grid, marked, out, tell_taints

app = CommandGroup(no_args_is_help=True, help="Trained models and the current champion.")


@app.command("ls")
@explained
def ls(*, as_json: AsJson = False) -> None:
    """List all models, oldest first, with their taints and the current champion.

    For registered external models the list shows the required framework and the registration time.
    """
    from headrace.core.home import Home
    from headrace.reports.status import model_rows

    rows = model_rows(Home.find())
    if as_json:
        emit_json(rows)
        return
    grid(
        "models",
        ["model", "task", "trained on", "trained at", "champion", "external"],
        [
            [
                marked(row),
                row["task"],
                row["dataset"],
                str(row["trained_at"])[:19],
                row["champion"],
                row["elsewhere"],
            ]
            for row in rows
        ],
    )
    tell_taints(rows)
    if not rows:
        out.print("nothing trained yet: headrace run")


@app.command("promote")
@explained
def promote(
    ref: Annotated[str, typer.Argument(help="Model from `headrace model ls`: name@bundle id.")],
    *,
    reason: Annotated[
        str, typer.Option("--reason", "-m", help="Reason, kept in the model's history.")
    ],
    principal: Principal = None,
    allow_tainted: Annotated[
        str | None,
        typer.Option(help="Reason to promote a model that was trained on a recalled batch."),
    ] = None,
) -> None:
    """Make a model the champion: roll back to an earlier one, or override a comparison's result.

    Servers use the new champion from their next answer on. A model trained on a recalled batch is
    refused unless --allow-tainted gives a reason, which is recorded.

    For example:

      headrace model promote flights_late@1f3c9a --reason "rollback: more false alarms"
    """
    from headrace.core.home import Home
    from headrace.core.permissions import acting
    from headrace.models import find_model
    from headrace.models import promote as put_in_charge

    home = Home.find()
    record = find_model(home, ref)
    note = f"{acting(principal)}: {reason}"
    now = put_in_charge(home, record, note, allow_tainted=allow_tainted)
    out.print(Text(f"{record.ref} is the champion since {now.since}: {now.reason}"), soft_wrap=True)


@app.command("export-mlflow")
@explained
def export_mlflow(
    ref: Annotated[str, typer.Argument(help="Model: name@bundle id, name@champion, or name.")],
    *,
    tracking_uri: Annotated[
        str,
        typer.Option(
            envvar="MLFLOW_TRACKING_URI",
            help="MLflow server, or a database such as sqlite:///mlflow.db.",
        ),
    ],
    experiment: Annotated[
        str | None, typer.Option(help="Experiment, created if missing; default: the model's name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Export a model to MLflow: parameters, metrics, release and files, as a registered version.

    The champion gets MLflow's alias `champion`. MLflow only displays the champion: promote models
    in Headrace. Exporting the same model again changes nothing. The command needs the extra
    `mlflow`.

    For example:

      headrace model export-mlflow flights_late@champion --tracking-uri sqlite:///mlflow.db
    """
    from headrace.core.home import Home
    from headrace.models import open_model
    from headrace.models.mlflow_export import export, mark_champion

    home = Home.find()
    record = open_model(home, ref)
    exported = export(home, record, tracking_uri, experiment=experiment)
    charged = mark_champion(home, record.name, exported)
    if as_json:
        emit_json({**exported.to_json(), "champion": charged})
        return
    state = "is" if exported.new else "was"
    out.print(
        Text(
            f"{record.ref} {state} version {exported.version} of {record.name},"
            f" run {exported.run_id}"
        ),
        soft_wrap=True,
    )
