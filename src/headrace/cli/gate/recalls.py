"""`headrace gate recall` and `headrace gate restore`: a published batch that was found bad."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from headrace.cli.gate.batch_actions import Json, Name, Reason, Which, Who
from headrace.cli.gate.gates import tables
from headrace.cli.output import BLOCKED, emit_json, explained, out

Dry = Annotated[bool, typer.Option("--dry-run", help="Say what it would reach, and stop.")]


@explained
def recall(
    table: Name,
    batch: Which,
    *,
    reason: Reason,
    who: Who = None,
    dry_run: Dry = False,
    as_json: Json = False,
) -> None:
    """Take a published batch back that was found bad: out of tables, stores, releases and models.

    One snapshot takes its file out of the table, and no other; its rows count as rejected. The
    online stores that hold it are brought up at once; feature views are computed anew by the next
    run. Releases that hold it, and models trained on them, are tainted and refuse to open, unless
    the caller gives a reason. The model in charge goes on answering, marked, until it is replaced.

    The batch does not come back by itself: not when its slot is run again, and not when the same
    bytes are delivered again. A corrected delivery of the slot is published as usual.
    `headrace gate restore` takes the recall back.

    What was cut short is brought to its end by the same command again. Exit code 1: all is recalled
    but an online store, which still answers with it; the text says how to go on.
    """
    from headrace.core.home import Home
    from headrace.core.permissions import acting
    from headrace.operations.batch_actions import recall as take_back
    from headrace.operations.recall import reach

    home, (declared,) = Home.find(), tables(table)
    found = reach(home, declared, batch)
    if not as_json:
        _tell_reach(found)
    if dry_run:
        _end({**found, "dry_run": True}, "nothing was changed", as_json=as_json)
        return
    done = take_back(home, declared, batch, principal=acting(who), reason=reason)
    by = done["action"]
    what = "recalled" if done["decided_now"] else "was recalled already"
    told = f"{what} by {by['principal']} at {by['at']}: {by['reason']}"
    _end({**done, "dry_run": False}, told, as_json=as_json)


@explained
def restore(
    table: Name,
    batch: Which,
    *,
    reason: Reason,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Take a recall back, on the record: the batch is shown again as it was.

    Its rows are usable from now on, not from their first publication: nobody saw them meanwhile.
    Releases and models that it had tainted open again.
    """
    from headrace.core.home import Home
    from headrace.core.permissions import acting
    from headrace.operations.batch_actions import restore as bring_back

    (declared,) = tables(table)
    done = bring_back(Home.find(), declared, batch, principal=acting(who), reason=reason)
    by = done["action"]
    what = "restored" if done["decided_now"] else "was restored already"
    _end(done, f"{what} by {by['principal']} at {by['at']}: {by['reason']}", as_json=as_json)


def _tell_reach(found: Mapping[str, Any]) -> None:
    out.print(
        Text.assemble(
            (f"{found['table']} {found['slot']}", "bold"),
            f" batch {found['batch'][:12]}, {found['published_rows']:,} rows published,"
            f" from {found['origin']}",
        ),
        soft_wrap=True,
    )
    releases = [one["ref"] + (" (already)" * one["tainted"]) for one in found["releases"]]
    models = [one["ref"] + (" (in charge)" * one["champion"]) for one in found["models"]]
    for what, names in (("taints releases", releases), ("taints models", models)):
        out.print(Text(f"  {what}: {', '.join(names) or 'none'}"), soft_wrap=True)
    for one in found["readers"]:
        reading = [f"{len(one['features'])} features of {', '.join(one['views'])}"]
        reading = reading if one["views"] else []
        reading += [what for what in ("spine", "label") if one[what]]
        told = f"  read by pipeline {one['pipeline']}: {'; '.join(reading) or 'nothing'}"
        out.print(Text(told), soft_wrap=True)
    stores = ", ".join(found["stores"]) or "none"
    out.print(Text(f"  online stores that hold it: {stores}"), soft_wrap=True)
    for line in found["problems"]:
        out.print(Text(f"  {line}", "red"), soft_wrap=True)


def _end(done: Mapping[str, Any], told: str, *, as_json: bool) -> None:
    incomplete = done.get("incomplete", [])
    if as_json:
        emit_json(done)
    else:
        out.print(Text(told, "bold"), soft_wrap=True)
        for one in done["models"]:
            if one["champion"] and done["state"] == "recalled":
                out.print(
                    Text(
                        f"{one['ref']} goes on answering, marked as tainted: retrain"
                        " (headrace run), or put another one in charge (headrace model promote)",
                        "yellow",
                    ),
                    soft_wrap=True,
                )
        for line in incomplete:
            out.print(Text(line, "bold red"), soft_wrap=True)
        if "incomplete" in done:
            out.print("features, release and model are made anew by: headrace run")
    if incomplete:
        raise typer.Exit(BLOCKED)
