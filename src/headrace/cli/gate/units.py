"""`headrace gate convert-units`: conversion of suite limits to the units of their contracts."""

from typing import Annotated

import typer

from headrace.cli.gate.gates import tables
from headrace.cli.options import AsJson, DryRun
from headrace.cli.output import emit_json, explained, grid, out


@explained
def convert_units(
    table: Annotated[
        str | None, typer.Argument(help="Table, as in `headrace gate ls`; default: all.")
    ] = None,
    *,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Convert the limits of suites to the units of their contracts, and set `units: contract`.

    A limit of 2362 on a column of scale 2 becomes 23.62. Comments and the order of checks are
    kept. The hash of the suite stays the same, so no verdict changes and no batch is validated
    again.

    For example:

      headrace gate convert-units weather --dry-run
    """
    from headrace.core.files import write_atomically
    from headrace.gates.unit_rewrite import conversion
    from headrace.pipeline.load import other_tables

    reference = [declared for declared in other_tables() if table in {None, declared.name}]
    selected = reference if table is not None and reference else [*tables(table), *reference]
    conversions = [
        conversion(declared.suite, declared.contract)
        for declared in selected
        if declared.suite.path
    ]
    if not dry_run:
        for suite in conversions:
            if suite.new != suite.old:
                write_atomically(suite.path, suite.new.encode())
    if as_json:
        emit_json({"dry_run": dry_run, "suites": [suite.document() for suite in conversions]})
        return
    rows = [
        [str(suite.path), check, kwarg, str(old), str(new)]
        for suite in conversions
        for check, kwarg, old, new in suite.changes
    ]
    if rows:
        grid("converted limits", ["suite", "check", "kwarg", "old", "new"], rows)
    changed = sum(suite.new != suite.old for suite in conversions)
    verb = "would change" if dry_run else "changed"
    out.print(f"{changed} of {len(conversions)} suites {verb}", highlight=False)
