"""`headrace stream`: consume an event stream into its table, and see how far behind it is."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.output import BLOCKED, creating, emit_json, err, explained, grid, out
from headrace.cli.shared import pipelines, stopped_by_signals

if TYPE_CHECKING:
    from headrace.lake.table import Table
    from headrace.streams import Stream
    from headrace.streams.consume import Published

app = typer.Typer(help="Event streams into tables.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


@app.command("run")
@explained
@creating
def run(
    pipeline: Annotated[str, typer.Argument(help="The pipeline that declares the stream.")],
    stream: Annotated[str, typer.Argument(help="Name of the stream, or of the table it feeds.")],
    *,
    once: Annotated[bool, typer.Option("--once", help="Stop when nothing waits any more.")] = False,
    accept_lost: Annotated[
        bool,
        typer.Option("--accept-lost", help="Go on although unread events were deleted; recorded."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring events into their table, each exactly once, until interrupted.

    SIGTERM and Ctrl-C end it after the micro-batch at work. Killing it loses nothing either.
    """
    from headrace.core.home import Home
    from headrace.streams.consume import run_stream

    declared, table = _find(pipeline, stream)
    stop = stopped_by_signals()

    def show(batch: "Published") -> None:
        if not as_json:
            err.print(
                f"{batch.stream}: {batch.events} events, {batch.verdict},"
                f" {batch.delay:.1f} s after the first came; {batch.buffered} more read",
                highlight=False,
            )

    events = run_stream(
        declared,
        table,
        Home.find(),
        once=once,
        stop=stop,
        accept_lost=accept_lost,
        on_batch=show,
    )
    if as_json:
        emit_json({"stream": declared.name, "table": table.name, "events": events})
    else:
        out.print(f"{events} events of stream {declared.name} taken", highlight=False)


@app.command("status")
@explained
def status(
    pipeline: Annotated[
        str | None, typer.Argument(help="A pipeline; all of them if left out.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """How far behind each stream is, and where every event is. Exit code 1: look at a problem.

    Of the events taken, each is published, quarantined, pending, rejected, or came twice. The lag
    is what waits in the broker: how many events, and how old the oldest is.
    """
    from headrace.core.home import Home
    from headrace.streams.status import stream_status

    home = Home.find()
    found = [
        stream_status(stream, one.table(stream.table), home)
        for one in pipelines(pipeline)
        for stream in one.streams
    ]
    if as_json:
        emit_json({"streams": found})
    else:
        _show(found)
    if any(one["problems"] for one in found):
        raise typer.Exit(BLOCKED)


def _show(found: list[dict[str, Any]]) -> None:
    if not found:
        out.print("no pipeline declares a stream")
        return
    grid(
        "streams",
        ["stream", "state", "waiting#", "oldest, s#", "buffered#", "taken#", "published#",
         "quarantined#", "pending#", "twice#", "lost#"],
        [
            [
                one["stream"],
                one["state"],
                one["lag"] and one["lag"]["events"],
                one["lag"] and one["lag"]["seconds"],
                one["buffered"],
                one["events"],
                one["published"],
                one["quarantined"],
                one["pending"],
                one["repeated"] + one["redelivered"],
                one["lost"],
            ]
            for one in found
        ],
    )  # fmt: skip
    for one in found:
        for problem in one["problems"]:
            err.print(f"{one['stream']}: {problem}", style="red", highlight=False, soft_wrap=True)


def _find(pipeline: str, name: str) -> "tuple[Stream, Table]":
    from headrace.core.errors import DeclarationError

    (found,) = pipelines(pipeline)
    for stream in found.streams:
        if name in {stream.name, stream.table}:
            return stream, found.table(stream.table)
    names = ", ".join(stream.name for stream in found.streams)
    raise DeclarationError(
        f"pipeline {pipeline} has no stream {name!r}",
        fix=f"one of {names}" if names else "declare it: Pipeline(..., streams=(Stream(...),))",
    )
