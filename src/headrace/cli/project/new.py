"""`headrace new`: a project, a pipeline or a source of one's own, drafted from a CSV file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.output import emit_json, explained, out, progress

if TYPE_CHECKING:
    from headrace.scaffold import Ask, Made

app = typer.Typer(no_args_is_help=True, help="Start a project of your own, or add to one.")

Data = Annotated[
    Path | None,
    typer.Option(help="A CSV file of your own events: commas, UTF-8, a header, one row an event."),
]
Time = Annotated[
    str | None,
    typer.Option(
        help="The column that says when a row happened, or several of a calendar and a clock: "
        "year,month,day,hhmm. Found if left out."
    ),
]
Key = Annotated[
    list[str] | None,
    typer.Option(help="A column that identifies a row; repeat it if it takes more."),
]
Entity = Annotated[
    list[str] | None,
    typer.Option(help="Whose history features are about: customer_id. Guessed if left out."),
]
KnownAfter = Annotated[
    str | None,
    typer.Option(
        help="How long after its time a row can be used: 10m, 2h, 1d. Too short is a leak."
    ),
]
Zone = Annotated[str, typer.Option(help="IANA zone of times without an offset: Europe/Berlin.")]
TimeFormat = Annotated[
    str | None, typer.Option(help="How times read (strptime), where that is not clear: %d/%m/%Y.")
]
Target = Annotated[str | None, typer.Option(help="The column to predict; guessed if left out.")]
TableName = Annotated[
    str | None, typer.Option("--table", help="Name of the table; the file's name.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document: what was written.")]

EXAMPLE = (
    "headrace new project shop --data orders.csv --time ordered_at --key order_id "
    "--entity customer_id --known-after 10m"
)


@dataclass(frozen=True)
class _Given:
    """The options that all commands share."""

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

        options = {"--data FILE": self.data, "--key COLUMN": self.key}
        missing = [name for name, value in options.items() if not value]
        if missing or self.data is None:
            raise DeclarationError(
                f"nothing to start from: give {', '.join(missing)}",
                where="a CSV file of your own, and what identifies a row",
                fix=example,
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
    name: Annotated[str, typer.Argument(help="Folder and first pipeline: shop.")],
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
    into: Annotated[Path, typer.Option(help="The folder to make it in.")] = Path(),
    json: Json = False,
) -> None:
    r"""Make a working project from a CSV of your own events.

    It drafts contract, gate, features, label, model, monitors and tests, and
    puts the file's rows into a drop folder as daily deliveries. What it cannot
    know has a default that works, and a TODO. For example:

      headrace new project shop --data orders.csv \
        --time ordered_at --key order_id --entity customer_id \
        --known-after 10m --zone Europe/Berlin

      cd shop && headrace run && python -m pytest -q
    """
    from headrace.scaffold import new_project

    given = _Given(data, time, key, entity, known_after, zone, time_format, table)
    with progress(quiet=json):
        made = new_project(name, given.ask(EXAMPLE, target=target), into.absolute())
    _tell(made, json=json, then=f"cd {_shown(made.root)} && headrace run && python -m pytest -q")


@app.command("pipeline")
@explained
def pipeline(
    name: Annotated[str, typer.Argument(help="The new pipeline: returns.")],
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
    json: Json = False,
) -> None:
    r"""Add a pipeline to this project: a code location of its own, with its own model.

    For example, inside the project:

      headrace new pipeline returns --data returns.csv \
        --time returned_at --key return_id
    """
    from headrace.scaffold import new_pipeline

    given = _Given(data, time, key, entity, known_after, zone, time_format, table)
    ask = given.ask(EXAMPLE.replace("project shop", f"pipeline {name}"), target=target)
    with progress(quiet=json):
        made = new_pipeline(name, ask, Path.cwd())
    _tell(made, json=json, then=f"headrace run {name} && python -m pytest -q")


@app.command("source")
@explained
def source(
    name: Annotated[str, typer.Argument(help="The new table: stock.")],
    *,
    data: Annotated[
        str | None,
        typer.Option(
            help="A CSV file, which becomes deliveries, or the address of any source that"
            " `headrace source try` takes."
        ),
    ] = None,
    time: Time = None,
    key: Key = None,
    entity: Entity = None,
    known_after: KnownAfter = None,
    zone: Zone = "UTC",
    time_format: TimeFormat = None,
    kind: Annotated[
        str, typer.Option(help="event (it happened), state (it holds from then on) or planned.")
    ] = "event",
    snapshot: Annotated[
        bool, typer.Option(help="The file is the whole table, not a delivery of some days.")
    ] = False,
    deletions: Annotated[
        bool, typer.Option("--deletions", help="A key that the whole table lacks was deleted.")
    ] = False,
    to: Annotated[
        str | None, typer.Option("--pipeline", help="The pipeline to add it to, if there are more.")
    ] = None,
    json: Json = False,
) -> None:
    r"""Add a table to a pipeline of this project: its contract, its gate, its deliveries.

    For example, inside the project:

      headrace new source stock --data stock.csv \
        --time updated_at --key sku --kind state --snapshot

      headrace new source stock --deletions --kind state \
        --data 'postgresql://me@host/shop#public.stock'
    """
    from headrace.scaffold import new_source, new_source_at

    if data is None or _is_csv(data):
        path = None if data is None else Path(data)
        given = _Given(path, time, key, entity, known_after, zone, time_format, name)
        example = f"headrace new source {name} --data {name}.csv --time updated_at --key sku"
        ask = given.ask(example, kind=kind, snapshot=snapshot)
        with progress(quiet=json):
            made = new_source(ask, to, Path.cwd())
    else:
        like: dict[str, Any] = {
            "time": time,
            "key": _split(key),
            "entity": _split(entity),
            "table": name,
        }
        like |= {"known_after": known_after, "zone": zone, "time_format": time_format}
        like |= {"kind": kind, "snapshot": snapshot}
        made = new_source_at(data, like, to, Path.cwd(), deletions=deletions)
    _tell(made, json=json, then="headrace run && python -m pytest -q")


def _is_csv(data: str) -> bool:
    """A local file, or what was meant to be one: it is split into deliveries."""
    return "://" not in data and data.endswith(".csv") and "*" not in data


def _split(names: list[str] | None) -> tuple[str, ...]:
    return tuple(names or ())


def _tell(made: "Made", *, json: bool, then: str) -> None:
    if json:
        emit_json(made.to_json())
        return
    daily = [path for path in made.written if path.startswith("deliveries/")]
    for path in made.written:
        if path not in daily:
            out.print(f"  {path}", highlight=False, markup=False)
    if daily:
        out.print(f"  {daily[0]} … {len(daily):,} deliveries", highlight=False, markup=False)
    out.print("\n[bold]Decided from the file[/]")
    for what, value in made.decided.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        if isinstance(value, dict):
            shown = ", ".join(f"{name} {count:,}" for name, count in value.items())
        out.print(f"  {what:<12} {shown}", highlight=False, markup=False)
    for note in made.notes:
        out.print(f"note: {note}", highlight=False, markup=False)
    out.print("\nWhat only you know: grep -rn TODO pipelines quality_suites", highlight=False)
    out.print(f"[bold]Next:[/] {then}", highlight=False, soft_wrap=True)


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
