"""`headrace dataset release`: a release of what is published now, and why it has its version."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.output import creating, emit_json, explained, out, progress

if TYPE_CHECKING:
    from headrace.pipeline.release import Released


@explained
@creating
def release(
    pipeline: Annotated[
        str | None, typer.Argument(help="A pipeline; all of them if left out.")
    ] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which version it would be, and why.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of text.")
    ] = False,
) -> None:
    """Release the dataset of a pipeline from the tables as they are published now.

    The version follows from what changed: MAJOR, the meaning; MINOR, rows or columns; PATCH, what
    is said of them. If nothing did, there is no new version. Nothing is ever overwritten, and
    running it again is safe. It fails if a source forbids it or a split leaks.
    """
    from headrace.cli.shared import pipelines
    from headrace.core.home import Home
    from headrace.pipeline.release import release_now

    home = Home.find()
    with progress(quiet=as_json):
        done = [release_now(one, home, dry_run=dry_run) for one in pipelines(pipeline)]
    if as_json:
        emit_json({"releases": [one.to_json() for one in done]})
        return
    for one in done:
        _tell(one)


def _tell(one: "Released") -> None:
    if one.unchanged:
        out.print(
            Text.assemble((one.ref, "bold"), " is unchanged: ", ", ".join(one.reasons)),
            soft_wrap=True,
        )
    else:
        verb = "would be released" if one.dry_run else "released"
        out.print(
            Text.assemble((one.ref, "bold"), f" {verb} ({one.change}): {'; '.join(one.reasons)}"),
            soft_wrap=True,
        )
    out.print(f"  {one.rows:,} rows, content hash {one.content_hash}", highlight=False)
