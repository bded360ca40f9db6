"""`headrace gate suggest`: a suite drafted from what a table has published."""

from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.gate.gates import Json, tables
from headrace.cli.output import emit_json, err, explained, progress
from headrace.core.errors import DeclarationError


@explained
def suggest(
    table: Annotated[str, typer.Argument(help="A table, as in `headrace gate ls`.")],
    *,
    days: Annotated[
        int | None, typer.Option(min=1, help="Learn from the last so many slots only.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="A new file for the suite; else it is printed.")
    ] = None,
    counts: Annotated[
        bool, typer.Option("--no-shadow", help="Checks that count from the first batch on.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Draft a suite from the published history of a table, to be reviewed by a person.

    Limits are drawn with a margin that is chosen on the first part of history and confirmed on the
    rest. A check that a single later delivery would have failed is not drafted; above the suite it
    says which, and when. What the table's suite checks already is left out. New checks start in
    shadow: they run and are told, and decide nothing.
    """
    from headrace.core.home import Home
    from headrace.lake.suite_draft import suggest as draft

    if to is not None and to.exists():
        raise DeclarationError(f"{to} is there already", fix="name a new file; none is overwritten")
    with progress(quiet=as_json):
        made = draft(Home.find(), tables(table)[0], last=days, shadow=not counts)
    if to is not None:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(made.text(), encoding="utf-8")
    if as_json:
        emit_json({**made.document(), "out": None if to is None else str(to)})
        return
    if to is None:
        typer.echo(made.text(), nl=False)
    else:
        err.print(f"{len(made.kept)} checks in {to}, {len(made.dropped)} not drafted", markup=False)
