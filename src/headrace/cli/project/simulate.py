"""`headrace simulate`: a pipeline's days, with all that goes wrong, and what became of it."""

from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.output import BLOCKED, creating, emit_json, explained, grid, out, progress

if TYPE_CHECKING:
    from headrace.verification.simulation.outcome import Outcome


@explained
@creating
def simulate(
    pipeline: Annotated[
        str, typer.Argument(help="A pipeline of this project; its only one if left out.")
    ] = "",
    *,
    days: Annotated[
        int, typer.Option(min=1, help="How many days, the last ones that the pipeline has.")
    ] = 30,
    daemon: Annotated[
        bool, typer.Option("--daemon", help="Through Dagster's daemon, with real runs; slower.")
    ] = False,
    incidents: Annotated[
        int | None, typer.Option(min=0, help="How many things go wrong; one a day if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides which, where and when.")] = 1,
    every: Annotated[
        str, typer.Option("--build-every", help="How often a build is due: 7d, 28d.")
    ] = "7d",
    home: Annotated[
        Path | None,
        typer.Option(
            help="A folder for it, empty or of a simulation, removed in the end; a temporary one"
            " otherwise."
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the folder, to look at.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of tables.")
    ] = False,
) -> None:
    """Let a pipeline live through its days while sources, files and machines fail.

    Deliveries come at their time, some late, twice, partial, broken or changed; sources go down,
    the machine is killed. What was delivered before is there from the start. On-call does what only
    a person can. In the end everything published is compared with a run on the repaired deliveries.

    Nothing outside its own folder is touched, and no home but that of a simulation ever sees a
    simulated time. Exit code 1: a bad row was published, a delivery got lost or came twice, an
    incident paged more than once, or the hashes differ.
    """
    import shutil
    import signal

    from headrace.verification.simulation.pipeline_override import module_of
    from headrace.verification.simulation.run import Ask, simulate

    module = module_of(pipeline)
    root = (home or Path(mkdtemp(prefix="headrace-simulation-"))).absolute()
    count = days if incidents is None else incidents
    # Told to stop, it stops the daemon and the code server that it has started, too.
    signal.signal(signal.SIGTERM, _stop)
    ask = Ask(module, root, days, count, seed, daemon=daemon, build_every=every)
    with progress(quiet=as_json):
        found = simulate(ask)
    if not keep:
        shutil.rmtree(root)
    if as_json:
        emit_json(found.document())
    else:
        _tell(found)
    if not found.ok:
        raise typer.Exit(BLOCKED)


def _stop(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _tell(found: "Outcome") -> None:
    grid(
        "incidents",
        ["incident", "kind", "table", "slot", "begins", "ends", "what became of it"],
        [
            [one["incident"], one["kind"], one["table"], one["slot"], one["begins"][:16],
             one["ends"][:16], one["became"]]
            for one in found.document()["incidents"]
        ],
    )  # fmt: skip
    grid(
        "pages",
        ["at", "page", "incident"],
        [[page.document()["at"][:16], page.title, page.incident] for page in found.pages],
    )
    bad = sum(found.published_faults.values())
    out.print(
        f"{len(found.incidents)} incidents, {len(found.pages)} pages,"
        f" {len(found.paged_twice)} incidents with more than one; {bad:,} bad rows published,"
        f" {len(found.lost)} deliveries lost, {len(found.doubled)} doubled;"
        f" {found.triggers} retrainings asked for; content"
        f" {'as' if found.equal else 'NOT as'} in an undisturbed run",
        highlight=False,
        soft_wrap=True,
    )
