"""`headrace verify simulate`: run of a pipeline's days with injected incidents."""

from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.options import AsJson, OnePipeline
from headrace.cli.output import BLOCKED, creating, emit_json, explained, grid, out, progress

if TYPE_CHECKING:
    from headrace.verification.simulation.outcome import SimulationOutcome


@explained
@creating
def simulate(
    pipeline: OnePipeline = None,
    *,
    days: Annotated[
        int, typer.Option(min=1, help="Number of days; they end with the pipeline's last day.")
    ] = 30,
    daemon: Annotated[
        bool, typer.Option("--daemon", help="Use Dagster's daemon, with real runs; slower.")
    ] = False,
    incidents: Annotated[
        int | None, typer.Option(min=0, help="Number of incidents; default: one per day.")
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the choice of incidents, tables and times.")
    ] = 1,
    build_interval: Annotated[
        str, typer.Option("--build-every", help="Interval of builds: 7d, 28d.")
    ] = "7d",
    home: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the simulation: empty, or left by an earlier simulation; removed at the"
            " end. Default: a temporary folder."
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder.")] = False,
    as_json: AsJson = False,
) -> None:
    """Simulate a pipeline's days while sources, files and machines fail.

    Deliveries arrive on time, late, twice, partial, broken or changed; sources go down, processes
    are killed. Deliveries of earlier days exist from the start. A simulated on-call person takes
    the decisions that need a person. In the end everything published is compared with a run on the
    repaired deliveries.

    Nothing outside the simulation's folder is touched, and simulated time is used in no other home.
    Exit code 1: a bad row was published, a delivery was lost or duplicated, an incident paged more
    than once, or the hashes differ.

    For example:

      headrace verify simulate --days 30 --seed 1
    """
    import shutil
    import signal

    from headrace.verification.simulation.pipeline_override import module_of
    from headrace.verification.simulation.run import SimulationRequest, simulate

    module = module_of(pipeline or "")
    root = (home or Path(mkdtemp(prefix="headrace-simulation-"))).absolute()
    count = days if incidents is None else incidents
    # A stop signal must also stop the daemon and the code server that this command started.
    signal.signal(signal.SIGTERM, _stop)
    ask = SimulationRequest(
        module, root, days, count, seed, daemon=daemon, build_every=build_interval
    )
    with progress(quiet=as_json):
        outcome = simulate(ask)
    if not keep:
        shutil.rmtree(root)
    if as_json:
        emit_json(outcome.document())
    else:
        _print_outcome(outcome)
    if not outcome.ok:
        raise typer.Exit(BLOCKED)


def _stop(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _print_outcome(outcome: "SimulationOutcome") -> None:
    grid(
        "incidents",
        ["incident", "kind", "table", "partition", "begins", "ends", "outcome"],
        [
            [incident["incident"], incident["kind"], incident["table"], incident["slot"],
             incident["begins"][:16], incident["ends"][:16], incident["became"]]
            for incident in outcome.document()["incidents"]
        ],
    )  # fmt: skip
    grid(
        "pages",
        ["at", "page", "incident"],
        [[page.document()["at"][:16], page.title, page.incident] for page in outcome.pages],
    )
    bad = sum(outcome.published_faults.values())
    out.print(
        f"{len(outcome.incidents)} incidents, {len(outcome.pages)} pages,"
        f" {len(outcome.paged_twice)} incidents with more than one; {bad:,} bad rows published,"
        f" {len(outcome.lost_deliveries)} deliveries lost,"
        f" {len(outcome.duplicate_deliveries)} duplicated;"
        f" {outcome.triggers} retrainings triggered; content"
        f" {'equals' if outcome.equal else 'DIFFERS from'} that of an undisturbed run",
        highlight=False,
        soft_wrap=True,
    )
