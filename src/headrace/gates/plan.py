"""Plan: the rules of a suite and a contract over one schema, and the SQL they share."""

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
    """Check with its action on failure; `error` is the reason why it could not be compiled.

    A `shadow` rule is run and reported, but decides nothing. `kwargs` are those of a rule without
    a check, which Great Expectations evaluates; `scale` is that of its column, for texts.
    `cautious` is used if `check` crashes: it evaluates row by row, and counts a row that it
    crashes on as failing.
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
        """Return the same rule with its cautious check, if it has one."""
        return replace(self, check=self.cautious, cautious=None) if self.cautious else None


@dataclass(frozen=True)
class RuleFinding:
    """Outcome of a rule; `rows` are positions of failing rows.

    All of them for a rule that quarantines, else the first few.
    """

    rule: PlannedRule
    outcome: Outcome | None
    rows: Rows
    error: str = ""


@dataclass(frozen=True)
class Plan:
    """Rules over one schema; only `fields`, those that some rule can use, go to the engine."""

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
    """Return the batch as checks see it: NaN is null, as in pandas."""
    names = [ident(f.name) for f in columns if pa.types.is_floating(f.type)]
    nulled = ", ".join(f"CASE WHEN isnan({n}) THEN NULL ELSE {n} END AS {n}" for n in names)
    replaced = f" REPLACE ({nulled})" if nulled else ""
    return f"WITH batch AS (SELECT *{replaced} FROM _delivered)"  # noqa: S608
