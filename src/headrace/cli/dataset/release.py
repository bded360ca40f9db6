"""`headrace dataset release`: release of a pipeline's dataset from the published tables."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.options import AnyPipeline, AsJson, DryRun
from headrace.cli.output import creating, emit_json, explained, out, progress

if TYPE_CHECKING:
    from headrace.pipeline.release import Released


@explained
@creating
def release(
    pipeline: AnyPipeline = None,
    *,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Only this dataset; default: all.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Release the datasets of a pipeline from the tables as published now.

    The version number depends on the changes: MAJOR if the meaning of columns changed, MINOR if
    rows or columns did, PATCH if only metadata did. Without a change there is no new version.
    Releases are never overwritten, and the command is safe to run again. It fails if the terms of a
    source forbid the release, or if a split leaks.

    For example:

      headrace dataset release flights --dry-run
    """
    from headrace.cli.shared import dataset_pipelines
    from headrace.core.home import Home
    from headrace.pipeline.release import release_now

    home = Home.find()
    with progress(quiet=as_json):
        released = [
            release_now(selected, home, dry_run=dry_run)
            for selected in dataset_pipelines(pipeline, dataset)
        ]
    if as_json:
        emit_json({"releases": [outcome.to_json() for outcome in released]})
        return
    for outcome in released:
        _print_release(outcome)


def _print_release(outcome: "Released") -> None:
    if outcome.unchanged:
        out.print(
            Text.assemble((outcome.ref, "bold"), " is unchanged: ", ", ".join(outcome.reasons)),
            soft_wrap=True,
        )
    else:
        verb = "would be released" if outcome.dry_run else "released"
        out.print(
            Text.assemble(
                (outcome.ref, "bold"),
                f" {verb} ({outcome.change}): {'; '.join(outcome.reasons)}",
            ),
            soft_wrap=True,
        )
    out.print(f"  {outcome.rows:,} rows, content hash {outcome.content_hash}", highlight=False)
