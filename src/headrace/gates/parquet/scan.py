"""Execution of a validation plan on a Parquet file.

Aggregates come from the footer if possible, otherwise from one scan; a second scan finds the
failing rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import duckdb
import numpy as np

from headrace.core.arrow_numpy import to_numbers
from headrace.gates.checks.check import Check
from headrace.gates.parquet.batch import ParquetBatch
from headrace.gates.parquet.footer_facts import without_nulls
from headrace.gates.parquet.measures import Measures
from headrace.gates.parquet.rejected_rows import Rejected, ordered
from headrace.gates.parquet.value_counts import failing_values
from headrace.gates.plan import NO_ROWS, Plan, PlannedRule, Rows, RuleFinding

# A check that needs only a sample joins the shared scan if it has at most this many failing rows.
FEW = 10_000
Place = tuple[Rejected, int]


@dataclass
class _Failed:
    """Failed check whose failing rows are needed.

    `mark` is the `Rejected` object and rule number with which to mark all failing rows; None if
    only a sample is needed. `number` is the finding's position in the list of findings.
    """

    number: int
    finding: RuleFinding
    check: Check
    mark: Place | None


class FileScan:
    """Plan, file, and the values of the aggregates that the plan's checks need."""

    def __init__(
        self, plan: Plan, batch: ParquetBatch, *, sample: int, use_statistics: bool
    ) -> None:
        self.plan, self.batch, self.sample = plan, batch, sample
        self.measures = Measures(plan, batch, use_statistics=use_statistics)

    def findings(self) -> list[RuleFinding]:
        """Return one finding per rule, without its failing rows."""
        return [self._find(rule) for rule in self.plan.rules]

    # findings

    def _find(self, rule: PlannedRule) -> RuleFinding:
        if rule.check is None:
            return RuleFinding(rule, None, NO_ROWS, rule.error)
        try:
            return RuleFinding(rule, rule.check.read(self.measures.of(rule.check)), NO_ROWS)
        except Exception as crash:  # noqa: BLE001 - after any crash, the batch must not pass
            cautious = rule.cautiously()
            return self._find(cautious) if cautious is not None else _crashed(rule, crash)

    # failing rows

    def rows(self, findings: Sequence[RuleFinding], marks: dict[int, Place]) -> list[RuleFinding]:
        """Add the first failing rows to each finding, and mark all failing rows where requested.

        `marks` maps the position of a finding to the `Rejected` object and rule number to mark.
        """
        results = list(findings)
        failed = [
            _Failed(number, finding, check, marks.get(number))
            for number, finding in enumerate(findings)
            if (check := _with_rows(finding)) is not None
        ]
        looked_at = [
            failure for failure in failed if not failure.check.repeated and _is_few(failure)
        ]
        for failure, finding in self._streamed(looked_at):
            results[failure.number] = finding
        for failure in failed:
            if failure not in looked_at:
                results[failure.number] = self._single(failure)
        return results

    def _streamed(self, failed: Sequence[_Failed]) -> Iterator[tuple[_Failed, RuleFinding]]:
        """Yield findings with their failing rows, from one scan.

        If the scan crashes, each check gets a scan of its own.
        """
        if not failed:
            return
        try:
            yield from zip(failed, self._stream(failed), strict=True)
        except duckdb.Error as crash:
            if len(failed) == 1:
                yield failed[0], _crashed(failed[0].finding.rule, crash)
                return
            for failure in failed:
                yield from self._streamed([failure])

    def _stream(self, failed: Sequence[_Failed]) -> list[RuleFinding]:
        tests = [self._test(failure) for failure in failed]
        flags = ", ".join(
            f"(({test}) IS TRUE)::TINYINT AS _{number}" for number, test in enumerate(tests)
        )
        any_ = " OR ".join(f"({test})" for test in tests)
        query = f"{self.plan.batch} SELECT _row, {flags} FROM batch WHERE {any_}"  # noqa: S608
        first: list[list[Rows]] = [[] for _ in failed]
        for piece in self.batch.pieces(query):
            positions = to_numbers(piece["_row"])
            for number, failure in enumerate(failed):
                rows = positions[to_numbers(piece[f"_{number}"]) != 0]
                self._note(failure, rows, first[number])
        return [
            replace(failure.finding, rows=ordered(rows, self.sample))
            for failure, rows in zip(failed, first, strict=True)
        ]

    def _test(self, failure: _Failed) -> str:
        """Return the check's predicate of failing rows, or a cheaper equivalent."""
        columns = failure.finding.rule.columns
        if len(columns) == 1 and columns[0] in self.measures.few:
            listed = failing_values(self.batch, self.plan, columns[0], failure.check.failing)
            if listed:
                return listed
        return without_nulls(failure.check.failing, self.measures.facts)

    def _note(self, failure: _Failed, rows: Rows, first: list[Rows]) -> None:
        if not len(rows):
            return
        if failure.mark is not None:
            failure.mark[0].mark(rows, failure.mark[1])
        first.append(ordered([rows], self.sample))

    def _single(self, failure: _Failed) -> RuleFinding:
        try:
            rows = (
                self._first_repeated(failure)
                if failure.check.repeated
                else self._first(failure.check)
            )
        except Exception as crash:  # noqa: BLE001 - as above
            return _crashed(failure.finding.rule, crash)
        return replace(failure.finding, rows=rows)

    def _first(self, check: Check) -> Rows:
        """Find the first failing rows of one check; the query stops early if there are many."""
        query = f"{self.plan.batch} {check.failing_rows()} LIMIT {self.sample}"
        rows: Rows = self.batch.connection.execute(query).fetchnumpy()["_row"]
        return np.asarray(rows, dtype=np.int64)

    def _first_repeated(self, failure: _Failed) -> Rows:
        keys = self.measures.keys(failure.check)
        if failure.mark is not None:
            for rows in keys.rows():
                failure.mark[0].mark(rows, failure.mark[1])
        return keys.repeats()[1][: self.sample]


def _with_rows(finding: RuleFinding) -> Check | None:
    """Return the check of a failed finding, if it can find failing rows; otherwise None."""
    check, outcome = finding.rule.check, finding.outcome
    if check is None or outcome is None or outcome.success:
        return None
    return check.narrowed(outcome) if check.failing or check.repeated else None


def _is_few(failure: _Failed) -> bool:
    unexpected = failure.finding.outcome.unexpected if failure.finding.outcome else None
    return failure.mark is not None or (unexpected is not None and unexpected <= FEW)


def _crashed(rule: PlannedRule, crash: Exception) -> RuleFinding:
    return RuleFinding(rule, None, NO_ROWS, f"{type(crash).__name__}: {crash}")
