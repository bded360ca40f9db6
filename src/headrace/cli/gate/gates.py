"""`headrace gate ls` and `gate show`: verdicts of the gate, and their reasons."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from headrace.cli.commands import CommandGroup
from headrace.cli.options import AsJson, Batch, TableName
from headrace.cli.output import BLOCKED, emit_json, err, explained, grid, out, verdict
from headrace.web.wording import counted

if TYPE_CHECKING:
    from headrace.core.home import Home
    from headrace.lake.table import Table

SAMPLES = 5
app = CommandGroup(
    no_args_is_help=True, help="Quality gate: verdicts on batches, and decisions about them."
)


def command_of(action: str) -> str:
    """Return the command of an action: `approve` for `release`, the name in the audit trail."""
    return "approve" if action == "release" else action


def tables(name: str | None) -> "list[Table]":
    """Return the project's tables, or only the one with this name."""
    from headrace.core.errors import DeclarationError
    from headrace.pipeline import project_pipelines

    declared = [table for pipeline in project_pipelines() for table in pipeline.tables]
    selected = [table for table in declared if name in {None, table.name}]
    if not selected:
        raise DeclarationError(
            f"no table {name!r}", fix=f"one of {', '.join(table.name for table in declared)}"
        )
    return selected


@app.command("ls", rich_help_panel="Show")
@explained
def ls(
    *,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    only: Annotated[
        str | None,
        typer.Option("--verdict", help="Only this verdict: PASS, WARN, QUARANTINE, BLOCK, ERROR."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Include batches that passed.")] = False,
    as_json: AsJson = False,
) -> None:
    """List batches that did not pass, latest partition last.

    For example:

      headrace gate ls --table weather --verdict BLOCK
    """
    from headrace.core.home import Home
    from headrace.lake.ledger.batch_listing import batch_rows

    home = Home.find()
    only_verdict = None if only is None else only.upper()
    rows = [
        row
        for each_table in tables(table)
        for row in batch_rows(home, each_table)
        if (only_verdict is None and (everything or row["verdict"] != "PASS" or row["held_twice"]))
        or row["verdict"] == only_verdict
    ]
    if as_json:
        emit_json(rows)
        return
    grid(
        "batches",
        [
            "table",
            "partition",
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


@app.command("show", rich_help_panel="Show")
@explained
def show(
    table: TableName,
    partition: Batch,
    *,
    as_json: AsJson = False,
) -> None:
    """Show the checks of a partition's batches: expected, observed, failing rows, next steps.

    Exit code 1: a batch is pending.

    For example:

      headrace gate show weather 2013-07-22
    """
    from dataclasses import asdict

    from headrace.core.home import Home
    from headrace.core.permissions import acting
    from headrace.lake.ledger.batch_listing import find_batches
    from headrace.lake.overrides.batch_case import open_case
    from headrace.operations.authorization import permitted_actions

    home, batches = Home.find(), []
    _name_unmatched(home, table, partition)
    name_broken_suites(tables(table))
    for each_table in tables(table):
        for row in find_batches(home, each_table, partition):
            offers = permitted_actions(open_case(home, each_table, row["batch"]), acting())
            actions = {name: asdict(offer) for name, offer in offers.items()}
            batches.append({**row, "actions": actions})
    if as_json:
        emit_json(batches)
    else:
        for row in batches:
            _show_batch(row)
    if any(row["state"] == "pending" for row in batches):
        raise typer.Exit(BLOCKED)


# Purpose of each action on a pending batch.
_OFFERS = {
    "release": "publish it, with your reason on record",
    "rerun": "validate it again",
    "reject": "reject it permanently",
    "ack": "stop its alerts",
}


def _name_unmatched(home: "Home", table: str, partition: str) -> None:
    """Raise an error if a partition has no batch, but the table has files that no source reads.

    Raises:
        DeclarationError: the partition has no batch, and there are such files.
    """
    from headrace.core.errors import DeclarationError
    from headrace.lake.ledger.ledger import Ledger
    from headrace.pipeline import project_pipelines
    from headrace.reports.status import unmatched_rows

    with Ledger(home) as ledger:
        if any(
            b.slot == partition or b.batch_id.startswith(partition)
            for b in ledger.batches(table).values()
        ):
            return
    files = [file for file in unmatched_rows(project_pipelines()) if file["table"] == table]
    if files:
        listed = "; ".join(f"{file['path']} ({file['hint']})" for file in files[:SAMPLES])
        raise DeclarationError(
            f"table {table} has no batch in partition {partition}; no source reads"
            f" {counted(len(files), 'file')} in its folder",
            where=listed,
            fix="headrace status lists all of these files; rename them, or change the source's"
            " pattern",
        )


def _print_offers(row: dict[str, Any]) -> None:
    """Print the actions that are possible, and the reason if approval is not."""
    address = f"{row['table']} {str(row['batch'])[:12]}"
    lines = [f"  headrace gate rows {address}: see its failing rows"]
    lines += [
        f"  headrace gate {command_of(action)} {address} --reason ...: {purpose}"
        for action, purpose in _OFFERS.items()
        if row["actions"][action]["allowed"]
    ]
    out.print(Text("\n".join(("What you can do:", *lines))), soft_wrap=True)
    approval = row["actions"]["release"]
    if not approval["allowed"]:
        fix = f" ({approval['fix']})" if approval["fix"] else ""
        out.print(Text(f"It cannot be approved: {approval['reason']}{fix}"), soft_wrap=True)


def _tell_twice(row: dict[str, object]) -> None:
    """Warn of keys with two versions, published before the gate quarantined conflicting rows."""
    if count := row["held_twice"]:
        address = f"{row['table']} {row['slot']} batch {str(row['batch'])[:12]}"
        out.print(
            f"{address}: {counted(int(str(count)), 'key has', 'keys have')} two versions with the"
            " same known-at in the table, published before the gate quarantined conflicting rows."
            " Features read the version with the greatest values. To remove a conflict, quarantine"
            " the wrong rows (headrace gate quarantine), or deliver a correction with a later"
            " known-at.",
            soft_wrap=True,
        )


def name_broken_suites(selected: "Iterable[Table]") -> None:
    """Warn of suites that cannot run; the recorded verdicts came from earlier versions of them."""
    for table in selected:
        if table.suite.broken:
            fault = table.suite.faults[0]
            err.print(
                f"The suite of {table.name} cannot run, so new batches of the table stay pending:"
                f" {fault.what}\n  where: {fault.where}\n  fix:   {fault.fix or 'correct the file'}"
                "; headrace gate lint lists every error",
                style="yellow", soft_wrap=True, highlight=False, markup=False,
            )  # fmt: skip


def _show_batch(row: dict[str, Any]) -> None:
    from headrace.gates import Judgement

    recorded = row["judgement"]
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
        f"from {row['origin']}, {counted(row['delivered'], 'row')},"
        f" {row['quarantined']} quarantined"
    )
    out.print(origin, soft_wrap=True)
    if row["state"] == "pending":
        out.print(
            "Nothing of this batch is published, and nothing downstream reads it. "
            "A corrected delivery of the same partition supersedes it on the next run."
        )
        _print_offers(row)
    if row["note"]:
        out.print(Text(str(row["note"])), soft_wrap=True)
    _tell_twice(row)
    if recorded is None:
        return
    judgement = Judgement.from_json(json.dumps(recorded))
    for check in judgement.shadowed:
        why = check.note if check.decision else f"in shadow, would {check.would}"
        out.print(f"{check.id}: {check.reason} ({why})" if check.decision else
                  f"{why}: {check.id}: {check.reason}",
                  soft_wrap=True, highlight=False, markup=False)  # fmt: skip
    for check in judgement.notes:
        out.print(f"note: {check.reason}", soft_wrap=True, highlight=False, markup=False)
    if not judgement.failed:
        out.print(f"all {len(judgement.counted)} checks passed")
        return
    grid(
        f"{counted(len(judgement.counted), 'check')}, {len(judgement.failed)} not passed",
        ["check", "verdict", "expected", "observed", "rows#"],
        [
            [check.id, verdict(check.verdict), check.expected, check.reason, check.unexpected_count]
            for check in judgement.failed
        ],
    )
    for check in judgement.failed:
        for sample in check.sample[:SAMPLES]:
            out.print(f"  {check.id}: {json.dumps(sample)}", highlight=False, markup=False)
    if row["quarantine_path"]:
        out.print(Text(f"quarantined rows, with reasons: {row['quarantine_path']}"), soft_wrap=True)
