"""`headrace maintain`: deletion of unneeded snapshots and files."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.options import AsJson, DryRunFirst
from headrace.cli.output import emit_json, explained, grid, out
from headrace.web.wording import counted

if TYPE_CHECKING:
    from headrace.core.home import Home
    from headrace.lake.table import Table
    from headrace.operations.maintenance import MaintenanceReport

LISTED = 10


@explained
def maintain(
    *,
    dry_run: DryRunFirst = True,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    older: Annotated[
        str,
        typer.Option("--older-than", help="Keep files younger than this: 1d, 36h; at least 1h."),
    ] = "1d",
    keep: Annotated[
        int, typer.Option(min=1, help="Snapshots to keep per table, besides the releases' ones.")
    ] = 50,
    decimals: Annotated[
        bool,
        typer.Option(
            "--rewrite-decimals",
            help="Instead of that, rewrite scaled columns as DECIMAL in tables of version 0.1.0.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Expire old table snapshots and delete unneeded files.

    Snapshots of releases are kept, so that the releases can be rebuilt; so are all files that the
    ledger lists. Metadata of expired snapshots and leftovers of interrupted runs are deleted.
    Without --apply nothing is changed. Running the command again is safe.

    For example:

      headrace maintain --apply
    """
    from headrace.core.clock import HOUR, duration
    from headrace.core.errors import DeclarationError
    from headrace.core.home import Home
    from headrace.operations.maintenance import look_after
    from headrace.pipeline.load import table_groups

    young = duration(older)
    if young < HOUR:
        raise DeclarationError(
            f"{older} is too short: a run in progress may have written files that it has not"
            " recorded yet",
            fix="--older-than 1h, or more",
        )
    tables = {declared.name: declared for group in table_groups().values() for declared in group}
    declared_names = sorted(tables)
    if table is not None and table not in declared_names:
        raise DeclarationError(f"no table {table!r}", fix=f"one of {', '.join(declared_names)}")
    names = declared_names if table is None else [table]
    if decimals:
        _rewrite(Home.find(), [tables[name] for name in names], apply=not dry_run, as_json=as_json)
        return
    outcome = look_after(Home.find(), names, apply=not dry_run, keep=keep, young=young)
    if as_json:
        emit_json(outcome.to_json())
        return
    _print_outcome(outcome)


def _rewrite(home: "Home", tables: "list[Table]", *, apply: bool, as_json: bool) -> None:
    from headrace.lake.tables.decimal_rewrite import pending, rewrite

    act = rewrite if apply else pending
    rewritten = [act(home, declared.contract) for declared in tables]
    if as_json:
        emit_json({"applied": apply, "tables": [asdict(outcome) for outcome in rewritten]})
        return
    rows = [
        [outcome.table, ", ".join(outcome.columns), outcome.files]
        for outcome in rewritten
        if outcome.columns
    ]
    grid("columns to store as DECIMAL", ["table", "columns", "files#"], rows)
    if not apply:
        out.print("nothing was changed; to apply it: headrace maintain --rewrite-decimals --apply")


def _print_outcome(outcome: "MaintenanceReport") -> None:
    grid(
        "maintenance",
        ["table", "snapshots#", "pinned#", "expired#", "files#", "bytes#"],
        [
            [
                table.table or "raw files",
                table.snapshots,
                table.pinned,
                len(table.forgotten),
                len(table.removed),
                table.bytes,
            ]
            for table in outcome.tables
        ],
    )
    removed = [file for table in outcome.tables for file in table.removed]
    for file in removed[:LISTED]:
        out.print(f"  {file.path}: {file.why}", highlight=False, markup=False, soft_wrap=True)
    if len(removed) > LISTED:
        out.print(f"  and {len(removed) - LISTED:,} more: --json lists all of them")
    verb = "are" if outcome.applied else "are not"
    for ref in outcome.pinned:
        out.print(f"{ref}: its snapshots {verb} pinned{' now' if outcome.applied else ''}")
    for ref in outcome.unreproducible:
        out.print(f"{ref} cannot be rebuilt: one of its input snapshots is gone", style="red")
    for name, tags in outcome.let_go.items():
        verb = "removed" if outcome.applied else "would remove"
        out.print(f"{name}: {verb} {counted(len(tags), 'snapshot tag')} that no release needs:"
                  f" {', '.join(tags)}")  # fmt: skip
    if not outcome.applied:
        out.print("nothing was changed; to apply it: headrace maintain --apply")
