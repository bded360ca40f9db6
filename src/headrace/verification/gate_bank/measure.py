"""Detection of the gate on the tables of the bank, each table in a process of its own."""

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from headrace.verification.gate_bank.held_out import HELD_OUT
from headrace.verification.gate_bank.run import evaluate
from headrace.verification.gate_bank.tables import BANK, BankTable

TABLES = (*HELD_OUT, *BANK)
Document = dict[str, Any]


def measured(
    tables: Iterable[BankTable], planted: int, last: int | None = None, jobs: int = 1
) -> Document:
    """Return {"faults": [...], "clean": [...]} of these tables, by fault and table."""
    run = partial(_of_table, planted=planted, last=last)
    names = [table.name for table in tables]
    if jobs > 1 and len(names) > 1:
        with ProcessPoolExecutor(jobs) as pool:
            results = list(pool.map(run, names))
    else:
        results = [run(name) for name in names]
    return {
        "faults": [fault for result in results for fault in result["faults"]],
        "clean": [result["clean"] for result in results],
    }


def _of_table(name: str, planted: int, last: int | None) -> Document:
    table = next(table for table in TABLES if table.name == name)
    return evaluate(table, planted=planted, last=last).as_json(unseen=table in HELD_OUT)
