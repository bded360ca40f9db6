"""`headrace lineage`: OpenLineage events of what was published, released and trained."""

import sys
from typing import Annotated

import typer

from headrace.cli.output import emit_json, explained, out

app = typer.Typer(no_args_is_help=True, help="Lineage as OpenLineage events, for other tools.")


@app.command("record")
@explained
def record(
    pipeline: Annotated[
        str | None, typer.Argument(help="A pipeline; all of them if left out.")
    ] = None,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of text.")
    ] = False,
) -> None:
    """Append the events of everything that is not on file yet.

    `headrace run` does so at its end; runs that Dagster's daemon starts leave it to this command.
    The file only grows, and holds each run once.
    """
    from headrace.cli.shared import pipelines
    from headrace.core.home import Home
    from headrace.lineage.events.event_log import event_path
    from headrace.lineage.events.pipeline_events import record as recorded

    home = Home.find()
    written = sum(recorded(one, home) for one in pipelines(pipeline))
    if as_json:
        emit_json({"events": written, "file": str(event_path(home))})
    else:
        out.print(f"{written:,} new events in {event_path(home)}", highlight=False, soft_wrap=True)


@app.command("export")
@explained
def export(
    *,
    release: Annotated[
        str | None,
        typer.Option(help="Only this release: its views and itself, and the models trained on it."),
    ] = None,
    pipeline: Annotated[
        str | None, typer.Option(help="Only this pipeline; all of them if left out.")
    ] = None,
) -> None:
    """Write events to standard output, one JSON object a line, made from what is stored now.

    They are valid against the specification's schema, and the same each time: a run's id follows
    from what it made. Send them to any OpenLineage backend, or read them with jq.

    Example: headrace lineage export --release flights_delay@latest > flights.ndjson
    """
    from headrace.cli.shared import pipelines
    from headrace.core.files import canonical_json
    from headrace.core.home import Home
    from headrace.lineage.events.pipeline_events import runs_of, runs_of_release

    home = Home.find()
    declared = pipelines(pipeline)
    if release is None:
        runs = (run for one in declared for run in runs_of(one, home))
    else:
        runs = (run for run in runs_of_release(declared, release, home))
    for run in runs:
        for event in run.events():
            sys.stdout.write(canonical_json(event).decode() + "\n")
