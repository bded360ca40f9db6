"""Validation of event streams: each event is checked alone; a bad one does not delay the others.

Checks that need a whole batch cannot run on a few events. `row_suite` returns the checks of a suite
that apply to single rows; `whole_batch_checks` lists the others, which run only if the table's data
is delivered as files.
"""

from dataclasses import replace

import pyarrow as pa

from headrace.contracts import Contract, conform
from headrace.gates.checks.vocabulary import VOCABULARY
from headrace.gates.judge import judge
from headrace.gates.suite import Expectation, Suite
from headrace.gates.verdict import Judgement, Result, Verdict
from headrace.sources.base import Delivery
from headrace.sources.rows import RawRows, shortened

RAW = "_raw"  # quarantine column with the original text of the event
MALFORMED = "contract:malformed"
_MAX_SAMPLE = 20
_ROW_SUITES: dict[str, Suite] = {}


def row_suite(suite: Suite) -> Suite:
    """Return the checks of a suite that apply to single rows.

    A check that would block a batch quarantines the row instead. A micro-batch is
    never blocked for its share of quarantined rows: for streams this share is monitored over time.
    """
    key = suite.full_hash
    if key not in _ROW_SUITES:
        row_checks = [e for e in suite.expectations if _about_a_row(e)]
        _ROW_SUITES[key] = replace(
            suite,
            expectations=tuple(
                replace(e, action="quarantine") if e.action == "block" else e for e in row_checks
            ),
            max_quarantined_share=1.0,
        )
    return _ROW_SUITES[key]


def whole_batch_checks(suite: Suite) -> tuple[str, ...]:
    """Return the ids of the checks that are not run on events."""
    return tuple(e.id for e in suite.expectations if not _about_a_row(e))


def _about_a_row(expectation: Expectation) -> bool:
    """Return True if the check can be evaluated on one row.

    Checks of uniqueness or of a share of rows cannot.
    """
    if expectation.fault is not None:
        return True  # an invalid expectation must be reported
    is_row_check = VOCABULARY[expectation.type].independent and expectation.slices is None
    return is_row_check and expectation.kwargs.get("mostly", 1) == 1


def judge_events(suite: Suite, contract: Contract, rows: RawRows, delivery: Delivery) -> Judgement:
    """Validate a micro-batch; quarantine failing rows and malformed events.

    Args:
        suite: the table's whole suite; only its `row_suite` is applied.
        contract: the table's contract.
        rows: the rows of the delivery from `read_rows`.
        delivery: the delivery itself, for the original text of quarantined events.
    """
    conformed = conform(contract, rows, delivery.batch_id, by_row=True)
    judgement = judge(row_suite(suite), contract, conformed)
    if conformed.table is None:
        return judgement
    return _with_malformed(judgement, rows, delivery)


def _with_malformed(judgement: Judgement, rows: RawRows, delivery: Delivery) -> Judgement:
    quarantined = as_quarantined(judgement.quarantined, rows, delivery)
    count = len(rows.malformed)
    if not count:
        return replace(judgement, quarantined=quarantined)
    foreseen = judgement.foreseen
    if foreseen is not None:
        worse = max(foreseen.verdict, Verdict.QUARANTINE, key=lambda v: v.gravity)
        foreseen = replace(
            foreseen, verdict=worse, quarantined_count=foreseen.quarantined_count + count
        )
    return replace(
        judgement,
        verdict=max(judgement.verdict, Verdict.QUARANTINE, key=lambda v: v.gravity),
        results=(_result(rows), *judgement.results),
        conformed=judgement.conformed + count,
        quarantined_count=judgement.quarantined_count + count,
        foreseen=foreseen,
        quarantined=quarantined,
    )


def as_quarantined(quarantined: pa.Table, rows: RawRows, delivery: Delivery) -> pa.Table:
    """Add the original text to quarantined rows, and append the malformed events."""
    events = [line for line in delivery.payload.split(b"\n") if line.strip()]
    raw = [events[line - 1].decode(errors="replace") for line in quarantined["_line"].to_pylist()]
    quarantined = quarantined.append_column(RAW, pa.array(raw, pa.string()))
    if not rows.malformed:
        return quarantined
    return pa.concat_tables(
        [quarantined, _malformed_rows(quarantined.schema, rows, events, delivery.batch_id)]
    )


def _malformed_rows(
    schema: pa.Schema, rows: RawRows, events: list[bytes], batch_id: str
) -> pa.Table:
    """Return malformed events in the quarantine schema, with provenance, reason and text only."""
    count = len(rows.malformed)
    values = {
        "_batch": pa.array([batch_id] * count, pa.string()),
        "_line": pa.array([m.line for m in rows.malformed], pa.int64()),
        "_reasons": pa.array([[MALFORMED]] * count, pa.list_(pa.string())),
        RAW: pa.array([events[m.line - 1].decode(errors="replace") for m in rows.malformed]),
    }
    loose = pa.schema([field.with_nullable(True) for field in schema])
    return pa.table([values.get(f.name, pa.nulls(count, f.type)) for f in loose], schema=schema)


def _result(rows: RawRows) -> Result:
    first = rows.malformed[0]
    rest = f", and {len(rows.malformed) - 1} more" if len(rows.malformed) > 1 else ""
    return Result(
        id=MALFORMED,
        kind="contract",
        type="contract_row",
        action="quarantine",
        status="fail",
        expected="an event that is a JSON object with fields",
        unexpected_count=len(rows.malformed),
        element_count=rows.delivered,
        sample=tuple(
            {"line": m.line, "key": {}, "values": {RAW: shortened(m.text), "why": m.why}}
            for m in rows.malformed[:_MAX_SAMPLE]
        ),
        reason=f"line {first.line}: {first.why}{rest}",
    )
