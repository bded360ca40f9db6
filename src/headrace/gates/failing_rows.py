"""All failing rows of a batch, for the on-call person and for verdicts with overrides."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.contracts import Conformed, Contract
from headrace.gates.judge import find
from headrace.gates.plan import Rows, RuleFinding
from headrace.gates.plan_compiler import plan_for
from headrace.gates.suite import Suite

# Effects of a failed check on its rows. A row that breaks the contract lacks a valid key, time or
# value, so it cannot be approved.
CONTRACT, QUARANTINE, BLOCK, WARN, SHADOW = "contract", "quarantine", "block", "warn", "shadow"


@dataclass(frozen=True)
class Failing:
    """Typed rows of a batch, and the failing rows of each failed check.

    Attributes:
        table: rows in `Contract.arrow_schema()`; None if the batch breaks its contract as a whole.
        rows: by check id, positions of failing rows in `table`; empty for checks on whole columns.
        does: by check id, the effect: one of the constants above.
        expected: by check id, the expectation in words.
        columns: by check id, the checked columns.
        sentences: by (line, check id), the description of a violation of the contract.
    """

    table: pa.Table | None
    rows: Mapping[str, Rows] = field(default_factory=dict)
    does: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sentences: Mapping[tuple[int, str], str] = field(default_factory=dict)

    @property
    def lines(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Line number in the delivery of each row of `table`."""
        if self.table is None:
            return np.empty(0, np.int64)
        lines: np.ndarray[Any, np.dtype[np.int64]] = self.table["_line"].to_numpy()
        return lines

    def also(self, check: str, does: str, sentences: Mapping[int, str]) -> "Failing":
        """Add a check whose failing lines were found by comparison with data outside the batch.

        `sentences` is the description of the fault by line.
        """
        rows = np.flatnonzero(np.isin(self.lines, list(sentences)))
        return replace(
            self,
            rows={**self.rows, check: rows},
            does={**self.does, check: does},
            sentences={**self.sentences, **{(line, check): why for line, why in sentences.items()}},
        )

    def reasons(self, *kinds: str) -> dict[int, list[str]]:
        """Return, by row position, the ids of the failed checks with one of these effects."""
        reasons: dict[int, list[str]] = {}
        for rule, rows in self.rows.items():
            if self.does[rule] in kinds:
                for row in rows:
                    reasons.setdefault(int(row), []).append(rule)
        return reasons


def failing(suite: Suite, contract: Contract, conformed: Conformed) -> Failing:
    """Find all rows that fail any check of the suite or the contract, whatever its action."""
    if conformed.table is None:
        return Failing(None)
    table = conformed.table
    findings = find(
        plan_for(suite, contract, table.schema), table, sample=max(1, int(table.num_rows))
    )
    failed = [f for f in findings if f.outcome is not None and not f.outcome.success]
    broken = _contract_rows(conformed, table["_line"].to_numpy())
    return Failing(
        table,
        rows={**broken, **{f.rule.id: np.sort(f.rows) for f in failed}},
        does={**dict.fromkeys(broken, CONTRACT), **{f.rule.id: _does(f) for f in failed}},
        expected={f.rule.id: f.rule.check.expected for f in failed if f.rule.check},
        columns={**_contract_columns(conformed), **{f.rule.id: f.rule.columns for f in failed}},
        sentences={(p.line, f"contract:{p.rule}"): p.reason for p in conformed.bad_rows},
    )


def _does(finding: RuleFinding) -> str:
    return SHADOW if finding.rule.shadow else finding.rule.action


def _contract_rows(
    conformed: Conformed, lines: np.ndarray[Any, np.dtype[np.int64]]
) -> dict[str, Rows]:
    by_rule: dict[str, list[int]] = {}
    for problem in conformed.bad_rows:
        by_rule.setdefault(f"contract:{problem.rule}", []).append(problem.line)
    return {rule: np.flatnonzero(np.isin(lines, lines_)) for rule, lines_ in by_rule.items()}


def _contract_columns(conformed: Conformed) -> dict[str, tuple[str, ...]]:
    fields: dict[str, dict[str, None]] = {}
    for problem in conformed.bad_rows:
        fields.setdefault(f"contract:{problem.rule}", {})[problem.field] = None
    return {rule: tuple(name for name in names if name) for rule, names in fields.items()}
