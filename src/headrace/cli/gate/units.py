"""`headrace gate convert-units`: limits of suites rewritten in the units of their contracts."""

from typing import Annotated

import typer

from headrace.cli.gate.gates import Json, tables
from headrace.cli.output import emit_json, explained, grid, out


@explained
def convert_units(
    table: Annotated[
        str | None, typer.Argument(help="A table, as in `headrace gate ls`; all if none is named.")
    ] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the changes and write nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Rewrite suites so that limits are in the contract's units, and say `units: contract`.

    A limit of 2362 on a column of scale 2 becomes 23.62. Comments and order stay. The hash of the
    suite stays the same, so no verdict changes and no batch is validated again.
    """
    from headrace.core.files import write_atomically
    from headrace.gates.unit_rewrite import conversion
    from headrace.pipeline.load import other_tables

    others = [one for one in other_tables() if table in {None, one.name}]
    chosen = others if table is not None and others else [*tables(table), *others]
    made = [conversion(one.suite, one.contract) for one in chosen if one.suite.path]
    if not dry_run:
        for one in made:
            if one.new != one.old:
                write_atomically(one.path, one.new.encode())
    if as_json:
        emit_json({"dry_run": dry_run, "suites": [one.document() for one in made]})
        return
    rows = [
        [str(one.path), check, kwarg, str(old), str(new)]
        for one in made
        for check, kwarg, old, new in one.changes
    ]
    if rows:
        grid("converted limits", ["suite", "check", "kwarg", "old", "new"], rows)
    changed = sum(one.new != one.old for one in made)
    verb = "would change" if dry_run else "changed"
    out.print(f"{changed} of {len(made)} suites {verb}", highlight=False)
