"""`headrace features`: feature definitions and training sets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.commands import CommandGroup
from headrace.cli.options import AnyPipeline, AsJson, OneDataset, OnePipeline
from headrace.cli.output import BLOCKED, emit_json, explained, grid, out, progress
from headrace.cli.shared import one_dataset, pipelines

if TYPE_CHECKING:
    from headrace.features.spec import Mode

app = CommandGroup(
    no_args_is_help=True, help="Feature definitions: list, compare, write training sets."
)


@app.command("ls")
@explained
def ls(*, pipeline: AnyPipeline = None, as_json: AsJson = False) -> None:
    """List all features with description, table, columns, and the number of their users.

    Users are releases and models that contain the feature's current definition; --json lists those
    with an earlier definition as outdated.
    """
    from headrace.core.home import Home
    from headrace.lineage.feature_usage import feature_catalogue

    selected = pipelines(pipeline)
    rows = feature_catalogue(selected, Home.find())
    if as_json:
        emit_json(rows)
        return
    for each_pipeline in selected:
        grid(
            f"features of {each_pipeline.name}",
            ["feature", "type", "unit", "table", "what it is", "used by#", "definition"],
            [
                [
                    row["feature"],
                    row["type"],
                    row["unit"],
                    row["table"],
                    row["what"],
                    len(row["releases"]) + len(row["models"]),
                    row["definition"][:12],
                ]
                for row in rows
                if row["pipeline"] == each_pipeline.name
            ],
        )


@app.command("forms")
@explained
def forms(*, pipeline: OnePipeline = None, dataset: OneDataset = None) -> None:
    """Print the canonical forms of all feature definitions as JSON, for a later `features diff`.

    For example:

      headrace features forms > features.json
    """
    from headrace.pipeline.earlier_revision import pipeline_forms

    emit_json(pipeline_forms(one_dataset(pipeline, dataset)))


@app.command("diff")
@explained
def diff(
    old: Annotated[
        str, typer.Argument(help="Git revision, or a file from `headrace features forms`.")
    ] = "HEAD",
    *,
    pipeline: OnePipeline = None,
    dataset: OneDataset = None,
    as_json: AsJson = False,
) -> None:
    """List the features whose meaning differs from an earlier state of the project, and the causes.

    Exit code 1: the meaning of at least one feature changes.

    For example:

      headrace features diff main
    """
    from headrace.features.definition_changes import diff as compare
    from headrace.pipeline.earlier_revision import forms_of, pipeline_forms

    now = one_dataset(pipeline, dataset)
    difference = compare(forms_of(old, now), pipeline_forms(now))
    if as_json:
        emit_json(difference.as_json())
    else:
        out.print(str(difference), markup=False, highlight=False, soft_wrap=True)
    if difference.changes:
        raise typer.Exit(BLOCKED)


@app.command("frame")
@explained
def frame(
    to: Annotated[Path, typer.Option("--out", help="Parquet file to write.")],
    *,
    first: Annotated[str | None, typer.Option("--from", help="First day of `t`.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day of `t`, inclusive.")] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="Time from which a row is available: `declared` by the contract, or `recorded` by"
            " ingestion; default: the pipeline's."
        ),
    ] = None,
    reasons: Annotated[bool, typer.Option(help="Add the reason of each null.")] = False,
    memory: Annotated[
        int, typer.Option(help="Memory to compute with, in megabytes.", min=1)
    ] = 1024,
    pipeline: OnePipeline = None,
    dataset: OneDataset = None,
    as_json: AsJson = False,
) -> None:
    """Write the training set: one row per spine row, with features as of the row's own time.

    For example:

      headrace features frame --from 2013-01-01 --to 2013-01-31 --out january.parquet
    """
    from headrace.core.errors import DeclarationError
    from headrace.core.home import Home
    from headrace.pipeline.feature_catalog import write_frame

    if mode not in {None, "declared", "recorded"}:
        raise DeclarationError(f"no mode {mode!r}", fix="--mode declared or recorded")
    availability: Mode | None = mode  # type: ignore[assignment]
    with progress(quiet=as_json):
        written = write_frame(
            one_dataset(pipeline, dataset),
            Home.find(),
            to,
            first,
            last,
            mode=availability,
            reasons=reasons,
            memory=memory * 10**6,
        )
    if as_json:
        emit_json(written)
    else:
        out.print(f"{written['rows']:,} rows, {written['columns']} columns: {to}", highlight=False)
