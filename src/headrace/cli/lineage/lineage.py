"""`headrace lineage`: OpenLineage events of published tables, releases and models."""

import sys
from typing import Annotated

import typer

from headrace.cli.commands import CommandGroup
from headrace.cli.options import AnyPipeline, AsJson
from headrace.cli.output import emit_json, explained, out

app = CommandGroup(no_args_is_help=True, help="Lineage as OpenLineage events, for other tools.")


@app.command("record")
@explained
def record(
    pipeline: AnyPipeline = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Append OpenLineage events to the event file, except those it already contains.

    `headrace run` does the same at its end; use this command after runs that Dagster's daemon
    started. Events are never removed from the file, and it contains each run once.
    """
    from headrace.cli.shared import pipelines
    from headrace.core.home import Home
    from headrace.lineage.events.event_log import event_path
    from headrace.lineage.events.pipeline_events import record as recorded

    home = Home.find()
    written = sum(recorded(declared, home) for declared in pipelines(pipeline))
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
        typer.Option(help="Only this release, its views, and models trained on it."),
    ] = None,
    pipeline: AnyPipeline = None,
) -> None:
    """Print OpenLineage events, one JSON object per line, generated from what is stored now.

    The events are valid against the specification's schema, and repeated exports are identical,
    because the id of a run is derived from its output. Send them to any OpenLineage backend, or
    read them with jq.

    For example:

      headrace lineage export --release flights_delay@latest > flights.ndjson
    """
    from headrace.cli.shared import pipelines
    from headrace.core.files import canonical_json
    from headrace.core.home import Home
    from headrace.lineage.events.pipeline_events import runs_of, runs_of_release

    home = Home.find()
    declared = pipelines(pipeline)
    if release is None:
        runs = (run for each_pipeline in declared for run in runs_of(each_pipeline, home))
    else:
        runs = (run for run in runs_of_release(declared, release, home))
    for run in runs:
        for event in run.events():
            sys.stdout.write(canonical_json(event).decode() + "\n")
