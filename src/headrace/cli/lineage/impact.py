"""`headrace impact`: which releases and models hold anything of a batch."""

from typing import Annotated, Any

import typer
from rich.text import Text

from headrace.cli.output import emit_json, explained, grid, out

_FEW = 8


@explained
def impact(
    batch: Annotated[
        str,
        typer.Option("--batch", help="The batch: its id, or the start of it.", show_default=False),
    ],
    table: Annotated[
        str | None,
        typer.Option("--table", help="What it brought to this table, of a delivery to several."),
    ] = None,
    *,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Also count the rows of each release that a row of the batch contributes to.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of tables.")
    ] = False,
) -> None:
    """Say which releases hold a batch, and which models were trained on those.

    A release holds a batch when the batch was live in a snapshot that the release read; a window
    need not have reached it. With --exact the rows that really took something of it are counted:
    a feature, the label, or the row itself.

    Models count whether they were trained here or elsewhere and registered; those in charge are
    marked. Ids of batches: headrace gate ls --all, or a trace.
    """
    from headrace.core.home import Home
    from headrace.lineage.batch_holders import impact as held_by
    from headrace.lineage.batch_impact import find_batch, reached_rows, told
    from headrace.pipeline.load import project_pipelines

    home = Home.find()
    batch_id, tables = find_batch(home, batch, table)
    found = held_by(home, batch_id, table)
    reached = reached_rows(home, found, project_pipelines(), tables) if exact else None
    document = told(home, found, tables, reached)
    if as_json:
        emit_json(document)
        return
    out.print(f"batch {batch_id} of {', '.join(tables)}", highlight=False, soft_wrap=True)
    if not document["releases"]:
        out.print("no release holds it")
        return
    columns = ["release", "tables", "content hash", *(["rows#", "took of it#"] if exact else [])]
    grid("releases", columns, [_release(row, exact=exact) for row in document["releases"]])
    for row in document["releases"]:
        _tell_rows(row)
    if document["models"]:
        grid(
            "models",
            ["model", "in charge", "trained"],
            [
                [one["ref"], one["champion"], "elsewhere" if one["elsewhere"] else "here"]
                for one in document["models"]
            ],
        )


def _release(row: dict[str, Any], *, exact: bool) -> list[object]:
    ref = Text.assemble(row["ref"], (" TAINTED", "bold red") if row["tainted"] else "")
    cells: list[object] = [ref, ", ".join(row["tables"]), row["content_hash"][:16]]
    if exact:
        rows = row["rows"]
        cells += [rows["rows"], rows["used"]] if rows else ["?", "?"]
    return cells


def _tell_rows(row: dict[str, Any]) -> None:
    if "why" in row:
        out.print(Text(f"{row['ref']}: {row['why']}", "yellow"), soft_wrap=True)
    elif rows := row.get("rows"):
        by = ", ".join(f"{name} {count:,}" for name, count in rows["by_split"].items())
        took = ", ".join(f"{name} {rows[name]:,}" for name in ("features", "label", "spine"))
        most = list(rows["by_feature"].items())
        shown = ", ".join(f"{name} {count:,}" for name, count in most[:_FEW])
        more = f", and {len(most) - _FEW} more" if len(most) > _FEW else ""
        out.print(f"{row['ref']}: {by}; by {took}", highlight=False, soft_wrap=True)
        if most:
            out.print(f"  features: {shown}{more}", highlight=False, soft_wrap=True)
