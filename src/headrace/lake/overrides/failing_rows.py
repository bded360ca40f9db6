"""Failing and quarantined rows of a batch, with their keys, values and reasons."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.contracts import conform
from headrace.gates.contract_units import scales_of
from headrace.gates.failing_samples import plain_values
from headrace.lake.conflicts import CONFLICT
from headrace.lake.conflicts.hold import by_line, earlier_paths, samples
from headrace.lake.ingest.landing import landed_delivery
from headrace.lake.ingest.validator import delivered_rows
from headrace.lake.ledger.ledger import JudgementRow, Ledger
from headrace.lake.ledger.partition_state import PUBLISHABLE, SETTLED_STATES
from headrace.lake.ledger.row_counts import current_verdicts
from headrace.lake.overrides.batch_case import BatchCase
from headrace.lake.overrides.overrides import PASSING
from headrace.lake.tables.decimals import read_rows
from headrace.sources.rows import RawRows

_RAW = "_raw"
_CONTRACT = "contract"


def failing_rows(case: BatchCase, checks: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the failing rows in the delivery's order; with `checks`, rows failing one of these.

    Rows that earlier rules quarantined are included if the batch is still published under those
    earlier rules. For a batch that breaks its contract, problems of the delivery as a whole come
    first, without a line, and then the problems of each line.

    Returns:
        {"line", "fate": published | quarantined | pending | rejected | superseded | recalled,
        "key": {column: value}, "values": {column: value}, "reasons": [{"check", "does", "why",
        "columns"}]} with values as JSON. A row in conflict also has "earlier": {"batch", "line",
        "values"}, the earlier row's values where they differ. A row without typed values has "raw",
        its delivered text.
    """
    published = _published_verdict(case)
    rows_by_key: dict[Any, dict[str, Any]] = {}
    if published is not None and not _is_present(case, published):
        rows_by_key |= {row["line"]: row for row in _earlier_quarantine(case, published)}
    if case.standing is not None:
        broken = case.checked.failing.table is None
        rows = _contract_failures(case) if broken else _gate_failures(case)
        for row in rows:
            before = (
                rows_by_key.pop(row["line"], {"reasons": []}) if row["line"] else {"reasons": []}
            )
            key = row["line"] or f"whole {len(rows_by_key)}"
            rows_by_key[key] = {**row, "reasons": [*row["reasons"], *before["reasons"]]}
    lines = _lines_of(case.live_path)
    for row in rows_by_key.values():
        row["fate"] = _fate(case, published, row["line"], lines, row["reasons"])
    check_ids = set(checks)
    return [
        row
        for row in sorted(rows_by_key.values(), key=lambda row: row["line"] or 0)
        if not check_ids or check_ids & {why["check"] for why in row["reasons"]}
    ]


def _gate_failures(case: BatchCase) -> Iterator[dict[str, Any]]:
    """Yield the rows that fail the gate now, and the rows that people removed."""
    checked, state = case.checked, case.fates()
    failing = checked.failing
    lines = failing.lines
    reasons: dict[int, list[dict[str, Any]]] = {}
    for rule, rows in failing.rows.items():
        for line in map(int, lines[rows]):
            why = failing.sentences.get((line, rule)) or failing.expected.get(rule, "")
            columns = failing.columns.get(rule, ())
            reasons.setdefault(line, []).append(_why(rule, failing.does[rule], why, columns))
    for line, fate in state.fate.items():
        for by_hand in state.reasons.get(line, ()):
            if fate != PASSING and by_hand.startswith(("quarantine:", "reject:")):
                reasons.setdefault(line, []).append(_why(by_hand, by_hand.partition(":")[0], ""))
    mask = np.isin(lines, list(reasons))
    assert failing.table is not None
    earlier = _earlier(case)
    for row in _plain_rows(case, failing.table.filter(pa.array(mask))):
        failed = reasons[row["line"]]
        if (before := earlier.get(row["line"])) is None:
            yield {**row, "reasons": failed}
            continue
        differ = {"columns": list(before["values"])}
        failed = [
            {**reason, **differ} if reason["check"] == CONFLICT else reason for reason in failed
        ]
        yield {**row, "reasons": failed, "earlier": before}
    yield from _malformed(checked.rows)


def _earlier(case: BatchCase) -> dict[int, dict[str, Any]]:
    """Return the earlier version of each row in conflict, by line: {"batch", "line", "values"}."""
    conflicts, table = case.checked.conflicts, case.checked.failing.table
    if not conflicts or table is None:
        return {}
    with Ledger(case.home) as ledger:
        paths = earlier_paths(ledger, case.home, case.table.name, conflicts.values())
    rows = table.filter(pa.array(np.isin(case.checked.failing.lines, list(conflicts))))
    conflict_samples = samples(case.table.contract, list(conflicts.values()), by_line(rows), paths)
    return {sample["line"]: sample["earlier"] for sample in conflict_samples}


