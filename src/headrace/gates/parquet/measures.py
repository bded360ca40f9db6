"""What checks measure of a file: from its footer, by value, by keys, the rest in one scan."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import duckdb

from headrace.core.arrow_numpy import to_numbers
from headrace.core.sql import ident
from headrace.gates.checks.check import Check
from headrace.gates.parquet.batch import ParquetBatch
from headrace.gates.parquet.column_stream import Numbers
from headrace.gates.parquet.footer_facts import Facts, column_facts, known_aggregates, without_nulls
from headrace.gates.parquet.keys import Keys
from headrace.gates.parquet.median import median
from headrace.gates.parquet.value_counts import by_value, counted, few_valued
from headrace.gates.plan import Plan

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
        self._medians: dict[str, float | Exception | None] = {}
        self._measure()

    def of(self, check: Check) -> list[Any]:
        """The values that `check.read` takes; raises whatever the check dies of."""
        if check.median_of:
            return [_or_raise(self._medians[check.aggregates[0]])]
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
        keys: Keys = _or_raise(self._keys[check.repeated, check.among])
        return keys

    def _measure(self) -> None:
        """Each aggregate that is not known yet; if some check crashes the query, none."""
        checks = [rule.check for rule in self.plan.rules if rule.check is not None]
        wanted = {
            text: without_nulls(text, self.facts)
            for check in checks
            for text in _scanned(check)
            if text not in self._known
        }
        apart = {t: sql for t, sql in wanted.items() if any(part in t for part in _APART)}
        together = {text: sql for text, sql in wanted.items() if text not in apart}
        with ThreadPoolExecutor(1, thread_name_prefix="headrace-gate") as pool:
            # Half of its time is numpy's: beside the scan, both cores have work.
            beside = pool.submit(self._look_up, checks, self.batch.beside())
            try:
                self._count_values(together, apart)
                self._ask(together)
            except duckdb.Error:
                return  # each check is asked alone, to find out which it is
            finally:
                beside.result()
        with suppress(duckdb.Error):
            for text, sql in (apart | self._distinct(apart)).items():
                self._ask({text: sql})

    def _ask(self, wanted: Mapping[str, str]) -> None:
        if wanted:
            values = self.batch.one(self.plan.select(", ".join(wanted.values())))
            self._known |= dict(zip(wanted, values, strict=True))

    def _look_up(self, checks: Sequence[Check], batch: ParquetBatch) -> None:
        """Keys and medians; what one dies of is told by the check that needs it."""
        for check in checks:
            at = (check.repeated, check.among)
            if check.repeated and at not in self._keys:
                self._keys[at] = _caught(partial(Keys, batch, self.plan, check))
            if check.median_of and check.aggregates[0] not in self._medians:
                found = _caught(partial(self._median, batch, check))
                self._medians[check.aggregates[0]] = found

    def _count_values(self, *wanted: dict[str, str]) -> None:
        """What can be computed from few values and their counts, and is not wanted any more."""
        for name in self.few:
            texts = {text for some in wanted for text in some}
            weighted = {t: w for t, w in by_value(self.plan, name).items() if t in texts}
            if weighted:
                values = self.batch.one(counted(self.plan, name, weighted.values()))
                self._known |= dict(zip(weighted, values, strict=True))
                for text in weighted:
                    for some in wanted:
                        some.pop(text, None)

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

    def _median(self, batch: ParquetBatch, check: Check) -> float | None:
        name = ident(check.median_of)
        of = f"{check.among or 'TRUE'} AND {name} IS NOT NULL"
        query = f"{self.plan.batch} SELECT {name}::DOUBLE AS value FROM batch WHERE {of}"  # noqa: S608

        def read() -> Iterator[Numbers]:
            return (to_numbers(piece["value"]) for piece in batch.pieces(query))

        return median(read, batch.rows)


def _caught(work: Callable[[], Any]) -> Any:  # noqa: ANN401
    try:
        return work()
    except Exception as crash:  # noqa: BLE001 - whatever it is, only one check dies of it
        return crash


def _or_raise(found: Any) -> Any:  # noqa: ANN401
    if isinstance(found, Exception):
        raise found
    return found


def _scanned(check: Check) -> tuple[str, ...]:
    """Different keys and medians, which would need memory for all values, are found otherwise."""
    if check.median_of:
        return ()
    return check.aggregates[:2] if check.repeated else check.aggregates
