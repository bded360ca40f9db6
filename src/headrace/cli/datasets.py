"""`headrace dataset`: what was released, and what is in it."""

from typing import Annotated

import typer
from rich.text import Text

from headrace.cli.output import emit_json, explained, grid, marked, out, tell_taints
from headrace.clock import iso

app = typer.Typer(no_args_is_help=True, help="Immutable dataset releases: name@version.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


@app.command("ls")
@explained
def ls(*, as_json: Json = False) -> None:
    """List all releases, oldest first, and what taints them.

    A release that holds a batch which was recalled refuses to open, unless the caller gives a
    reason: `headrace.open(ref, allow_tainted="why")`, which is recorded.
    """
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
                marked(row),
                row["rows"],
                str(row["content_hash"])[:16],
                row["change"],
                str(row["created_at"])[:19],
            ]
            for row in rows
        ],
    )
    tell_taints(rows)
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
    """Show what a release is made of: splits, inputs, and rows left out with their reasons.

    Of a tainted one, too: who recalled which batch, and who opened it nevertheless. With --json it
    is the manifest, which never changes; `headrace dataset ls --json` says what taints it.
    """
    from headrace.datasets.store import Store
    from headrace.datasets.taint import openings_of, taints
    from headrace.lake.pinned import told

    store = Store.find()
    manifest = store.manifest(*store.resolve(ref))
    if as_json:
        emit_json(manifest.to_json())
        return
    out.print(f"[bold]{manifest.ref}[/] {manifest.description}", highlight=False)
    for one in taints(store, manifest):
        out.print(Text(f"TAINTED by {one}", "bold red"), soft_wrap=True)
    for line in openings_of(store, manifest):
        opened = (
            f"opened nevertheless by {line['principal']} at {iso(line['at'])}: {line['reason']}"
        )
        out.print(Text(opened, "red"), soft_wrap=True)
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
    for given in manifest.inputs.values():
        for override in given.overrides:
            out.print(Text(f"override: {told(override)}", "yellow"), soft_wrap=True)
    out.print(
        f"features ({len(manifest.features)}): {', '.join(manifest.features)}", highlight=False
    )
