"""`headrace gate suggest`: draft of a suite from a table's published rows."""

from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.gate.gates import tables
from headrace.cli.options import AsJson, TableName
from headrace.cli.output import emit_json, err, explained, progress
from headrace.core.errors import DeclarationError
from headrace.web.wording import counted


@explained
def suggest(
    table: TableName,
    *,
    days: Annotated[
        int | None, typer.Option(min=1, help="Use only this many of the latest partitions.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="New file for the suite; default: print.")
    ] = None,
    counts: Annotated[
        bool,
        typer.Option(
            "--no-shadow", help="Draft checks that affect the verdict from the first batch on."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Draft a suite from the published history of a table, for a person to review.

    Limits get a margin that is chosen on the first part of the history and confirmed on the rest. A
    check that a later delivery would have failed is not drafted; a comment above the suite lists
    such checks and the deliveries. Checks that the table's suite already has are omitted. New
    checks start in shadow: they run and report, but do not affect the verdict.

    For example:

      headrace gate suggest weather --out quality_suites/weather_draft.yaml
    """
    from headrace.core.home import Home
    from headrace.lake.suite_draft import suggest as draft

    if to is not None and to.exists():
        raise DeclarationError(f"{to} exists", fix="name a new file; files are never overwritten")
    with progress(quiet=as_json):
        suite = draft(Home.find(), tables(table)[0], last=days, shadow=not counts)
    if to is not None:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(suite.text(), encoding="utf-8")
    if as_json:
        emit_json({**suite.document(), "out": None if to is None else str(to)})
        return
    if to is None:
        typer.echo(suite.text(), nl=False)
    else:
        checks = counted(len(suite.checks), "check")
        err.print(f"{checks} in {to}, {len(suite.dropped)} not drafted", markup=False)
