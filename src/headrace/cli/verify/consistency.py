"""`headrace verify parity`, `leaks`, `skew`, `self-test`: consistency of training and serving."""

from typing import Annotated

import typer

from headrace.cli.options import AsJson, OneDataset, OnePipeline
from headrace.cli.output import BLOCKED, emit_json, explained, grid, out, progress
from headrace.cli.shared import one_dataset

Seed = Annotated[int, typer.Option(help="Seed of the random choices.")]


@explained
def parity(
    *,
    samples: Annotated[int, typer.Option(help="Number of random (entity, time) points.")] = 10_000,
    backend: Annotated[
        str, typer.Option(help="Serving path: `tables`, or `store` (the online store).")
    ] = "tables",
    seed: Seed = 0,
    pipeline: OnePipeline = None,
    dataset: OneDataset = None,
    as_json: AsJson = False,
) -> None:
    """Test training-serving consistency: serve past requests and compare every byte with training.

    Exit code 1: at least one value differs; the output names the cause.

    For example:

      headrace verify parity --samples 10000 --backend store
    """
    from headrace.core.errors import DeclarationError
    from headrace.core.home import Home
    from headrace.verification.proofs import feature_parity

    if backend not in {"tables", "store"}:
        raise DeclarationError(f"no backend {backend!r}", fix="--backend tables or store")
    with progress(quiet=as_json):
        report = feature_parity(
            one_dataset(pipeline, dataset),
            Home.find(),
            samples=samples,
            via="store" if backend == "store" else "tables",
            seed=seed,
        )
    if as_json:
        emit_json(report.to_json())
    else:
        out.print(f"{report.compared:,} points compared, {report.different:,} differ")
        for cause in report.causes:
            out.print(f"  {cause.points:,} by {cause}", highlight=False)
    _judge(report.different)


@explained
def leaks(
    *,
    rows: Annotated[int, typer.Option(help="Minimum number of random rows.")] = 1000,
    seed: Seed = 0,
    pipeline: OnePipeline = None,
    dataset: OneDataset = None,
    as_json: AsJson = False,
) -> None:
    """Leakage test: perturb all data from the future and check that no training row changes.

    Exit code 1: at least one row changes.

    For example:

      headrace verify leaks --rows 1000
    """
    from headrace.core.home import Home
    from headrace.verification.proofs import feature_leaks

    with progress(quiet=as_json):
        report = feature_leaks(one_dataset(pipeline, dataset), Home.find(), rows=rows, seed=seed)
    if as_json:
        emit_json(report.to_json())
    else:
        out.print(f"{report.rows:,} rows compared, {report.moved:,} changed")
        for line in report.found:
            out.print(f"  {line}", highlight=False)
    _judge(report.moved)


@explained
def skew(
    *, pipeline: OnePipeline = None, dataset: OneDataset = None, as_json: AsJson = False
) -> None:
    """Measure training-serving skew: recompute every served vector as training does.

    The command reads the log of the feature server and names the cause of each difference. Exit
    code 1: at least one vector differs.
    """
    from headrace.core.home import Home
    from headrace.pipeline.serving.services import audit_served

    report = audit_served(one_dataset(pipeline, dataset), Home.find())
    document = report.to_json()
    if as_json:
        emit_json(document)
    else:
        out.print(f"{report.compared:,} vectors compared, {document['different']:,} differ")
        for cause, count in document["causes"].items():
            out.print(f"  {count:,} {cause}", highlight=False)
    _judge(document["different"])


@explained
def self_test(*, seed: Seed = 0, as_json: AsJson = False) -> None:
    """Test the verification itself, on faults injected into a synthetic system.

    Each fault must be detected and identified. The detectors do not know which fault was injected;
    systems without a fault are examined as well. The command needs no project. Exit code 1: a fault
    was missed or misidentified, or there was a false alarm.
    """
    from headrace.verification.skew.run import planted as inject

    with progress(quiet=as_json):
        report = inject(seed=seed)
    if as_json:
        emit_json(report.to_json())
    else:
        grid(
            "injected faults",
            ["fault", "detected", "identified"],
            [[fault.fault, fault.detected, fault.diagnosis] for fault in report.faults],
        )
        right = sum(fault.is_right for fault in report.faults)
        detected = sum(fault.detected for fault in report.faults)
        out.print(
            f"{len(report.faults)} injected, {detected} detected, {right} identified;"
            f" {report.clean_runs} clean runs, {report.false_alarms} false alarms",
            highlight=False,
        )
    _judge(not report.is_good)


def _judge(wrong: int) -> None:
    if wrong:
        raise typer.Exit(BLOCKED)
