"""Validation of a batch against contract, invariants and suite; gives verdict and passing rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.contracts import Conformed, Contract, Violation
from headrace.gates.contract_units import CONTRACT, scales_of
from headrace.gates.engine import run
from headrace.gates.failing_samples import SAMPLE, plain, sample_rows, violation_samples
from headrace.gates.gx.fallback import answered
from headrace.gates.plan import Plan, Rows, RuleFinding
from headrace.gates.plan_compiler import plan_for
from headrace.gates.suite import Suite
from headrace.gates.verdict import Foreseen, Judgement, Result, Verdict

DIGITS = "digits_beyond_scale"  # type of the result for a column whose values were rounded
Sampler = Callable[[Sequence[str]], tuple[Mapping[str, Any], ...]]
Marks = np.ndarray[Any, np.dtype[np.bool_]]  # one element per row


def judge(suite: Suite, contract: Contract, conformed: Conformed) -> Judgement:
    """Validate a conformed batch; the judgement has its verdict, passing and quarantined rows.

    A batch that breaks its contract is blocked. Rows that the contract or an invariant rejects are
    quarantined. A failed expectation has the effect of its action. The batch is also blocked if
    more rows are quarantined than the suite allows. A check that crashes or names a missing column
    gives ERROR: it never passes, and it does not count as a fault of the data.
    """
    broken = contract_results(conformed)
    if conformed.table is None:
        empty = pa.Table.from_batches([], schema=contract.arrow_schema())
        judgement = conclude(suite, contract, conformed, broken, Counts(0, 0, 0))
        return replace(judgement, passing=empty, quarantined=_with_reasons(empty, []))
    table = conformed.table
    plan = plan_for(suite, contract, table.schema)
    findings = find(plan, table, sample=SAMPLE)
    rejected = _bad_rows(conformed, table)
    results = [
        *broken,
        *(
            bad_row_result(
                rule,
                conformed,
                (len(rows), table.num_rows),
                partial(_sample, contract, table, rows),
            )
            for rule, rows in rejected.items()
        ),
        *(result_of(finding, contract, table) for finding in findings),
    ]
    rejected |= {f.rule.id: f.rows for f in findings if quarantines(f) and not f.rule.shadow}
    shadowed = [f.rows for f in findings if quarantines(f) and f.rule.shadow]
    passing, quarantined = _separate(table, rejected)
    also = int(_marked(table.num_rows, [*rejected.values(), *shadowed]).sum())
    counts = Counts(table.num_rows, quarantined.num_rows, also)
    judgement = conclude(suite, contract, conformed, results, counts)
    return replace(judgement, passing=passing, quarantined=quarantined)


def _sample(
    contract: Contract, table: pa.Table, rows: Rows, columns: Sequence[str]
) -> tuple[Mapping[str, Any], ...]:
    return sample_rows(table, rows, contract.primary_key, columns, scales_of(contract))


def find(plan: Plan, table: pa.Table, *, sample: int) -> list[RuleFinding]:
    """Run all rules of a plan, compiled and delegated ones."""
    return answered(run(plan, table, sample=sample), table.schema.names, table.select)


def quarantines(finding: RuleFinding) -> bool:
    """Return True if the rule failed and its action is to quarantine the failing rows."""
    failed = finding.outcome is not None and not finding.outcome.success
    return failed and finding.rule.action == "quarantine"


# results


def contract_results(conformed: Conformed) -> list[Result]:
    """Return the contract's results for the batch as a whole: violations, warnings, rounding."""
    return [*_violations(conformed), *_warnings(conformed), *_roundings(conformed)]


def _violations(conformed: Conformed) -> list[Result]:
    """Return one result for each field with violations of the contract."""
    by_field: dict[str, list[Violation]] = {}
    for violation in conformed.violations:
        by_field.setdefault(violation.field, []).append(violation)
    return [_violation_result(name, violations) for name, violations in by_field.items()]


def _violation_result(name: str, violations: Sequence[Violation]) -> Result:
    """Build the result of one field.

    It counts the listed violations only; the judgement's `violation_count` counts all.
    """
    rest = f", and {len(violations) - 1} more" if len(violations) > 1 else ""
    return Result(
        id=f"contract:{name or 'rows'}",
        kind="contract",
        type="contract_violation",
        columns=(name,) if name else (),
        status="fail",
        expected=violations[0].expected,
        unexpected_count=len(violations),
        sample=violation_samples(violations),
        reason=f"{violations[0]}{rest}",
    )


