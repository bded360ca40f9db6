"""`headrace dataset rebuild`: rebuild of a release from its pinned inputs, and comparison."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.options import AsJson, Release
from headrace.cli.output import BLOCKED, emit_json, explained, grid, out, progress

if TYPE_CHECKING:
    from headrace.datasets.table_diff import Differences
    from headrace.lineage.rebuild import Rebuilt

LISTED = 10


@explained
def rebuild(
    ref: Release,
    *,
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare with the stored release and show what differs."),
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="Keep the rebuilt release in this folder, as a store."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Number of threads; the content does not depend on it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rebuild a release from its pinned snapshots and compare the content hash.

    The rebuild reads only the pinned snapshots: no rows published later, and no cached feature
    views. The command fails if definitions or contracts of the project differ from those of the
    release; the error names them and the git revision to check out. Exit code 1: the content
    differs; the output shows where.

    For example:

      headrace dataset rebuild flights_delay@1.0.0 --check
    """
    from headrace.core.errors import DeclarationError
    from headrace.core.home import Home
    from headrace.lineage.rebuild import rebuild as make_again
    from headrace.pipeline import project_pipelines

    if not check and to is None:
        raise DeclarationError(
            "neither --check nor --out is given",
            fix="--check compares and discards the result; --out DIR keeps it",
        )
    if threads is not None and threads < 1:
        raise DeclarationError(f"--threads is {threads}", fix="--threads 1, or more")
    with progress(quiet=as_json):
        rebuilt = make_again(ref, project_pipelines(), Home.find(), check=check, to=to,
                           threads=threads)  # fmt: skip
    if as_json:
        emit_json(rebuilt.to_json())
    else:
        _print_rebuilt(rebuilt)
    if not rebuilt.equal:
        raise typer.Exit(BLOCKED)


def _print_rebuilt(rebuilt: "Rebuilt") -> None:
    style = "green" if rebuilt.equal else "bold red"
    out.print(Text.assemble((f"{rebuilt.ref}: {rebuilt.summary}", style)), soft_wrap=True)
    out.print(f"released {rebuilt.released}", highlight=False)
    out.print(f"rebuilt  {rebuilt.content_hash}", highlight=False)
    if rebuilt.stored is not None:
        out.print(f"stored   {rebuilt.stored.content_hash or 'not readable'}", highlight=False)
        for problem in rebuilt.stored.problems:
            out.print(Text(problem, "red"), soft_wrap=True)
    for why in rebuilt.tainted:
        out.print(Text(f"tainted by {why}", "red"), soft_wrap=True)
    if rebuilt.differences is not None:
        _tell_differences(rebuilt.differences)
    for file in rebuilt.altered_cells[:LISTED]:
        out.print(Text(str(file), "red"), soft_wrap=True)
    if rebuilt.store:
        out.print(f"kept in {rebuilt.store}", highlight=False)


def _tell_differences(differences: "Differences") -> None:
    if differences.columns:
        grid("cells that differ", ["column", "cells#"], sorted(differences.columns.items()))
        for cell in differences.cells[:LISTED]:
            out.print(f"  {cell}", highlight=False, markup=False, soft_wrap=True)
    if differences.only_stored or differences.only_rebuilt:
        out.print(
            f"{differences.only_stored:,} rows are only in the stored release,"
            f" {differences.only_rebuilt:,} only in the rebuilt one"
        )
        for row in differences.rows[:LISTED]:
            out.print(f"  {row}", highlight=False, markup=False, soft_wrap=True)
    for line in differences.schema:
        out.print(Text(f"column {line}", "red"), soft_wrap=True)
