"""Validation plan: the rules of a suite and a contract for one schema, and their shared SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.sql import ident
from headrace.gates.checks.check import Check, Outcome

Rows = np.ndarray[Any, np.dtype[np.int64]]
NO_ROWS: Rows = np.empty(0, np.int64)


@dataclass(frozen=True)
class PlannedRule:
    """Check and its action on failure.

    `error` is the reason if the check could not be compiled. A `shadow` rule is run and reported,
    but does not affect the verdict. `kwargs` is set for a rule that Great Expectations evaluates;
    `scale` is then the number of decimal digits of its column, which messages need. `cautious` is
    a slower check that is used if `check` crashes: rows on which the expression raises an error
    count as failing.
    """

    id: str
    kind: str
    type: str
    columns: tuple[str, ...]
    severity: str
    action: str
    note: str
    check: Check | None
    error: str = ""
    shadow: bool = False
    kwargs: Mapping[str, Any] | None = None
    scale: int = 0
    cautious: Check | None = None

    def cautiously(self) -> "PlannedRule | None":
        """Return the rule with its cautious check as its check; None if it has none."""
        return replace(self, check=self.cautious, cautious=None) if self.cautious else None


@dataclass(frozen=True)
class RuleFinding:
    """Outcome of a rule on one batch.

    `rows` are the positions of all failing rows if the rule's action is quarantine, otherwise of
    the first few. If the rule crashed, `outcome` is None and `error` is the reason.
    """

    rule: PlannedRule
    outcome: Outcome | None
    rows: Rows
    error: str = ""


@dataclass(frozen=True)
class Plan:
    """Rules for one schema.

    `fields` are the columns that the rules use; only these are passed to DuckDB. `batch` is the
    WITH clause that defines the table `batch`.
    """

    rules: tuple[PlannedRule, ...]
    fields: tuple[pa.Field, ...]
    aggregates: tuple[str, ...]
    batch: str

    @classmethod
    def over(cls, rules: Sequence[PlannedRule], schema: pa.Schema) -> "Plan":
        checks = [rule.check for rule in rules if rule.check is not None]
        aggregates = dict.fromkeys(a for check in checks for a in check.aggregates)
        conditions = [part for c in checks for part in (c.failing, c.among, *c.repeated)]
        text = " ".join([*aggregates, *conditions]).lower()
        used = tuple(field for field in schema if field.name.lower() in text)
        return cls(tuple(rules), used, tuple(aggregates), _batch_view(used))

    @cached_property
    def columns(self) -> list[str]:
        return [field.name for field in self.fields]

    def select(self, expressions: str) -> str:
        return f"{self.batch} SELECT {expressions} FROM batch"  # noqa: S608


def _batch_view(columns: Sequence[pa.Field]) -> str:
    """Return a WITH clause that defines `batch`, in which NaN is replaced by null as in pandas."""
    names = [ident(f.name) for f in columns if pa.types.is_floating(f.type)]
    nulled = ", ".join(f"CASE WHEN isnan({n}) THEN NULL ELSE {n} END AS {n}" for n in names)
    replaced = f" REPLACE ({nulled})" if nulled else ""
    return f"WITH batch AS (SELECT *{replaced} FROM _delivered)"  # noqa: S608
