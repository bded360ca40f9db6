"""`headrace new`: draft of a project, pipeline or source from a CSV file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.commands import CommandGroup
from headrace.cli.options import AsJson
from headrace.cli.output import emit_json, explained, out, progress

if TYPE_CHECKING:
    from headrace.scaffold import Ask, ScaffoldResult

app = CommandGroup(
    no_args_is_help=True, help="Create a project, pipeline or source from your data."
)

Data = Annotated[
    Path | None,
    typer.Option(help="CSV file of your events: commas, UTF-8, a header, one row per event."),
]
Time = Annotated[
    str | None,
    typer.Option(
        help="Column with the time of the event, or several with its parts:"
        " year,month,day,hhmm. Default: detected."
    ),
]
Key = Annotated[
    list[str] | None,
    typer.Option(help="Column of the primary key; may be repeated."),
]
Entity = Annotated[
    list[str] | None,
    typer.Option(help="Entity that features describe: customer_id. Default: guessed."),
]
KnownAfter = Annotated[
    str | None,
    typer.Option(
        help="Delay from the event until its row is available: 10m, 2h, 1d. If it is too short,"
        " features leak future data."
    ),
]
Zone = Annotated[str, typer.Option(help="IANA zone of times without an offset: Europe/Berlin.")]
TimeFormat = Annotated[
    str | None, typer.Option(help="Format of times (strptime), if ambiguous: %d/%m/%Y.")
]
Target = Annotated[str | None, typer.Option(help="Column to predict; default: guessed.")]
TablesOnly = Annotated[
    bool,
    typer.Option(
        "--tables-only", help="Draft contract, suite and table; no features, dataset or model."
    ),
]
TableName = Annotated[
    str | None, typer.Option("--table", help="Name of the table; default: the file's name.")
]

EXAMPLE = (
    "headrace new project shop --data orders.csv --time ordered_at --key order_id "
    "--entity customer_id --known-after 10m"
)


@dataclass(frozen=True)
class _Options:
    """Options that all commands of the group share."""

    data: Path | None
    time: str | None
    key: list[str] | None
    entity: list[str] | None
    known_after: str | None
    zone: str
    time_format: str | None
    table: str | None

    def ask(
        self,
        example: str,
        *,
        target: str | None = None,
        kind: str = "event",
        snapshot: bool = False,
    ) -> "Ask":
        from headrace.core.errors import DeclarationError
        from headrace.scaffold import Ask

        if self.data is None:
            raise DeclarationError(
                "no data to start from: name a CSV file", where="--data", fix=example
            )
        return Ask(
            data=self.data,
            time=self.time or "",
            key=_split(self.key),
            entity=_split(self.entity),
            known_after=self.known_after,
            zone=self.zone,
            time_format=self.time_format,
            target=target,
            table=self.table,
            kind=kind,
            snapshot=snapshot,
        )


@app.command("project")
@explained
def project(
    name: Annotated[str, typer.Argument(help="Name of the folder and the first pipeline: shop.")],
    *,
    data: Data = None,
    time: Time = None,
    key: Key = None,
    entity: Entity = None,
    known_after: KnownAfter = None,
    zone: Zone = "UTC",
    time_format: TimeFormat = None,
    target: Target = None,
    table: TableName = None,
    tables_only: TablesOnly = False,
    into: Annotated[
        Path, typer.Option("--out", help="Folder in which to create the project's folder.")
    ] = Path(),
    json: AsJson = False,
) -> None:
    r"""Create a working project from a CSV file of your own events.

    It drafts contract, suite, features, label, model, monitors and tests, and
    splits the file's rows into daily deliveries in a drop folder. Settings that
    the file does not show get a working default and a TODO. For example:

      headrace new project shop --data orders.csv \
        --time ordered_at --key order_id --entity customer_id \
        --known-after 10m --zone Europe/Berlin

      cd shop && headrace run && python -m pytest -q
    """
    from headrace.scaffold import new_project

    _check_target(target, tables_only=tables_only)
    options = _Options(data, time, key, entity, known_after, zone, time_format, table)
    with progress(quiet=json):
        ask = options.ask(EXAMPLE, target=target)
        written = new_project(name, ask, into.absolute(), tables_only=tables_only)
    _print_made(
        written,
        json=json,
        then=f"cd {_relative(written.root)} && headrace run && python -m pytest -q",
    )


@app.command("pipeline")
@explained
def pipeline(
    name: Annotated[str, typer.Argument(help="Name of the new pipeline: returns.")],
    *,
    data: Data = None,
    time: Time = None,
    key: Key = None,
    entity: Entity = None,
    known_after: KnownAfter = None,
    zone: Zone = "UTC",
    time_format: TimeFormat = None,
    target: Target = None,
    table: TableName = None,
    tables_only: TablesOnly = False,
    json: AsJson = False,
) -> None:
    r"""Add a pipeline to this project, with its own code location and model.

    For example, inside the project:

      headrace new pipeline returns --data returns.csv \
        --time returned_at --key return_id
    """
    from headrace.scaffold import new_pipeline

    _check_target(target, tables_only=tables_only)
    options = _Options(data, time, key, entity, known_after, zone, time_format, table)
    ask = options.ask(EXAMPLE.replace("project shop", f"pipeline {name}"), target=target)
    with progress(quiet=json):
        written = new_pipeline(name, ask, Path.cwd(), tables_only=tables_only)
    _print_made(written, json=json, then=f"headrace run {name} && python -m pytest -q")


@app.command("source")
@explained
def source(
    name: Annotated[str, typer.Argument(help="Name of the new table: stock.")],
    *,
    data: Annotated[
        str | None,
        typer.Option(
            help="CSV file to split into deliveries, or any address that `headrace"
            " source inspect` reads."
        ),
    ] = None,
    time: Time = None,
    key: Key = None,
    entity: Entity = None,
    known_after: KnownAfter = None,
    zone: Zone = "UTC",
    time_format: TimeFormat = None,
    kind: Annotated[
        str,
        typer.Option(
            help="Kind of the rows: event (it happened), state (valid from then on) or planned."
        ),
    ] = "event",
    snapshot: Annotated[
        bool, typer.Option(help="Treat the file as the whole table, not as deliveries of days.")
    ] = False,
    deletions: Annotated[
        bool,
        typer.Option("--deletions", help="Treat keys that vanish from the table as deleted."),
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(
            "--pipeline", "-p", help="Pipeline to add the table to; needed if there are several."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    r"""Add a table to a pipeline of this project: contract, suite and deliveries.

    For example, inside the project:

      headrace new source stock --data stock.csv \
        --time updated_at --key sku --kind state --snapshot

      headrace new source stock --deletions --kind state \
        --data 'postgresql://me@host/shop#public.stock'
    """
    from headrace.scaffold import new_source, new_source_at

    if data is None or _is_csv(data):
        path = None if data is None else Path(data)
        options = _Options(path, time, key, entity, known_after, zone, time_format, name)
        example = f"headrace new source {name} --data {name}.csv --time updated_at --key sku"
        ask = options.ask(example, kind=kind, snapshot=snapshot)
        with progress(quiet=json):
            written = new_source(ask, to, Path.cwd())
    else:
        like: dict[str, Any] = {
            "time": time,
            "key": _split(key),
            "entity": _split(entity),
            "table": name,
        }
        like |= {"known_after": known_after, "zone": zone, "time_format": time_format}
        like |= {"kind": kind, "snapshot": snapshot}
        written = new_source_at(data, like, to, Path.cwd(), deletions=deletions)
    _print_made(written, json=json, then="headrace run && python -m pytest -q")


def _check_target(target: str | None, *, tables_only: bool) -> None:
    """Raise if a column to predict is named for a pipeline that predicts nothing."""
    from headrace.core.errors import DeclarationError

    if tables_only and target is not None:
        raise DeclarationError(
            "a pipeline of tables only has no column to predict",
            where=f"--target {target} --tables-only",
            fix="leave out --target, or leave out --tables-only to get a dataset and a model",
        )


def _is_csv(data: str) -> bool:
    """Return True for the path of a local CSV file, which is split into deliveries."""
    return "://" not in data and data.endswith(".csv") and "*" not in data


def _split(names: list[str] | None) -> tuple[str, ...]:
    return tuple(names or ())


def _print_made(written: "ScaffoldResult", *, json: bool, then: str) -> None:
    if json:
        emit_json(written.to_json())
        return
    daily = [path for path in written.written if path.startswith("deliveries/")]
    for path in written.written:
        if path not in daily:
            out.print(f"  {path}", highlight=False, markup=False)
    if daily:
        out.print(f"  {daily[0]} … {len(daily):,} deliveries", highlight=False, markup=False)
    out.print("\n[bold]Inferred from the file[/]")
    for what, value in written.decided.items():
        text = ", ".join(value) if isinstance(value, list) else value
        if isinstance(value, dict):
            text = ", ".join(f"{name} {count:,}" for name, count in value.items())
        out.print(f"  {what:<12} {text}", highlight=False, markup=False)
    for note in written.notes:
        out.print(f"note: {note}", highlight=False, markup=False)
    out.print("\nLeft for you to decide: grep -rn TODO pipelines quality_suites", highlight=False)
    out.print(f"[bold]Next:[/] {then}", highlight=False, soft_wrap=True)


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
