"""`headrace verify own-faults`: faults in your own batches, and what the gate stops."""

from collections import defaultdict
from typing import Annotated, Any

import typer

from headrace.cli.options import AsJson
from headrace.cli.output import emit_json, explained, grid, out, progress

_COLUMNS = ("table", "fault", "injected", "detected", "named")


@explained
def own_faults(
    table: Annotated[str | None, typer.Argument(help="Only this table.")] = None,
    *,
    step: Annotated[
        int, typer.Option("--every", min=1, help="Inject on every n-th day only; 1 is every day.")
    ] = 1,
    all_variants: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Inject every variant of every fault on every day; default: one variant per day,"
            " in turn.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Inject faults into copies of real batches and count what the gate detects and identifies.

    The faults are changed units; swapped, renamed and shifted columns; stale and repeated rows;
    truncated files; sentinels; stuck sensors; new and recoded categories. Each fault is injected
    into a copy of one day's delivery, which is validated as in a run, after the clean days before
    it. The clean days are validated as well, to count false alarms. Nothing is written. A year of
    three tables takes minutes; --every 10 gives a first impression.

    For example:

      headrace verify own-faults weather --every 10
    """
    from headrace.verification.injected_faults.project import run_faults

    with progress(quiet=as_json):
        report = run_faults(table=table, stride=step, all_variants=all_variants)
    if as_json:
        emit_json(report)
    else:
        _show(report)


def _show(report: dict[str, list[dict[str, Any]]]) -> None:
    sums: dict[tuple[str, str, bool], list[int]] = defaultdict(lambda: [0, 0, 0])
    for fault in report["faults"]:
        total = sums[fault["table"], fault["kind"], fault["keyed"]]
        for at, name in enumerate(("injected", "detected", "named")):
            total[at] += fault[name]
    grid(
        "injected faults",
        ["table", "fault", "explained", "injected#", "detected#", "identified#"],
        [
            [
                table,
                kind,
                keyed,
                planted,
                f"{detected / planted:.1%}",
                f"{identified / planted:.1%}",
            ]
            for (table, kind, keyed), (planted, detected, identified) in sums.items()
        ],
    )
    weak = [fault for fault in report["faults"] if fault["named"] < 0.95 * fault["injected"]]
    if weak:
        grid(
            "identified on fewer than 95% of days",
            ["table", "fault", "injected#", "detected#", "identified#", "for example"],
            [
                [*(fault[name] for name in _COLUMNS), *(fault["missed"][:1] or [""])]
                for fault in weak
            ],
        )
    grid(
        "clean days",
        ["source", "days#", "blocked#", "warned#", "rows quarantined#"],
        [
            [c["source"], c["days"], c["block_days"], c["warn_days"], c["quarantine_days"]]
            for c in report["clean"]
        ],
    )
    out.print("explained: an explanation, relation or invariant is declared for the column")