def _warnings(conformed: Conformed) -> list[Result]:
    return [
        Result(
            id=f"contract:warning:{number}",
            kind="contract",
            type="contract_warning",
            severity="warning",
            action="warn",
            status="fail",
            reason=str(warning),
        )
        for number, warning in enumerate(conformed.warnings, 1)
    ]


def _roundings(conformed: Conformed) -> list[Result]:
    """Return one result for each column whose values were rounded to its scale."""
    return [
        Result(
            id=f"{DIGITS}:{rounded.field}",
            kind="contract",
            type=DIGITS,
            columns=(rounded.field,),
            severity="warning",
            action="warn",
            status="fail",
            expected=f"at most {rounded.scale} digits after the point",
            unexpected_count=rounded.count,
            element_count=conformed.delivered,
            sample=({"line": rounded.line, "key": {}, "values": {rounded.field: rounded.text}},),
            reason=str(rounded),
        )
        for rounded in conformed.rounded
    ]


def _bad_rows(conformed: Conformed, table: pa.Table) -> dict[str, Rows]:
    """Return, by rule of the contract, the positions of the rows that it rejects."""
    if not conformed.bad_rows:
        return {}
    lines = table["_line"].to_numpy()
    by_rule: dict[str, list[int]] = {}
    for problem in conformed.bad_rows:
        by_rule.setdefault(f"contract:{problem.rule}", []).append(problem.line)
    return {rule: np.flatnonzero(np.isin(lines, lines_)) for rule, lines_ in by_rule.items()}


def bad_row_result(
    rule: str, conformed: Conformed, counts: tuple[int, int], sample: Sampler
) -> Result:
    """Build the result of one rule of the contract.

    `counts` are the numbers of (rejected rows, all rows).
    """
    problems = [p for p in conformed.bad_rows if f"contract:{p.rule}" == rule]
    rows, total = counts
    rest = f", and {rows - 1} more" if rows > 1 else ""
    fields = tuple(dict.fromkeys(p.field for p in problems if p.field))
    return Result(
        id=rule,
        kind="contract",
        type="contract_row",
        columns=fields,
        action="quarantine",
        status="fail",
        unexpected_count=rows,
        element_count=total,
        sample=sample(fields),
        reason=f"line {problems[0].line}: {problems[0].reason}{rest}",
    )


def result_of(finding: RuleFinding, contract: Contract, table: pa.Table) -> Result:
    """Build the result of one finding, whose `rows` are positions in `table`."""
    rule, outcome = finding.rule, finding.outcome
    base = Result(
        id=rule.id,
        kind=rule.kind,
        type=rule.type,
        columns=rule.columns,
        severity=rule.severity,
        action=rule.action,
        expected=rule.check.expected if rule.check else "",
        note=rule.note,
        shadow=rule.shadow,
    )
    if outcome is None:
        how = "the check cannot be run" if rule.error else "the check crashed"
        return replace(base, status="error", reason=f"{how}: {finding.error}")
    return replace(
        base,
        status="pass" if outcome.success else "fail",
        observed=plain(outcome.observed),
        unexpected_count=outcome.unexpected,
        missing_count=outcome.missing,
        element_count=outcome.elements,
        sample=_sample(contract, table, finding.rows, rule.columns),
        reason="" if outcome.success else outcome.reason,
    )


# verdict


@dataclass(frozen=True)
class Counts:
    """Numbers of rows: validated, quarantined, and quarantined if no check were in shadow mode."""

    total: int
    quarantined: int
    foreseen: int


def conclude(
    suite: Suite,
    contract: Contract,
    conformed: Conformed,
    results: Sequence[Result],
    rows: Counts,
) -> Judgement:
    """Compute the verdict from all results; the judgement does not include rows."""
    suite = suite.stored(contract)
    results = [*_suite_result(suite), *results]
    foreseen = None
    if suite.shadow_hash:
        share = _share_result(suite, rows.foreseen, rows.total, results, shadow=True)
        would = _most_severe([r.would for r in (*results, *share)])
        foreseen = Foreseen(would, rows.foreseen, suite.shadow_hash)
    results = [*results, *_share_result(suite, rows.quarantined, rows.total, results)]
    return Judgement(
        verdict=_most_severe([r.verdict for r in results]),
        results=tuple(results),
        suite=suite.name,
        suite_hash=suite.hash,
        contract_hash=contract.hash,
        delivered=conformed.delivered,
        conformed=rows.total,
        quarantined_count=rows.quarantined,
        repeated=conformed.repeated,
        violation_count=conformed.violation_count,
        violations=tuple(conformed.violations),
        foreseen=foreseen,
        units=CONTRACT,
    )


