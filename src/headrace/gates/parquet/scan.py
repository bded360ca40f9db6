"""A plan over a file: footer first, one scan for what it does not say, one for rows that failed."""

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

FEW = 10_000  # so many failing rows of a check that needs only a sample are looked at all
Place = tuple[Rejected, int]


@dataclass
class _Failed:
    """A failed check whose rows are wanted: where all of them are marked, if anywhere."""

    number: int
    finding: RuleFinding
    check: Check
    mark: Place | None


class Scan:
    """A file, aggregated as far as a plan's checks need it."""

    def __init__(
        self, plan: Plan, batch: ParquetBatch, *, sample: int, use_statistics: bool
    ) -> None:
        self.plan, self.batch, self.sample = plan, batch, sample
        self.measures = Measures(plan, batch, use_statistics=use_statistics)

    def findings(self) -> list[RuleFinding]:
        """Every rule's finding, without rows."""
        return [self._find(rule) for rule in self.plan.rules]

    # findings

    def _find(self, rule: PlannedRule) -> RuleFinding:
        if rule.check is None:
            return RuleFinding(rule, None, NO_ROWS, rule.error)
        try:
            return RuleFinding(rule, rule.check.read(self.measures.of(rule.check)), NO_ROWS)
        except Exception as crash:  # noqa: BLE001 - whatever it dies of, the batch must not pass
            cautious = rule.cautiously()
            return self._find(cautious) if cautious is not None else _crashed(rule, crash)

    # failing rows

    def rows(self, findings: Sequence[RuleFinding], marks: dict[int, Place]) -> list[RuleFinding]:
        """The findings with the first failing rows; all those of `marks` (by number) are marked."""
        found = list(findings)
        failed = [
            _Failed(number, finding, check, marks.get(number))
            for number, finding in enumerate(findings)
            if (check := _with_rows(finding)) is not None
        ]
        looked_at = [one for one in failed if not one.check.repeated and _is_few(one)]
        for one, finding in self._streamed(looked_at):
            found[one.number] = finding
        for one in failed:
            if one not in looked_at:
                found[one.number] = self._alone(one)
        return found

    def _streamed(self, failed: Sequence[_Failed]) -> Iterator[tuple[_Failed, RuleFinding]]:
        """All failing rows of these checks, in one scan if no check crashes it."""
        if not failed:
            return
        try:
            yield from zip(failed, self._stream(failed), strict=True)
        except duckdb.Error as crash:
            if len(failed) == 1:
                yield failed[0], _crashed(failed[0].finding.rule, crash)
                return
            for one in failed:
                yield from self._streamed([one])

    def _stream(self, failed: Sequence[_Failed]) -> list[RuleFinding]:
        tests = [self._test(one) for one in failed]
        flags = ", ".join(
            f"(({test}) IS TRUE)::TINYINT AS _{number}" for number, test in enumerate(tests)
        )
        any_ = " OR ".join(f"({test})" for test in tests)
        query = f"{self.plan.batch} SELECT _row, {flags} FROM batch WHERE {any_}"  # noqa: S608
        first: list[list[Rows]] = [[] for _ in failed]
        for piece in self.batch.pieces(query):
            positions = to_numbers(piece["_row"])
            for number, one in enumerate(failed):
                rows = positions[to_numbers(piece[f"_{number}"]) != 0]
                self._note(one, rows, first[number])
        return [
            replace(one.finding, rows=ordered(rows, self.sample))
            for one, rows in zip(failed, first, strict=True)
        ]

    def _test(self, one: _Failed) -> str:
        """The check's predicate of failing rows, or one that costs less and holds for the same."""
        columns = one.finding.rule.columns
        if len(columns) == 1 and columns[0] in self.measures.few:
            listed = failing_values(self.batch, self.plan, columns[0], one.check.failing)
            if listed:
                return listed
        return without_nulls(one.check.failing, self.measures.facts)

    def _note(self, one: _Failed, rows: Rows, first: list[Rows]) -> None:
        if not len(rows):
            return
        if one.mark is not None:
            one.mark[0].mark(rows, one.mark[1])
        first.append(ordered([rows], self.sample))

    def _alone(self, one: _Failed) -> RuleFinding:
        try:
            rows = self._first_repeated(one) if one.check.repeated else self._first(one.check)
        except Exception as crash:  # noqa: BLE001 - as above
            return _crashed(one.finding.rule, crash)
        return replace(one.finding, rows=rows)

    def _first(self, check: Check) -> Rows:
        """Where many rows fail, the first ones are soon found."""
        query = f"{self.plan.batch} {check.failing_rows()} LIMIT {self.sample}"
        found: Rows = self.batch.connection.execute(query).fetchnumpy()["_row"]
        return np.asarray(found, dtype=np.int64)

    def _first_repeated(self, one: _Failed) -> Rows:
        keys = self.measures.keys(one.check)
        if one.mark is not None:
            for rows in keys.rows():
                one.mark[0].mark(rows, one.mark[1])
        return keys.found()[1][: self.sample]


def _with_rows(finding: RuleFinding) -> Check | None:
    """The check that says which rows failed, if any did."""
    check, outcome = finding.rule.check, finding.outcome
    if check is None or outcome is None or outcome.success:
        return None
    return check.narrowed(outcome) if check.failing or check.repeated else None


def _is_few(one: _Failed) -> bool:
    unexpected = one.finding.outcome.unexpected if one.finding.outcome else None
    return one.mark is not None or (unexpected is not None and unexpected <= FEW)


def _crashed(rule: PlannedRule, crash: Exception) -> RuleFinding:
    return RuleFinding(rule, None, NO_ROWS, f"{type(crash).__name__}: {crash}")
