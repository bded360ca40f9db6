"""Detection of the gate on the tables of the bank, each table in a process of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.verification.gate_bank.hints import Hints
from headrace.verification.gate_bank.run import DEFAULT_STARTS, PLANTED_DAYS, evaluate
from headrace.verification.gate_bank.summary import by_size, clean_totals, totals
from headrace.verification.gate_bank.tables import BANK, BankTable
from headrace.verification.gate_bank.untuned_tables import UNTUNED
from headrace.verification.worker_pool import in_processes

TABLES = (*UNTUNED, *BANK)
_BY_NAME = {table.name: table for table in TABLES}
Document = dict[str, Any]


@dataclass(frozen=True)
class BankRun:
    """Settings of a measurement.

    Attributes:
        planted: days of each table in which faults are injected.
        starts: histories with which the clean days of each table are compared.
        hints: "stripped" to remove all that contracts declare beyond names, types, keys and times.
        last: only the first days of each table.
        table: name of the table that a worker measures.
    """

    planted: int = PLANTED_DAYS
    starts: int = DEFAULT_STARTS
    hints: Hints = "full"
    last: int | None = None
    table: str = ""


def selected(names: Sequence[str] = (), *, every_table: bool = False) -> list[BankTable]:
    """Return the tables of these names; by default those that no threshold was chosen on.

    Raises:
        DeclarationError: there is no such table.
    """
    unknown = [name for name in names if name not in _BY_NAME]
    if unknown:
        raise DeclarationError(
            f"{unknown[0]!r} is not a table that Headrace is measured on",
            where=f"tables: {', '.join(_BY_NAME)}",
            fix=f"for a table of your project: headrace verify own-faults {unknown[0]}",
        )
    if names:
        return [_BY_NAME[name] for name in names]
    return list(TABLES if every_table else UNTUNED)


def measured(
    tables: Sequence[BankTable], run: BankRun | None = None, jobs: int | None = None
) -> Document:
    """Return the results of these tables as JSON values.

    `faults` has the counts by fault and table, `clean` the verdicts of clean days by table;
    `totals`, `sizes` and `clean_totals` are sums of them.
    """
    run = run or BankRun()
    results = in_processes(_of_table, [replace(run, table=t.name) for t in tables], jobs)
    faults = [fault for result in results for fault in result["faults"]]
    clean = [result["clean"] for result in results]
    return {
        "faults": faults,
        "clean": clean,
        "totals": totals(faults),
        "sizes": by_size(faults, clean),
        "clean_totals": clean_totals(clean),
        "hints": run.hints,
        "planted_days": run.planted,
        "history_starts": run.starts,
    }


def _of_table(run: BankRun) -> Document:
    table = _BY_NAME[run.table]
    outcome = evaluate(
        table, planted=run.planted, starts=run.starts, hints=run.hints, last=run.last
    )
    return outcome.as_json(unseen=table in UNTUNED)
