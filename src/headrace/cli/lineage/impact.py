"""`headrace impact`: the releases and models that contain data of a batch."""

from typing import Annotated, Any

import typer
from rich.text import Text

from headrace.cli.options import AsJson
from headrace.cli.output import emit_json, explained, grid, out

_FEW = 8


@explained
def impact(
    batch: Annotated[
        str,
        typer.Option("--batch", help="Batch id, or the start of it.", show_default=False),
    ],
    table: Annotated[
        str | None,
        typer.Option("--table", help="Only this table, if the batch has rows of several tables."),
    ] = None,
    *,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Also count the rows of each release that use a value of the batch.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the releases that contain a batch, and the models trained on them.

    A release contains a batch if it was made from a table snapshot that contains the batch, even if
    no feature window covers the batch's rows. With --exact the command counts the rows of each
    release that use a value of the batch: in a feature, in the label, or as the spine row itself.

    The list includes models trained here and registered external models; the champion is marked.
    `headrace gate ls --all` and `headrace trace` print batch ids.

    For example:

      headrace impact --batch 3f2a9c --exact
    """
    from headrace.core.home import Home
    from headrace.lineage.batch_holders import impact as held_by
    from headrace.lineage.batch_impact import find_batch, impact_document, reached_rows
    from headrace.pipeline.load import project_pipelines

    home = Home.find()
    batch_id, tables = find_batch(home, batch, table)
    holders = held_by(home, batch_id, table)
    reached = reached_rows(home, holders, project_pipelines(), tables) if exact else None
    document = impact_document(home, holders, tables, reached)
    if as_json:
        emit_json(document)
        return
    out.print(f"batch {batch_id} of {', '.join(tables)}", highlight=False, soft_wrap=True)
    if not document["releases"]:
        out.print("no release contains it")
        return
    columns = ["release", "tables", "content hash", *(["rows#", "affected#"] if exact else [])]
    grid("releases", columns, [_release(row, exact=exact) for row in document["releases"]])
    for row in document["releases"]:
        _tell_rows(row)
    if document["models"]:
        grid(
            "models",
            ["model", "champion", "trained"],
            [
                [model["ref"], model["champion"], "elsewhere" if model["elsewhere"] else "here"]
                for model in document["models"]
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
        features = list(rows["by_feature"].items())
        listed = ", ".join(f"{name} {count:,}" for name, count in features[:_FEW])
        rest = f", and {len(features) - _FEW} more" if len(features) > _FEW else ""
        out.print(f"{row['ref']}: {by}; by {took}", highlight=False, soft_wrap=True)
        if features:
            out.print(f"  features: {listed}{rest}", highlight=False, soft_wrap=True)
