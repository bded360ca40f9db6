"""`headrace features`: what is computed, what changed, and the proofs that it is right."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.output import BLOCKED, emit_json, explained, grid, out, progress

if TYPE_CHECKING:
    from headrace.features.spec import Mode
    from headrace.pipeline import Pipeline

app = typer.Typer(
    no_args_is_help=True, help="Features: what they are, and proofs that they are right."
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Name = Annotated[
    str | None, typer.Option("--pipeline", help="A pipeline; needed where there are several.")
]
Seed = Annotated[int, typer.Option(help="Of what is chosen at random.")]


def chosen(name: str | None) -> "Pipeline":
    """The project's pipeline of this name; its only one if left out."""
    from headrace.core.errors import DeclarationError
    from headrace.pipeline import project_pipelines

    known = project_pipelines()
    found = [one for one in known if name in {None, one.name}]
    if len(found) != 1:
        raise DeclarationError(
            f"no pipeline {name!r}" if name else "there are several pipelines",
            fix=f"--pipeline and one of {', '.join(one.name for one in known)}",
        )
    return found[0]


@app.command("ls")
@explained
def ls(*, pipeline: Name = None, as_json: Json = False) -> None:
    """List every feature of all pipelines: what it is, of which table and columns, who uses it.

    A release or model uses a feature if it holds it by the definition of now; those that hold it by
    another one are named as outdated with --json.
    """
    from headrace.core.home import Home
    from headrace.lineage.feature_usage import feature_catalogue
    from headrace.pipeline import project_pipelines

    wanted = [chosen(pipeline)] if pipeline else project_pipelines()
    rows = feature_catalogue(wanted, Home.find())
    if as_json:
        emit_json(rows)
        return
    for one in wanted:
        grid(
            f"features of {one.name}",
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
                if row["pipeline"] == one.name
            ],
        )


@app.command("forms")
@explained
def forms(*, pipeline: Name = None) -> None:
    """Print the canonical forms of all definitions as JSON: keep them, and compare later."""
    from headrace.pipeline.earlier_revision import pipeline_forms

    emit_json(pipeline_forms(chosen(pipeline)))


@app.command("diff")
@explained
def diff(
    old: Annotated[
        str, typer.Argument(help="A git revision, or a file of `headrace features forms`.")
    ] = "HEAD",
    *,
    pipeline: Name = None,
    as_json: Json = False,
) -> None:
    """Say which features change meaning against an earlier state of the project, and why.

    Exit code 1 says that some do.
    """
    from headrace.features.definition_changes import diff as compare
    from headrace.pipeline.earlier_revision import forms_of, pipeline_forms

    now = chosen(pipeline)
    found = compare(forms_of(old, now.name), pipeline_forms(now))
    if as_json:
        emit_json(found.as_json())
    else:
        out.print(str(found), markup=False, highlight=False, soft_wrap=True)
    _judge(len(found.changes))


@app.command("frame")
@explained
def frame(
    to: Annotated[Path, typer.Option("--out", help="A Parquet file to write.")],
    *,
    first: Annotated[str | None, typer.Option("--from", help="First day of `t`.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day of `t`, included.")] = None,
    mode: Annotated[
        str | None, typer.Option(help="`declared` or `recorded`; the pipeline's if left out.")
    ] = None,
    reasons: Annotated[bool, typer.Option(help="Say why each null is one.")] = False,
    memory: Annotated[int, typer.Option(help="Megabytes to compute with.", min=1)] = 1024,
    pipeline: Name = None,
    as_json: Json = False,
) -> None:
    """Write the training frame: a row for each of the spine, each as of its own moment."""
    from headrace.core.errors import DeclarationError
    from headrace.core.home import Home
    from headrace.pipeline.feature_catalog import write_frame

    if mode not in {None, "declared", "recorded"}:
        raise DeclarationError(f"no mode {mode!r}", fix="--mode declared or recorded")
    wanted: Mode | None = mode  # type: ignore[assignment]
    with progress(quiet=as_json):
        done = write_frame(
            chosen(pipeline),
            Home.find(),
            to,
            first,
            last,
            mode=wanted,
            reasons=reasons,
            memory=memory * 10**6,
        )
    if as_json:
        emit_json(done)
    else:
        out.print(f"{done['rows']:,} rows, {done['columns']} columns: {to}", highlight=False)