def with_result(judgement: Judgement, result: Result, rows: int) -> Judgement:
    """Add a failed check that quarantines `rows` more rows, and recompute the verdict.

    A result with the same id is replaced. These rows do not count towards the quarantined share
    that blocks a batch.
    """
    count = judgement.quarantined_count + rows
    results = [*(r for r in judgement.results if r.id != result.id), result]
    foreseen = judgement.foreseen
    if foreseen is not None:
        worst = _most_severe([foreseen.verdict, result.verdict])
        foreseen = replace(
            foreseen, verdict=worst, quarantined_count=foreseen.quarantined_count + rows
        )
    return replace(
        judgement,
        results=tuple(results),
        verdict=_most_severe([r.verdict for r in results]),
        quarantined_count=count,
        foreseen=foreseen,
    )


def _most_severe(verdicts: Sequence[Verdict]) -> Verdict:
    return max(verdicts, key=lambda verdict: verdict.gravity, default=Verdict.PASS)


def _suite_result(suite: Suite) -> list[Result]:
    """Return an ERROR result if the suite could not be read, so that no batch passes."""
    if suite.fault is None:
        return []
    reason = f"the suite cannot be read: {suite.fault}"
    return [Result(id="suite", kind="expectation", type="suite", status="error", reason=reason)]


_MOST_CHECKS = 3  # checks that the reason of a quarantined share names


def _share_result(
    suite: Suite, quarantined: int, total: int, results: Sequence[Result], *, shadow: bool = False
) -> list[Result]:
    """Return a failed result if the quarantined share exceeds the limit; otherwise nothing.

    Its reason names the checks among `results` that quarantined most rows, with their columns;
    checks in shadow mode only if `shadow`.
    """
    if quarantined <= suite.max_quarantined_share * total:
        return []
    allowed = f"{suite.max_quarantined_share:.4g}"
    return [
        Result(
            id="quarantined_share",
            kind="expectation",
            type="quarantined_share",
            status="fail",
            observed=quarantined / total,
            expected=f"a share of at most {allowed} of the rows is quarantined",
            unexpected_count=quarantined,
            element_count=total,
            reason=f"{quarantined} of {total} rows are quarantined, more than a share of {allowed}"
            f"{_quarantining(results, shadow=shadow)}",
        )
    ]


def _quarantining(results: Sequence[Result], *, shadow: bool) -> str:
    """Name the checks that quarantined most rows, and their columns, most rows first."""
    failed = [r for r in results if r.action == "quarantine" and r.status == "fail"]
    counted = [r for r in failed if r.unexpected_count and (shadow or not r.shadow)]
    counted.sort(key=lambda r: -(r.unexpected_count or 0))
    parts = []
    for r in counted[:_MOST_CHECKS]:
        names = f" ({'column' if len(r.columns) == 1 else 'columns'} {', '.join(r.columns)})"
        parts.append(f"{r.unexpected_count} by check {r.id}{names if r.columns else ''}")
    rest = len(counted) - len(parts)
    if rest:
        parts.append(f"others by {rest} more {'check' if rest == 1 else 'checks'}")
    return f": {'; '.join(parts)}" if parts else ""


def _separate(table: pa.Table, rejected: Mapping[str, Rows]) -> tuple[pa.Table, pa.Table]:
    """Split a table into passing rows, and quarantined rows with the ids of their failed checks."""
    bad = _marked(table.num_rows, list(rejected.values()))
    if not bad.any():
        return table, _with_reasons(table.slice(0, 0), [])
    reasons: dict[int, list[str]] = {int(row): [] for row in np.flatnonzero(bad)}
    for rule, rows in rejected.items():
        for row in rows:
            reasons[int(row)].append(rule)
    passing = table.take(pa.array(np.flatnonzero(~bad)))
    failing = table.take(pa.array(np.flatnonzero(bad)))
    return passing, _with_reasons(failing, list(reasons.values()))


def _marked(count: int, rejected: Sequence[Rows]) -> Marks:
    marked: Marks = np.zeros(count, dtype=np.bool_)
    for rows in rejected:
        marked[rows] = True
    return marked


def _with_reasons(table: pa.Table, reasons: list[list[str]]) -> pa.Table:
    return table.append_column("_reasons", pa.array(reasons, pa.list_(pa.string())))
