"""`headrace dataset`: what was released, and what is in it."""

from typing import Annotated

import typer

from headrace.cli.output import emit_json, explained, grid, out

app = typer.Typer(no_args_is_help=True, help="Immutable dataset releases: name@version.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


@app.command("ls")
@explained
def ls(*, as_json: Json = False) -> None:
    """List all releases, oldest first."""
    from headrace.home import Home
    from headrace.pipeline.report import release_rows

    rows = release_rows(Home.find())
    if as_json:
        emit_json(rows)
        return
    grid(
        "releases",
        ["release", "rows#", "content hash", "change", "made"],
        [
            [
                row["ref"],
                row["rows"],
                str(row["content_hash"])[:16],
                row["change"],
                str(row["created_at"])[:19],
            ]
            for row in rows
        ],
    )
    if not rows:
        out.print("nothing released yet: headrace run")


@app.command("show")
@explained
def show(
    ref: Annotated[
        str, typer.Argument(help="A release: flights_delay@1.0.0, or flights_delay@latest.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Show what a release is made of: splits, inputs, and rows left out with their reasons."""
    import headrace

    manifest = headrace.open(ref).manifest
    if as_json:
        emit_json(manifest.to_json())
        return
    out.print(f"[bold]{manifest.ref}[/] {manifest.description}", highlight=False)
    out.print(f"content hash {manifest.content_hash}", highlight=False)
    out.print(f"manifest     {manifest.id}", highlight=False)
    grid(
        "splits",
        ["split", "rows#", "left out"],
        [
            [
                name,
                split.rows,
                ", ".join(f"{why} {count:,}" for why, count in split.left_out.items()),
            ]
            for name, split in manifest.splits.items()
        ],
    )
    grid(
        "inputs",
        ["table", "snapshot", "contract", "licence", "batches#", "verdicts"],
        [
            [
                name,
                str(given.snapshot_id),
                given.contract_version,
                given.licence,
                given.batch_count,
                ", ".join(f"{verdict} {count}" for verdict, count in given.verdicts.items()),
            ]
            for name, given in manifest.inputs.items()
        ],
    )
    out.print(
        f"features ({len(manifest.features)}): {', '.join(manifest.features)}", highlight=False
    )
