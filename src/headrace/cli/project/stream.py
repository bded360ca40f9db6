"""`headrace stream`: consumption of event streams into tables, and their lag."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.commands import CommandGroup
from headrace.cli.options import AnyPipeline, AsJson, OnePipeline
from headrace.cli.output import BLOCKED, creating, emit_json, err, explained, grid, out
from headrace.cli.shared import one_pipeline, pipelines, stopped_by_signals
from headrace.core.errors import DeclarationError
from headrace.web.wording import counted

if TYPE_CHECKING:
    from headrace.lake.table import Table
    from headrace.pipeline import Pipeline
    from headrace.streams import Stream
    from headrace.streams.consume import PublishedBatch

app = CommandGroup(help="Consume event streams into tables.", no_args_is_help=True)


@app.command("run")
@explained
@creating
def run(
    names: Annotated[
        list[str],
        typer.Argument(metavar="[PIPELINE] STREAM", help="Name of the stream, or of its table."),
    ],
    *,
    pipeline: OnePipeline = None,
    once: Annotated[bool, typer.Option("--once", help="Stop when no event is waiting.")] = False,
    accept_lost: Annotated[
        bool,
        typer.Option(
            "--accept-lost",
            help="Continue although the broker deleted unread events; their number is recorded.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Consume events into their table, each exactly once, until interrupted.

    SIGTERM and Ctrl-C end the command after the current micro-batch. No event is lost if the
    process is killed.

    For example:

      headrace stream run shop orders --once
    """
    from headrace.core.home import Home
    from headrace.streams.consume import run_stream

    *before, stream = names
    if len([*before, *filter(None, [pipeline])]) > 1:
        raise DeclarationError("more than one pipeline", fix="--pipeline NAME STREAM")
    declared, table = _find(one_pipeline(pipeline or next(iter(before), None)), stream)
    stop = stopped_by_signals()

    def show(batch: "PublishedBatch") -> None:
        if not as_json:
            err.print(
                f"{batch.stream}: {counted(batch.events, 'event')}, {batch.verdict},"
                f" {batch.delay:.1f} s after the first event arrived; {batch.buffered} more"
                " buffered",
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
        consumed = counted(events, "event")
        out.print(f"{consumed} of stream {declared.name} consumed", highlight=False)


@app.command("status")
@explained
def status(
    pipeline: AnyPipeline = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show the lag of each stream, and account for every event.

    Each consumed event is published, quarantined, pending, rejected or a duplicate. The lag is the
    number of events that wait in the broker, and the age of the oldest. Exit code 1: there is a
    problem.
    """
    from headrace.core.home import Home
    from headrace.streams.status import stream_status

    home = Home.find()
    streams = [
        stream_status(stream, declared.table(stream.table), home)
        for declared in pipelines(pipeline)
        for stream in declared.streams
    ]
    if as_json:
        emit_json({"streams": streams})
    else:
        _show(streams)
    if any(stream["problems"] for stream in streams):
        raise typer.Exit(BLOCKED)


def _show(streams: list[dict[str, Any]]) -> None:
    if not streams:
        out.print("no pipeline declares a stream")
        return
    grid(
        "streams",
        ["stream", "state", "waiting#", "oldest, s#", "buffered#", "consumed#", "published#",
         "quarantined#", "pending#", "duplicates#", "lost#"],
        [
            [
                stream["stream"],
                stream["state"],
                stream["lag"] and stream["lag"]["events"],
                stream["lag"] and stream["lag"]["seconds"],
                stream["buffered"],
                stream["events"],
                stream["published"],
                stream["quarantined"],
                stream["pending"],
                stream["repeated"] + stream["redelivered"],
                stream["lost"],
            ]
            for stream in streams
        ],
    )  # fmt: skip
    for stream in streams:
        for problem in stream["problems"]:
            err.print(
                f"{stream['stream']}: {problem}", style="red", highlight=False, soft_wrap=True
            )


def _find(pipeline: "Pipeline", name: str) -> "tuple[Stream, Table]":
    for stream in pipeline.streams:
        if name in {stream.name, stream.table}:
            return stream, pipeline.table(stream.table)
    names = ", ".join(stream.name for stream in pipeline.streams)
    raise DeclarationError(
        f"pipeline {pipeline.name} has no stream {name!r}",
        fix=f"one of {names}" if names else "declare it: Pipeline(..., streams=(Stream(...),))",
    )
