"""Values of the aggregates that checks of a file need.

They come from the file's footer, from counts of values, from the search for duplicate keys, and
otherwise from one scan.
"""

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
from headrace.gates.parquet.footer_facts import (
    FooterFacts,
    column_facts,
    known_aggregates,
    without_nulls,
)
from headrace.gates.parquet.keys import UniqueKey
from headrace.gates.parquet.median import median
from headrace.gates.parquet.value_counts import by_value, counted, few_valued
from headrace.gates.plan import Plan

# Texts of aggregates that run in a query of their own: in a shared query, DuckDB would store the
# inputs of all other aggregates for each row.
_SEPARATE = ("(DISTINCT ", "(SELECT ")


class Measures:
    """Values of the aggregates of a plan's checks."""

    def __init__(self, plan: Plan, batch: ParquetBatch, *, use_statistics: bool) -> None:
        self.plan, self.batch = plan, batch
        self.facts: Mapping[str, FooterFacts] = {}
        if use_statistics:
            self.facts = column_facts(batch.metadata, batch.file_schema)
        self.few = few_valued(batch.metadata, batch.file_schema)
        self._values = known_aggregates(plan, batch.rows, self.facts)
        self._keys: dict[tuple[tuple[str, ...], str], UniqueKey | Exception] = {}
        self._medians: dict[str, float | Exception | None] = {}
        self._measure()

    def of(self, check: Check) -> list[Any]:
        """Return the arguments of `check.read`; raise if computing them failed."""
        if check.median_of:
            return [_or_raise(self._medians[check.aggregates[0]])]
        scanned = _scanned(check)
        if missing := [text for text in scanned if text not in self._values]:
            values = self.batch.single_row(self.plan.select(", ".join(missing)))
            self._values |= dict(zip(missing, values, strict=True))
        values = [self._values[text] for text in scanned]
        if not check.repeated:
            return values
        repeated = self.keys(check).repeats()[0]
        return [*values, values[1], repeated] if repeated else [*values, values[1]]

    def keys(self, check: Check) -> UniqueKey:
        """Return the keys of a uniqueness check; raise if the search for duplicates failed."""
        keys: UniqueKey = _or_raise(self._keys[check.repeated, check.among])
        return keys

    def _measure(self) -> None:
        """Compute the aggregates that are not known yet.

        If a query fails, its aggregates stay unknown and `of` computes them check by check.
        """
        checks = [rule.check for rule in self.plan.rules if rule.check is not None]
        pending = {
            text: without_nulls(text, self.facts)
            for check in checks
            for text in _scanned(check)
            if text not in self._values
        }
        apart = {t: sql for t, sql in pending.items() if any(part in t for part in _SEPARATE)}
        together = {text: sql for text, sql in pending.items() if text not in apart}
        with ThreadPoolExecutor(1, thread_name_prefix="headrace-gate") as pool:
            # The search for keys and medians is half numpy, so it runs in parallel with the scan.
            beside = pool.submit(self._look_up, checks, self.batch.beside())
            try:
                self._count_values(together, apart)
                self._compute(together)
            except duckdb.Error:
                return  # each check then runs separately, to find the one that crashes
            finally:
                beside.result()
        with suppress(duckdb.Error):
            for text, sql in (apart | self._distinct(apart)).items():
                self._compute({text: sql})

    def _compute(self, queries: Mapping[str, str]) -> None:
        if queries:
            values = self.batch.single_row(self.plan.select(", ".join(queries.values())))
            self._values |= dict(zip(queries, values, strict=True))

    def _look_up(self, checks: Sequence[Check], batch: ParquetBatch) -> None:
        """Compute keys and medians; errors are stored, and raised for the check that needs them."""
        for check in checks:
            at = (check.repeated, check.among)
            if check.repeated and at not in self._keys:
                self._keys[at] = _caught(partial(UniqueKey, batch, self.plan, check))
            if check.median_of and check.aggregates[0] not in self._medians:
                outcome = _caught(partial(self._median, batch, check))
                self._medians[check.aggregates[0]] = outcome

    def _count_values(self, *groups: dict[str, str]) -> None:
        """Compute aggregates of columns with few distinct values from the counts of the values.

        The computed aggregates are removed from the groups.
        """
        for name in self.few:
            texts = {text for group in groups for text in group}
            weighted = {t: w for t, w in by_value(self.plan, name).items() if t in texts}
            if weighted:
                values = self.batch.single_row(counted(self.plan, name, weighted.values()))
                self._values |= dict(zip(weighted, values, strict=True))
                for text in weighted:
                    for group in groups:
                        group.pop(text, None)

    def _distinct(self, queries: Mapping[str, str]) -> dict[str, str]:
        """Replace distinct counts of columns that are known to be unique by plain counts."""
        unique = [
            ident(names[0])
            for (names, among), keys in self._keys.items()
            if len(names) == 1
            and among == f"{ident(names[0])} IS NOT NULL"
            and isinstance(keys, UniqueKey)
            and not len(keys.shared)
        ]
        equivalents = {f"count(DISTINCT {name})": f"count({name})" for name in unique}
        return {text: cheap for text, cheap in equivalents.items() if text in queries}

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
    except Exception as crash:  # noqa: BLE001 - any error concerns only one check
        return crash


def _or_raise(outcome: Any) -> Any:  # noqa: ANN401
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _scanned(check: Check) -> tuple[str, ...]:
    """Return the check's aggregates, except distinct keys and medians, which need no scan."""
    if check.median_of:
        return ()
    return check.aggregates[:2] if check.repeated else check.aggregates