@app.command("parity")
@explained
def parity(
    *,
    samples: Annotated[int, typer.Option(help="Random (entity, time) points.")] = 10_000,
    via: Annotated[
        str, typer.Option(help="Serving path: `tables`, or `store`, the online store.")
    ] = "tables",
    seed: Seed = 0,
    pipeline: Name = None,
    as_json: Json = False,
) -> None:
    """Replay history through the serving path, and compare every byte with the training frame.

    Exit code 1 says that something differs; the cause is named.
    """
    from headrace.core.errors import DeclarationError
    from headrace.core.home import Home
    from headrace.verification.proofs import feature_parity

    if via not in {"tables", "store"}:
        raise DeclarationError(f"no serving path {via!r}", fix="--via tables or store")
    with progress(quiet=as_json):
        found = feature_parity(
            chosen(pipeline),
            Home.find(),
            samples=samples,
            via="store" if via == "store" else "tables",
            seed=seed,
        )
    if as_json:
        emit_json(found.to_json())
    else:
        out.print(f"{found.compared:,} points compared, {found.different:,} differ")
        for cause in found.causes:
            out.print(f"  {cause.points:,} by {cause}", highlight=False)
    _judge(found.different)


@app.command("leaks")
@explained
def leaks(
    *,
    rows: Annotated[int, typer.Option(help="At least so many random rows.")] = 1000,
    seed: Seed = 0,
    pipeline: Name = None,
    as_json: Json = False,
) -> None:
    """Alter all that was not known yet, and see that no row moves by a byte.

    Exit code 1 says that something moved.
    """
    from headrace.core.home import Home
    from headrace.verification.proofs import feature_leaks

    with progress(quiet=as_json):
        found = feature_leaks(chosen(pipeline), Home.find(), rows=rows, seed=seed)
    if as_json:
        emit_json(found.to_json())
    else:
        out.print(f"{found.rows:,} rows compared, {found.moved:,} moved")
        for line in found.found:
            out.print(f"  {line}", highlight=False)
    _judge(found.moved)


@app.command("audit")
@explained
def audit(*, pipeline: Name = None, as_json: Json = False) -> None:
    """Make every vector of the served log again by training, and say why any differs.

    Exit code 1 says that some do.
    """
    from headrace.core.home import Home
    from headrace.pipeline.serving.services import audit_served

    found = audit_served(chosen(pipeline), Home.find())
    told = found.to_json()
    if as_json:
        emit_json(told)
    else:
        out.print(f"{found.compared:,} vectors compared, {told['different']:,} differ")
        for cause, count in told["causes"].items():
            out.print(f"  {count:,} {cause}", highlight=False)
    _judge(told["different"])


@app.command("planted")
@explained
def planted(*, seed: Seed = 0, as_json: Json = False) -> None:
    """Plant known faults one by one in a made-up system, and see each one found and named.

    The detectors do not know what was planted; systems without a fault are examined as well. Needs
    no project. Exit code 1 says that a fault was missed or misnamed, or one was made up.
    """
    from headrace.verification.skew.run import planted as plant

    with progress(quiet=as_json):
        found = plant(seed=seed)
    if as_json:
        emit_json(found.to_json())
    else:
        grid(
            "planted faults",
            ["fault", "detected", "named"],
            [[fault.fault, fault.detected, fault.named] for fault in found.faults],
        )
        right = sum(fault.is_right for fault in found.faults)
        out.print(
            f"{len(found.faults)} planted, "
            f"{sum(fault.detected for fault in found.faults)} detected, "
            f"{right} named rightly; {found.clean_runs} clean runs, "
            f"{found.false_alarms} false alarms",
            highlight=False,
        )
    _judge(not found.is_good)


def _judge(wrong: int) -> None:
    if wrong:
        raise typer.Exit(BLOCKED)
