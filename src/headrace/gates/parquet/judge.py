"""Validation of a Parquet file larger than memory, with the same verdict as `judge`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.contracts import Conformed, Contract
from headrace.gates.contract_units import scales_of
from headrace.gates.failing_samples import SAMPLE, sample_rows
from headrace.gates.gx.fallback import answered
from headrace.gates.judge import (
    Counts,
    bad_row_result,
    conclude,
    contract_results,
    quarantines,
    result_of,
)
from headrace.gates.parquet.batch import ParquetBatch
from headrace.gates.parquet.rejected_rows import Rejected, ordered, separate
from headrace.gates.parquet.scan import FileScan, Place
from headrace.gates.parquet.typed_rules import published_rules, schema_violations
from headrace.gates.plan import Plan, Rows, RuleFinding
from headrace.gates.plan_compiler import plan_for
from headrace.gates.suite import Suite
from headrace.gates.verdict import Judgement, Result

MEMORY_MB = 128


def judge_file(
    suite: Suite,
    contract: Contract,
    path: Path | str,
    *,
    passing: Path | None = None,
    quarantined: Path | None = None,
    about: Conformed | None = None,
    copy_clean: bool = True,
    use_statistics: bool = True,
    memory_mb: int = MEMORY_MB,
    threads: int | None = None,
) -> Judgement:
    """Validate a Parquet file whose rows have the contract's published types.

    The verdict is that of `judge` on the same rows; sums of floats may differ in their last digits.
    Rows are written to the two output files and are not part of the judgement.

    Args:
        suite: the checks.
        contract: the contract; the file must have its fields as columns. The reserved columns may
            be missing; without `_line`, rows are numbered 1, 2, ...
        path: a local file.
        passing: output file for the passing rows. It is written if there are any and the verdict
            allows publication. None: passing rows are only counted.
        quarantined: output file for the other rows and their `_reasons`; written if there are any.
        about: result of the `conform` call that wrote the file (its `table` is ignored). None if
            the producer delivered the file in this form. Then missing columns, undeclared columns
            and columns of another type break the contract. Rows without a required value, or with
            an absolute value above `max_abs`, are quarantined. Duplicate rows are kept, unless a
            check forbids them.
        copy_clean: if False and every row passes, `passing` is not written: it would equal the
            input file.
        use_statistics: use reliable facts of the file's footer (see `footer_facts`); if False,
            every value is read.
        memory_mb: memory limit of DuckDB, which spills to disk beyond it.
        threads: number of DuckDB threads; all cores if None.

    Raises:
        OSError, pyarrow.ArrowInvalid: the file cannot be read as Parquet.
    """
    with ParquetBatch(Path(path), memory_mb=memory_mb, threads=threads) as batch:
        conformed = about or _delivered(contract, batch)
        if conformed.violation_count:
            return conclude(
                suite, contract, conformed, contract_results(conformed), Counts(0, 0, 0)
            )
        rules = [] if about else published_rules(contract, batch.schema)
        rules += plan_for(suite, contract, batch.schema).rules
        plan = Plan.over(rules, batch.schema)
        scan = FileScan(plan, batch, sample=SAMPLE, use_statistics=use_statistics)
        return _FileValidation(suite, contract, batch, scan, conformed).judge(
            passing, quarantined, copy_clean
        )


def _delivered(contract: Contract, batch: ParquetBatch) -> Conformed:
    violations = schema_violations(contract, batch.file_schema)
    return Conformed(None, violations, len(violations), (), (), 0, batch.rows)


class _FileValidation:
    """Validation of one file."""

    def __init__(
        self,
        suite: Suite,
        contract: Contract,
        batch: ParquetBatch,
        scan: FileScan,
        conformed: Conformed,
    ) -> None:
        self.suite, self.contract, self.batch, self.scan = suite, contract, batch, scan
        self.conformed = conformed
        self.rejected, self.shadowed = Rejected(batch.rows), Rejected(batch.rows)

    def judge(self, passing: Path | None, quarantined: Path | None, copy_clean: bool) -> Judgement:
        bad = self._bad_rows()
        findings = answered(self.scan.findings(), self.batch.schema.names, self.batch.columns)
        marks = {
            number: self._place(finding)
            for number, finding in enumerate(findings)
            if quarantines(finding)
        }
        for number, (rejected, rule) in marks.items():
            rejected.mark(findings[number].rows, rule)  # failing rows of delegated checks
        findings = [replace(finding, rows=finding.rows[:SAMPLE]) for finding in findings]
        findings = self.scan.rows(findings, marks)
        results = [*contract_results(self.conformed), *bad, *self._results(findings)]
        count = self.rejected.count()
        counts = Counts(self.batch.rows, count, self.rejected.count_with(self.shadowed))
        judgement = conclude(self.suite, self.contract, self.conformed, results, counts)
        publish = judgement.verdict.publishes and count < self.batch.rows and (count or copy_clean)
        to = (passing if publish else None, quarantined if count else None)
        if any(to):
            self.batch.rest()
            separate(self.batch, self.rejected, *to)
        return judgement

    def _place(self, finding: RuleFinding) -> Place:
        rejected = self.shadowed if finding.rule.shadow else self.rejected
        return rejected, rejected.rule(finding.rule.id)

    def _bad_rows(self) -> list[Result]:
        """Mark the rows that `conform` rejected; return one result per rule of the contract."""
        by_rule: dict[str, list[int]] = {}
        for problem in self.conformed.bad_rows:
            by_rule.setdefault(f"contract:{problem.rule}", []).append(problem.line)
        results = []
        for rule, lines in by_rule.items():
            rows = self._at_lines(lines)
            self.rejected.mark(rows, self.rejected.rule(rule))
            results.append(
                bad_row_result(
                    rule,
                    self.conformed,
                    (len(rows), self.batch.rows),
                    partial(self._sample, rows),
                )
            )
        return results

    def _at_lines(self, lines: Sequence[int]) -> Rows:
        line_table = pa.table({"line": pa.array(sorted(set(lines)), pa.int64())})
        self.batch.connection.register("_lines", line_table)
        query = "SELECT _row FROM _delivered WHERE _line IN (SELECT line FROM _lines)"
        rows: Rows = self.batch.connection.execute(query).fetchnumpy()["_row"]
        self.batch.connection.unregister("_lines")
        return ordered([np.asarray(rows, dtype=np.int64)], len(rows))

    def _sample(self, rows: Rows, columns: Sequence[str]) -> tuple[Mapping[str, Any], ...]:
        first = rows[:SAMPLE]
        table = self.batch.take(first, self._sample_columns(columns))
        keys, scales = self.contract.primary_key, scales_of(self.contract)
        return sample_rows(table, np.arange(len(first)), keys, columns, scales)

    def _sample_columns(self, columns: Sequence[str]) -> list[str]:
        candidates = dict.fromkeys(["_line", *self.contract.primary_key, *columns])
        return [name for name in candidates if name in self.batch.schema.names]

    def _results(self, findings: Sequence[RuleFinding]) -> list[Result]:
        """Build the results of all findings; the rows of all samples are read in one query."""
        rows = np.unique(np.concatenate([np.empty(0, np.int64), *(f.rows for f in findings)]))
        columns = [name for f in findings if len(f.rows) for name in f.rule.columns]
        table = self.batch.take(rows, self._sample_columns(columns)) if len(rows) else None
        results = [
            result_of(replace(f, rows=np.searchsorted(rows, f.rows)), self.contract, table)
            for f in findings
        ]
        # As with `conform`, a rule of the contract has a result only if rows break it.
        return [r for r in results if r.kind != "contract" or r.status != "pass"]
