"""`headrace verify own-faults`: faults in your own deliveries, and what the gate stops."""

from collections import Counter
from typing import Annotated, Any

import typer

from headrace.cli.options import AsJson
from headrace.cli.output import emit_json, explained, grid, out, progress
from headrace.cli.verify.shares import fault_table

_WEAK = 0.95  # share of days below which a fault is listed with examples


@explained
def own_faults(
    table: Annotated[
        str | None, typer.Argument(help="Only this table; default: all with daily partitions.")
    ] = None,
    *,
    step: Annotated[
        int, typer.Option("--every", min=1, help="Inject on every n-th day only; 1 is every day.")
    ] = 1,
    all_variants: Annotated[
        bool,
        typer.Option(
            "--all-variants",
            help="Inject every variant of every fault on every day; default: one variant per day,"
            " in turn.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Inject faults into copies of your own batches and count what the gate stops and names.

    The faults follow from the contract: changed units; swapped, renamed and shifted columns; stale
    and repeated rows; truncated files; sentinels; stuck sensors; new and recoded categories. Each
    fault is injected into a copy of one day's delivery, which is validated as in a run, after the
    clean days before it. The clean days are validated as well, to count false alarms. Nothing is
    written. A year of three tables takes minutes; --every 10 gives a first impression.

    - eligible: days on which the injection was tried; injected: those on which it altered anything.
    - stopped (`detected` in JSON): the batch was blocked, or what would be published is exactly the
    clean rows without the altered or repeated ones.
    - right, wrong: the first failed result names the kind of fault, or another one.
    - reported: a check failed or a change was found that the clean batch did not have.
    - named: a change of the fault's kind was found in its columns, as the first result or later.

    `headrace verify faults` measures the gate on tables of other people, with more kinds of faults.

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
    grid("injected faults", *fault_table(report["totals"], {"scope": "scope"}))
    sums: dict[tuple[str, str, str, bool], Counter[str]] = {}
    for fault in report["faults"]:
        key = (fault["table"], fault["kind"], fault["scope"], fault["keyed"])
        numbers = {name: number for name, number in fault.items() if type(number) is int}
        sums.setdefault(key, Counter()).update(numbers)
    names = ("table", "kind", "scope", "explained")
    rows = [
        {
            **dict(zip(names, key, strict=True)),
            **numbers,
            **{
                name: f"{numbers[name] / numbers['injected']:.0%}" for name in ("reported", "named")
            },
        }
        for key, numbers in sums.items()
        if numbers["injected"]
    ]
    labels = {name: name for name in names} | {"reported": "reported#", "named": "named#"}
    grid("by kind", *fault_table(rows, labels))
    weak = [fault for fault in report["faults"] if fault["named"] < _WEAK * fault["injected"]]
    if weak:
        columns = ("table", "fault", "injected", "detected", "named")
        grid(
            f"named on fewer than {_WEAK:.0%} of days",
            ["table", "fault", "injected#", "stopped#", "named#", "for example"],
            [
                [*(fault[name] for name in columns), *(fault["missed"][:1] or [""])]
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
