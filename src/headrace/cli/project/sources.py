"""`headrace source`: look at a source before anything is declared of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.output import emit_json, explained, grid, out

if TYPE_CHECKING:
    from headrace.scaffold.inspection.column_candidates import Seen, Tried

app = typer.Typer(help="Look at sources before they are declared.", no_args_is_help=True)

_PREVIEW, _COLUMNS = 5, 12


@app.callback()
def _group() -> None:
    """Look at sources before they are declared."""


@app.command("try")
@explained
def try_(
    address: Annotated[
        str,
        typer.Argument(
            help="A file, folder or glob (also s3://), url#schema.table of a database, an HTTP"
            " address, or a topic: nats://host#subject, redis://host#stream, kafka://host#topic."
        ),
    ],
    *,
    draft: Annotated[
        Path | None, typer.Option(help="Write a drafted contract and suite into this folder.")
    ] = None,
    rows: Annotated[int, typer.Option(help="The most rows to read.", min=1)] = 10_000,
    megabytes: Annotated[int, typer.Option(help="The most of each file to read.", min=1)] = 8,
    table: Annotated[str | None, typer.Option(help="Name of the table in the drafts.")] = None,
    time: Annotated[
        str | None, typer.Option(help="The column that says when a row happened; guessed.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="A column of the key, repeated; guessed.")
    ] = None,
    known_after: Annotated[
        str | None, typer.Option(help="How long after its time a row can be used: 10m.")
    ] = None,
    zone: Annotated[str, typer.Option(help="IANA zone of times without an offset.")] = "UTC",
    time_format: Annotated[
        str | None, typer.Option(help="How times read (strptime), where it is not clear.")
    ] = None,
    kind: Annotated[str, typer.Option(help="event, state or planned.")] = "event",
    deletions: Annotated[
        bool, typer.Option("--deletions", help="A key that the whole table lacks was deleted.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of tables.")
    ] = False,
) -> None:
    r"""What is there: columns, types, gaps, keys, times; the first rows; and drafts, if asked.

    It only reads, and no more than the first rows. A password comes from the
    environment (HEADRACE_SQL_PASSWORD) and is never shown. For example:

      headrace source try deliveries/orders_2024-03-01.csv

      headrace source try 's3://bucket/sales/**/*.parquet' --rows 1000

      headrace source try 'postgresql://me@host/shop#public.orders' \
        --draft draft --time ordered_at --key order_id --known-after 10m
    """
    from headrace.scaffold.declarations import declaration
    from headrace.scaffold.inspection.column_candidates import tried
    from headrace.scaffold.inspection.sampled_source import table_name, take
    from headrace.sources.sampling.sample import Limits

    seen = tried(take(address, Limits(rows, megabytes << 20)))
    name = table or table_name(seen.sample)
    keys = tuple(key or ())
    told: dict[str, Any] = {
        **seen.to_json(),
        "preview": seen.sample.table.slice(0, _PREVIEW).to_pylist(),
        "declaration": declaration(seen, name, keys, deletions=deletions),
    }
    if draft is not None:
        like: dict[str, Any] = {
            "time": time,
            "key": keys,
            "table": name,
            "known_after": known_after,
        }
        like |= {"zone": zone, "time_format": time_format, "kind": kind}
        told["drafted"] = _draft(seen, draft, like, deletions=deletions)
    if as_json:
        emit_json(told)
    else:
        _show(seen, told)


def _draft(seen: "Tried", folder: Path, like: dict[str, Any], *, deletions: bool) -> list[str]:
    from tempfile import TemporaryDirectory

    from headrace.scaffold.files import write_new
    from headrace.scaffold.inspection.sampled_source import asked, drafts

    with TemporaryDirectory() as scratch:
        made = drafts(asked(seen, Path(scratch), like, deletions=deletions))
    return [str(path) for path in write_new(folder, made)]


def _show(seen: "Tried", told: dict[str, Any]) -> None:
    sample = seen.sample
    out.print(f"[bold]{sample.kind}[/], {sample.format}: ", end="")
    out.print(sample.address, highlight=False, markup=False, soft_wrap=True)
    about = "; ".join(f"{key.replace('_', ' ')} {value}" for key, value in sample.about.items())
    out.print(f"{_counted(seen)}. {about}", highlight=False, markup=False, soft_wrap=True)
    grid(
        "columns",
        ["column", "type", "declared", "null", "distinct#", "least", "greatest", "reads as"],
        [_row(column, seen.rows) for column in seen.columns],
    )
    names = sample.table.column_names[:_COLUMNS]
    more = len(sample.table.column_names) - len(names)
    grid(
        f"first rows{f' (and {more} more columns)' if more else ''}",
        names,
        [[row[name] for name in names] for row in told["preview"]],
    )
    for what, found in (
        ("key", map(", ".join, seen.keys)),
        ("time", seen.times),
        ("cursor", seen.cursors),
    ):
        listed = " | ".join(found)
        out.print(f"{what:<7}{listed or 'none found'}", highlight=False, markup=False)
    for note in sample.notes:
        out.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    if said := told["declaration"]:
        out.print(f"\ndeclare {said}", highlight=False, markup=False, soft_wrap=True)
    for path in told.get("drafted", ()):
        out.print(f"drafted {path}", highlight=False, markup=False, soft_wrap=True)


def _counted(seen: "Tried") -> str:
    sample = seen.sample
    read = f"{seen.rows:,} rows read"
    if sample.whole:
        return f"{seen.rows:,} rows, all there are"
    return read + (f" of {sample.total:,}" if sample.total is not None else ", there are more")


def _row(one: "Seen", rows: int) -> list[object]:
    kind: str = one.column.type
    if one.column.scale is not None:
        kind = f"{kind}, {one.column.scale} decimals"
    share = f"{one.nulls / rows:.1%}" if rows and one.nulls else ""
    tokens = ", ".join(repr(t) for t in one.column.null_tokens if t)
    null = f"{share} ({tokens})" if tokens else share
    return [
        one.column.header,
        kind,
        one.declared,
        null,
        one.distinct,
        one.least,
        one.greatest,
        one.time,
    ]
