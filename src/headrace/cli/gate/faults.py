"""`headrace gate faults`: what the gate makes of faults planted in this project's own batches."""

from collections import defaultdict
from typing import Annotated, Any

import typer

from headrace.cli.gate.gates import Json
from headrace.cli.output import emit_json, explained, grid, out, progress

_COLUMNS = ("table", "fault", "injected", "detected", "named")


@explained
def faults(
    table: Annotated[str | None, typer.Argument(help="Only this table.")] = None,
    *,
    every: Annotated[
        int, typer.Option(min=1, help="Plant on every n-th day only; 1 is all of them.")
    ] = 1,
    whole: Annotated[
        bool,
        typer.Option(
            "--all", help="Every variant of every fault on every day, not one a day in turn."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Plant known faults in every day's deliveries, and count what the gate detects and names.

    Units, swapped, renamed and shifted columns, stale and repeated rows, cut-off files, sentinels,
    stuck sensors, new and recoded levels: each in a copy of a day, judged as a run would, against
    the clean days before it. The clean days themselves are judged too: those are the false alarms.
    Nothing is written. A year of three tables takes minutes; --every 10 gives a first impression.
    """
    from headrace.verification.injected_faults.project import run_faults

    with progress(quiet=as_json):
        found = run_faults(table=table, every=every, whole=whole)
    if as_json:
        emit_json(found)
    else:
        _show(found)


def _show(found: dict[str, list[dict[str, Any]]]) -> None:
    sums: dict[tuple[str, str, bool], list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in found["faults"]:
        total = sums[one["table"], one["kind"], one["keyed"]]
        for at, name in enumerate(("injected", "detected", "named")):
            total[at] += one[name]
    grid(
        "planted faults",
        ["table", "fault", "explained", "planted#", "detected#", "named#"],
        [
            [table, kind, keyed, planted, f"{detected / planted:.1%}", f"{named / planted:.1%}"]
            for (table, kind, keyed), (planted, detected, named) in sums.items()
        ],
    )
    weak = [one for one in found["faults"] if one["named"] < 0.95 * one["injected"]]
    if weak:
        grid(
            "named on fewer than 95% of days",
            ["table", "fault", "planted#", "detected#", "named#", "for example"],
            [[*(one[name] for name in _COLUMNS), *(one["missed"][:1] or [""])] for one in weak],
        )
    grid(
        "clean days",
        ["source", "days#", "blocked#", "warned#", "rows quarantined#"],
        [
            [c["source"], c["days"], c["block_days"], c["warn_days"], c["quarantine_days"]]
            for c in found["clean"]
        ],
    )
    out.print("explained: a declared explanation, relation or invariant reaches the column")
