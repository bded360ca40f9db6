"""`headrace dataset rebuild`: make a release again from what it pins, and compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.output import BLOCKED, emit_json, explained, grid, out, progress

if TYPE_CHECKING:
    from headrace.datasets.table_diff import Differences
    from headrace.lineage.rebuild import Rebuilt

SHOWN = 10


@explained
def rebuild(
    ref: Annotated[
        str, typer.Argument(help="A release: flights_delay@1.0.0, or flights_delay@latest.")
    ],
    *,
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare with what the store holds, and find what differs."),
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Keep what was made in this folder, as a store of its own."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Compute with so many threads; the answer is the same.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of tables.")
    ] = False,
) -> None:
    """Make a release again from its pinned snapshots, and see that the content hash is the same.

    Nothing that was published since is read, and no view that is kept on disk. It refuses where
    the project now declares other definitions or contracts than the release has, and says which,
    and which revision to take. Exit code 1 says that the content differs; it says where.
    """
    from headrace.core.errors import DeclarationError
    from headrace.core.home import Home
    from headrace.lineage.rebuild import rebuild as make_again
    from headrace.pipeline import project_pipelines

    if not check and to is None:
        raise DeclarationError(
            "neither --check nor --to is given",
            fix="--check compares and throws the result away; --to DIR keeps it",
        )
    if threads is not None and threads < 1:
        raise DeclarationError(f"{threads} threads compute nothing", fix="--threads 1, or more")
    with progress(quiet=as_json):
        found = make_again(ref, project_pipelines(), Home.find(), check=check, to=to,
                           threads=threads)  # fmt: skip
    if as_json:
        emit_json(found.to_json())
    else:
        _tell(found)
    if not found.equal:
        raise typer.Exit(BLOCKED)


def _tell(found: "Rebuilt") -> None:
    style = "green" if found.equal else "bold red"
    out.print(Text.assemble((f"{found.ref}: {found.says}", style)), soft_wrap=True)
    out.print(f"released {found.released}", highlight=False)
    out.print(f"rebuilt  {found.content_hash}", highlight=False)
    if found.stored is not None:
        out.print(f"stored   {found.stored.content_hash or 'not readable'}", highlight=False)
        for problem in found.stored.problems:
            out.print(Text(problem, "red"), soft_wrap=True)
    for why in found.tainted:
        out.print(Text(f"it is tainted by {why}", "red"), soft_wrap=True)
    if found.differences is not None:
        _tell_differences(found.differences)
    for one in found.altered[:SHOWN]:
        out.print(Text(str(one), "red"), soft_wrap=True)
    if found.store:
        out.print(f"kept in {found.store}", highlight=False)


def _tell_differences(told: "Differences") -> None:
    if told.columns:
        grid("cells that differ", ["column", "cells#"], sorted(told.columns.items()))
        for cell in told.cells[:SHOWN]:
            out.print(f"  {cell}", highlight=False, markup=False, soft_wrap=True)
    if told.only_stored or told.only_rebuilt:
        out.print(f"{told.only_stored:,} rows are only stored, {told.only_rebuilt:,} only rebuilt")
        for row in told.rows[:SHOWN]:
            out.print(f"  {row}", highlight=False, markup=False, soft_wrap=True)
    for line in told.schema:
        out.print(Text(f"column {line}", "red"), soft_wrap=True)
