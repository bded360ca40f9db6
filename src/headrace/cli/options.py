"""Options and arguments that many commands have: one spelling, one meaning, one help text."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")
]
# For commands that delete by a rule: without `--apply` they only show what they would delete.
DryRunFirst = Annotated[
    bool,
    typer.Option("--dry-run/--apply", help="Show what would change (the default), or change it."),
]
OnePipeline = Annotated[
    str | None, typer.Option("--pipeline", "-p", help="Pipeline; needed if there are several.")
]
AnyPipeline = Annotated[
    str | None, typer.Option("--pipeline", "-p", help="Only this pipeline; default: all.")
]
OneDataset = Annotated[
    str | None, typer.Option("--dataset", help="Dataset; needed if there are several.")
]
OneModel = Annotated[
    str | None, typer.Option("--model", help="Model; needed if there are several.")
]
OneMonitor = Annotated[
    str | None, typer.Option("--monitor", help="Monitor; needed if there are several.")
]
Principal = Annotated[
    str | None,
    typer.Option(
        "--as", help="Act as this user; default: HEADRACE_PRINCIPAL, or the user of this machine."
    ),
]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Reason, kept in the audit trail.")]
TableName = Annotated[str, typer.Argument(help="Table name, as `headrace gate ls` prints it.")]
Batch = Annotated[
    str, typer.Argument(help="Partition (2013-02-12, or `snapshot`), or the start of a batch id.")
]
Release = Annotated[
    str, typer.Argument(help="Release: flights_delay@1.0.0, or flights_delay@latest.")
]
