"""`headrace gate`: what the gate decided, and why."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from headrace.cli.output import BLOCKED, emit_json, err, explained, grid, out, verdict

if TYPE_CHECKING:
    from headrace.core.home import Home
    from headrace.lake.table import Table

SAMPLES = 5
app = typer.Typer(no_args_is_help=True, help="What the gate decided on each batch, and why.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


def tables(name: str | None) -> "list[Table]":
    """The project's tables, or the one of this name."""
    from headrace.core.errors import DeclarationError
    from headrace.pipeline import project_pipelines

    known = [table for pipeline in project_pipelines() for table in pipeline.tables]
    chosen = [table for table in known if name in {None, table.name}]
    if not chosen:
        raise DeclarationError(
            f"no table {name!r}", fix=f"one of {', '.join(table.name for table in known)}"
        )
    return chosen


@app.command("ls")
@explained
def ls(
    *,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    which: Annotated[
        str | None,
        typer.Option("--verdict", help="Only this verdict: PASS, WARN, QUARANTINE, BLOCK, ERROR."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Batches that passed, too.")] = False,
    as_json: Json = False,
) -> None:
    """List batches that did not simply pass, newest slot last."""
    from headrace.core.home import Home
    from headrace.lake.ledger.batch_listing import batch_rows

    home = Home.find()
    wanted = None if which is None else which.upper()
    rows = [
        row
        for one in tables(table)
        for row in batch_rows(home, one)
        if (wanted is None and (everything or row["verdict"] != "PASS" or row["held_twice"]))
        or row["verdict"] == wanted
    ]
    if as_json:
        emit_json(rows)
        return
    grid(
        "batches",
        [
            "table",
            "slot",
            "batch",
            "verdict",
            "state",
            "delivered#",
            "quarantined#",
            "conflicts#",
            "why",
        ],
        [
            [
                row["table"],
                row["slot"],
                str(row["batch"])[:12],
                verdict(str(row["verdict"])),
                row["state"],
                row["delivered"],
                row["quarantined"],
                row["conflicts"],
                row["summary"],
            ]
            for row in rows
        ],
    )
    if not rows:
        out.print("nothing to show; --all lists every batch")
    for row in rows:
        _tell_twice(row)


@app.command("show")
@explained
def show(
    table: Annotated[str, typer.Argument(help="A table, as in `headrace gate ls`.")],
    slot: Annotated[
        str, typer.Argument(help="A day (2013-02-12), `snapshot`, or the start of a batch id.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Show every check of one slot's batches: what was expected, what was found, which rows."""
    from dataclasses import asdict

    from headrace.core.home import Home
    from headrace.core.permissions import acting
    from headrace.lake.ledger.batch_listing import find_batches
    from headrace.lake.overrides.batch_case import open_case
    from headrace.operations.authorization import permitted_actions

    home, shown = Home.find(), []
    _name_unmatched(home, table, slot)
    name_broken_suites(tables(table))
    for one in tables(table):
        for row in find_batches(home, one, slot):
            offers = permitted_actions(open_case(home, one, row["batch"]), acting())
            actions = {name: asdict(offer) for name, offer in offers.items()}
            shown.append({**row, "actions": actions})
    if as_json:
        emit_json(shown)
    else:
        for row in shown:
            _show_batch(row)
    if any(row["state"] == "pending" for row in shown):
        raise typer.Exit(BLOCKED)


# Of a pending batch: what each action is for.
_OFFERS = {
    "release": "publish it on the record",
    "rerun": "judge it again",
    "reject": "set it aside for good",
    "ack": "stop its messages",
}


def _name_unmatched(home: "Home", table: str, slot: str) -> None:
    """Name the files that no source reads, for a slot without a batch.

    Raises:
        DeclarationError: there is no batch, and there are such files.
    """
    from headrace.core.errors import DeclarationError
    from headrace.lake.ledger.ledger import Ledger
    from headrace.pipeline import project_pipelines
    from headrace.reports.status import unmatched_rows

    with Ledger(home) as ledger:
        if any(
            b.slot == slot or b.batch_id.startswith(slot) for b in ledger.batches(table).values()
        ):
            return
    files = [file for file in unmatched_rows(project_pipelines()) if file["table"] == table]
    if files:
        listed = "; ".join(f"{file['path']} ({file['hint']})" for file in files[:SAMPLES])
        raise DeclarationError(
            f"table {table} has no batch in slot {slot}; {len(files)} files in its folder are not"
            " read by any source",
            where=listed,
            fix="headrace status lists them all; rename them, or change the pattern of the source",
        )


def _print_offers(row: dict[str, Any]) -> None:
    """The actions that would be accepted, and the reason why an approval would not be."""
    named = f"{row['table']} {str(row['batch'])[:12]}"
    lines = [f"  headrace gate rows {named}: see its failing rows"]
    lines += [
        f"  headrace gate {action} {named} --reason ...: {purpose}"
        for action, purpose in _OFFERS.items()
        if row["actions"][action]["allowed"]
    ]
    out.print(Text("\n".join(("What you can do:", *lines))), soft_wrap=True)
    release = row["actions"]["release"]
    if not release["allowed"]:
        fix = f" ({release['fix']})" if release["fix"] else ""
        out.print(Text(f"It cannot be released: {release['reason']}{fix}"), soft_wrap=True)


def _tell_twice(row: dict[str, object]) -> None:
    """Say that the table holds rows of a batch in two versions, from before conflicts were held."""
    if count := row["held_twice"]:
        named = f"{row['table']} {row['slot']} batch {str(row['batch'])[:12]}"
        out.print(
            f"{named}: {count} keys are in the table with other values of the same known-at, too,"
            " from before conflicts were quarantined. Features read the greatest values. To settle"
            " it, take the wrong rows out (headrace gate quarantine), or deliver a correction with"
            " a later known-at.",
            soft_wrap=True,
        )


def name_broken_suites(shown: "Iterable[Table]") -> None:
    """Warn of suites that cannot be run: the verdicts on record are older than that."""
    for table in shown:
        if table.suite.broken:
            fault = table.suite.faults[0]
            err.print(
                f"The suite of {table.name} cannot be run, so new batches of it stay pending:"
                f" {fault.what}\n  where: {fault.where}\n  fix:   {fault.fix or 'correct the file'}"
                "; headrace gate lint names every fault",
                style="yellow", soft_wrap=True, highlight=False, markup=False,
            )  # fmt: skip


def _show_batch(row: dict[str, Any]) -> None:
    from headrace.gates import Judgement

    told = row["judgement"]
    out.print()
    out.print(
        Text.assemble(
            (f"{row['table']} {row['slot']}", "bold"),
            f" batch {str(row['batch'])[:12]}: ",
            verdict(str(row["verdict"])),
            f", {row['state']}",
        )
    )
    origin = Text(
        f"from {row['origin']}, {row['delivered']} rows, {row['quarantined']} quarantined"
    )
    out.print(origin, soft_wrap=True)
    if row["state"] == "pending":
        out.print(
            "Nothing of this batch is published, and nothing downstream reads it. "
            "A corrected delivery of the same slot supersedes it on the next run."
        )
        _print_offers(row)
    if row["note"]:
        out.print(Text(str(row["note"])), soft_wrap=True)
    _tell_twice(row)
    if told is None:
        return
    judged = Judgement.from_json(json.dumps(told))
    for one in judged.shadowed:
        would = f"in shadow, would {one.would}: {one.id}: {one.reason}"
        out.print(would, soft_wrap=True, highlight=False, markup=False)
    for one in judged.notes:
        out.print(f"note: {one.reason}", soft_wrap=True, highlight=False, markup=False)
    if not judged.failed:
        out.print(f"all {len(judged.counted)} checks passed")
        return
    grid(
        f"{len(judged.counted)} checks, {len(judged.failed)} not passed",
        ["check", "does", "expected", "found", "rows#"],
        [
            [one.id, verdict(one.verdict), one.expected, one.reason, one.unexpected_count]
            for one in judged.failed
        ],
    )
    for one in judged.failed:
        for sample in one.sample[:SAMPLES]:
            out.print(f"  {one.id}: {json.dumps(sample)}", highlight=False, markup=False)
    if row["quarantine_path"]:
        out.print(Text(f"quarantined rows, with reasons: {row['quarantine_path']}"), soft_wrap=True)
