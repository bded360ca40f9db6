"""`headrace dataset coverage`: what training has not seen of what a model would be asked."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from headrace.cli.output import emit_json, explained, grid, out

SHOWN = 15


@explained
def coverage(
    ref: Annotated[
        str, typer.Argument(help="A release: flights_delay@1.0.0, or flights_delay@latest.")
    ],
    *,
    rows: Annotated[
        Path | None,
        typer.Option(
            help="A Parquet file of rows to judge instead, with the columns of the release."
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the report as one page to this file.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of tables.")
    ] = False,
    store: Annotated[
        str | None, typer.Option(help="A folder or s3://bucket/prefix; else the project's store.")
    ] = None,
) -> None:
    """Say how many recent rows are outside what the training rows cover, and in which column.

    A number is outside below the least or above the greatest of training, a category when training
    never has it, a null where training has none. Rows without a label count, too: they are what
    the model would have been asked. It is a report, not a test: the exit code is 0.
    """
    from headrace.datasets import open_release
    from headrace.datasets.stored_coverage import coverage_of

    dataset = open_release(ref, store)
    found = coverage_of(dataset, None if rows is None else _read(rows))
    if html is not None:
        from headrace.core.files import write_atomically
        from headrace.reports.coverage_page import page

        write_atomically(html.absolute(), page(found, dataset.ref).encode())
    if as_json:
        emit_json({"ref": dataset.ref, **found})
        return
    _tell(dataset.ref, found)
    if html is not None:
        out.print(Text(f"page: {html}"), soft_wrap=True)


def _read(path: Path) -> Any:  # noqa: ANN401 - pyarrow has no types
    import pyarrow as pa
    import pyarrow.parquet as pq

    from headrace.core.errors import SourceError

    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(
            f"it cannot be read: {str(error).splitlines()[0]}",
            where=str(path),
            fix="give a Parquet file",
        ) from error


def _tell(ref: str, found: dict[str, Any]) -> None:
    from headrace.reports.coverage_page import ordered, percent, says, why

    out.print(Text(f"{ref}: {says(found)}"), soft_wrap=True)
    columns = [one for one in ordered(found) if one[1]["outside"]]
    grid(
        "columns",
        ["column", "outside#", "what"],
        [[name, percent(form["outside"]), why(form)] for name, form in columns[:SHOWN]],
    )
    if len(columns) > SHOWN:
        out.print(f"and {len(columns) - SHOWN} more: --json or --html shows all")
    for name, lines in found["segments"].items():
        worst = sorted(lines, key=lambda line: -line["outside"])[:SHOWN]
        grid(
            f"by {name}",
            [name, "rows#", "outside#", "most in"],
            [
                ["null" if one["value"] is None else str(one["value"]), one["rows"],
                 percent(one["outside"]), one["worst"] or ""]
                for one in worst
            ],
        )  # fmt: skip
    for pair in found["pairs"][:3]:
        if pair["outside"]:
            both = " and ".join(pair["columns"])
            out.print(
                Text(f"{percent(pair['outside'])} have a pair of {both} that training never has")
            )
