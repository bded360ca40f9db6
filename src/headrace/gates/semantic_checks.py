"""Conversion of semantic changes to check results; the suite sets the action for each kind."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from headrace.contracts.drift import ACTIONS, BatchView, DriftFinding
from headrace.gates.contract_units import scales_of
from headrace.gates.exemptions import NO_EXEMPTIONS, Exemptions, Observation
from headrace.gates.failing_samples import SAMPLE, plain_values
from headrace.gates.suite import CHANGE_ACTIONS, Suite
from headrace.gates.verdict import NOT_CONSIDERED, Result

KIND = "semantic"
_SEVERITY = {"block": "critical", "warn": "warning", "note": "info"}


def results_of(
    findings: Iterable[DriftFinding],
    suite: Suite,
    look: BatchView,
    exemptions: Exemptions = NO_EXEMPTIONS,
    explained: Sequence[DriftFinding] = (),
) -> list[Result]:
    """Return one result for each finding whose action in the suite is not `off`.

    Args:
        findings: what drift detection reported.
        suite: the suite of the table.
        look: the batch.
        exemptions: decisions of people by which findings do not count; their results are in shadow
            mode.
        explained: findings that are not reported because of `findings`. The first result that
            counts lists them.
    """
    results = []
    for finding in findings:
        action = action_on(finding, suite)
        if action == "off":
            continue
        result = _result(finding, action, look)
        exemption = exemptions.of(finding, look.rows) if result.status == "fail" else None
        if exemption is not None:
            result = replace(
                result, shadow=True, note=exemption.sentence, decision=exemption.action
            )
        results.append(result)
    return _with_explained(results, explained, suite)


def _with_explained(
    results: list[Result], explained: Sequence[DriftFinding], suite: Suite
) -> list[Result]:
    """Add the findings that the results explain to the first result that counts."""
    documents = tuple(
        {"kind": f.kind, "columns": list(f.columns), "evidence": dict(f.evidence)}
        for f in explained
        if action_on(f, suite) in {"block", "warn"}
    )
    first = next((at for at, r in enumerate(results) if r.status == "fail" and not r.shadow), None)
    if documents and first is not None:
        results[first] = replace(results[first], explains=documents)
    return results


def observations_of(results: Iterable[Result]) -> list[Observation]:
    """Return the findings in failed results that count, and those that they explain."""
    observed = []
    for result in results:
        if result.kind == KIND and result.status == "fail" and not result.shadow:
            rows = result.element_count or 0
            observed.append(Observation(result.type, result.columns, result.evidence or {}, rows))
            observed += [
                Observation(hidden["kind"], tuple(hidden["columns"]), hidden["evidence"], rows)
                for hidden in result.explains
            ]
    return observed


def action_on(finding: DriftFinding, suite: Suite) -> str:
    """Return the suite's action on a finding.

    It is the mildest action that the suite declares for one of the finding's columns, otherwise
    the action for the finding's kind.
    """
    keys = [f"{finding.kind}:{column}" for column in finding.columns]
    declared = [suite.semantic[key] for key in keys if key in suite.semantic]
    usual = suite.semantic.get(finding.kind, ACTIONS[finding.kind])
    return max(declared, key=CHANGE_ACTIONS.index, default=usual)


def _result(finding: DriftFinding, action: str, look: BatchView) -> Result:
    subject = "+".join(finding.columns)
    return Result(
        id=f"{KIND}:{finding.kind}" + (f":{subject}" if subject else ""),
        kind=KIND,
        type=finding.kind,
        columns=finding.columns,
        severity=_SEVERITY[action],
        action=action,
        status="pass" if action == "note" else "fail",
        expected="the meaning of the batches before",
        unexpected_count=len(finding.lines) or None,
        element_count=look.rows,
        sample=_sample(finding, look),
        reason=finding.sentence,
        evidence=dict(finding.evidence),
    )


def notes_of(notes: Iterable[str]) -> list[Result]:
    """Return results for data that was not compared; they do not affect the verdict."""
    return [
        Result(
            id=f"{KIND}:{NOT_CONSIDERED}:{number}",
            kind=KIND,
            type=NOT_CONSIDERED,
            severity=_SEVERITY["note"],
            action="note",
            reason=note,
        )
        for number, note in enumerate(notes, 1)
    ]


def crashed(error: Exception) -> Result:
    """Return a note that the batch was not compared, because detection crashed."""
    why = str(error).partition("\n")[0]
    what = f"the detection of changed meaning failed: {type(error).__name__}: {why}"
    return notes_of([f"{what}; the batch was not compared with the batches before"])[0]


def _sample(finding: DriftFinding, look: BatchView) -> tuple[dict[str, object], ...]:
    """Return the line, key and affected columns of the first affected rows."""
    lines = set(finding.lines[:SAMPLE])
    rows = [at for at, line in enumerate(look.lines.tolist()) if line in lines] if lines else []
    keys = [name for name in look.contract.primary_key if name in look.arrays]
    other_names = [name for name in finding.columns if name in look.arrays and name not in keys]
    scales = scales_of(look.contract)

    def value_of(row: int, names: list[str]) -> dict[str, object]:
        return plain_values({n: look.arrays[n][row].as_py() for n in names}, names, scales)

    return tuple(
        {
            "line": int(look.lines[row]),
            "key": value_of(row, keys),
            "values": value_of(row, other_names),
        }
        for row in rows
    )
