"""`headrace source inspect`: inspection of a source before it is declared."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.commands import CommandGroup
from headrace.cli.options import AsJson
from headrace.cli.output import emit_json, explained, grid, out

if TYPE_CHECKING:
    from headrace.scaffold.inspection.column_candidates import InspectedSample, SampledColumn

app = CommandGroup(help="Inspect data sources before you declare them.", no_args_is_help=True)

_PREVIEW, _COLUMNS = 5, 12


@app.callback()
def _group() -> None:
    """Inspect data sources before you declare them."""


@app.command("inspect")
@explained
def inspect(
    address: Annotated[
        str,
        typer.Argument(
            help="File, folder or glob (also s3://), url#schema.table of a database, an"
            " HTTP address, or a topic: nats://host#subject, redis://host#stream,"
            " kafka://host#topic."
        ),
    ],
    *,
    draft: Annotated[
        Path | None, typer.Option(help="Write a draft of contract and suite into this folder.")
    ] = None,
    rows: Annotated[int, typer.Option(help="Maximum number of rows to read.", min=1)] = 10_000,
    megabytes: Annotated[
        int, typer.Option(help="Maximum megabytes of each file to read.", min=1)
    ] = 8,
    table: Annotated[str | None, typer.Option(help="Name of the table in the drafts.")] = None,
    time: Annotated[
        str | None, typer.Option(help="Column with the time of the event; default: guessed.")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Column of the primary key; may be repeated; default: guessed."),
    ] = None,
    known_after: Annotated[
        str | None, typer.Option(help="Delay from the event until its row is available: 10m.")
    ] = None,
    zone: Annotated[str, typer.Option(help="IANA zone of times without an offset.")] = "UTC",
    time_format: Annotated[
        str | None, typer.Option(help="Format of times (strptime), if ambiguous.")
    ] = None,
    kind: Annotated[str, typer.Option(help="Kind of the rows: event, state or planned.")] = "event",
    deletions: Annotated[
        bool,
        typer.Option("--deletions", help="Treat keys that vanish from the table as deleted."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    r"""Inspect a source: columns, types, nulls, keys, times and first rows; draft a contract.

    The command only reads, and no more than the first rows. A password is taken
    from the environment (HEADRACE_SQL_PASSWORD) and never printed. For example:

      headrace source inspect deliveries/orders_2024-03-01.csv

      headrace source inspect 's3://bucket/sales/**/*.parquet' --rows 1000

      headrace source inspect 'postgresql://me@host/shop#public.orders' \
        --draft draft --time ordered_at --key order_id --known-after 10m
    """
    from headrace.scaffold.declarations import declaration
    from headrace.scaffold.inspection.column_candidates import inspect_sample
    from headrace.scaffold.inspection.sampled_source import table_name, take
    from headrace.sources.sampling.sample import Limits

    inspected = inspect_sample(take(address, Limits(rows, megabytes << 20)))
    name = table or table_name(inspected.sample)
    keys = tuple(key or ())
    document: dict[str, Any] = {
        **inspected.to_json(),
        "preview": inspected.sample.table.slice(0, _PREVIEW).to_pylist(),
        "declaration": declaration(inspected, name, keys, deletions=deletions),
    }
    if draft is not None:
        like: dict[str, Any] = {
            "time": time,
            "key": keys,
            "table": name,
            "known_after": known_after,
        }
        like |= {"zone": zone, "time_format": time_format, "kind": kind}
        document["drafted"] = _draft(inspected, draft, like, deletions=deletions)
    if as_json:
        emit_json(document)
    else:
        _show(inspected, document)


def _draft(
    inspected: "InspectedSample", folder: Path, like: dict[str, Any], *, deletions: bool
) -> list[str]:
    from tempfile import TemporaryDirectory

    from headrace.scaffold.files import write_new
    from headrace.scaffold.inspection.sampled_source import ask_from_sample, drafts

    with TemporaryDirectory() as scratch:
        drafted = drafts(ask_from_sample(inspected, Path(scratch), like, deletions=deletions))
    return [str(path) for path in write_new(folder, drafted)]


def _show(inspected: "InspectedSample", document: dict[str, Any]) -> None:
    sample = inspected.sample
    out.print(f"[bold]{sample.kind}[/], {sample.format}: ", end="")
    out.print(sample.address, highlight=False, markup=False, soft_wrap=True)
    details = "; ".join(f"{key.replace('_', ' ')} {value}" for key, value in sample.details.items())
    out.print(f"{_counted(inspected)}. {details}", highlight=False, markup=False, soft_wrap=True)
    grid(
        "columns",
        ["column", "type", "declared", "null", "distinct#", "least", "greatest", "reads as"],
        [_row(column, inspected.rows) for column in inspected.columns],
    )
    names = sample.table.column_names[:_COLUMNS]
    rest = len(sample.table.column_names) - len(names)
    grid(
        f"first rows{f' (and {rest} more columns)' if rest else ''}",
        names,
        [[row[name] for name in names] for row in document["preview"]],
    )
    for what, candidates in (
        ("key", map(", ".join, inspected.keys)),
        ("time", inspected.times),
        ("cursor", inspected.cursors),
    ):
        listed = " | ".join(candidates)
        out.print(f"{what:<7}{listed or 'none found'}", highlight=False, markup=False)
    for note in sample.notes:
        out.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    if declaration_text := document["declaration"]:
        out.print(f"\ndeclare {declaration_text}", highlight=False, markup=False, soft_wrap=True)
    for path in document.get("drafted", ()):
        out.print(f"drafted {path}", highlight=False, markup=False, soft_wrap=True)


def _counted(inspected: "InspectedSample") -> str:
    sample = inspected.sample
    read = f"{inspected.rows:,} rows read"
    if sample.complete:
        return f"{inspected.rows:,} rows, the whole source"
    return read + (f" of {sample.total:,}" if sample.total is not None else ", there are more")


def _row(column: "SampledColumn", rows: int) -> list[object]:
    kind: str = column.column.type
    if column.column.scale is not None:
        kind = f"{kind}, {column.column.scale} decimals"
    share = f"{column.nulls / rows:.1%}" if rows and column.nulls else ""
    tokens = ", ".join(repr(t) for t in column.column.null_tokens if t)
    null = f"{share} ({tokens})" if tokens else share
    return [
        column.column.header,
        kind,
        column.declared,
        null,
        column.distinct,
        column.minimum,
        column.maximum,
        column.time,
    ]
