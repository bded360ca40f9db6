"""`headrace demo` and `headrace run`: all outstanding work of the pipelines."""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.options import AnyPipeline, AsJson
from headrace.cli.output import BLOCKED, creating, emit_json, err, explained, out, progress
from headrace.cli.project import status as status_command
from headrace.cli.shared import pipelines

if TYPE_CHECKING:
    from headrace.core.home import Home
    from headrace.pipeline import Pipeline

_LISTED = 20


@explained
@creating
def demo(*, as_json: AsJson = False) -> None:
    """Generate the demonstration's deliveries, run all pipelines, and suggest the next commands.

    Running the command again is safe and changes nothing.
    """
    from headrace.core.home import Home
    from headrace.pipeline import project_pipelines

    home = Home.find()
    with progress(quiet=as_json):
        for pipeline in project_pipelines():
            if pipeline.make_deliveries is not None:
                pipeline.make_deliveries(home.deliveries / pipeline.name)
    run(as_json=as_json)
    if not as_json:
        _what_next([spec.name for pipeline in project_pipelines() for spec in pipeline.datasets])


@explained
@creating
def run(
    pipeline: AnyPipeline = None,
    *,
    first: Annotated[str | None, typer.Option("--from", help="First day to process.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day to process.")] = None,
    stage: Annotated[
        str, typer.Option(help="Stage to run: `ingest`, `build` (features to monitors), or `all`.")
    ] = "all",
    as_json: AsJson = False,
) -> None:
    """Bring everything up to date: ingest deliveries, compute features, release, train, monitor.

    Only outstanding steps are run. Exit code 0: everything is up to date. 1: a batch is blocked,
    pending or in ERROR (from this run or an earlier one), a step failed, or nothing was delivered;
    everything else was published. 2: invalid input, such as a range in which no delivery is
    expected.

    For example:

      headrace run flights --from 2013-01-01 --to 2013-01-31
    """
    from headrace.core.clock import parse_days
    from headrace.core.errors import DeclarationError
    from headrace.core.home import Home
    from headrace.dagster.execute import run_pipeline
    from headrace.dagster.sensors.pending_partitions import expected_within
    from headrace.pipeline import project_pipelines
    from headrace.reports.status import overview

    if stage not in {"ingest", "build", "all"}:
        raise DeclarationError(f"no stage {stage!r}", fix="--stage ingest, build or all")
    selected = pipelines(pipeline)
    begin, end = parse_days(first, last)
    slots = expected_within(selected, begin, end)
    home = Home.find()
    start = time.perf_counter()
    with progress(quiet=as_json):
        outcomes = [
            run_pipeline(each_pipeline, home, first=begin, last=end, stage=stage)
            for each_pipeline in selected
        ]
    problems = _problems(selected, home, slots, begin, end)
    ok = not problems and all(outcome.ok for outcome in outcomes)
    project = project_pipelines()
    report = overview(project, home)
    if as_json:
        runs = [outcome.to_json() for outcome in outcomes]
        emit_json({"ok": ok, "runs": runs, "problems": problems, **report})
    else:
        status_command.show(report, has_datasets=any(declared.datasets for declared in project))
        for outcome in outcomes:
            for line in outcome.lines():
                out.print(Text(line), soft_wrap=True)
        _print_problems(problems)
        err.print(f"{time.perf_counter() - start:.1f} s")
    if not ok:
        raise typer.Exit(BLOCKED)


def _problems(
    pipelines: "list[Pipeline]",
    home: "Home",
    slots: dict[str, list[str]],
    first: str,
    last: str,
) -> list[dict[str, str]]:
    """Return the problems of these days: unpublished batches, or no delivery at all."""
    from headrace.lake.ledger.batch_listing import held_batches
    from headrace.lake.ledger.ledger import Ledger

    tables = [table for pipeline in pipelines for table in pipeline.tables]
    problems = [
        {
            "table": row["table"],
            "slot": row["slot"],
            "batch": row["batch"],
            "verdict": row["verdict"],
            "says": f"not published: {row['table']} {row['slot']}, {row['verdict']}; see"
            f" headrace gate show {row['table']} {row['batch'][:12]}",
        }
        for table in tables
        for row in held_batches(home, table, first, last)
    ]
    with Ledger(home) as ledger:
        came = {(t.name, b.slot) for t in tables for b in ledger.batches(t.name).values()}
    days = sorted({slot for expected in slots.values() for slot in expected})
    if days and not any(
        (name, slot) in came for name, expected in slots.items() for slot in expected
    ):
        sentence = f"nothing was delivered for any expected day from {days[0]} to {days[-1]}"
        problems.append(
            {"table": "", "slot": "", "batch": "", "verdict": "MISSING", "says": sentence}
        )
    return problems


def _print_problems(problems: list[dict[str, str]]) -> None:
    for problem in problems[:_LISTED]:
        out.print(Text(problem["says"], "red"), soft_wrap=True)
    if len(problems) > _LISTED:
        out.print(f"{len(problems) - _LISTED} more: headrace gate ls")


def _what_next(datasets: list[str]) -> None:
    bin_folder = os.path.relpath(Path(sys.argv[0]).parent)
    if shutil.which("headrace") == sys.argv[0]:
        bin_folder = ""
    headrace, python = (os.path.join(bin_folder, name) for name in ("headrace", "python"))  # noqa: PTH118
    out.print(Text("What to look at next", "bold"))
    out.print(
        Text(
            f"  {headrace} ui            the graph, the checks, the runs, in a browser\n"
            f"  {headrace} gate ls       the batches that did not pass, and why\n"
            f"  {headrace} dataset ls    the released datasets"
            + "".join(
                f"\n  {python} -c 'import headrace; print(headrace.open(\"{name}@latest\").df)'"
                for name in datasets[:1]
            )
        ),
        soft_wrap=True,
    )
