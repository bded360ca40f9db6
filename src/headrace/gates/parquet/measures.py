"""What checks measure of a file: from its footer, by value, by keys, the rest in one scan."""

from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from headrace.gates.arrays import to_numbers
from headrace.gates.check import Check
from headrace.gates.parquet.batch import ParquetBatch
from headrace.gates.parquet.counts import by_value, counted, few_valued
from headrace.gates.parquet.facts import Facts, column_facts, known_aggregates, without_nulls
from headrace.gates.parquet.gather import Numbers
from headrace.gates.parquet.keys import Keys
from headrace.gates.parquet.median import median
from headrace.gates.plan import Plan
from headrace.sql import ident

# Beside such aggregates the engine would keep, for each row, what all the others need.
_APART = ("(DISTINCT ", "(SELECT ")


class Measures:
    """The values of the aggregates of a plan's checks."""

    def __init__(self, plan: Plan, batch: ParquetBatch, *, use_statistics: bool) -> None:
        self.plan, self.batch = plan, batch
        self.facts: Mapping[str, Facts] = {}
        if use_statistics:
            self.facts = column_facts(batch.metadata, batch.file_schema)
        self.few = few_valued(batch.metadata, batch.file_schema)
        self._known = known_aggregates(plan, batch.rows, self.facts)
        self._keys: dict[tuple[tuple[str, ...], str], Keys | Exception] = {}
        self._measure()

    def of(self, check: Check) -> list[Any]:
        """The values that `check.read` takes; raises whatever the check dies of."""
        if check.median_of:
            return [self._median(check)]
        scanned = _scanned(check)
        if missing := [text for text in scanned if text not in self._known]:
            values = self.batch.one(self.plan.select(", ".join(missing)))
            self._known |= dict(zip(missing, values, strict=True))
        values = [self._known[text] for text in scanned]
        if not check.repeated:
            return values
        repeated = self.keys(check).found()[0]
        return [*values, values[1], repeated] if repeated else [*values, values[1]]

    def keys(self, check: Check) -> Keys:
        """The keys of a check that wants them unique; raises what looking for them died of."""
        keys = self._looked_up(check)
        if isinstance(keys, Exception):
            raise keys
        return keys

    def _looked_up(self, check: Check) -> Keys | Exception:
        at = (check.repeated, check.among)
        if at not in self._keys:
            try:
                self._keys[at] = Keys(self.batch, self.plan, check)
            except Exception as crash:  # noqa: BLE001 - told by the check that needs it
                self._keys[at] = crash
        return self._keys[at]

    def _measure(self) -> None:
        """Each aggregate that is not known yet; if some check crashes the query, none."""
        checks = [rule.check for rule in self.plan.rules if rule.check is not None]
        for check in checks:
            if check.repeated:
                self._looked_up(check)
        wanted = {
            text: without_nulls(text, self.facts)
            for check in checks
            for text in _scanned(check)
            if text not in self._known
        }
        wanted |= self._distinct(wanted)
        try:
            self._count_values(wanted)
            apart = [text for text in wanted if any(part in text for part in _APART)]
            for texts in ([text for text in wanted if text not in apart], *([t] for t in apart)):
                if texts:
                    asked = ", ".join(wanted[text] for text in texts)
                    values = self.batch.one(self.plan.select(asked))
                    self._known |= dict(zip(texts, values, strict=True))
        except duckdb.Error:
            return  # each check is asked alone, to find out which it is

    def _count_values(self, wanted: dict[str, str]) -> None:
        """What can be computed from few values and their counts, and is not wanted any more."""
        for name in self.few:
            weighted = {t: w for t, w in by_value(self.plan, name).items() if t in wanted}
            if weighted:
                values = self.batch.one(counted(self.plan, name, weighted.values()))
                self._known |= dict(zip(weighted, values, strict=True))
                for text in weighted:
                    del wanted[text]

    def _distinct(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Keys that are known to be unique need not be counted as different values."""
        unique = [
            ident(names[0])
            for (names, among), keys in self._keys.items()
            if len(names) == 1
            and among == f"{ident(names[0])} IS NOT NULL"
            and isinstance(keys, Keys)
            and not len(keys.shared)
        ]
        same = {f"count(DISTINCT {name})": f"count({name})" for name in unique}
        return {text: cheap for text, cheap in same.items() if text in wanted}

    def _median(self, check: Check) -> float | None:
        (text,) = check.aggregates
        if text not in self._known:
            name = ident(check.median_of)
            of = f"{check.among or 'TRUE'} AND {name} IS NOT NULL"
            query = f"{self.plan.batch} SELECT {name}::DOUBLE AS value FROM batch WHERE {of}"  # noqa: S608

            def read() -> Iterator[Numbers]:
                return (to_numbers(piece["value"]) for piece in self.batch.pieces(query))

            self._known[text] = median(read, self.batch.rows)
        found: float | None = self._known[text]
        return found


def _scanned(check: Check) -> tuple[str, ...]:
    """Different keys and medians, which would need memory for all values, are found otherwise."""
    if check.median_of:
        return ()
    return check.aggregates[:2] if check.repeated else check.aggregates
