"""Every row of a batch that fails something, or is kept back: with its key, values and reasons."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.contracts import conform
from headrace.gates.failing_samples import plain_values
from headrace.gates.units import scales_of
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
_WHOLE = "contract"


def failing_rows(case: BatchCase, checks: Sequence[str] = ()) -> list[dict[str, Any]]:
    """All failing rows, in the delivery's order; with `checks`, those that fail one of these.

    What earlier rules put into quarantine is there as well, where the table still shows the batch
    as they judged it. A batch that breaks its contract shows what is wrong line by line, and first,
    without a line, what is wrong with the delivery as a whole.

    Returns:
        {"line", "fate": published | quarantined | pending | rejected | superseded | recalled,
        "key": {column: value}, "values": {column: value}, "reasons": [{"check", "does", "why",
        "columns"}]}, and of a row in conflict "earlier": {"batch", "line", "values"}, the columns
        of the earlier row that differ; values as JSON; "raw", the text as it came, where the row
        has no typed values.
    """
    shown = _shown_by(case)
    found: dict[Any, dict[str, Any]] = {}
    if shown is not None and not _is_present(case, shown):
        found |= {row["line"]: row for row in _kept_before(case, shown)}
    if case.standing is not None:
        broken = case.seen.failing.table is None
        rows = _of_broken(case) if broken else _of_judged(case)
        for row in rows:
            before = found.pop(row["line"], {"reasons": []}) if row["line"] else {"reasons": []}
            key = row["line"] or f"whole {len(found)}"
            found[key] = {**row, "reasons": [*row["reasons"], *before["reasons"]]}
    lines = _lines_of(case.live_path)
    for row in found.values():
        row["fate"] = _fate(case, shown, row["line"], lines, row["reasons"])
    wanted = set(checks)
    return [
        row
        for row in sorted(found.values(), key=lambda row: row["line"] or 0)
        if not wanted or wanted & {why["check"] for why in row["reasons"]}
    ]


def _of_judged(case: BatchCase) -> Iterator[dict[str, Any]]:
    """What the gate finds now, and what people did."""
    seen, state = case.seen, case.fates()
    failing = seen.failing
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
    wanted = np.isin(lines, list(reasons))
    assert failing.table is not None
    earlier = _earlier(case)
    for row in _plain_rows(case, failing.table.filter(pa.array(wanted))):
        failed = reasons[row["line"]]
        if (before := earlier.get(row["line"])) is None:
            yield {**row, "reasons": failed}
            continue
        differ = {"columns": list(before["values"])}
        failed = [{**one, **differ} if one["check"] == CONFLICT else one for one in failed]
        yield {**row, "reasons": failed, "earlier": before}
    yield from _malformed(seen.rows)


def _earlier(case: BatchCase) -> dict[int, dict[str, Any]]:
    """By line of a row in conflict, the earlier version of it: {"batch", "line", "values"}."""
    conflicts, table = case.seen.conflicts, case.seen.failing.table
    if not conflicts or table is None:
        return {}
    with Ledger(case.home) as ledger:
        paths = earlier_paths(ledger, case.home, case.table.name, conflicts.values())
    rows = table.filter(pa.array(np.isin(case.seen.failing.lines, list(conflicts))))
    told = samples(case.table.contract, list(conflicts.values()), by_line(rows), paths)
    return {sample["line"]: sample["earlier"] for sample in told}


def _malformed(rows: RawRows) -> Iterator[dict[str, Any]]:
    for one in rows.malformed:
        yield {
            "line": one.line,
            "key": {},
            "values": {},
            "reasons": [_why("contract:malformed", _WHOLE, one.why)],
            "raw": one.text,
        }


def _of_broken(case: BatchCase) -> Iterator[dict[str, Any]]:
    """Each line on its own, so that all of them are named and not only the first hundred."""
    contract = case.table.contract
    delivery = landed_delivery(case.home, case.batch)
    rows = delivered_rows(contract, delivery)
    for violation in case.report.violations:
        if violation.line is None:
            told = [_why(f"contract:{violation.field or 'rows'}", _WHOLE, str(violation))]
            yield {"line": None, "key": {}, "values": {}, "reasons": told}
    wrong: dict[int, list[dict[str, Any]]] = {}
    by_line = conform(contract, rows, delivery.batch_id, by_row=True, note_clashes=True)
    for problem in by_line.bad_rows:
        wrong.setdefault(problem.line, []).append(
            _why(f"contract:{problem.rule}", _WHOLE, problem.reason, [problem.field])
        )
    texts = rows.table.append_column("_line", pa.array(rows.lines))
    for row in texts.filter(pa.array(np.isin(rows.lines, list(wrong)))).to_pylist():
        line = row.pop("_line")
        yield {"line": line, "key": {}, "values": row, "reasons": wrong[line]}
    yield from _malformed(rows)


def _shown_by(case: BatchCase) -> JudgementRow | None:
    """The verdict by which the table shows the batch, or kept all of it in quarantine."""
    with Ledger(case.home) as ledger:
        rows = ledger.judgements(case.table.name)
    live = {case.batch.batch_id: case.live_path} if case.live_path else {}
    judged = current_verdicts(rows, live).get(case.batch.batch_id)
    if judged is None or judged.verdict not in PUBLISHABLE or case.batch.state != "published":
        return None
    return judged


def _is_present(case: BatchCase, shown: JudgementRow) -> bool:
    """Whether that is the verdict of the present rules."""
    one = case.standing
    return one is not None and shown.rule_hash == (one.row or one.gate).rule_hash


def _kept_before(case: BatchCase, shown: JudgementRow) -> Iterator[dict[str, Any]]:
    """What earlier rules put into quarantine."""
    if not shown.quarantine_path:
        return
    kept = read_rows(shown.quarantine_path)
    for row, why in zip(_plain_rows(case, kept), kept["_reasons"].to_pylist(), strict=True):
        yield {**row, "reasons": [_why(rule, "quarantine", "by earlier rules") for rule in why]}


def _lines_of(path: str | None) -> set[int]:
    if path is None:
        return set()
    return set(pq.read_table(path, columns=["_line"])["_line"].to_pylist())


def _plain_rows(case: BatchCase, table: pa.Table) -> Iterator[dict[str, Any]]:
    keys = [name for name in case.table.contract.primary_key if name in table.schema.names]
    others = [n for n in table.schema.names if not n.startswith("_") and n not in keys]
    scales = scales_of(case.table.contract)
    for row in table.to_pylist():
        found = {
            "line": row["_line"],
            "key": plain_values(row, keys, scales),
            "values": plain_values(row, others, scales),
        }
        yield {**found, "raw": row[_RAW]} if row.get(_RAW) is not None else found


def _fate(
    case: BatchCase,
    shown: JudgementRow | None,
    line: int | None,
    lines: set[int],
    reasons: Sequence[dict[str, Any]],
) -> str:
    """Where a failing row is, by what the table shows."""
    if case.batch.state in SETTLED_STATES:
        return case.batch.state
    if line in lines:
        return "published"
    if shown is None:
        return "pending"
    rejected = any(why["check"].startswith("reject:") for why in reasons)
    return "rejected" if rejected else "quarantined"


def _why(check: str, does: str, why: str, columns: Sequence[str] = ()) -> dict[str, Any]:
    return {"check": check, "does": does, "why": why, "columns": [c for c in columns if c]}


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
            **({"earlier": json.dumps(row["earlier"])} if "earlier" in row else {}),
        }
        for row in rows
    ]
