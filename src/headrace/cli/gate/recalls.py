"""`headrace gate recall` and `headrace gate restore`: recall of a bad batch."""

from collections.abc import Mapping
from typing import Any

import typer
from rich.text import Text

from headrace.cli.gate.gates import tables
from headrace.cli.options import AsJson, Batch, DryRun, Principal, Reason, TableName
from headrace.cli.output import BLOCKED, emit_json, explained, out
from headrace.cli.shared import show_in_dagster


@explained
def recall(
    table: TableName,
    batch: Batch,
    *,
    reason: Reason,
    principal: Principal = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Recall a published batch: remove it from tables and online stores, taint releases and models.

    A new snapshot of the table omits the file of the batch; its rows count as rejected. Online
    stores that contain the batch are updated at once; the next run recomputes the feature views.
    Releases that contain the batch, and models trained on them, are tainted and refuse to open
    unless the caller gives a reason. A tainted champion keeps answering until it is replaced; its
    answers are marked as tainted.

    The batch stays recalled when its partition is run again, and when the same bytes are delivered
    again. A corrected delivery of the partition is published as usual.
    `headrace gate restore` withdraws the recall.

    An interrupted recall is completed by the same command. Exit code 1: an online store could not
    be updated and still answers with the batch; the output says how to continue.

    For example:

      headrace gate recall weather 2013-07-22 --reason "wrong station" --dry-run
    """
    from headrace.core.home import Home
    from headrace.core.permissions import acting
    from headrace.operations.batch_actions import recall as take_back
    from headrace.operations.recall import reach
    from headrace.pipeline import project_pipelines

    home, (declared,) = Home.find(), tables(table)
    reached = reach(home, declared, batch)
    if not as_json:
        _tell_reach(reached)
    if dry_run:
        _end({**reached, "dry_run": True}, "nothing was changed", as_json=as_json)
        return
    recalled = take_back(home, declared, batch, principal=acting(principal), reason=reason)
    show_in_dagster(home, project_pipelines())(table, recalled)
    by = recalled["action"]
    what = "recalled" if recalled["decided_now"] else "already recalled"
    text = f"{what} by {by['principal']} at {by['at']}: {by['reason']}"
    _end({**recalled, "dry_run": False}, text, as_json=as_json)


@explained
def restore(
    table: TableName,
    batch: Batch,
    *,
    reason: Reason,
    principal: Principal = None,
    as_json: AsJson = False,
) -> None:
    """Withdraw a recall: the batch is published again as it was.

    Its rows count as available from now on, not from their first publication, since no reader saw
    them during the recall. Releases and models that were tainted by the batch open again.
    """
    from headrace.core.home import Home
    from headrace.core.permissions import acting
    from headrace.operations.batch_actions import restore as bring_back
    from headrace.pipeline import project_pipelines

    home, (declared,) = Home.find(), tables(table)
    restored = bring_back(home, declared, batch, principal=acting(principal), reason=reason)
    show_in_dagster(home, project_pipelines())(table, restored)
    by = restored["action"]
    what = "restored" if restored["decided_now"] else "already restored"
    _end(restored, f"{what} by {by['principal']} at {by['at']}: {by['reason']}", as_json=as_json)


def _tell_reach(reached: Mapping[str, Any]) -> None:
    out.print(
        Text.assemble(
            (f"{reached['table']} {reached['slot']}", "bold"),
            f" batch {reached['batch'][:12]}, {reached['published_rows']:,} rows published,"
            f" from {reached['origin']}",
        ),
        soft_wrap=True,
    )
    releases = [
        release["ref"] + (" (already)" * release["tainted"]) for release in reached["releases"]
    ]
    models = [model["ref"] + (" (champion)" * model["champion"]) for model in reached["models"]]
    for what, names in (("taints releases", releases), ("taints models", models)):
        out.print(Text(f"  {what}: {', '.join(names) or 'none'}"), soft_wrap=True)
    for reader in reached["readers"]:
        reading = [f"{len(reader['features'])} features of {', '.join(reader['views'])}"]
        reading = reading if reader["views"] else []
        reading += [what for what in ("spine", "label") if reader[what]]
        text = f"  read by pipeline {reader['pipeline']}: {'; '.join(reading) or 'nothing'}"
        out.print(Text(text), soft_wrap=True)
    stores = ", ".join(reached["stores"]) or "none"
    out.print(Text(f"  online stores that contain it: {stores}"), soft_wrap=True)
    for line in reached["problems"]:
        out.print(Text(f"  {line}", "red"), soft_wrap=True)


def _end(outcome: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    incomplete = outcome.get("incomplete", [])
    if as_json:
        emit_json(outcome)
    else:
        out.print(Text(text, "bold"), soft_wrap=True)
        for model in outcome["models"]:
            if model["champion"] and outcome["state"] == "recalled":
                out.print(
                    Text(
                        f"{model['ref']} keeps answering, marked as tainted: retrain"
                        " (headrace run), or promote another model (headrace model promote)",
                        "yellow",
                    ),
                    soft_wrap=True,
                )
        for line in incomplete:
            out.print(Text(line, "bold red"), soft_wrap=True)
        if "incomplete" in outcome:
            out.print("to rebuild features, release and model: headrace run")
    if incomplete:
        raise typer.Exit(BLOCKED)
