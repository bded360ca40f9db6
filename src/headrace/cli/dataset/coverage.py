"""`headrace dataset coverage`: recent rows outside the range of the training rows."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from headrace.cli.options import AsJson, Release
from headrace.cli.output import emit_json, explained, grid, out

LISTED = 15


@explained
def coverage(
    ref: Release,
    *,
    rows: Annotated[
        Path | None,
        typer.Option(
            help="Parquet file with the columns of the release; examine its rows instead."
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write the report to this file as a self-contained page."),
    ] = None,
    as_json: AsJson = False,
    store: Annotated[
        str | None, typer.Option(help="Folder or s3://bucket/prefix; default: the project's store.")
    ] = None,
) -> None:
    """Count recent rows that lie outside the range of the training rows, by column.

    A number is outside if it is below the minimum or above the maximum of training, a category if
    it does not occur in training, a null if training has none. Rows without a label count as well,
    since a model would score them. This is a report, not a check: the exit code is 0.
    """
    from headrace.datasets import open_release
    from headrace.datasets.stored_coverage import coverage_of

    dataset = open_release(ref, store)
    report = coverage_of(dataset, None if rows is None else _read(rows))
    if html is not None:
        from headrace.core.files import write_atomically
        from headrace.reports.coverage_page import page

        write_atomically(html.absolute(), page(report, dataset.ref).encode())
    if as_json:
        emit_json({"ref": dataset.ref, **report})
        return
    _print_report(dataset.ref, report)
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
            f"the file cannot be read: {str(error).splitlines()[0]}",
            where=str(path),
            fix="give a Parquet file",
        ) from error


def _print_report(ref: str, report: dict[str, Any]) -> None:
    from headrace.reports.coverage_page import ordered, percent, summary, why

    out.print(Text(f"{ref}: {summary(report)}"), soft_wrap=True)
    columns = [entry for entry in ordered(report) if entry[1]["outside"]]
    grid(
        "columns",
        ["column", "outside#", "what"],
        [[name, percent(form["outside"]), why(form)] for name, form in columns[:LISTED]],
    )
    if len(columns) > LISTED:
        out.print(f"and {len(columns) - LISTED} more: --json or --html shows all")
    for name, lines in report["segments"].items():
        worst = sorted(lines, key=lambda segment: -segment["outside"])[:LISTED]
        grid(
            f"by {name}",
            [name, "rows#", "outside#", "most in"],
            [
                ["null" if segment["value"] is None else str(segment["value"]), segment["rows"],
                 percent(segment["outside"]), segment["worst"] or ""]
                for segment in worst
            ],
        )  # fmt: skip
    for pair in report["pairs"][:3]:
        if pair["outside"]:
            both = " and ".join(pair["columns"])
            share = percent(pair["outside"])
            out.print(Text(f"{share} have a combination of {both} that does not occur in training"))
