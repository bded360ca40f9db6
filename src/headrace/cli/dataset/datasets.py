"""`headrace dataset`: what was released; each other command has a module of its own."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from headrace.cli.output import emit_json, explained, grid, marked, out, tell_taints

app = typer.Typer(no_args_is_help=True, help="Immutable dataset releases: name@version.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


@app.command("ls")
@explained
def ls(*, as_json: Json = False) -> None:
    """List all releases, oldest first, and what taints them.

    A release that holds a batch which was recalled refuses to open, unless the caller gives a
    reason: `headrace.open(ref, allow_tainted="why")`, which is recorded.
    """
    from headrace.datasets import list_releases

    rows = [asdict(release) for release in list_releases()]
    if as_json:
        emit_json({"releases": rows})
        return
    grid(
        "releases",
        ["release", "rows#", "content hash", "change", "made", "keep until"],
        [
            [
                marked(row),
                row["rows"],
                str(row["content_hash"])[:16],
                row["change"],
                str(row["created_at"])[:19],
                str(row["kept_until"])[:10],
            ]
            for row in rows
        ],
    )
    tell_taints(rows)
    for row in rows:
        if row["expired"]:
            told = f"{row['ref']} was to be kept until {row['kept_until']}: headrace dataset retire"
            out.print(Text(told, "yellow"), soft_wrap=True)
    if not rows:
        out.print("nothing released yet: headrace run")
