"""`headrace model`: which models there are, and which one is in charge."""

from typing import Annotated

import typer
from rich.text import Text

from headrace.cli.output import emit_json, explained, grid, marked, out, tell_taints

app = typer.Typer(no_args_is_help=True, help="Trained models, and which one is in charge.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


@app.command("ls")
@explained
def ls(*, as_json: Json = False) -> None:
    """List all models, oldest first, what taints them, and who is in charge since when.

    One that was trained elsewhere and registered tells what it takes to load it, and when it was
    registered.
    """
    from headrace.core.home import Home
    from headrace.reports.status import model_rows

    rows = model_rows(Home.find())
    if as_json:
        emit_json(rows)
        return
    grid(
        "models",
        ["model", "trained on", "trained at", "champion", "elsewhere"],
        [
            [marked(r), r["dataset"], str(r["trained_at"])[:19], r["champion"], r["elsewhere"]]
            for r in rows
        ],
    )
    tell_taints(rows)
    if not rows:
        out.print("nothing trained yet: headrace run")


@app.command("promote")
@explained
def promote(
    ref: Annotated[str, typer.Argument(help="A model as in `headrace model ls`: name@bundle id.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; it is kept in the model's history.")],
    principal: Annotated[
        str | None,
        typer.Option("--as", help="Who does it; HEADRACE_PRINCIPAL or the system's user."),
    ] = None,
    allow_tainted: Annotated[
        str | None,
        typer.Option(help="Why a model that was trained on a recalled batch may be in charge."),
    ] = None,
) -> None:
    """Put a model in charge by hand: to roll back to an earlier one, or against the comparison.

    Servers take it up with their next answer. A model that was trained on a recalled batch is
    refused, unless --allow-tainted says why, which is recorded.
    """
    from headrace.core.home import Home
    from headrace.core.permissions import acting
    from headrace.models import find_model
    from headrace.models import promote as put_in_charge

    home = Home.find()
    record = find_model(home, ref)
    told = f"{acting(principal)}: {reason}"
    now = put_in_charge(home, record, told, allow_tainted=allow_tainted)
    out.print(Text(f"{record.ref} is in charge since {now.since}: {now.reason}"), soft_wrap=True)


@app.command("export-mlflow")
@explained
def export_mlflow(
    ref: Annotated[str, typer.Argument(help="A model: name@bundle id, name@champion, or name.")],
    *,
    tracking_uri: Annotated[
        str,
        typer.Option(
            envvar="MLFLOW_TRACKING_URI",
            help="A server, or a database such as sqlite:///mlflow.db.",
        ),
    ],
    experiment: Annotated[
        str | None, typer.Option(help="Made if it is not there; the model's name by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell MLflow of a model: parameters, metrics, its release and files, and a version of it.

    The model in charge gets MLflow's alias `champion`. What decides stays here: MLflow only shows.
    The same model again changes nothing. Needs the extra `mlflow`.
    """
    from headrace.core.home import Home
    from headrace.models import open_model
    from headrace.models.mlflow_export import export, mark_champion

    home = Home.find()
    record = open_model(home, ref)
    told = export(home, record, tracking_uri, experiment=experiment)
    charged = mark_champion(home, record.name, told)
    if as_json:
        emit_json({**told.to_json(), "champion": charged})
        return
    state = "is" if told.new else "was"
    out.print(
        Text(f"{record.ref} {state} version {told.version} of {record.name}, run {told.run_id}"),
        soft_wrap=True,
    )
