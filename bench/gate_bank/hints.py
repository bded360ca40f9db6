"""Hints of bare contracts on the tuned tables: `python -m bench.gate_bank.hints [TABLE ...]`.

Each contract of the bank is stripped of units, keys (`explainedBy`) and relations. The first 30
deliveries suggest hints, which are compared with what the contract declares. Relations, keys and
closed sets are also tested on all deliveries after these.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.gate_bank.tables import BANK, BankTable, csv_bytes
from headrace.contracts import Contract
from headrace.contracts.drift.row_rules import rules
from headrace.contracts.model import Field
from headrace.lake.ingest.validator import delivered_rows
from headrace.scaffold.hints import ContractHint, find_hints
from headrace.scaffold.hints.dependencies import MOST_GAIN, predict
from headrace.scaffold.hints.relations import LEAST_SHARE
from headrace.scaffold.hints.sample import HintSample, read_sample
from headrace.sources.base import Delivery
from headrace.sources.rows import RawRows

DELIVERIES = 30
# Other spellings of units in the contracts of the bank.
_SPELLINGS = {"USD": "dollar", "EUR": "euro", "GBP": "pound sterling"}


def bare(contract: Contract) -> Contract:
    """Return the contract without units, keys, codes and relations."""
    columns = tuple(
        replace(field, unit=None, explained_by=(), levels={}) for field in contract.columns
    )
    return replace(contract, columns=columns, relations=(), hash=f"{contract.hash}-bare")


def raw_rows(table: BankTable, contract: Contract) -> dict[str, RawRows]:
    """Return the rows of all deliveries as text, by day."""
    return {
        day: delivered_rows(
            contract, Delivery(contract.table, day, payload, "csv", "bank", 0, "bank")
        )
        for day, payload in ((day, csv_bytes(rows)) for day, rows in table.rows_by_day().items())
    }


def measure(table: BankTable) -> dict[str, Any]:
    """Return the outcome of each hint of a table, and what it declares without a hint."""
    full, contract = table.contract, bare(table.contract)
    days = raw_rows(table, contract)
    first = dict(list(days.items())[:DELIVERIES])
    hints = find_hints(contract, first)
    history = read_sample(contract, days, DELIVERIES)
    return {
        "table": table.name,
        "later_deliveries": history.count - DELIVERIES,
        "hints": [
            {**hint.document(), "outcome": _outcome(full, hint), **_later(history, hint)}
            for hint in hints
        ],
        "missed": list(_missed(full, hints)),
    }


def _outcome(full: Contract, hint: ContractHint) -> str:
    """Compare a hint with the full contract: right, wrong, more (nothing declared), asked."""
    field = full.field(hint.columns[0])
    if hint.kind == "unit":
        if not hint.declared:
            return "asked" if field.unit else "asked in vain"
        if field.unit is None:
            return "more"
        return "right" if _SPELLINGS.get(str(hint.value), hint.value) == field.unit else "wrong"
    if hint.kind == "explainedBy":
        if tuple(hint.value) in field.explained_by:
            return "right"
        return "other key" if field.explained_by else "more"
    if hint.kind == "relation":
        declared = [inputs for _, inputs in rules(full).values()]
        return "right" if any(set(hint.columns) <= inputs for inputs in declared) else "more"
    return "more"


def _missed(full: Contract, hints: Sequence[ContractHint]) -> Iterator[str]:
    by_kind: dict[str, set[str]] = {"unit": set(), "explainedBy": set()}
    for hint in hints:
        if hint.declared:
            by_kind.setdefault(hint.kind, set()).add(hint.columns[0])
    fields: tuple[Field, ...] = full.delivered
    for field in fields:
        if field.unit and field.name not in by_kind["unit"]:
            yield f"unit:{field.name}:{field.unit}"
        if field.explained_by and field.name not in by_kind["explainedBy"]:
            yield f"explainedBy:{field.name}:{'+'.join(field.explained_by[0])}"
    suggested = [set(hint.columns) for hint in hints if hint.kind == "relation"]
    for name, (_, inputs) in rules(full).items():
        if not any(columns <= inputs for columns in suggested):
            yield f"relation:{name}"


def _later(history: HintSample, hint: ContractHint) -> dict[str, Any]:
    """Test a hint on the deliveries after the first 30."""
    after = ~history.first
    column = history.columns[hint.columns[0]]
    if hint.kind == "relation":
        complete = np.logical_and.reduce([history.columns[n].present for n in hint.columns])
        holds = history.truth(str(hint.value), hint.columns)[complete & after]
        share = float(holds.mean()) if len(holds) else 1.0
        return {"after": share, "after_rows": len(holds), "holds": share >= LEAST_SHARE}
    if hint.kind == "explainedBy":
        prediction = predict(history, column, tuple(history.columns[n] for n in hint.value))
        gain = None if prediction is None else prediction.gain
        return {"after": gain, "holds": gain is not None and gain <= MOST_GAIN}
    if hint.kind == "levels":
        early = np.unique(column.tokens[column.present & history.first])
        new = column.present & after & ~np.isin(column.tokens, early)
        failing = len(np.unique(history.delivery[new]))
        return {"after": failing, "holds": failing == 0}
    return {}


def main() -> None:
    parser = argparse.ArgumentParser(description="Hints of bare contracts on real tables.")
    parser.add_argument("tables", nargs="*", help="names of tables; default: all")
    parser.add_argument("--json", action="store_true", help="all hints as JSON")
    options = parser.parse_args()
    tables = [t for t in BANK if not options.tables or t.name in options.tables]
    outcomes = [measure(table) for table in tables]
    lines = [json.dumps(outcomes, indent=1)] if options.json else list(_report(outcomes))
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _report(outcomes: Sequence[dict[str, Any]]) -> Iterator[str]:
    for outcome in outcomes:
        for hint in outcome["hints"]:
            if hint["outcome"] in {"wrong", "more", "other key"} or hint.get("holds") is False:
                value = hint["value"] if hint["kind"] != "levels" else len(hint["value"])
                after = hint.get("after")
                yield (
                    f"{outcome['table']}: {hint['kind']} {hint['columns'][0]} {value}:"
                    f" {hint['outcome']}, holds later: {hint.get('holds')} ({after})"
                )
        yield from (f"{outcome['table']}: missed {text}" for text in outcome["missed"])
    for kind in ("unit", "explainedBy", "relation", "levels"):
        of_kind = [h for outcome in outcomes for h in outcome["hints"] if h["kind"] == kind]
        counts = Counter(hint["outcome"] for hint in of_kind)
        failing = sum(hint.get("holds") is False for hint in of_kind)
        missed = sum(text.startswith(kind) for outcome in outcomes for text in outcome["missed"])
        yield f"{kind}: {dict(counts)}, missed {missed}, no longer true later {failing}"


if __name__ == "__main__":
    main()
