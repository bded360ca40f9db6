"""A plan over a file: footer first, one scan for what it does not say, one for rows that failed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np

from headrace.gates.check import Check
from headrace.gates.parquet.batch import ParquetBatch
from headrace.gates.parquet.counts import by_value, counted, few_valued
from headrace.gates.parquet.facts import column_facts, known_aggregates
from headrace.gates.parquet.gather import Numbers
from headrace.gates.parquet.keys import Keys
from headrace.gates.parquet.median import median
from headrace.gates.parquet.rejected import Rejected, ordered
from headrace.gates.plan import NO_ROWS, Finding, Plan, Rows, Rule
from headrace.sql import ident

FEW = 10_000  # so many failing rows of a check that needs only a sample are looked at all
Place = tuple[Rejected, int]


@dataclass
class _Failed:
    """A failed check whose rows are wanted: where all of them are marked, if anywhere."""

    number: int
    finding: Finding
    check: Check
    mark: Place | None


class Scan:
    """A file, aggregated as far as a plan's checks need it."""

    def __init__(
        self, plan: Plan, batch: ParquetBatch, *, sample: int, use_statistics: bool
    ) -> None:
        self.plan, self.batch, self.sample = plan, batch, sample
        facts = column_facts(batch.metadata, batch.file_schema) if use_statistics else {}
        self.known = known_aggregates(plan, batch.rows, facts)
        self._keys: dict[tuple[tuple[str, ...], str], Keys | Exception] = {}
        self._aggregate()

    def findings(self) -> list[Finding]:
        """Every rule's finding, without rows."""
        return [self._find(rule) for rule in self.plan.rules]

    # aggregates

    def _aggregate(self) -> None:
        """Each aggregate that is not known yet; if some check crashes the query, none."""
        checks = [rule.check for rule in self.plan.rules if rule.check is not None]
        for check in checks:
            if check.repeated:
                self._keys_of(check)
        wanted = {a: a for check in checks for a in _scanned(check) if a not in self.known}
        wanted |= self._distinct(wanted)
        try:
            for name, weighted in self._by_value(wanted).items():
                query = counted(self.plan, name, weighted.values())
                self.known |= dict(zip(weighted, self.batch.one(query), strict=True))
            # Beside an aggregate over different values, the engine would keep what the others need.
            apart = [text for text in wanted if "(DISTINCT " in text]
            for texts in ([text for text in wanted if text not in apart], *([t] for t in apart)):
                if texts:
                    asked = ", ".join(wanted[text] for text in texts)
                    values = self.batch.one(self.plan.select(asked))
                    self.known |= dict(zip(texts, values, strict=True))
        except duckdb.Error:
            return  # each check is asked alone, to find out which it is

    def _by_value(self, wanted: dict[str, str]) -> dict[str, dict[str, str]]:
        """By column of few values, the aggregates that are computed from them: not wanted more."""
        found = {}
        for name in few_valued(self.batch.metadata, self.batch.file_schema):
            weighted = {t: w for t, w in by_value(self.plan, name).items() if t in wanted}
            if weighted:
                found[name] = weighted
                for text in weighted:
                    del wanted[text]
        return found

    def _distinct(self, wanted: dict[str, str]) -> dict[str, str]:
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

    def _keys_of(self, check: Check) -> Keys:
        at = (check.repeated, check.among)
        if at not in self._keys:
            try:
                self._keys[at] = Keys(self.batch, self.plan, check)
            except Exception as crash:  # noqa: BLE001 - told by the check that needs it
                self._keys[at] = crash
        keys = self._keys[at]
        if isinstance(keys, Exception):
            raise keys
        return keys

    # findings

    def _find(self, rule: Rule) -> Finding:
        if rule.check is None:
            return Finding(rule, None, NO_ROWS, rule.error)
        try:
            return Finding(rule, rule.check.read(self._values(rule.check)), NO_ROWS)
        except Exception as crash:  # noqa: BLE001 - whatever it dies of, the batch must not pass
            return _crashed(rule, crash)

    def _values(self, check: Check) -> list[Any]:
        if check.median_of:
            return [self._median(check)]
        scanned = _scanned(check)
        if missing := [text for text in scanned if text not in self.known]:
            values = self.batch.one(self.plan.select(", ".join(missing)))
            self.known |= dict(zip(missing, values, strict=True))
        values = [self.known[text] for text in scanned]
        if not check.repeated:
            return values
        repeated = self._keys_of(check).count()
        return [*values, values[1], repeated] if repeated else [*values, values[1]]

    def _median(self, check: Check) -> float | None:
        (text,) = check.aggregates
        if text not in self.known:
            name = ident(check.median_of)
            of = f"{check.among or 'TRUE'} AND {name} IS NOT NULL"
            query = f"{self.plan.batch} SELECT {name}::DOUBLE AS value FROM batch WHERE {of}"  # noqa: S608

            def read() -> Iterator[Numbers]:
                return (piece["value"].to_numpy() for piece in self.batch.pieces(query))

            self.known[text] = median(read, self.batch.rows)
        found: float | None = self.known[text]
        return found

    # failing rows

    def rows(self, findings: Sequence[Finding], marks: dict[int, Place]) -> list[Finding]:
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

    def _streamed(self, failed: Sequence[_Failed]) -> Iterator[tuple[_Failed, Finding]]:
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

    def _stream(self, failed: Sequence[_Failed]) -> list[Finding]:
        flags = ", ".join(
            f"({one.check.failing}) IS TRUE AS _{number}" for number, one in enumerate(failed)
        )
        any_ = " OR ".join(f"({one.check.failing})" for one in failed)
        query = f"{self.plan.batch} SELECT _row, {flags} FROM batch WHERE {any_}"  # noqa: S608
        first: list[list[Rows]] = [[] for _ in failed]
        for piece in self.batch.pieces(query):
            positions = piece["_row"].to_numpy()
            for number, one in enumerate(failed):
                rows = positions[piece[f"_{number}"].to_numpy(zero_copy_only=False)]
                self._note(one, rows, first[number])
        return [
            replace(one.finding, rows=ordered(rows, self.sample))
            for one, rows in zip(failed, first, strict=True)
        ]

    def _note(self, one: _Failed, rows: Rows, first: list[Rows]) -> None:
        if not len(rows):
            return
        if one.mark is not None:
            one.mark[0].mark(rows, one.mark[1])
        first.append(ordered([rows], self.sample))

    def _alone(self, one: _Failed) -> Finding:
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
        keys = self._keys_of(one.check)
        if one.mark is not None:
            for rows in keys.rows():
                one.mark[0].mark(rows, one.mark[1])
        return keys.first(self.sample)


def _scanned(check: Check) -> tuple[str, ...]:
    """Different keys and medians, which would need memory for all values, are found otherwise."""
    if check.median_of:
        return ()
    return check.aggregates[:2] if check.repeated else check.aggregates


def _with_rows(finding: Finding) -> Check | None:
    """The check that says which rows failed, if any did."""
    check, outcome = finding.rule.check, finding.outcome
    if check is None or outcome is None or outcome.success:
        return None
    return check.narrowed(outcome) if check.failing or check.repeated else None


def _is_few(one: _Failed) -> bool:
    unexpected = one.finding.outcome.unexpected if one.finding.outcome else None
    return one.mark is not None or (unexpected is not None and unexpected <= FEW)


def _crashed(rule: Rule, crash: Exception) -> Finding:
    return Finding(rule, None, NO_ROWS, f"{type(crash).__name__}: {crash}")