def _malformed(rows: RawRows) -> Iterator[dict[str, Any]]:
    for malformed in rows.malformed:
        yield {
            "line": malformed.line,
            "key": {},
            "values": {},
            "reasons": [_why("contract:malformed", _CONTRACT, malformed.why)],
            "raw": malformed.text,
        }


def _contract_failures(case: BatchCase) -> Iterator[dict[str, Any]]:
    """Yield all bad rows of a batch that breaks its contract; its report lists only a hundred."""
    contract = case.table.contract
    delivery = landed_delivery(case.home, case.batch)
    rows = delivered_rows(contract, delivery)
    for violation in case.report.violations:
        if violation.line is None:
            reasons = [_why(f"contract:{violation.field or 'rows'}", _CONTRACT, str(violation))]
            yield {"line": None, "key": {}, "values": {}, "reasons": reasons}
    wrong: dict[int, list[dict[str, Any]]] = {}
    by_line = conform(contract, rows, delivery.batch_id, by_row=True, note_clashes=True)
    for problem in by_line.bad_rows:
        wrong.setdefault(problem.line, []).append(
            _why(f"contract:{problem.rule}", _CONTRACT, problem.reason, [problem.field])
        )
    texts = rows.table.append_column("_line", pa.array(rows.lines))
    for row in texts.filter(pa.array(np.isin(rows.lines, list(wrong)))).to_pylist():
        line = row.pop("_line")
        yield {"line": line, "key": {}, "values": row, "reasons": wrong[line]}
    yield from _malformed(rows)


def _published_verdict(case: BatchCase) -> JudgementRow | None:
    """Return the verdict under which the batch is published, or has all rows in quarantine."""
    with Ledger(case.home) as ledger:
        rows = ledger.judgements(case.table.name)
    live = {case.batch.batch_id: case.live_path} if case.live_path else {}
    judgement = current_verdicts(rows, live).get(case.batch.batch_id)
    if judgement is None or judgement.verdict not in PUBLISHABLE or case.batch.state != "published":
        return None
    return judgement


def _is_present(case: BatchCase, published: JudgementRow) -> bool:
    """Return True if `published` is the verdict of the present rules."""
    standing = case.standing
    return standing is not None and published.rule_hash == (standing.row or standing.gate).rule_hash


def _earlier_quarantine(case: BatchCase, published: JudgementRow) -> Iterator[dict[str, Any]]:
    """Yield the rows that earlier rules put into quarantine."""
    if not published.quarantine_path:
        return
    quarantined = read_rows(published.quarantine_path)
    for row, why in zip(
        _plain_rows(case, quarantined), quarantined["_reasons"].to_pylist(), strict=True
    ):
        yield {**row, "reasons": [_why(rule, "quarantine", "by earlier rules") for rule in why]}


def _lines_of(path: str | None) -> set[int]:
    if path is None:
        return set()
    return set(pq.read_table(path, columns=["_line"])["_line"].to_pylist())


def _plain_rows(case: BatchCase, table: pa.Table) -> Iterator[dict[str, Any]]:
    keys = [name for name in case.table.contract.primary_key if name in table.schema.names]
    columns = [n for n in table.schema.names if not n.startswith("_") and n not in keys]
    scales = scales_of(case.table.contract)
    for row in table.to_pylist():
        plain_row = {
            "line": row["_line"],
            "key": plain_values(row, keys, scales),
            "values": plain_values(row, columns, scales),
        }
        yield {**plain_row, "raw": row[_RAW]} if row.get(_RAW) is not None else plain_row


def _fate(
    case: BatchCase,
    published: JudgementRow | None,
    line: int | None,
    lines: set[int],
    reasons: Sequence[dict[str, Any]],
) -> str:
    """Return the fate of a failing row."""
    if case.batch.state in SETTLED_STATES:
        return case.batch.state
    if line in lines:
        return "published"
    if published is None:
        return "pending"
    rejected = any(why["check"].startswith("reject:") for why in reasons)
    return "rejected" if rejected else "quarantined"


def _why(check: str, does: str, why: str, columns: Sequence[str] = ()) -> dict[str, Any]:
    return {"check": check, "does": does, "why": why, "columns": [c for c in columns if c]}


def flat(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows without nested values, for CSV and for tables; `reasons` is text."""
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
            **({"earlier": json.dumps(row["earlier"])} if "earlier" in row else {}),
        }
        for row in rows
    ]
