"""`headrace maintain`: what nothing needs any more, and away with it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.output import emit_json, explained, grid, out

if TYPE_CHECKING:
    from headrace.core.home import Home
    from headrace.lake.table import Table
    from headrace.operations.maintenance import Done

SHOWN = 10


@explained
def maintain(
    *,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it. Without, only say what would be done.")
    ] = False,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    older: Annotated[
        str, typer.Option("--older-than", help="Files written later stay: 1d, 36h; 1h at least.")
    ] = "1d",
    keep: Annotated[
        int, typer.Option(min=1, help="Snapshots that a table keeps, besides those of releases.")
    ] = 50,
    decimals: Annotated[
        bool,
        typer.Option(
            "--rewrite-decimals",
            help="Only make scaled columns DECIMAL in tables that 0.1.0 made.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of tables.")
    ] = False,
) -> None:
    """Forget old snapshots of the tables, and delete the files that nothing needs.

    Snapshots that a release was made of stay, so that it can be made again; so do all files that
    the ledger names. What goes are metadata of forgotten snapshots, and what runs left that were
    cut short. First look, then: headrace maintain --apply. Running it again is safe.
    """
    from headrace.core.clock import HOUR, duration
    from headrace.core.errors import DeclarationError
    from headrace.core.home import Home
    from headrace.operations.maintenance import look_after
    from headrace.pipeline.load import table_groups

    young = duration(older)
    if young < HOUR:
        raise DeclarationError(
            f"{older} is too short: a run at work may have written a file and not told of it yet",
            fix="--older-than 1h, or more",
        )
    tables = {one.name: one for group in table_groups().values() for one in group}
    known = sorted(tables)
    if table is not None and table not in known:
        raise DeclarationError(f"no table {table!r}", fix=f"one of {', '.join(known)}")
    names = known if table is None else [table]
    if decimals:
        _rewrite(Home.find(), [tables[name] for name in names], apply=apply, as_json=as_json)
        return
    done = look_after(Home.find(), names, apply=apply, keep=keep, young=young)
    if as_json:
        emit_json(done.to_json())
        return
    _tell(done)


def _rewrite(home: "Home", tables: "list[Table]", *, apply: bool, as_json: bool) -> None:
    from headrace.lake.tables.decimal_rewrite import pending, rewrite

    act = rewrite if apply else pending
    done = [act(home, table.contract) for table in tables]
    if as_json:
        emit_json({"applied": apply, "tables": [asdict(one) for one in done]})
        return
    rows = [[one.table, ", ".join(one.columns), one.files] for one in done if one.columns]
    grid("columns to store as DECIMAL", ["table", "columns", "files#"], rows)
    if not apply:
        out.print("nothing was changed; to do it: headrace maintain --rewrite-decimals --apply")


def _tell(done: "Done") -> None:
    grid(
        "maintenance",
        ["table", "snapshots#", "pinned#", "forgotten#", "files#", "bytes#"],
        [
            [
                table.table or "landed bytes",
                table.snapshots,
                table.pinned,
                len(table.forgotten),
                len(table.removed),
                table.bytes,
            ]
            for table in done.tables
        ],
    )
    gone = [file for table in done.tables for file in table.removed]
    for file in gone[:SHOWN]:
        out.print(f"  {file.path}: {file.why}", highlight=False, markup=False, soft_wrap=True)
    if len(gone) > SHOWN:
        out.print(f"  and {len(gone) - SHOWN:,} more: --json lists all of them")
    verb = "are" if done.applied else "are not"
    for ref in done.pinned:
        out.print(f"{ref}: its snapshots {verb} pinned{' now' if done.applied else ''}")
    for ref in done.lost:
        out.print(f"{ref}: a snapshot it was made of is gone; it cannot be made again", style="red")
    for name, tags in done.let_go.items():
        out.print(f"{name}: {', '.join(tags)} {'kept' if done.applied else 'keep'} a snapshot"
                  " for nobody")  # fmt: skip
    if not done.applied:
        out.print("nothing was changed; to do it: headrace maintain --apply")
