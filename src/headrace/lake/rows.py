"""Every row of a batch that fails something, or is kept back: with its key, values and reasons."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.contracts import conform
from headrace.gates.samples import plain
from headrace.lake.account import current_verdicts
from headrace.lake.cases import BatchCase
from headrace.lake.judging import delivered_rows
from headrace.lake.landing import landed_delivery
from headrace.lake.ledger import Ledger
from headrace.lake.overrides import PASSING, QUARANTINED, Fates
from headrace.lake.slots import SETTLED_STATES
from headrace.lake.tables import Lake
from headrace.sources.rows import RawRows

_RAW = "_raw"
_WHOLE = "contract"


def failing_rows(case: BatchCase, checks: Sequence[str] = ()) -> list[dict[str, Any]]:
    """All failing rows, in the delivery's order; with `checks`, those that fail one of these.

    A batch that was judged under earlier rules shows what these put into quarantine. One that
    breaks its contract shows what is wrong line by line, and first, without a line, what is wrong
    with the delivery as a whole.

    Returns:
        {"line", "fate": published | quarantined | pending | rejected | superseded | recalled,
        "key": {column: value}, "values": {column: value}, "reasons": [{"check", "does", "why"}]},
        values as JSON; "raw", the text as it came, where the row has no typed values.
    """
    if case.standing is None:
        found = _kept_before(case)
    elif case.seen.failing.table is None:
        found = _of_broken(case)
    else:
        found = _of_judged(case)
    wanted = set(checks)
    return [
        row
        for row in sorted(found, key=lambda row: row["line"] or 0)
        if not wanted or wanted & {why["check"] for why in row["reasons"]}
    ]


def _of_judged(case: BatchCase) -> Iterator[dict[str, Any]]:
    """What the gate finds now, and what people did."""
    seen, state = case.seen, case.fates()
    failing = seen.failing
    lines = failing.lines
    reasons: dict[int, list[dict[str, str]]] = {}
    for rule, rows in failing.rows.items():
        for line in map(int, lines[rows]):
            why = failing.told.get((line, rule)) or failing.expected.get(rule, "")
            reasons.setdefault(line, []).append(_why(rule, failing.does[rule], why))
    for line, fate in state.fate.items():
        for by_hand in state.reasons.get(line, ()):
            if fate != PASSING and by_hand.startswith(("quarantine:", "reject:")):
                reasons.setdefault(line, []).append(_why(by_hand, by_hand.partition(":")[0], ""))
    wanted = np.isin(lines, list(reasons))
    assert failing.table is not None
    for row in _plain_rows(case, failing.table.filter(pa.array(wanted))):
        yield {**row, "fate": _fate(case, state, row["line"]), "reasons": reasons[row["line"]]}
    yield from _malformed(case, seen.rows, state)


def _malformed(case: BatchCase, rows: RawRows, state: Fates) -> Iterator[dict[str, Any]]:
    for one in rows.malformed:
        yield {
            "line": one.line,
            "key": {},
            "values": {},
            "fate": _fate(case, state, one.line),
            "reasons": [_why("contract:malformed", _WHOLE, one.why)],
            "raw": one.text,
        }


def _of_broken(case: BatchCase) -> Iterator[dict[str, Any]]:
    """Each line on its own, so that all of them are named and not only the first hundred."""
    contract = case.table.contract
    delivery = landed_delivery(case.home, case.batch)
    rows = delivered_rows(contract, delivery)
    fate = case.batch.state if case.batch.state in SETTLED_STATES else "pending"
    for violation in case.report.violations:
        if violation.line is None:
            told = [_why(f"contract:{violation.field or 'rows'}", _WHOLE, str(violation))]
            yield {"line": None, "key": {}, "values": {}, "fate": fate, "reasons": told}
    wrong: dict[int, list[dict[str, str]]] = {}
    for problem in conform(contract, rows, delivery.batch_id, by_row=True).bad_rows:
        wrong.setdefault(problem.line, []).append(
            _why(f"contract:{problem.rule}", _WHOLE, problem.reason)
        )
    texts = rows.table.append_column("_line", pa.array(rows.lines))
    for row in texts.filter(pa.array(np.isin(rows.lines, list(wrong)))).to_pylist():
        line = row.pop("_line")
        yield {"line": line, "key": {}, "values": row, "fate": fate, "reasons": wrong[line]}
    yield from ({**row, "fate": fate} for row in _malformed(case, rows, Fates({})))


def _kept_before(case: BatchCase) -> Iterator[dict[str, Any]]:
    """What is in quarantine by the rules that the batch was judged by last."""
    with Ledger(case.home) as ledger:
        rows = ledger.judgements(case.table.name)
    live = Lake(case.home).live(case.table.name)
    judged = current_verdicts(rows, live).get(case.batch.batch_id)
    if judged is None or not judged.quarantine_path:
        return
    kept = pq.read_table(judged.quarantine_path)
    for row, why in zip(_plain_rows(case, kept), kept["_reasons"].to_pylist(), strict=True):
        told = [_why(rule, "quarantine", "by earlier rules") for rule in why]
        rejected = any(rule.startswith("reject:") for rule in why)
        yield {**row, "fate": "rejected" if rejected else "quarantined", "reasons": told}


def _plain_rows(case: BatchCase, table: pa.Table) -> Iterator[dict[str, Any]]:
    keys = [name for name in case.table.contract.primary_key if name in table.schema.names]
    others = [n for n in table.schema.names if not n.startswith("_") and n not in keys]
    for row in table.to_pylist():
        found = {
            "line": row["_line"],
            "key": {name: plain(row[name]) for name in keys},
            "values": {name: plain(row[name]) for name in others},
        }
        yield {**found, "raw": row[_RAW]} if row.get(_RAW) is not None else found


def _fate(case: BatchCase, state: Fates, line: int) -> str:
    if case.batch.state in SETTLED_STATES:
        return case.batch.state
    if case.blocked:
        return "published" if case.is_live else "pending"
    return {PASSING: "published", QUARANTINED: "quarantined"}.get(state.fate[line], "rejected")


def _why(check: str, does: str, why: str) -> dict[str, str]:
    return {"check": check, "does": does, "why": why}


def flat(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with one level: for CSV and for tables. `reasons` is text."""
    return [
        {
            "line": row["line"],
            "fate": row["fate"],
            **row["key"],
            **row["values"],
            "reasons": "; ".join(
                f"{why['check']}: {why['why']}" if why["why"] else why["check"]
                for why in row["reasons"]
            ),
            **({"raw": row["raw"]} if "raw" in row else {}),
        }
        for row in rows
    ]
